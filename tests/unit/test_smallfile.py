"""What was read of a small file is kept while it stands still, and nothing else than a small file is read."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.smallfile import UnfitError, fit, kept

LARGEST = 8


@given(st.lists(st.tuples(st.text("ab", max_size=3), st.integers(0, 2)), min_size=1, max_size=12))
def test_a_file_is_read_anew_when_its_time_or_size_has_changed_and_only_then(written: list[tuple[str, int]]) -> None:
    read: list[str] = []

    @kept(64, LARGEST)
    def reader(path: Path) -> str:
        read.append(path.read_text())
        return read[-1]

    with TemporaryDirectory() as folder:
        path, seen = Path(folder, "a"), dict[tuple[int, int], str]()
        for text, at in written:
            path.write_text(text)
            os.utime(path, (at, at))
            assert reader(path) == seen.setdefault((at, len(text)), text)
            assert len(read) == len(seen)


def test_a_reading_that_fails_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("none")
    answers = iter([ValueError("torn"), 3])

    @kept(1, LARGEST)
    def reader(path: Path) -> int:
        assert path.name == "a"
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    with pytest.raises(ValueError, match="torn"):
        reader(tmp_path / "a")
    assert [reader(tmp_path / "a") for _ in range(2)] == [3, 3]


def test_what_is_no_small_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(bytes(LARGEST + 1))
    (tmp_path / "just").write_bytes(bytes(LARGEST))
    (tmp_path / "link").symlink_to("just")

    @kept(1, LARGEST)
    def reader(path: Path) -> int:
        return len(path.read_bytes())

    for name, why in (("pipe", "is no file"), ("folder", "is no file"), ("large", "is larger than 8 bytes")):
        with pytest.raises(UnfitError, match=why):
            reader(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        reader(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="null"):
        reader(tmp_path / "a\0b")
    assert [reader(tmp_path / name) for name in ("just", "link")] == [LARGEST, LARGEST]
    assert fit(tmp_path / "link", LARGEST).st_size == LARGEST
