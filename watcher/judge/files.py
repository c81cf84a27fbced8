"""Rule files: read, checked together, every fault at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from watcher import yamlfile
from watcher.errors import ConfigError, Fault
from watcher.judge.schema import Rule, RuleFile


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules and the files they came from."""

    rules: tuple[Rule, ...] = ()
    files: tuple[Path, ...] = ()


def load_rules(paths: Iterable[Path]) -> RuleSet:
    """Read rule files.

    Raises:
        ConfigError: with every fault of every file.

    """
    rules, faults = read_rules(paths)
    if faults:
        raise ConfigError(faults=faults)
    return rules


def read_rules(paths: Iterable[Path]) -> tuple[RuleSet, list[Fault]]:
    """Read rule files; gives what is right in them, and every fault."""
    files = tuple(paths)
    rules: list[Rule] = []
    faults: list[Fault] = []
    homes: dict[str, str] = {}
    for path in files:
        try:
            document = yamlfile.load(path)
        except ConfigError as error:
            faults += error.faults or [Fault(path, 1, "", str(error).removeprefix(f"{path}: "))]
            continue
        found, wrong = yamlfile.check(document, RuleFile)
        faults += wrong
        for number, rule in enumerate(found.rules if found else ()):
            place = ("rules", number, "name")
            if rule.name in homes:
                what = f"rule name `{rule.name}` is taken by {homes[rule.name]}"
                faults.append(document.fault(place, what, "give it another name"))
            homes.setdefault(rule.name, f"{path}:{document.lines.get(place, 1)}")
            rules.append(rule)
    return RuleSet(tuple(rules), files), faults
