"""The command line: parse, call, print. What a command needs is imported when it runs."""

from __future__ import annotations

import os
import sys

from watcher.errors import ConfigError, WatcherError


def main() -> None:
    """Run `watcher`; exits 0 ok, 1 failed, 2 bad usage or configuration, 130 interrupted."""
    _open_streams()
    sys.exit(_run())


def _open_streams() -> None:
    """Write whatever the terminal's encoding lacks as `\\u2581`; a stream that was closed leads nowhere."""
    for name in ("stdin", "stdout", "stderr"):  # in this order: a new file gets the lowest number, here the closed one
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115, PTH123
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _run() -> int:
    try:
        from watcher.cli.app import app

        app(prog_name="watcher")
    except SystemExit as end:  # how typer ends every command
        return end.code if isinstance(end.code, int) else 0
    except ConfigError as error:
        return _say(str(error), 2, named=not error.faults)
    except WatcherError as error:
        return _say(str(error), 1)
    except OSError as error:  # a folder that may not be read, a full disk
        return _say(": ".join(str(part) for part in (error.filename, error.strerror or error) if part), 1)
    except KeyboardInterrupt:
        return 130
    return 0


def _say(text: str, status: int, *, named: bool = True) -> int:
    """Write an error; faults of files stand alone, as `file:line: ...`, so that editors find the place."""
    sys.stderr.write(f"watcher: {text}\n" if named else f"{text}\n")
    return status
