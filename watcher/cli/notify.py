"""`watcher notify`."""

from __future__ import annotations

import socket
import time
import uuid
from typing import TYPE_CHECKING

import typer

from watcher.cli.common import ConfigOption, JsonOption, console, load, print_json, say

if TYPE_CHECKING:
    from watcher.notify import Trial
    from watcher.nouns import Notice

SCHEMA_VERSION = 1
app = typer.Typer(no_args_is_help=True, help="Try the targets of notices.")


@app.callback()
def _main() -> None:
    return


@app.command("test")
def try_targets(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Send a test notice straight to every target of `notify:`, and say how each took it.

    All are tried at once, whatever severity they want. Nothing is written to the store, so a daemon beside it notices
    nothing. Exits with status 1 when one did not take it.
    """
    from watcher.errors import StepError
    from watcher.notify import trial

    loaded = load(config)
    if not loaded.notify:
        raise StepError(f"{loaded.path}: `notify:` names no target, so nobody is told; docs/notices.md lists them")
    now = time.time()
    found = trial(loaded.notify, _notice(now), now)
    _show(found, as_json=as_json)
    raise typer.Exit(0 if all(one.ok for one in found) else 1)


def _notice(now: float) -> Notice:
    from watcher.nouns import Notice

    text = f"A test from {socket.gethostname()}: notices of watcher reach you here. Nothing is wrong with any run."
    return Notice(
        key=f"test:{uuid.uuid4()}", severity="info", title="watcher: test notice", text=text, kind="test", at=now
    )


def _show(found: list[Trial], *, as_json: bool) -> None:
    if as_json:
        keys = ("name", "ok", "seconds", "reason", "way_out")
        targets = [{key: getattr(one, key) for key in keys} for one in found]
        print_json({"schema_version": SCHEMA_VERSION, "targets": targets})
        return
    out = console()
    for one in found:
        took = f"{one.name} in {one.seconds:.1f} s"
        say(out, f"ok    {took}" if one.ok else f"FAIL  {took}: {one.reason}; {one.way_out}")
