"""Arm this Python process for the launch that it belongs to, and then be the `sitecustomize` that it would have had.

Written so that every Python can read it; those before 3.8 are not armed.
"""

import os
import sys

try:
    if sys.version_info >= (3, 8):
        from _watcher_control_v1 import arm

        arm.arm()
except Exception:  # noqa: BLE001 - nothing of ours may reach the program
    try:
        import traceback

        # Not open(): a FIFO that stands there must not hold the program up.
        _flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW
        _log = os.open(os.path.join(os.environ["WATCHER_CONTROL_DIR"], "hook.log"), _flags, 0o600)
        os.write(_log, traceback.format_exc().encode())
        os.close(_log)
    except Exception:  # noqa: BLE001, S110 - there is nowhere left to say it
        pass

# What stands before this folder has had its turn, and perhaps called this file: only what follows is asked. Python 2
# has no such finder.
_finder = [_one for _one in sys.meta_path if getattr(_one, "__name__", "") == "PathFinder"]
if _finder:
    _here = os.path.dirname(os.path.abspath(__file__))
    _places = [os.path.abspath(_place) for _place in sys.path]
    _after = sys.path[_places.index(_here) + 1 :] if _here in _places else sys.path
    _spec = _finder[0].find_spec("sitecustomize", _after)
    if _spec is not None and _spec.loader is not None:
        from importlib.util import module_from_spec as _module_from_spec  # not cheap, so not before

        sys.modules["sitecustomize"] = _module_from_spec(_spec)
        _spec.loader.exec_module(sys.modules["sitecustomize"])
