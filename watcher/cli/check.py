"""`watcher check`."""

from __future__ import annotations

import typer

from watcher.cli.common import ConfigOption, load


def check(config: ConfigOption = None) -> None:
    """Check the configuration and its rules without starting anything, and say what would be watched.

    Every fault is listed with its file, line and key. Otherwise: which folders are runs and why, how many prompts each
    has, which rules are for them, and advice on rules that are likely to decide badly.
    """
    from watcher.config import load_config_rules
    from watcher.view.check import check as look

    loaded = load(config)
    for line in look(loaded, load_config_rules(loaded)):
        typer.echo(line)
