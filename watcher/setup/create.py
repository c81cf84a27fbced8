"""`watcher init`: looks, writes, and says what was found, what is missing, and what to do next."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from watcher.config import Config, find_config, load_config, state_folder
from watcher.errors import ConfigError
from watcher.nouns import Mode
from watcher.score import Probe
from watcher.setup import files
from watcher.setup.rules import RuleCopy, copy_rules
from watcher.setup.survey import Survey, survey
from watcher.setup.write import render
from watcher.view.check import missing_model

USUAL = "~/.config/watcher/watcher.yaml"
"""Where every command and the service find it from any folder."""


@dataclass(frozen=True, slots=True)
class Created:
    """What came of it."""

    survey: Survey
    text: str
    config: Path
    """Where the configuration is, or would be."""
    is_written: bool
    kept: Path | None = None
    """Where the configuration is that stood there before."""
    rules: tuple[RuleCopy, ...] = ()
    missing: tuple[str, ...] = ()
    """What the model lacks; nothing when it is there."""

    @property
    def option(self) -> str:
        """Give how other commands are told of the configuration: nothing, where they find it by themselves."""
        is_known = self.default == self.config or not self.is_written
        return "" if is_known else f" -c {shlex.quote(str(self.config))}"

    @property
    def default(self) -> Path | None:
        """Give the configuration that commands find by themselves here; None where there is none."""
        try:
            return find_config().absolute()
        except ConfigError:
            return None


def target(given: Path | None) -> Path:
    """Give where the configuration is written: where the user says, else where it will be found."""
    chosen = given or Path(os.environ.get("WATCHER_CONFIG") or USUAL)
    return chosen.expanduser().absolute()


def create(
    named: Sequence[str],
    config: Path,
    *,
    mode: Mode = "observe",
    device: str = "auto",
    force: bool = False,
    dry: bool = False,
    probe: Probe | None = None,
) -> Created:
    """Look at folders and write a configuration for them; with `dry`, nothing is written.

    Raises:
        ConfigError: another configuration is there and is not to be replaced, something named is a file, or the rules
            that stand beside it have faults.

    """
    usual = state_folder(Config.model_validate({"runs": [{"path": "."}]}))
    found = survey(named, usual, device, probe)
    text = render(found, mode)
    missing = tuple(missing_model(found.model))
    if dry:
        return Created(found, text, config, is_written=False, missing=missing)
    kept = _write(config, text, found, force=force)
    if found.state is not None:  # before somebody else makes it: others may write where it lies
        found.state.mkdir(mode=0o700, exist_ok=True)
    rules = tuple(copy_rules(config.parent))
    load_config(config)
    return Created(found, text, config, is_written=True, kept=kept, rules=rules, missing=missing)


def _write(config: Path, text: str, found: Survey, *, force: bool) -> Path | None:
    """Write the configuration; gives where the one is that was there, if it was another.

    Raises:
        ConfigError: there is another, and it is not to be replaced.

    """
    there = files.read(config)
    if there == text:
        return None
    if there is not None and not force:
        raise ConfigError(_refusal(config, found))
    kept = files.keep(config) if there is not None else None
    files.write(config, text)
    return kept


def _refusal(config: Path, found: Survey) -> str:
    lines = "\n".join(f"  - path: {entry.path}" for entry in found.entries)
    return (
        f"{config} is there already and stays as it is. To watch these folders too, write under its `runs:`\n{lines}\n"
        f"`--force` replaces it and keeps it as {config.name}.1, `-c FILE` writes another, `--stdout` only shows it."
    )
