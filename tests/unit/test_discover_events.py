"""Event files as torch writes them, read as they grow: pictures are found where their bytes lie, torn ends wait."""

from __future__ import annotations

import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from watcher import inside
from watcher.discover import events
from watcher.pictures import decode, size_of
from watcher.settle import Ready, SettleSettings, read_image


def written(folder: Path, steps: range, tag: str = "validation") -> Path:
    with SummaryWriter(str(folder)) as writer:
        for step in steps:
            writer.add_scalar("loss", 1.0 / (1 + step), step, walltime=1000.0 + step)
            pixels = np.full((6, 8, 3), step, dtype=np.uint8)
            writer.add_image(tag, pixels, step, walltime=1000.0 + step, dataformats="HWC")
    (file,) = folder.glob("events.out.tfevents.*")
    return file


def test_pictures_are_found_with_tag_step_and_time(tmp_path: Path) -> None:
    file = written(tmp_path, range(3), tag="a photo of a cat: ä/b?")
    found = events.pictures(file)
    assert [(one.tag, one.step, one.written_at) for one in found] == [
        ("a photo of a cat: ä/b?", step, 1000.0 + step) for step in range(3)
    ]
    assert {(one.width, one.height) for one in found} == {(8, 6)}


def test_a_picture_inside_a_file_is_read_like_any_other(tmp_path: Path) -> None:
    file = written(tmp_path, range(3))
    for one in events.pictures(file):
        picture = decode(inside.read_bytes(one.path), 10_000)
        assert np.array_equal(np.asarray(picture), np.full((6, 8, 3), one.step))
        assert size_of(one.path) == (8, 6)
        assert inside.size(one.path) == one.size
        assert inside.holder(one.path) == file
        assert isinstance(read_image(one.path, SettleSettings()), Ready)


def test_only_what_is_new_is_read_and_a_torn_record_waits_for_its_end(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", range(4)).read_bytes()
    growing = tmp_path / "events.out.tfevents.1"
    steps: list[list[int]] = []
    for end in range(0, len(whole) + 1, 41):
        growing.write_bytes(whole[:end])
        steps.append([one.step for one in events.pictures(growing)])
    growing.write_bytes(whole)
    assert [one.step for one in events.pictures(growing)] == [0, 1, 2, 3]
    assert all(found == list(range(len(found))) for found in steps)


def test_a_file_written_anew_in_place_is_read_anew(tmp_path: Path) -> None:
    long, short = written(tmp_path / "a", range(5)), written(tmp_path / "b", range(2), tag="other")
    file = tmp_path / "events.out.tfevents.1"
    file.write_bytes(long.read_bytes())
    assert len(events.pictures(file)) == 5
    file.write_bytes(short.read_bytes())
    assert {one.tag for one in events.pictures(file)} == {"other"}


def test_what_is_broken_in_the_middle_ends_the_file_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = written(tmp_path, range(2))
    data = file.read_bytes()
    file.write_bytes(data + b"\xff" * 64)
    assert [one.step for one in events.pictures(file)] == [0, 1]
    assert f"no event record at byte {len(data)}" in caplog.text
    with pytest.raises(ValueError, match="no event record"):
        list(events.read(file))
    nonsense = tmp_path / "events.out.tfevents.nonsense"
    nonsense.write_bytes(struct.pack("<Q", 2**60) + b"x" * 100)
    assert events.pictures(nonsense) == []


def test_a_picture_whose_file_was_cut_off_is_gone(tmp_path: Path) -> None:
    file = written(tmp_path, range(2))
    last = events.pictures(file)[-1]
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(FileNotFoundError, match="ends before byte"):
        inside.read_bytes(last.path)
    assert read_image(last.path, SettleSettings()) is None


def test_scalars_are_read_from_an_offset_on(tmp_path: Path) -> None:
    file = written(tmp_path, range(3))
    found = [(end, one) for end, event in events.read(file) for one in events.scalars(event)]
    assert [(one.tag, one.step, one.written_at) for _, one in found] == [("loss", n, 1000.0 + n) for n in range(3)]
    assert [one.value for _, one in found] == pytest.approx([1, 0.5, 1 / 3])
    later = [one for _, event in events.read(file, found[0][0]) for one in events.scalars(event)]
    assert [one.step for one in later] == [1, 2]


def test_a_path_that_only_looks_like_one_inside_is_a_file(tmp_path: Path) -> None:
    odd = tmp_path / "@3+4"
    Image.new("RGB", (5, 4)).save(odd, "PNG")
    assert inside.holder(odd) is None
    assert size_of(odd) == (5, 4)
    assert inside.read_bytes(odd) == odd.read_bytes()


def test_what_comes_after_which_scalar_and_how_often_is_told(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    with SummaryWriter(str(tmp_path)) as writer:
        for tag, step in (("a", 1), ("a", 1), ("b", 1)):
            writer.add_image(tag, pixels, step, dataformats="HWC")
        writer.add_scalar("loss", 1.0, 7)
        for tag, step in (("a", 1), ("a", 2), ("a", 1)):
            writer.add_image(tag, pixels, step, dataformats="HWC")
    (file,) = tmp_path.glob("events.out.tfevents.*")
    wanted = [("a", None, 0), ("a", None, 1), ("b", None, 0), ("a", 7, 0), ("a", 7, 0), ("a", 7, 1)]
    assert [(one.tag, one.after, one.repeat) for one in events.pictures(file)] == wanted
    growing, whole = tmp_path / "events.out.tfevents.growing", file.read_bytes()
    for end in (len(whole) // 2, len(whole)):
        growing.write_bytes(whole[:end])
        found = events.pictures(growing)
    assert [(one.tag, one.after, one.repeat) for one in found] == wanted
    growing.write_bytes(whole[: len(whole) // 2])
    assert {one.after for one in events.pictures(growing)} == {None}  # none of the longer file's


def test_what_was_seen_as_zeros_is_read_once_it_is_there(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", range(4)).read_bytes()
    growing = tmp_path / "events.out.tfevents.1"
    growing.write_bytes(whole[: events_end(whole, 3)] + bytes(500))
    before = [one.step for one in events.pictures(growing)]
    growing.write_bytes(whole)
    assert (before, [one.step for one in events.pictures(growing)]) == ([0], [0, 1, 2, 3])


def events_end(whole: bytes, count: int) -> int:
    """Give where so many records end."""
    end = 0
    for _ in range(count):
        end += 16 + struct.unpack_from("<Q", whole, end)[0]
    return end


def test_many_threads_that_ask_for_the_same_file_get_each_picture_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written(tmp_path, range(20))
    together = threading.Barrier(4)
    parse = events._event

    def slowly(data: bytes) -> object:
        with suppress(threading.BrokenBarrierError):  # who else reads the same records comes here as well
            together.wait(0.05)
        return parse(data)

    monkeypatch.setattr(events, "_event", slowly)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(events.pictures, [whole] * 4))
    assert [[(one.step, one.repeat) for one in each] for each in found] == [[(step, 0) for step in range(20)]] * 4
