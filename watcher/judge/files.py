"""Rule files: read, checked together, every fault at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from watcher import yamlfile
from watcher.errors import ConfigError, Fault
from watcher.judge.schema import Rule, RuleFile
from watcher.yamlfile import Document


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules and the files they came from."""

    rules: tuple[Rule, ...] = ()
    files: tuple[Path, ...] = ()


def load_rules(paths: Iterable[Path], scorers: Collection[str] | None = None) -> RuleSet:
    """Read rule files; `scorers` are those that are configured, where that is known.

    Raises:
        ConfigError: with every fault of every file.

    """
    rules, faults = read_rules(paths, scorers)
    if faults:
        raise ConfigError(faults=faults)
    return rules


def read_rules(paths: Iterable[Path], scorers: Collection[str] | None = None) -> tuple[RuleSet, list[Fault]]:
    """Read rule files; gives the rules of the files that are right, and every fault.

    With `scorers`, a metric of a scorer that is not configured is a fault.
    """
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
        found, wrong = yamlfile.check(document, RuleFile, {"scorers": scorers})
        faults += sorted([*wrong, *_taken(document, homes)], key=lambda fault: fault.line)
        rules += found.rules if found else ()
    return RuleSet(tuple(rules), files), faults


def _taken(document: Document, homes: dict[str, str]) -> Iterator[Fault]:
    """Find names that an earlier rule has, whatever else is wrong with either; remembers where names are at home."""
    for place, name in _names(document):
        if name in homes:
            yield document.fault(place, f"rule name `{name}` is taken by {homes[name]}", "give it another name")
        homes.setdefault(name, f"{document.path}:{document.lines.get(place, 1)}")


def _names(document: Document) -> Iterator[tuple[yamlfile.Place, str]]:
    rules = document.data.get("rules") if isinstance(document.data, dict) else None
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict) and isinstance(rule.get("name"), str):
            yield ("rules", number, "name"), rule["name"]
