"""`watcher run`."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from watcher.cli.common import ConfigOption, load


def run(
    config: ConfigOption = None,
    once: Annotated[
        bool, typer.Option("--once", help="Handle what is there, close what is complete, judge, exit.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Run the daemon: watch, score, judge and act until told to stop."""
    from watcher.config import load_config_rules, state_folder
    from watcher.daemon import Daemon

    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
    for noisy in ("apscheduler", "httpx", "httpcore", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    loaded = load(config)
    raise typer.Exit(Daemon(loaded, load_config_rules(loaded), state_folder(loaded), once=once).run())
