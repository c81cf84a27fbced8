"""OneTrainer's workspace folder.

Sources: OneTrainer, `modules/trainer/GenericTrainer.py` (samples, backups, TensorBoard), and the modules named in
`names` and `config` beside this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import ClassVar

from watcher.discover.disk import listed
from watcher.discover.layout import Checkpoint, Facts, Layout, Place, Prompts
from watcher.discover.onetrainer.advice import advise
from watcher.discover.onetrainer.config import CONFIGS, configs, sample_lists, started
from watcher.discover.onetrainer.names import SAMPLES, backup_step, is_prompt_folder, key_of, parse_sample
from watcher.discover.prompts import read_prompts
from watcher.discover.scalars.gather import event_files
from watcher.discover.wording import without
from watcher.names import LEARNING_RATE, LOSS
from watcher.nouns import Setup

BACKUPS = "backup"
LOGS = "tensorboard"
_PLACEHOLDER = re.compile(r"<[^<>\s]+>")


class OneTrainer(Layout):
    """OneTrainer: `samples/{number} - {start of the prompt}/{prefix}{time}-training-sample-{step}-{epoch}-{n}.jpg`.

    A prompt is known by the name of its folder, so that a list of samples that was reordered or rewritten since gives
    no picture another one's prompt. The number is the place in the list; samples that are switched off count.

    With EMA the averaged weights' pictures are the main variant's, those of the raw weights (`non_ema_sampling`) are
    the variant `no-ema`; a prompt that itself ends in ` - no-ema` within its first 32 characters cannot be told from
    those. Steps are OneTrainer's own: batches, of which gradient accumulation takes several to an optimizer step.
    Step 0 is the base model. The time in its name gives a picture that is made again at a step a file beside the old
    one; the newer one counts, and tells that the run went back.
    """

    name: ClassVar[str] = "onetrainer"
    stamped: ClassVar[bool] = True
    saves_on_interrupt: ClassVar[bool] = True
    numbers: ClassVar[Mapping[str, str]] = {
        "loss/train_step": LOSS,
        **dict.fromkeys(("lr/unet", "lr/transformer", "lr/prior"), LEARNING_RATE),
    }

    def detect(self, folder: Path) -> str:
        """Recognise the workspace by a configuration that OneTrainer wrote into it, by samples, or by backups."""
        if found := configs(folder):
            return f"has {found[-1].path.relative_to(folder)}"
        if sample := _any_sample(folder):
            return f"has {sample.parent}/"
        backup = next((name for name in listed(folder / BACKUPS) if backup_step(name) is not None), "")
        return f"has {BACKUPS}/{backup}" if backup else ""

    def sample_folders(self, folder: Path) -> list[Path]:
        """Give the folder that has one for each prompt."""
        return [folder / SAMPLES]

    def parse(self, relative: PurePath) -> Facts | None:
        """Read folder and name; videos, and what was sampled by hand (`samples/custom/`), are no samples."""
        return parse_sample(relative)

    def begun(self, place: Place) -> float:
        """Give when the configuration of the last start was written."""
        return max((config.written_at for config in configs(place.folder)), default=0.0)

    def prompts(self, place: Place) -> Prompts:
        """Give the prompts of all lists of samples that are known, by the names of their folders.

        Of two that differ only after what a folder's name has of them, the later one counts. In the user's own file a
        number, or a place in a list, is that of a sample; a prompt that does not fit its folder is not taken.
        """
        if place.prompts is not None:
            return _by_folder(read_prompts(place.prompts))
        lists = sample_lists(place.folder)
        texts = {key: text for one in lists for key, text in one.texts().items()}
        if not texts:
            return Prompts(fault=f"no list of samples was found in config/; give `prompts:` for {place.folder}")
        return Prompts(texts, lists[-1].source)

    def worded(self, prompt: str) -> str:
        """Take out what stands for a trained embedding, such as `<embedding>`."""
        return without(prompt, _PLACEHOLDER.findall(prompt))

    def expected(self, place: Place) -> int | None:
        """Count the samples that are switched on; unknown where one of them may be a video.

        Unknown too where the definitions' file was changed after the start: a training that was started from a packed
        configuration does not read it, and nothing says which one was.
        """
        lists = sample_lists(place.folder) if place.prompts is None else []
        if len(lists) > 1 and lists[-1].source.parent.name != CONFIGS and lists[-1].active != lists[-2].active:
            return None
        active = lists[-1].active if lists else []
        return len(active) or None if all(one.frames <= 1 for one in active) else None

    def checkpoints(self, place: Place) -> list[Checkpoint]:
        """Give the backups that are whole: OneTrainer writes its own settings into one when the model is saved."""
        names = listed(place.folder / BACKUPS)
        found = [_backup(place.folder / BACKUPS / name, backup_step(name)) for name in names]
        return sorted((one for one in found if one), key=lambda one: (one.written_at, one.path))

    def scalar_files(self, place: Place) -> Sequence[Path]:
        """Give the event files of all starts."""
        return event_files(place.folder / LOGS)

    def setup(self, place: Place) -> Setup:
        """Read the last start's configuration; OneTrainer's TensorBoard shows all of `tensorboard/`."""
        known = configs(place.folder) or started(place.folder)
        logs = place.folder / LOGS
        return Setup(
            config=known[-1].path if known else None,
            logging_folder=logs if logs.is_dir() else None,
            trackers=("tensorboard",) if logs.is_dir() else (),
            advice=tuple(advise(place)),
        )


def _by_folder(found: Prompts) -> Prompts:
    """Put folders' names for the numbers that a prompt file knows its prompts by."""
    texts = {key_of(int(key), text) if _is_number(key) else key: text for key, text in found.texts.items()}
    return Prompts(texts, found.source, found.fault)


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdecimal() and len(key) < 19


def _any_sample(folder: Path) -> PurePath | None:
    """Find one sample, relative to the workspace; other trainers have a great many files in such a folder."""
    for prompt in filter(is_prompt_folder, listed(folder / SAMPLES)):
        for name in listed(folder / SAMPLES / prompt):
            if parse_sample(relative := PurePath(SAMPLES, prompt, name)):
                return relative
    return None


def _backup(path: Path, step: int | None) -> Checkpoint | None:
    """Give a backup whose last file is whole: before the settings, the model, its optimizer and its progress are."""
    settings = path / "onetrainer_config" / "args.json"
    try:
        (path / "meta.json").stat()
        json.loads(settings.read_text(encoding="utf-8"))
        return None if step is None else Checkpoint(step, path, settings.stat().st_mtime)
    except (OSError, ValueError, RecursionError):  # being written, or just rotated away
        return None
