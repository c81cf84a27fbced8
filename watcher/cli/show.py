"""`watcher show`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from watcher.cli.common import ConfigOption, JsonOption, console, print_json, recorded, say


def show(
    run: Annotated[str, typer.Argument(help="The run's name, id or folder.", show_default=False)],
    step: Annotated[int | None, typer.Option(help="Only this step, with every image.", show_default=False)] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run: its evaluations, per-prompt scores (--step), decisions, actions and events."""
    from watcher.view.show import show as read

    with recorded(config) as store:
        found = read(store, run, step)
    if as_json:
        print_json(found)
    else:
        _print(found, with_images=step is not None)


def _print(found: dict[str, Any], *, with_images: bool) -> None:
    from watcher.view.baseline import sentence
    from watcher.view.history import controlled, evaluations, images, logged, story

    out = console()
    run = found["run"]
    say(out, f"{run['name']}  {run['path']}  ({run['layout']}, {run['state']}, {run['mode']})")
    if run["watched"]:
        say(out, f"watched {run['watched']}" if run["watched"].startswith("by") else run["watched"])
    say(out, f"baseline: {sentence(run['baseline'])}")
    for line in run["unprotected"]:
        say(out, f"unprotected: {line}")
    if run["control"]:
        say(out, f"launched by `watcher exec`: {controlled(run['control'])}")
    if run["hold"]:
        say(out, run["hold"], style="yellow")
    if found["logs"]:
        say(out, f"its trainer logs {logged(found['logs'])}")
    if found["evaluations"]:
        out.print(evaluations(found["evaluations"], out))
    else:
        say(out, "no evaluation yet")
    for evaluation in found["evaluations"] if with_images else ():
        out.print()
        out.print(images(evaluation["images"], out))
    for line in story(found):
        say(out, line)
