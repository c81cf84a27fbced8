"""What every layout promises, whatever a folder holds: pure names, no surprise, nothing outside of the folder."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.registries import make
from watcher.discover import LAYOUTS, Facts, FoundRun, Layout, Place, RunSettings, scan
from watcher.names import GRAD_NORM, LEARNING_RATE, LOSS, RAW

EXAMPLES: dict[str, tuple[str, Facts]] = {
    "simpletuner": ("validation_images/step_100_cat_1_8x6.png", Facts(100, "cat", 1, size=(8, 6))),
    "kohya": ("sample/000500_07_20250114093012_42.png", Facts(500, "7")),
    "musubi": ("sample/000500_07_20250401120000_42_000.png", Facts(500, "7")),
    "ai-toolkit": ("samples/1724085406830__000000500_7.jpg", Facts(500, "7")),
    "onetrainer": (
        "samples/7 - a cat/2025-01-14_09-30-12-training-sample-500-4-20.jpg",
        Facts(500, "7 - a cat", epoch=4.0),
    ),
    "diffusers": ("validation_images/step_100_val_img_1.png", Facts(100, "0", 1)),
    "pattern": ("samples/100_cat.png", Facts(100, "cat")),
    "plain": ("sub/cat.png", Facts(0, "sub/cat")),
}
"""A sample's name as its trainer writes it, and what it says."""
EVERY = pytest.mark.parametrize("layout", [make(cls) for cls in LAYOUTS], ids=lambda layout: layout.name)
SAMPLING = pytest.mark.parametrize(
    "layout", [make(cls) for cls in LAYOUTS if cls.has_images], ids=lambda layout: layout.name
)
PIECES = st.sampled_from(
    [
        "step_",
        "1",
        "_",
        "cat",
        "8x8",
        ".png",
        ".txt",
        "..",
        "/",
        "validation_images/",
        "samples/",
        "sample/",
        "000500_00_20250114093012",
        "_000",
        "1724085406830__000000500_",
        "val_img_",
        ".jpg",
        "0 - a cat/2025-01-14_09-30-12-training-sample-500-4-20",
        "-",
        "é",
    ]
)


def found(folder: Path, layout: Layout) -> FoundRun:
    return FoundRun("id", "run", folder, layout, "chosen", RunSettings(path=str(folder)))


def test_every_layout_has_an_example() -> None:
    assert EXAMPLES.keys() == {cls.name for cls in LAYOUTS if cls.has_images}


@SAMPLING
def test_a_sample_is_found_where_the_trainer_puts_it_with_what_its_name_says(layout: Layout, tmp_path: Path) -> None:
    name, facts = EXAMPLES[layout.name]
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(b"x" * 7)
    (file,) = scan(found(tmp_path, layout))
    assert (file.path, file.size, file.facts) == (tmp_path / name, 7, facts)
    assert layout.parse(PurePath(name)) == facts


@EVERY
@given(parts=st.lists(PIECES, max_size=12), text=st.text(max_size=30))
def test_no_name_is_a_surprise(layout: Layout, parts: list[str], text: str) -> None:
    for name in ("".join(parts), text, f"validation_images/{text}", f"samples/{text}.png", f"sample/{text}.png"):
        facts = layout.parse(PurePath(name))
        assert facts is None or (0 <= facts.step < 2**63 and 0 <= facts.index < 2**63 and facts.key)
        assert facts == layout.parse(PurePath(name))


@EVERY
@pytest.mark.parametrize("there", [True, False], ids=["empty", "missing"])
def test_a_folder_that_is_empty_or_missing_holds_nothing(layout: Layout, tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "run"
    if there:
        folder.mkdir()
    assert layout.detect(folder) == ""
    assert list(scan(found(folder, layout))) == []
    assert layout.checkpoints(Place(folder)) == []
    assert list(layout.scalar_files(Place(folder))) == []
    assert layout.setup(Place(folder)).logging_folder is None
    assert not layout.prompts(Place(folder)).texts
    assert layout.expected(Place(folder)) is None
    assert all(place.is_relative_to(folder) for place in layout.sample_folders(folder))


@EVERY
@given(tag=st.text(max_size=20))
def test_every_tag_of_a_trainers_is_one_metric_that_rules_know(layout: Layout, tag: str) -> None:
    name = layout.scalar_name(tag)
    assert name in (LOSS, LEARNING_RATE, GRAD_NORM) or (name.startswith(RAW) and not re.search(r"[\s<>=]", name))
    assert {layout.scalar_name(known) for known in layout.numbers} <= {LOSS, LEARNING_RATE, GRAD_NORM}


@EVERY
def test_a_prompt_file_of_the_users_wins_and_a_missing_one_is_a_fault(layout: Layout, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.json"
    assert str(prompts) in layout.prompts(Place(tmp_path, prompts=prompts)).fault
    prompts.write_text(json.dumps({"cat": "a cat", "sub/cat": "another"}))
    assert layout.prompts(Place(tmp_path, prompts=prompts)).texts == {"cat": "a cat", "sub/cat": "another"}
    prompts.write_text("{")
    assert layout.prompts(Place(tmp_path, prompts=prompts)).fault


@SAMPLING
def test_asking_writes_nothing(layout: Layout, tmp_path: Path) -> None:
    name, facts = EXAMPLES[layout.name]
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(b"x")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    layout.detect(tmp_path)
    layout.prompts(Place(tmp_path))
    layout.expected(Place(tmp_path))
    layout.checkpoints(Place(tmp_path))
    layout.flaw(Place(tmp_path), facts, 8, 6)
    list(scan(found(tmp_path, layout)))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
