"""`watcher rules explain`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watcher.cli.common import ConfigOption, JsonOption, console, load, print_json, recorded

if TYPE_CHECKING:
    from watcher.judge import Rule


def explain(
    run: Annotated[str, typer.Argument(help="The run's name, id or folder.", show_default=False)],
    rule: Annotated[str, typer.Argument(help="The rule's name.", show_default=False)],
    step: Annotated[
        int | None, typer.Option(help="The evaluation's step; default: the last decision.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a decision: the rule as it was, its numbers, what led there, what was done, and whether a replay agrees.

    Where the rule has decided nothing, it is said why, for the evaluation at --step or the newest.
    """
    from watcher.rehearse.explain import explain as read
    from watcher.rehearse.explained import parts

    with recorded(config) as store:
        found = read(store, run, rule, step, _rules(config))
    if as_json:
        print_json(found)
        return
    out: Any = console()
    for part in parts(found, out):
        out.print(part, soft_wrap=isinstance(part, str), markup=False, highlight=False)


def _rules(config: Path | None) -> Mapping[str, Rule]:
    """Give the rules of the configuration; none while it is being edited, as what was decided stands in the store."""
    from watcher.config import load_config_rules
    from watcher.errors import ConfigError

    try:
        return {rule.name: rule for rule in load_config_rules(load(config)).rules}
    except ConfigError:
        return {}
