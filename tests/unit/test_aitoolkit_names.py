"""ai-toolkit's names are read, and no other trainer's are taken for them, nor theirs for its."""

from __future__ import annotations

import io
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests import kohya
from tests.aitoolkit import sample_name
from watcher.discover import LAYOUTS, Facts
from watcher.discover.aitoolkit import AiToolkit
from watcher.discover.aitoolkit.names import parse_checkpoint
from watcher.discover.kohya import Kohya
from watcher.discover.layouts import DETECTED
from watcher.discover.pattern import Pattern
from watcher.discover.plain import Plain
from watcher.discover.simpletuner import SimpleTuner
from watcher.pictures import decode

LAYOUT = AiToolkit()
FOLDERS = ("samples", "sample", "validation_images", "benchmarks/base_model")
"""Where any layout looks: a name is to be told by itself, wherever it lies."""
times = st.floats(1_000_000_000, 9_999_999_999)  # 2001 to 2286: the years that have 13 digits of milliseconds
numbers = st.integers(0, 10**12)
extensions = st.sampled_from(["jpg", "jpeg", "png", "webp"])
texts = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20)


def parse(name: str) -> Facts | None:
    return LAYOUT.parse(PurePath("samples") / name)


@given(numbers, st.integers(0, 9999), times, extensions)
def test_a_sample_gives_back_what_it_was_made_of(step: int, index: int, at: float, ext: str) -> None:
    assert parse(sample_name(step, index, at, ext)) == Facts(step, str(index), variant="" if step else "base")


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        # ai-toolkit, BaseSDTrainProcess.sample and GenerateImageConfig.get_image_path
        ("1724085406830__000000500_0.jpg", Facts(500, "0")),
        ("1724085499999__000001000_10.webp", Facts(1000, "10")),
        ("1724085406830__000000000_3.png", Facts(0, "3", variant="base")),
        ("1724085406830__1234567890_3.jpeg", Facts(1234567890, "3")),
    ],
)
def test_every_form_of_the_name(name: str, facts: Facts) -> None:
    assert parse(name) == facts


@pytest.mark.parametrize(
    "name",
    [
        "1724085406830__000000500_0.mp3",  # ai-toolkit: sounds and videos
        "1724085406830__000000500_0.mp4",
        ".tmp/1724085406830__000000500_0.jpg",  # ai-toolkit: being written
        ".thumbs/1724085406830__000000500_0.jpg.jpg",  # ai-toolkit: small ones for its UI
        "1724085406830__00000500_0.jpg",
        "1724085406830__0000000500_0.jpg",
        "1724085406830__000000500_00.jpg",
        "1724085406830_000000500_0.jpg",
        "172408540683__000000500_0.jpg",
        "1724085406830__000000500_0.txt",
        "mylora_000500_00_20250114093012_42.png",  # sd-scripts
        "last_20230301123456_000100_00_42.png",  # sd-scripts, 2023
        "wanlora_000500_00_20250401120000_1026_000.png",  # musubi-tuner
        "sample_000500_00.png",  # musubi-tuner, Kandinsky 5
        "2025-01-14_09-30-12-training-sample-500-4-20.jpg",  # OneTrainer
        "step_500_cat_0_64x64.png",  # SimpleTuner
        "samples_gs-000500_e-000003_b-000099.png",  # CompVis
    ],
)
def test_other_names_are_no_samples(name: str) -> None:
    assert parse(name) is None


def test_of_an_animated_sample_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    written = io.BytesIO()
    frames[0].save(written, "WEBP", save_all=True, append_images=frames[1:], duration=62, lossless=True)
    assert decode(written.getvalue(), 64).getpixel((4, 4)) == (255, 0, 0)


def test_samples_lie_in_the_sample_folder_only() -> None:
    name = "1724085406830__000000500_0.jpg"
    assert LAYOUT.parse(PurePath(name)) is None
    assert LAYOUT.parse(PurePath("samples/old") / name) is None


def test_only_what_takes_anything_by_its_users_wish_is_left_out_of_the_comparison() -> None:
    """`pattern` takes what its regular expression says, `plain` every picture; both are never guessed."""
    assert set(LAYOUTS) - set(DETECTED) == {Pattern, Plain}


@given(numbers, st.integers(0, 9999), times, extensions)
def test_no_other_layout_takes_its_samples(step: int, index: int, at: float, ext: str) -> None:
    name = sample_name(step, index, at, ext)
    others = [cls() for cls in DETECTED if cls is not AiToolkit]
    taken = [other.name for other in others for place in FOLDERS if other.parse(PurePath(place) / name)]
    assert len(others) >= 2
    assert taken == []


@given(st.none() | texts, numbers, st.integers(0, 999), times, st.none() | st.integers(0, 2**64), st.booleans())
def test_it_takes_no_sample_of_kohya(
    name: str | None, step: int, index: int, at: float, seed: int | None, is_old: bool
) -> None:
    write = kohya.old_sample_name if is_old else kohya.sample_name
    written = write(name, index=index, at=at, step=step, seed=seed)
    assert Kohya().parse(PurePath("sample") / written)
    assert parse(written) is None


@given(st.from_regex(r"[a-z0-9_]{1,20}", fullmatch=True), st.integers(0, 10**9), st.integers(0, 99))
def test_it_takes_no_sample_of_simpletuner(slug: str, step: int, index: int) -> None:
    written = f"step_{step}_{slug}_{index}_64x64.png"
    assert SimpleTuner().parse(PurePath("validation_images") / written)
    assert parse(written) is None


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("my_lora_000000500.safetensors", 500),
        ("my_lora_LoRA_000001000.safetensors", 1000),
        ("wan_000000250_high_noise.safetensors", 250),
        ("flux_000000250", 250),
        ("my_lora.safetensors", None),
        ("my_lora_500.safetensors", None),
        ("optimizer.pt", None),
    ],
)
def test_the_step_of_a_checkpoint_stands_in_its_name(name: str, step: int | None) -> None:
    found = parse_checkpoint(name)
    assert (found.step if found else None) == step
    assert found is None or found.is_file == name.endswith(".safetensors")
