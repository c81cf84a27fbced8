"""What keeps the watcher from deciding well about what was found, and the way out of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from watcher.judge import load_rules
from watcher.nouns import PROMPTS_TO_STOP
from watcher.setup.files import short
from watcher.setup.rules import ready
from watcher.setup.survey import DEFAULT_MODEL, Finding, Survey
from watcher.steps.looking import ARCHIVED_AFTER
from watcher.view.text import age, counted, plain

_WAY = (
    ". Give the trainer more prompts, of the same kind and for the whole run: SimpleTuner by `user_prompt_library`, "
    "kohya by more lines in its `--sample_prompts` file, OneTrainer by more samples in its tab `sampling`; "
    "`watcher prompts export` writes any of them"
)
"""For layouts that have no advice of their own about prompts."""
_ABOUT_PROMPTS = "rules that stop"
"""What stands in a layout's own advice about having too few."""


def advise(survey: Survey, now: float) -> list[str]:
    """Give what is missing, each once, with the runs that it is about; the most important first."""
    about: dict[str, list[tuple[str, str]]] = {}
    for finding in survey.findings:
        for text in () if is_idle(finding, now) else _of_run(finding):  # what is archived is not judged
            own = text.removeprefix(f"{finding.run.name}: ")
            about.setdefault(_alike(own, finding), []).append((finding.run.name, own))
    told = [plain(_grouped(same)) for same in about.values()]
    return [*told, *_unrecognised(survey), *_of_all(survey, now)]


def _alike(text: str, finding: Finding) -> str:
    """Give a sentence without what differs between runs of one kind: the paths of their configurations."""
    config = finding.setup.config
    return text.replace(str(config), "").replace(str(config.parent), "") if config else text


def _grouped(same: Sequence[tuple[str, str]]) -> str:
    """Say for several runs at once what differs in nothing but a path, with that of the first."""
    names, texts = [name for name, _ in same], {text for _, text in same}
    others = f" (so for {names[0]}; the others alike)" if len(texts) > 1 else ""
    return f"{_named(names)}: {same[0][1]}{others}"


def _of_run(finding: Finding) -> Iterator[str]:
    if finding.fault:
        yield finding.fault
    if finding.run.layout is not None and not finding.run.layout.has_images:
        yield "it makes no images, so it is shown by what its trainer logs (docs/scalars.md), and rules judge nothing"
    elif finding.prompts == 0 and not finding.fault:
        yield "no prompts are known, so nothing can be scored; give `prompts:` at its entry"
    own = next((text for text in finding.setup.advice if _ABOUT_PROMPTS in text), "")
    if 0 < finding.prompts < most_needed():
        way = "" if any("prompt" in text for text in finding.setup.advice) else _WAY
        yield f"{own}. {_few(finding.prompts, own)}" if own else _few(finding.prompts, own) + way
    yield from (text for text in finding.setup.advice if text != own)


def _few(prompts: int, said: str) -> str:
    """Say what follows from having so few prompts, and what was not said yet."""
    rules = [f"{name} needs {needed}" for name, needed in _needs().items() if prompts < needed]
    if said:
        return f"Until then the run is `unprotected` ({', '.join(rules)})"
    of_any = f", and rules that stop need {PROMPTS_TO_STOP}" if prompts < PROMPTS_TO_STOP else ""
    return (
        f"{counted(prompts, 'prompt')}{of_any} ({', '.join(rules)}): with fewer they stay unknown, and the run "
        "is `unprotected`"
    )


def most_needed() -> int:
    """Give how many prompts it takes for every ready rule that stops to know what it judges."""
    return max([PROMPTS_TO_STOP, *_needs().values()])


def _needs() -> dict[str, int]:
    """Give how many prompts each ready rule that stops runs needs."""
    rules = load_rules(ready()).rules
    return {rule.name: rule.needs.prompts for rule in rules if any(name == "stop" for name, _ in rule.actions())}


def _unrecognised(survey: Survey) -> Iterator[str]:
    for entry in survey.entries:
        beside = [run.path.name for run in entry.runs if run.layout is None]
        if beside and entry.recognised:
            yield plain(
                f"{entry.path}: also names {_named(beside)}, which no known trainer wrote (yet); `watcher status` "
                "lists them until they are recognised. If they are none of your runs, name the others one by one"
            )
        elif beside:
            yield plain(f"{entry.path}: {entry.runs[0].reason}{_way(survey, entry.path)}")


def _way(survey: Survey, path: str) -> str:
    made = survey.suggestions.get(path)
    if made is None:
        return (
            ". If your trainer has not begun yet, nothing is to be done; if this is a folder of runs, name `FOLDER/*`"
        )
    return f". The file has a suggestion, from names such as {made.example}: check it and take the `#` away"


def _of_all(survey: Survey, now: float) -> Iterator[str]:
    if remote := sorted({finding.file_system for finding in survey.findings if finding.is_remote}):
        yield (
            f"some runs are on a network file system ({', '.join(remote)}), where no file events arrive: new images "
            "are found by looking, up to half a minute later"
        )
    if survey.state is not None:
        yield f"state goes to {short(survey.state)}: {survey.state_remark}"
    elif survey.state_remark:
        yield survey.state_remark
    if len(survey.models) > 1:
        yield (
            f"the trainers evaluate with different models ({', '.join(survey.models)}); one scores here: "
            f"{survey.model}. Its numbers cannot be compared with theirs"
        )
    if survey.model != DEFAULT_MODEL:
        yield (
            f"the ready rules are for {DEFAULT_MODEL}: with {survey.model} they judge nothing until `model:` and "
            "threshold in rules/*.yaml are changed together; or set `model:` in watcher.yaml to theirs"
        )
    if survey.device == "auto" and survey.chosen.name == "cpu":
        yield _on_cpu(survey.chosen.reason)
    if old := [one.run.name for one in survey.findings if is_idle(one, now)]:
        yield f"{_named(old)}: no image for {age(ARCHIVED_AFTER)} or more, so listed as archived and not scored"


def _on_cpu(reason: str) -> str:
    """Say where scoring runs when no GPU is free, and the choice there is when one is there."""
    shared = "; to use one that trains, where there is room, say `--device shared`" if reason.startswith("all") else ""
    return f"scoring runs on the CPU at low priority ({reason}){shared}. `watcher doctor` says whether it would lag"


def is_idle(finding: Finding, now: float) -> bool:
    """Tell whether a run would be archived at first sight."""
    return finding.newest is not None and now - finding.newest > ARCHIVED_AFTER


def _named(names: list[str]) -> str:
    more = len(names) - 5
    return ", ".join(names[:5]) + (f" and {more} more" if more > 0 else "")
