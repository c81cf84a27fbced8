"""`watcher doctor`."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from watcher.cli.common import ConfigOption, JsonOption, load, print_json

SCHEMA_VERSION = 1


def doctor(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    offline: Annotated[bool, typer.Option("--offline", help="Ask nothing over the network.")] = False,
) -> None:
    """Look at everything that watching needs, and say what to do where something is amiss.

    Python and its packages, the device and the model, how long one evaluation takes against the time between
    evaluations, folders, clocks, file events, the state folder, trackers, targets, the trainings' processes, the
    service. Nothing is changed, sent or stopped. Exits 1 when something does not work (FAIL); what will only disappoint
    is a warning.
    """
    import logging
    from dataclasses import asdict

    from watcher.config import load_config_rules
    from watcher.doctor import Patient, examine
    from watcher.view.text import plain

    logging.basicConfig(handlers=[logging.NullHandler()])  # what libraries remark on the way is not asked for
    loaded = load(config)
    found = []
    for name, finding in examine(Patient(loaded, load_config_rules(loaded).rules, time.time(), offline)):
        found.append({"check": name, **asdict(finding)})
        if not as_json:
            typer.echo(plain(str(finding)))
            sys.stdout.flush()
    failed = any(one["level"] == "FAIL" for one in found)
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, "ok": not failed, "findings": found})
    raise typer.Exit(int(failed))
