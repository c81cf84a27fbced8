"""`watcher check`."""

from __future__ import annotations

import typer

from watcher.cli.common import ConfigOption, load


def check(config: ConfigOption = None) -> None:
    """Check the configuration and its rules, without starting anything; every fault is listed."""
    from watcher.config import load_config_rules

    loaded = load(config)
    rules = load_config_rules(loaded)
    typer.echo(f"{loaded.path}: ok: {len(loaded.runs)} run entries, {len(rules.rules)} rules, {loaded.mode}")
