"""What becomes of a whole file: a sample that is scored, or one that is not, and why."""

from __future__ import annotations

from watcher.discover import Facts, FoundFile, Layout, Place, Prompts
from watcher.nouns import EMPTY_PROMPT, NO_PROMPT, Run, Sample, SampleState
from watcher.settle import Ready, Undecodable


def sample(
    run: Run, place: Place, layout: Layout, file: FoundFile, outcome: Ready | Undecodable, prompts: Prompts
) -> Sample:
    """Make the sample of a whole file, with the prompt as it stands now."""
    facts = file.facts
    prompt = prompts.texts.get(facts.key)
    state, reason = _fate(place, layout, facts, outcome, prompt)
    whole = outcome if isinstance(outcome, Ready) else None
    return Sample(
        run_id=run.id,
        step=facts.step,
        key=facts.key,
        index=facts.index,
        path=file.path,
        size=file.size,
        mtime=file.mtime_ns / 1e9,
        digest=whole.digest if whole else "",
        prompt=prompt,
        wording=wording(layout, prompt),
        state=state,
        reason=reason,
        variant=facts.variant,
        epoch=facts.epoch,
        by_epoch=facts.by_epoch,
        again=layout.stamped,
        tile=facts.tile or (layout.tile(place, facts, whole.width, whole.height) if whole else None),
    )


def _fate(
    place: Place, layout: Layout, facts: Facts, outcome: Ready | Undecodable, prompt: str | None
) -> tuple[SampleState, str]:
    """Say whether a whole file can be scored, and if not, why."""
    if isinstance(outcome, Undecodable):
        return "undecodable", outcome.reason
    if flaw := layout.flaw(place, facts, outcome.width, outcome.height):
        return "unscorable", flaw
    if prompt is None:
        return "unscorable", NO_PROMPT
    return ("ready", "") if layout.worded(prompt).strip() else ("unscorable", EMPTY_PROMPT)


def wording(layout: Layout, prompt: str | None) -> str:
    """Give a prompt as it is scored, where that differs from what it says."""
    worded = layout.worded(prompt or "").strip()
    return "" if worded == prompt else worded
