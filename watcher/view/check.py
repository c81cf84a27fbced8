"""What a configuration comes to: which folders are runs, what is known of their prompts, what the rules are for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path

from watcher.config import Config, state_folder
from watcher.discover import FoundRun, RunSettings, find_runs, watching
from watcher.judge import FROM_INSIDE, Rule, RuleSet, advise
from watcher.mounts import Mounts
from watcher.nouns import Run
from watcher.view.text import counted, known, plain


def check(config: Config, rules: RuleSet) -> Iterator[str]:
    """Say what would be watched and judged, and what is likely to disappoint; nothing is started or written."""
    yield f"{config.path}: ok"
    yield f"mode: {config.mode}; state folder: {state_folder(config)}; notices: {_targets(config)}"
    found = find_runs(config.runs)
    yield "runs:"
    for entry in config.runs:
        yield from _entry(entry, [run for run in found if run.settings is entry], config)
    if not any(run.layout for run in found):
        yield "  nothing would be watched now; folders that appear later are picked up"
    yield from _rules(rules, [_as_run(run, config) for run in found if run.layout])
    for settings in config.scorers.values():
        yield from missing_model(settings.model)


def _targets(config: Config) -> str:
    return ", ".join(target.label() for target in config.notify) or "none: alerts stand in `watcher status` only"


def _entry(entry: RunSettings, found: Sequence[FoundRun], config: Config) -> Iterator[str]:
    if not found:
        there = Path(entry.path).is_dir() or glob(entry.path)
        other = "no folder of its own: earlier entries have them, or nothing is written there yet"
        why = other if there else "no folder matches yet"
        yield f"  {entry.path}: {why}"
    for run in found:
        yield plain(f"  {run.name} ({run.path}): {run.reason if run.layout else 'no layout: ' + run.reason}")
        if run.layout:
            prompts = run.layout.prompts(run.place)
            yield plain(f"    {known(prompts.texts, prompts.own)}" + (f"; {prompts.fault}" if prompts.fault else ""))
            yield plain(f"    {watching(run, Mounts())}")
            yield from (plain(f"    {line}") for line in _shown(run, config))


def _shown(found: FoundRun, config: Config) -> Iterator[str]:
    """Say where a run's evaluations are shown."""
    if found.layout is None or not config.trackers:
        return
    setup = found.layout.setup(found.place)
    for name, tracker in config.trackers.items():
        yield f"{name}: {tracker.describe(_as_run(found, config), setup, state_folder(config))}"


def _rules(rules: RuleSet, runs: Sequence[Run]) -> Iterator[str]:
    yield f"rules: {counted(len(rules.rules), 'rule')} in {counted(len(rules.files), 'file')}"
    yield from (f"  {_rule(rule, runs)}" for rule in rules.rules)
    yield from (f"  {line}" for line in advice(rules.rules, configured=True))


def _rule(rule: Rule, runs: Sequence[Run]) -> str:
    """Give what a rule looks at, what it does, and to how many of the runs that are there now."""
    mine = [run for run in runs if rule.matches(run)]
    names = [name for name, _ in rule.then]
    enforced = sum(run.mode == "enforce" and rule.mode != "observe" for run in mine)
    acts = "" if names == ["alert"] else f", enforced for {enforced}"
    return f"{rule.name}: {rule.when}, then {' and '.join(names)}; for {len(mine)} of {counted(len(runs), 'run')}{acts}"


def advice(rules: Sequence[Rule], *, configured: bool = False) -> list[str]:
    """Give a line for everything in the rules that is likely to decide badly; `configured` as in `advise`."""
    given = [f"{code} {rule}: {text}" for code, rule, text in advise(rules, configured=configured)]
    return given + [f"note {rule.name}: {what}" for rule in rules for what in _lacking(rule)]


def _lacking(rule: Rule) -> Iterator[str]:
    """Say what a rule would do that not every training can be told to: before it runs that cannot be known."""
    for kind, what in FROM_INSIDE.items():
        if rule.does(kind):
            yield f"can {what} where `watcher exec` has started the training; elsewhere it alerts only"


def _as_run(found: FoundRun, config: Config) -> Run:
    assert found.layout is not None
    mode = found.settings.mode or config.mode
    return Run(found.id, found.name, found.path, found.layout.name, mode=mode, labels=found.settings.labels)


def missing_model(name: str) -> Iterator[str]:
    """Say when the model is not there: without it nothing is scored, and it is too large to be fetched unasked."""
    folder = Path(name).expanduser()
    if folder.is_dir() or _is_cached(name):
        return
    local = folder.is_absolute() or name.startswith((".", "~"))
    way = "no such folder" if local else f"not in the local cache; fetch it with `watcher model fetch {name}`"
    yield f"model {name}: {way}"


def _is_cached(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    plain, _, revision = name.partition("@")
    try:
        return isinstance(try_to_load_from_cache(plain, "config.json", revision=revision or None), str)
    except HFValidationError:  # no hub id
        return False
