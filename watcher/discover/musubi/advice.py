"""What would make a training of musubi-tuner's safer to judge and to stop."""

from __future__ import annotations

from collections.abc import Iterator

from watcher.discover.kohya.settings import on_epochs, on_prompts, on_saving
from watcher.discover.kohya.training import Training
from watcher.discover.layout import Prompts
from watcher.discover.musubi.training import GUI_PROMPTS, is_project


def advise(known: Training, found: Prompts, videos: int) -> Iterator[str]:
    """Say what to change, and how; `videos` of its prompts give no pictures."""
    if videos:
        yield (
            f"{videos} of its prompts make{'s' if videos == 1 else ''} videos, which are not scored: give them "
            "`--f 1`, or add prompts that have it"
        )
    yield from on_prompts(len(found.texts) - videos, _more_prompts(known, found))
    if known.settings.keys() - {"logging_dir", "log_with"}:
        yield from _on_sampling(known)
        yield from on_saving(known, "musubi-tuner")


def _more_prompts(known: Training, found: Prompts) -> str:
    if found.source and found.source.name == GUI_PROMPTS and is_project(known.place.folder):
        return (
            "write them into a file of your own and name it in the GUI's additional arguments (`--sample_prompts`), as "
            f"the GUI writes {found.source} anew at every start"
        )
    return f"add lines to {found.source or 'its prompt file'}, which musubi-tuner reads when it is started"


def _on_sampling(known: Training) -> Iterator[str]:
    epochs, steps = known.text("sample_every_n_epochs"), known.text("sample_every_n_steps")
    if not known.text("sample_prompts") or not (epochs or steps):
        yield (
            "it generates no samples: set `--sample_prompts` and `--sample_every_n_steps` (GUI: Generate sample images)"
        )
    if epochs and steps:
        yield (
            f"it samples every {steps} steps and every {epochs} epochs, which makes evaluations at uneven steps, and "
            "two where both meet: one of the two is enough"
        )
    yield from on_epochs(known, "`logging_dir`")
