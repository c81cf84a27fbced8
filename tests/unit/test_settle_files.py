"""A file is read once it is whole, and given up on only after a while; nothing in it raises."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from PIL import Image

from watcher.settle import LONGEST_WAIT, Files, Ready, SettleSettings, Undecodable, Waiting, read_image

SETTINGS = SettleSettings.model_validate({"file_quiet": "1s", "file_timeout": "5m"})
NOW = 1_000_000.0


@dataclass(frozen=True)
class Found:
    path: Path
    size: int
    mtime_ns: int


def picture(kind: str = "PNG", size: tuple[int, int] = (8, 6), mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 50).convert(mode).save(out, kind)
    return out.getvalue()


def put(path: Path, data: bytes, mtime: float = NOW - 100) -> Found:
    path.write_bytes(data)
    os.utime(path, (mtime, mtime))
    return Found(path, len(data), path.stat().st_mtime_ns)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_a_whole_file_is_ready_with_the_digest_of_its_bytes(tmp_path: Path, kind: str) -> None:
    data = picture(kind)
    ready = Files(SETTINGS).look(put(tmp_path / "a.png", data), NOW)
    assert ready == Ready(hashlib.sha256(data).hexdigest(), 8, 6)


def test_a_file_just_written_is_left_alone_until_it_stood_still(tmp_path: Path) -> None:
    files = Files(SETTINGS)
    file = put(tmp_path / "a.png", picture(), NOW)
    assert files.look(file, NOW + 0.5) == Waiting(NOW + 1)
    assert isinstance(files.look(file, NOW + 1), Ready)


def test_a_clock_that_is_ahead_only_costs_the_quiet_time(tmp_path: Path) -> None:
    files = Files(SETTINGS)
    file = put(tmp_path / "a.png", picture(), NOW + 10_000)
    assert files.look(file, NOW) == Waiting(NOW + 1)
    assert isinstance(files.look(file, NOW + 1), Ready)


def test_a_torn_file_is_looked_at_less_and_less_often_then_given_up(tmp_path: Path) -> None:
    files, file, now = Files(SETTINGS), put(tmp_path / "a.png", picture()[:-40], NOW - 1), NOW
    waits = []
    while isinstance(outcome := files.look(file, now), Waiting):
        waits.append(outcome.until - now)
        now = outcome.until
    assert waits[:7] == [2, 4, 8, 16, 32, LONGEST_WAIT, LONGEST_WAIT]
    assert isinstance(outcome, Undecodable)
    assert "unchanged for 300 s" in outcome.reason
    assert NOW + 299 <= now <= NOW + 299 + LONGEST_WAIT


def test_a_torn_file_that_is_old_already_is_given_up_at_the_first_look(tmp_path: Path) -> None:
    file = put(tmp_path / "a.png", picture()[:-40], NOW - 301)
    assert isinstance(Files(SETTINGS).look(file, NOW), Undecodable)


def test_a_file_that_its_writer_closed_is_read_at_once(tmp_path: Path) -> None:
    files, file = Files(SETTINGS), put(tmp_path / "a.png", picture(), NOW)
    assert files.look(file, NOW) == Waiting(NOW + 1)
    assert isinstance(files.look(file, NOW, closed=True), Ready)


def test_a_torn_file_that_its_writer_closed_is_still_waited_for(tmp_path: Path) -> None:
    files, file = Files(SETTINGS), put(tmp_path / "a.png", picture()[:-40], NOW)
    assert files.look(file, NOW, closed=True) == Waiting(NOW + 2)


def test_a_file_that_changes_starts_anew(tmp_path: Path) -> None:
    files = Files(SETTINGS)
    assert files.look(put(tmp_path / "a.png", b""), NOW) == Waiting(NOW + 2)
    torn = put(tmp_path / "a.png", picture()[:50])
    assert files.look(torn, NOW + 299) == Waiting(NOW + 301)
    assert isinstance(files.look(torn, NOW + 301), Waiting)
    assert isinstance(files.look(put(tmp_path / "a.png", picture()), NOW + 302), Ready)


def test_every_cut_of_an_image_waits(tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG", "WEBP"):
        data = picture(kind, (16, 16))
        for end in range(0, len(data) - 24, 7):
            found = Files(SETTINGS).look(put(tmp_path / "a.png", data[:end]), NOW)
            assert isinstance(found, Waiting), (kind, end)


def test_a_file_that_vanished_is_nothing(tmp_path: Path) -> None:
    file = put(tmp_path / "a.png", picture())
    file.path.unlink()
    assert Files(SETTINGS).look(file, NOW) is None


def test_a_file_larger_than_allowed_is_refused_unread(tmp_path: Path) -> None:
    small = SETTINGS.model_copy(update={"max_file_size": 10})
    found = Files(small).look(put(tmp_path / "a.png", picture()), NOW)
    assert isinstance(found, Undecodable)
    assert "settle.max_file_size" in found.reason


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [11_000, 60_000])
def test_a_bomb_is_refused_at_once_by_what_its_header_says(tmp_path: Path, side: int) -> None:
    found = Files(SETTINGS).look(put(tmp_path / "a.png", bomb(side, side)), NOW)
    assert isinstance(found, Undecodable)


def test_the_limit_on_pixels_is_the_users(tmp_path: Path) -> None:
    file = put(tmp_path / "a.png", picture(size=(10, 10)))
    assert isinstance(Files(SETTINGS.model_copy(update={"max_pixels": 100})).look(file, NOW), Ready)
    found = Files(SETTINGS.model_copy(update={"max_pixels": 99})).look(file, NOW)
    assert found == Undecodable("10x10 is more than 99 pixels (settle.max_pixels)")


@pytest.mark.parametrize("kind", ["EPS", "PCX", "ICNS"])
def test_formats_that_no_trainer_writes_are_not_opened(tmp_path: Path, kind: str) -> None:
    file = put(tmp_path / "a.png", picture(kind, (64, 64)))
    assert isinstance(Files(SETTINGS).look(file, NOW), Waiting)


@limits(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "GIF"]), st.integers(0, 400))
def test_no_bytes_raise(tmp_path: Path, noise: bytes, kind: str, at: int) -> None:
    data = picture(kind)
    (tmp_path / "a.png").write_bytes(data[:at] + noise + data[at + len(noise) :])
    assert read_image(tmp_path / "a.png", SETTINGS) is not None


def test_a_folder_in_the_place_of_a_file_waits(tmp_path: Path) -> None:
    assert read_image(tmp_path, SETTINGS) == Waiting(0.0)
