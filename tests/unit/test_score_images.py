"""What is wrong with a file is an error of that image only, and said."""

from __future__ import annotations

import errno
import hashlib
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.unit.score_models import encoded, picture
from watcher.pictures import decode, to_rgb
from watcher.score import Job, images
from watcher.score.health import health
from watcher.score.images import Loader, Picture, Pixels, Prepare

GOOD = encoded(picture())


def prepare(image: Image.Image) -> Pixels:
    return np.asarray(image, dtype=np.float32).transpose(2, 0, 1)


def load_all(jobs: Sequence[Job], prepare: Prepare = prepare) -> list[Picture]:
    loader = Loader([prepare], 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in the worker
        try:
            return loader.begin(jobs).result()
        finally:
            loader.close()


def load(path: Path, **more: object) -> Picture:
    (found,) = load_all([Job(1, path, "a", **more)])  # type: ignore[arg-type]
    return found


def bomb(width: int, height: int) -> bytes:
    """Give a small PNG that claims to be a huge picture."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


BAD = {
    "empty": (b"", "cannot identify"),
    "a text": (b"out of disk space", "cannot identify"),
    "truncated png": (GOOD[: len(GOOD) // 2], "truncated"),
    "truncated jpeg": (encoded(picture(200, 200), "JPEG")[:2000], "truncated"),
    "over the configured limit": (bomb(12_000, 10_000), "12000x10000 is more than 100000000 pixels"),
    "a decompression bomb": (bomb(60_000, 60_000), "decompression bomb"),
    "a strip": (encoded(picture(60, 1)), "60x1 is too narrow"),
    "a program for a printer": (encoded(picture(), "EPS"), "cannot identify"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_an_error_of_itself_and_its_neighbours_are_loaded(kind: str, tmp_path: Path) -> None:
    data, reason = BAD[kind]
    (tmp_path / "bad.png").write_bytes(data)
    (tmp_path / "good.png").write_bytes(GOOD)
    jobs = [Job(number, tmp_path / f"{name}.png", "a") for number, name in enumerate(["good", "bad", "good"])]
    first, bad, last = load_all(jobs)
    assert bad.pixels == ()
    assert bad.error.startswith("not a readable image: ")
    assert reason in bad.error
    assert bad.digest == hashlib.sha256(data).hexdigest()
    assert [one.error for one in (first, last)] == ["", ""]
    assert (first.job, bad.job, last.job) == tuple(jobs)


def test_a_file_that_is_gone_or_no_file_says_so(tmp_path: Path) -> None:
    assert load(tmp_path / "gone.png").error == "the file is gone"
    assert load(tmp_path).error == "cannot be read: Is a directory"


def test_what_the_model_cannot_prepare_is_an_error_of_that_image(tmp_path: Path) -> None:
    def refuse(_image: Image.Image) -> Pixels:
        raise MemoryError

    (tmp_path / "a.png").write_bytes(GOOD)
    (found,) = load_all([Job(1, tmp_path / "a.png", "a")], refuse)
    assert found.error == "not a readable image: MemoryError"


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_no_bytes_whatever_raise_anything_but_an_error_of_the_image(data: bytes) -> None:
    with pytest.raises((OSError, ValueError, SyntaxError)):
        decode(data, 1000)


@given(place=st.integers(8, len(GOOD) - 1), byte=st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_damaged_picture_is_loaded_or_refused_and_never_raises(
    place: int, byte: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    path.write_bytes(GOOD[:place] + bytes([byte]) + GOOD[place + 1 :])
    found = load(path)
    assert (found.pixels == ()) == bool(found.error)


def test_exif_that_cannot_be_read_turns_nothing(tmp_path: Path) -> None:
    plain = encoded(picture(), "JPEG")
    torn = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\xff\xff\xff\xff\x06\0\0\0"
    segment = b"\xff\xe1" + struct.pack(">H", len(torn) + 2) + torn
    (tmp_path / "a.jpg").write_bytes(plain[:2] + segment + plain[2:])
    found = load(tmp_path / "a.jpg")
    assert found.error == ""
    assert found.pixels[0].shape == (3, 40, 50)


def test_a_warning_of_the_decoder_is_no_error(tmp_path: Path) -> None:
    image = picture().quantize(16)
    (tmp_path / "a.png").write_bytes(encoded(image, transparency=bytes([0, 255] * 8)))  # Pillow warns of such
    assert load(tmp_path / "a.png").error == ""


@pytest.mark.parametrize("tile", [(0, 0, 51, 40), (-1, 0, 5, 5), (5, 5, 5, 9), (0, 9, 5, 3)])
def test_a_tile_outside_of_the_picture_is_an_error_and_not_black(tile: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="lies outside of 50x40"):
        decode(GOOD, 10_000, tile)


def test_transparency_shows_white_and_not_what_lies_under_it() -> None:
    hidden = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    half = Image.new("LA", (4, 4), (0, 128))
    assert to_rgb(hidden).getpixel((0, 0)) == (255, 255, 255)
    assert to_rgb(half).getpixel((0, 0)) == (127, 127, 127)


@given(st.integers(0, 65535))
def test_sixteen_bit_grey_keeps_its_share_of_white(value: int) -> None:
    image = Image.fromarray(np.array([[value, 65535]], dtype=np.uint16))
    assert image.mode == "I;16"
    assert to_rgb(image).getpixel((0, 0)) == (round(value / 257),) * 3


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0.0, 128.0, 255.0]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0, 32768, 65535]], dtype=np.int32), [0, 128, 255]),
        (np.array([[0, 128, 255]], dtype=np.int32), [0, 128, 255]),
        (np.array([[np.nan, 0.5, 1.0]], dtype=np.float32), [0, 128, 255]),
    ],
)
def test_other_deep_greys_are_scaled_by_their_brightest(array: np.ndarray, expected: list[int]) -> None:
    shown = np.asarray(to_rgb(Image.fromarray(array)))
    assert shown[0, :, 0].tolist() == pytest.approx(expected, abs=1)


def test_only_a_picture_of_one_colour_is_blank() -> None:
    black = Image.new("RGB", (8, 8))
    assert health(black) == ("blank",)
    assert health(Image.new("RGB", (8, 8), (200, 10, 90))) == ("blank",)
    black.putpixel((3, 3), (0, 0, 1))  # a decoder's rounding
    assert health(black) == ("blank",)
    black.putpixel((3, 3), (0, 0, 9))
    assert health(black) == ()


def test_a_blank_picture_of_the_path_is_marked_before_the_model_prepares_it(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "black.png")
    assert load(tmp_path / "black.png").health == ("blank",)


class Moody(type(Path())):  # type: ignore[misc]
    """A file that cannot be read for so many times."""

    moods: ClassVar[list[OSError]] = []

    def read_bytes(self) -> bytes:
        if self.moods:
            raise self.moods.pop()
        return super().read_bytes()  # type: ignore[no-any-return]


@pytest.mark.parametrize(("times", "error"), [(1, ""), (3, ""), (4, "cannot be read: Stale file handle")])
def test_what_may_pass_is_tried_again_a_few_times(
    times: int, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "PAUSES", (0, 0, 0))
    path = Moody(tmp_path / "a.png")
    path.write_bytes(GOOD)
    monkeypatch.setattr(Moody, "moods", [OSError(errno.ESTALE, "Stale file handle") for _ in range(times)])
    assert load(path).error == error


def test_what_will_not_pass_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "PAUSES", (1000,))
    monkeypatch.setattr(Moody, "moods", [PermissionError(errno.EACCES, "Permission denied")])
    assert load(Moody(tmp_path / "a.png")).error == "cannot be read: Permission denied"
