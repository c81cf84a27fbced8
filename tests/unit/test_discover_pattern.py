"""A regular expression of the user's names the samples of any other trainer."""

from __future__ import annotations

import os
import time
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.utils.tensorboard import SummaryWriter

from watcher.discover import Facts, Place, RunSettings, find_in, scan
from watcher.discover.pattern import STREAMS, Pattern

WHOLE = (
    r"(?P<stream>\w*)/(?P<variant>[a-z]*)-(?P<step>\d+)-e(?P<epoch>[\w.]+)"
    r"-(?P<key>.+)-(?P<index>\d+)\.png"
)


@given(
    st.from_regex(r"[a-z]{0,6}", fullmatch=True),
    st.integers(0, 2**63 - 1),
    st.integers(0, 10**6),
    st.from_regex(r"\w{1,9}", fullmatch=True),
    st.integers(0, 999),
    st.from_regex(r"\w{1,9}", fullmatch=True),
)
def test_a_name_gives_back_what_it_was_made_of(
    variant: str, step: int, epoch: int, key: str, index: int, stream: str
) -> None:
    name = f"{stream}/{variant}-{step}-e{epoch}.5-{key}-{index}.png"
    assert Pattern(regex=WHOLE).parse(PurePath(name)) == Facts(step, key, index, variant, epoch + 0.5, stream=stream)


@pytest.mark.parametrize("name", [f"samples/-{2**63}-e1-k-0.png", "samples/-5-enan-k-0.png", "samples/-5-ex-k-0.png"])
def test_numbers_that_cannot_be_stored_make_no_sample(name: str) -> None:
    assert Pattern(regex=WHOLE).parse(PurePath(name)) is None


def test_the_whole_path_must_match() -> None:
    layout = Pattern(regex=r"(?P<step>\d+)\.png")
    assert layout.parse(PurePath("7.png")) == Facts(7, "0")
    assert layout.parse(PurePath("x/7.png")) is None
    assert layout.parse(PurePath("7.png.tmp")) is None


def test_a_group_that_takes_no_part_is_left_out() -> None:
    layout = Pattern(regex=r"(?P<step>\d+)?_(?:(?P<index>\d+)_)?(?P<key>[a-z]+)\.png")
    assert layout.parse(PurePath("7_cat.png")) == Facts(7, "cat")
    assert layout.parse(PurePath("_cat.png")) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"regex": "("}, "no regular expression"),
        ({"regex": "x"}, "no group `step`"),
        ({"regex": r"(?P<step>\d)(?P<promt>.)"}, "unknown groups promt"),
        ({"regex": r"(?P<step>\d)", "folders": ["../x"]}, "leads out of the run's folder"),
        ({"regex": r"(?P<step>\d)", "folders": ["/x"]}, "leads out of the run's folder"),
        ({"regex": r"(?P<step>\d)", "prompts_file": "../x"}, "leads out of the run's folder"),
        ({"regex": r"(?P<step>\d)", "images": 0}, "greater than 0"),
        ({"regex": r"(?P<step>\d)", "text": "comment"}, "'parameters' or 'prompt'"),
        ({"regex": r"(?P<step>\d)", "tiles": {"columns": 0}}, "greater than 0"),
        ({"regex": r"(?P<step>\d)", "tiles": {"columns": 99, "rows": 99}}, "99 x 99 tiles are more than 1024"),
        ({"regex": r"(?P<step>\d)", "tiles": {"columns": 3, "use": [0, 3]}}, "no tile 3: 3 x 1 tiles are numbered"),
        ({"regex": r"(?P<step>\d)", "tiles": {"columns": 3, "use": [-1]}}, "no tile -1"),
        ({"regex": r"(?P<step>\d)", "tiles": {"columns": 3, "use": [1, 1]}}, "a tile is named twice"),
        ({"regex": r"(?P<step>\d)", "tiles": {"each": "prompt"}, "sidecars": True}, "needs a prompt file"),
        ({"regex": r"(?P<step>\d)", "tiles": {"each": "prompt"}, "text": "prompt"}, "needs a prompt file"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Pattern.model_validate(settings)


def test_folders_may_be_globs_and_none_is_walked_twice(tmp_path: Path) -> None:
    for name in ("a/samples/deep", "b/samples"):
        (tmp_path / name).mkdir(parents=True)
    layout = Pattern(regex=r"(?P<step>\d)", folders=("*/samples", "a/samples/deep", "later"))
    assert layout.sample_folders(tmp_path) == [tmp_path / "a/samples", tmp_path / "b/samples", tmp_path / "later"]


def test_prompts_stand_in_a_file_or_the_fault_says_how_to_give_them(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a cat\n")
    assert Pattern(regex=r"(?P<step>\d)", prompts_file="prompts.txt").prompts(Place(tmp_path)).texts == {"0": "a cat"}
    assert "prompts_file" in Pattern(regex=r"(?P<step>\d)").prompts(Place(tmp_path)).fault


def test_the_number_of_images_is_the_users(tmp_path: Path) -> None:
    assert Pattern(regex=r"(?P<step>\d)", images=4).expected(Place(tmp_path)) == 4
    assert Pattern(regex=r"(?P<step>\d)").expected(Place(tmp_path)) is None


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


SHARED = Pattern(regex=r"s/(?P<stream>\w+?)_(?P<step>\d+)\.png", folders=("s",), prompts_file="{stream}.txt")


def test_trainings_that_share_a_folder_are_those_that_have_samples(tmp_path: Path) -> None:
    assert SHARED.streams(tmp_path) == []
    put(tmp_path, "s/cat_1.png", "s/cat_2.png", "s/a dog_1.png", "s/dog_1.txt", "dog_1.png", "s/deep/x_1.png")
    assert SHARED.streams(tmp_path) == ["cat"]
    put(tmp_path, "s/dog_7.png")
    assert SHARED.streams(tmp_path) == ["cat", "dog"]
    assert Pattern(regex=r"(?P<step>\d+)\.png").streams(tmp_path) == [""]


def test_each_of_them_is_a_run_with_its_own_samples_and_prompts(tmp_path: Path) -> None:
    put(tmp_path, "s/cat_1.png", "s/dog_1.png", "s/dog_2.png")
    (tmp_path / "dog.txt").write_text("a dog")
    found = find_in(RunSettings(path=str(tmp_path), layout=SHARED))[tmp_path]
    assert [(run.name, sorted(file.path.name for file in scan(run))) for run in found] == [
        ("cat", ["cat_1.png"]),
        ("dog", ["dog_1.png", "dog_2.png"]),
    ]
    assert [dict(SHARED.prompts(run.place).texts) for run in found] == [{}, {"0": "a dog"}]


def test_a_folder_that_stood_still_is_not_read_again_for_its_trainings(tmp_path: Path) -> None:
    put(tmp_path, "s/old/cat_1.png", "s/new/cat_1.png")
    layout = SHARED.model_copy(update={"regex": r"s/\w+/(?P<stream>\w+?)_(?P<step>\d+)\.png"})
    long_ago = time.time() - 100
    for name in ("s", "s/old", "s/new"):
        os.utime(tmp_path / name, (long_ago, long_ago))
    assert layout.streams(tmp_path) == ["cat"]
    put(tmp_path, "s/old/dog_1.png", "s/new/cow_1.png")
    os.utime(tmp_path / "s/old", (long_ago, long_ago))  # as if nothing had come: it is not looked into
    assert layout.streams(tmp_path) == ["cat", "cow"]


def test_a_folder_that_has_just_changed_is_read_again_though_its_time_is_the_same(tmp_path: Path) -> None:
    put(tmp_path, "s/cat_1.png")
    info = (tmp_path / "s").stat()
    assert SHARED.streams(tmp_path) == ["cat"]
    put(tmp_path, "s/dog_1.png")  # within the same tick of a coarse clock
    os.utime(tmp_path / "s", ns=(info.st_atime_ns, info.st_mtime_ns))
    assert SHARED.streams(tmp_path) == ["cat", "dog"]


def test_a_group_that_takes_in_times_makes_no_run_of_each(tmp_path: Path) -> None:
    put(tmp_path, *(f"s/{number}x_1.png" for number in range(STREAMS + 1)))
    (run,) = find_in(RunSettings(path=str(tmp_path), layout=SHARED))[tmp_path]
    assert run.layout is None
    assert "match only what names a training" in run.reason
    (tmp_path / "s/0x_1.png").unlink()
    assert len(find_in(RunSettings(path=str(tmp_path), layout=SHARED))[tmp_path]) == STREAMS


def test_links_and_names_that_are_no_text_name_no_training(tmp_path: Path) -> None:
    put(tmp_path, "s/cat_1.png")
    (tmp_path / "s/dog_1.png").symlink_to(tmp_path / "s/cat_1.png")
    (tmp_path / "s/loop").symlink_to(tmp_path / "s")
    (tmp_path / os.fsdecode(b"s/\xff_1.png")).touch()
    layout = SHARED.model_copy(update={"regex": r"s/(?P<stream>.+?)_(?P<step>\d+)\.png"})
    assert layout.streams(tmp_path) == ["cat"]


@given(st.integers(0, 10**6), st.booleans())
def test_an_epoch_alone_stands_for_the_step_and_says_so(epoch: int, has_half: bool) -> None:
    layout = Pattern(regex=r"e(?P<epoch>[\d.]+)\.png")
    assert layout.parse(PurePath(f"e{epoch}.png")) == Facts(epoch, "0", epoch=float(epoch), by_epoch=epoch > 0)
    if has_half:  # no number of an evaluation
        assert layout.parse(PurePath(f"e{epoch}.5.png")) is None


def test_a_name_with_a_step_is_at_that_step_also_where_others_have_epochs_only() -> None:
    layout = Pattern(regex=r"(?:e(?P<epoch>\d+))?(?:s(?P<step>\d+))?\.png")
    assert layout.parse(PurePath("s7.png")) == Facts(7, "0")
    assert layout.parse(PurePath("e2s7.png")) == Facts(7, "0", epoch=2.0)
    assert layout.parse(PurePath("e2.png")) == Facts(2, "0", epoch=2.0, by_epoch=True)
    assert layout.parse(PurePath(".png")) is None


BY_EPOCH = Pattern(regex=r"e(?P<epoch>\d+)_(?P<key>\w+)\.png", logs="logs")


def log_steps(folder: Path, *logged: tuple[float, int]) -> None:
    with SummaryWriter(str(folder / "logs/run")) as writer:
        for at, step in logged:
            writer.add_scalar("train/loss", 0.5, step, walltime=at)


def test_an_epoch_gets_the_step_of_the_last_scalar_before_its_picture(tmp_path: Path) -> None:
    long_ago = time.time() - 1000
    log_steps(tmp_path, (long_ago, 100), (long_ago + 10, 200))
    facts = Facts(2, "cat", epoch=2.0, by_epoch=True)
    place = Place(tmp_path)
    assert BY_EPOCH.dated(place, facts, long_ago + 11) == Facts(200, "cat", epoch=2.0)
    assert BY_EPOCH.dated(place, facts, long_ago + 5) == Facts(100, "cat", epoch=2.0)
    assert BY_EPOCH.dated(place, facts, long_ago - 5) == facts
    assert len(BY_EPOCH.scalar_files(place)) == 1


def test_an_epoch_waits_for_scalars_that_may_be_on_their_way(tmp_path: Path) -> None:
    now = time.time()
    log_steps(tmp_path, (now - 60, 100))
    facts = Facts(2, "cat", epoch=2.0, by_epoch=True)
    assert BY_EPOCH.dated(Place(tmp_path), facts, now - 30) is None
    log_steps(tmp_path, (now - 40, 190), (now - 20, 210))
    assert BY_EPOCH.dated(Place(tmp_path), facts, now - 30) == Facts(190, "cat", epoch=2.0)


def test_what_has_a_step_or_no_logs_keeps_what_its_name_says(tmp_path: Path) -> None:
    log_steps(tmp_path, (1000.0, 100))
    by_epoch = Facts(2, "cat", epoch=2.0, by_epoch=True)
    without = BY_EPOCH.model_copy(update={"logs": None})
    assert without.dated(Place(tmp_path), by_epoch, 2000.0) == by_epoch
    assert BY_EPOCH.dated(Place(tmp_path, stream="a"), by_epoch, 2000.0) == by_epoch
    assert BY_EPOCH.dated(Place(tmp_path), Facts(5, "cat"), 2000.0) == Facts(5, "cat")
    with pytest.raises(ValidationError, match="out of the run's folder"):
        Pattern(regex=r"(?P<step>\d)", logs="../logs")
