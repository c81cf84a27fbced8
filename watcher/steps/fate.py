"""What becomes of a whole file: a sample that is scored, or one that is not, and why."""

from __future__ import annotations

from watcher.discover import Facts, FoundFile, Layout, Place, Prompts
from watcher.nouns import EMPTY_PROMPT, NO_PROMPT, Run, Sample, SampleState
from watcher.settle import Ready, Undecodable


def samples(
    run: Run, place: Place, layout: Layout, file: FoundFile, outcome: Ready | Undecodable, prompts: Prompts
) -> list[Sample]:
    """Make the samples of a whole file, mostly one, with their prompts as they stand now."""
    if isinstance(outcome, Undecodable):
        return [_sample(run, place, layout, file, file.facts, "", prompts, ("undecodable", outcome.reason))]
    width, height = outcome.width, outcome.height
    if flaw := layout.flaw(place, file.facts, width, height):
        return [_sample(run, place, layout, file, file.facts, outcome.digest, prompts, ("unscorable", flaw))]
    return [
        _sample(run, place, layout, file, facts, outcome.digest, prompts, _fate(layout, _prompt(file, facts, prompts)))
        for facts in layout.split(place, file.facts, width, height)
    ]


def _sample(
    run: Run,
    place: Place,
    layout: Layout,
    file: FoundFile,
    facts: Facts,
    digest: str,
    prompts: Prompts,
    fate: tuple[SampleState, str],
) -> Sample:
    prompt = _prompt(file, facts, prompts)
    return Sample(
        run_id=run.id,
        step=facts.step,
        key=facts.key,
        index=facts.index,
        path=file.path,
        size=file.size,
        mtime=file.mtime_ns / 1e9,
        digest=digest,
        prompt=prompt,
        wording=wording(layout, prompt),
        state=fate[0],
        reason=fate[1],
        variant=facts.variant,
        epoch=facts.epoch,
        by_epoch=facts.by_epoch,
        again=layout.stamped,
        tile=facts.tile,
        mask=layout.mask(place, facts, facts.tile),
    )


def _prompt(file: FoundFile, facts: Facts, prompts: Prompts) -> str | None:
    """Give the prompt that a picture bears itself, else that of its key."""
    return prompts.texts.get(facts.key) if file.prompt is None else file.prompt


def _fate(layout: Layout, prompt: str | None) -> tuple[SampleState, str]:
    """Say whether a picture can be scored, and if not, why."""
    if prompt is None:
        return "unscorable", NO_PROMPT
    return ("ready", "") if layout.worded(prompt).strip() else ("unscorable", EMPTY_PROMPT)


def wording(layout: Layout, prompt: str | None) -> str:
    """Give a prompt as it is scored, where that differs from what it says."""
    worded = layout.worded(prompt or "").strip()
    return "" if worded == prompt else worded
