"""`watcher score` over thousands of pictures: memory stays, results come early, and Ctrl-C says how far it came."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.commands import PATIENCE, command, here
from watcher.demo.stage import CLIP
from watcher.score import Job, ScorerSettings, score_images
from watcher.view.score import score_paths

MANY = 5000
SIDE = 128
"""Decoded, this many pictures of this size would take 245 MB."""
GROWTH = 48 * 2**20
"""Bytes; far more than what is kept of 4,500 pictures in numbers, far less than their pixels."""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thousands of pictures that differ in their last bytes, and a table of their prompts."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "pictures").mkdir()
    made = io.BytesIO()
    Image.effect_noise((SIDE, SIDE), 60).convert("RGB").save(made, "PNG")
    for number in range(MANY):
        (folder / "pictures" / f"{number:05d}.png").write_bytes(made.getvalue() + str(number).encode())
    rows = "".join(f"{number:05d}.png,a red circle {number % 97}\n" for number in range(MANY))
    (folder / "captions.csv").write_text("file,prompt\n" + rows)
    return folder


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_pictures(many: Path) -> None:
    sizes: dict[int, int] = {}

    def watch(done: int, _total: int) -> None:
        sizes[done] = psutil.Process().memory_info().rss

    settings = ScorerSettings(model=str(CLIP), device="cpu", batch_size=100)
    found = score_paths([many / "pictures"], many / "captions.csv", settings, watch)
    assert found["summary"]["clip/images"] == MANY
    assert found["summary"]["clip/prompts"] == 97
    assert len(sizes) == MANY // 100 + 1
    assert sizes[MANY] - sizes[500] < GROWTH


def test_a_result_comes_before_more_than_the_next_batch_is_asked_for(many: Path) -> None:
    asked: list[int] = []

    def jobs() -> Iterator[Job]:
        for number, path in enumerate(sorted((many / "pictures").iterdir())):
            asked.append(number)
            yield Job(number, path, "a red circle")

    scoring = score_images(ScorerSettings(model=str(CLIP), device="cpu", batch_size=10), jobs())
    try:
        for seen in range(1, 4):
            batch = next(scoring)
            assert [score.sample_id for score in batch.scores] == list(range(10 * seen - 10, 10 * seen))
            assert len(asked) == 10 * seen + 10
    finally:
        scoring.close()  # type: ignore[attr-defined]


def test_a_terminal_shows_rate_and_time_left_and_ctrl_c_says_how_far_it_came(many: Path) -> None:
    ours, theirs = pty.openpty()
    words = command("score", many / "pictures", "--prompts", many / "captions.csv", "--model", CLIP)
    more = ("--device", "cpu", "--batch-size", "1", "-o", str(many / "never.csv"))
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen([*words, *more], stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        try:
            said = _until(ours, b"images/s, ")
            assert b"/5000" in said
            process.send_signal(signal.SIGINT)
            said = _until(ours, b"nothing is printed or written")
            assert process.wait(PATIENCE) == 130
        finally:
            process.kill()
            os.close(ours)
        assert process.stdout is not None
        assert process.stdout.read() == b""
    assert b"watcher: interrupted: " in said
    assert b" of 5,000 images were scored, nothing is printed or written" in said
    assert not (many / "never.csv").exists()


def _until(terminal: int, text: bytes) -> bytes:
    said = b""
    while text not in said:
        said += os.read(terminal, 4096)
    return said


def test_a_long_folder_shows_the_lowest_and_the_highest_and_all_of_them_on_request(many: Path, tmp_path: Path) -> None:
    for number in range(25):
        (tmp_path / f"{number:02d}.png").write_bytes((many / "pictures" / f"{number:05d}.png").read_bytes())
        (tmp_path / f"{number:02d}.txt").write_text(f"a red circle {number}")
    told = here("score", tmp_path, "--model", CLIP, "--device", "cpu").out.splitlines()
    assert told[0] == "the lowest 10 of 25 scored images:"
    assert told[13] == "the highest 10 (`--all` shows all):"
    assert told[26] == "5 images between them with remarks:"  # they are all one picture
    assert all("duplicate of prompt" in line for line in told[28:33])
    lowest, highest = ([float(line.split()[0]) for line in told[start : start + 10]] for start in (2, 15))
    cosines = [image["cosine"] for image in here("score", tmp_path, "--model", CLIP, "--json").json["images"]]
    assert lowest == [round(one, 4) for one in sorted(cosines)[:10]]
    assert highest == [round(one, 4) for one in sorted(cosines)[-10:]]
    everything = here("score", tmp_path, "--model", CLIP, "--device", "cpu", "--all").out
    assert all(f"  {number:02d}  " in everything for number in range(25))
