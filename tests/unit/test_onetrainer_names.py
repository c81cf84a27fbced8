"""OneTrainer's names are read, those made by hand and videos are not, and no other layout's names are taken."""

from __future__ import annotations

from pathlib import PurePath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.kohya import old_sample_name
from tests.kohya import sample_name as kohya_name
from tests.onetrainer import folder_name, sample_name
from watcher.discover import Facts
from watcher.discover.kohya import Kohya
from watcher.discover.onetrainer import OneTrainer
from watcher.discover.onetrainer.names import backup_step, config_stamp, key_of
from watcher.discover.simpletuner import SimpleTuner

LAYOUT = OneTrainer()
OTHERS = (SimpleTuner(), Kohya())
"""Not `plain`, which takes any picture, nor `pattern`, which takes what its user says: both are only ever chosen."""
numbers = st.integers(0, 10**9)
prompts = st.text(st.characters(codec="utf-8"), max_size=60)
prefixes = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), max_size=12)
times = st.floats(0, 4e9)
suffixes = st.sampled_from([".jpg", ".png"])


@given(numbers, prompts, st.booleans(), numbers, numbers, numbers, times, prefixes, suffixes)
def test_a_sample_gives_back_what_it_was_made_of_and_is_no_other_trainers(
    number: int,
    prompt: str,
    no_ema: bool,
    step: int,
    epoch: int,
    epoch_step: int,
    at: float,
    prefix: str,
    suffix: str,
) -> None:
    assume(not folder_name(number, prompt).endswith(" - no-ema"))  # that is what the other variant looks like
    folder = folder_name(number, prompt, " - no-ema" if no_ema else "")
    name = PurePath("samples") / folder / sample_name(step, epoch, epoch_step, at, prefix, suffix)
    variant = "no-ema" if no_ema else ""
    assert LAYOUT.parse(name) == Facts(step, key_of(number, prompt), variant=variant, epoch=float(epoch))
    assert key_of(number, prompt) == folder_name(number, prompt)
    for other in OTHERS:
        assert other.parse(name) is None
        for folder in ("sample", "validation_images", "benchmarks/base_model"):  # not even where theirs lie
            assert other.parse(PurePath(folder) / name.name) is None


@given(prefixes, numbers, st.integers(0, 99), times, st.sampled_from(["sample", "validation_images", "samples/0 - a"]))
def test_no_other_trainers_names_are_taken(name: str, step: int, index: int, at: float, folder: str) -> None:
    for theirs in (
        kohya_name(name, index=index, at=at, step=step, seed=7),
        kohya_name(name, index=index, at=at, epoch=step),
        old_sample_name(name, index=index, at=at, step=step),
        f"step_{step}_{name}_{index}_512x512.png",
        f"{name}_512x512.png",
        f"{int(at * 1000):013d}__{step:09d}_{index}.jpg",
        f"step_{step}_val_img_{index}.png",
    ):
        assert LAYOUT.parse(PurePath(folder) / theirs) is None


@pytest.mark.parametrize(
    ("path", "facts"),
    [
        (  # GenericTrainer.py, `__sample_loop`, with the defaults of TrainConfig.py
            "samples/0 - a photo of sks dog/2025-01-14_09-30-12-training-sample-500-4-20.jpg",
            Facts(500, "0 - a photo of sks dog", epoch=4.0),
        ),
        (  # the same with EMA and `non_ema_sampling`
            "samples/0 - a photo of sks dog - no-ema/2025-01-14_09-30-40-training-sample-500-4-20.jpg",
            Facts(500, "0 - a photo of sks dog", variant="no-ema", epoch=4.0),
        ),
        (  # with `save_filename_prefix` and ImageFormat.PNG
            "samples/12 - Ein Haus am See/mein-lora-2025-01-14_09-30-12-training-sample-0-0-0.png",
            Facts(0, "12 - Ein Haus am See", epoch=0.0),
        ),
        (  # an empty prompt leaves the dash and the space (path_util.py, `safe_filename`)
            "samples/3 - /2025-01-14_09-30-12-training-sample-10-0-10.jpg",
            Facts(10, "3 - ", epoch=0.0),
        ),
        (
            "samples/3 -  - no-ema/2025-01-14_09-30-12-training-sample-10-0-10.jpg",
            Facts(10, "3 - ", variant="no-ema", epoch=0.0),
        ),
    ],
)
def test_every_form_of_the_name(path: str, facts: Facts) -> None:
    assert LAYOUT.parse(PurePath(path)) == facts


@pytest.mark.parametrize(
    "path",
    [
        "samples/custom/2025-01-14_09-30-12-training-sample-500-4-20.jpg",
        "samples/2025-01-14_09-30-12-training-sample-500-4-20.jpg",
        "samples/0 - a/old/2025-01-14_09-30-12-training-sample-500-4-20.jpg",
        "old/0 - a/2025-01-14_09-30-12-training-sample-500-4-20.jpg",
        "samples/0 - a/2025-01-14_09-30-12-training-sample-500-4-20.mp4",
        "samples/0 - a/2025-01-14_09-30-12-training-sample-500-4.jpg",
        "samples/0 - a/2025-01-14_09-30-12-training-sample-0500-4-20.jpg",
        "samples/0 - a/2025-01-14-training-sample-500-4-20.jpg",
        "samples/00 - a/2025-01-14_09-30-12-training-sample-500-4-20.jpg",
        f"samples/0 - {'a' * 33}/2025-01-14_09-30-12-training-sample-500-4-20.jpg",
        "save/2025-01-14_09-30-12-save-500-4-20.safetensors",
    ],
)
def test_other_files_are_no_samples(path: str) -> None:
    assert LAYOUT.parse(PurePath(path)) is None


def test_backups_and_configurations_are_known_by_name() -> None:
    assert backup_step("2025-01-14_09-30-12-backup-500-4-20") == 500
    assert backup_step("2025-01-14_09-30-12-save-500-4-20") is None
    assert config_stamp("my-2025-01-14_09-30-12.json") == "2025-01-14_09-30-12"
    assert config_stamp("config.json") is None
