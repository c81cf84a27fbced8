"""Batches in a stream: scored in their order, read one ahead and no further, and nothing is left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from tests.unit.score_models import CAPTION, picture
from watcher.demo.stage import CLIP
from watcher.nouns import Score
from watcher.score import Job
from watcher.score.model import Model
from watcher.score.panel import AHEAD, MOST, Panel, decoders


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(str(CLIP), "cpu")


@pytest.fixture
def panel(model: Model) -> Iterator[Panel]:
    made = Panel({"clip": model})
    yield made
    made.close()


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    for number in range(11):
        picture(60 + number, 50, seed=number).save(tmp_path / f"{number}.png")
    return [Job(number, tmp_path / f"{number}.png", f"{CAPTION} {'red ' * number}") for number in range(11)]


def batches(jobs: Sequence[Job], size: int) -> list[Sequence[Job]]:
    return [jobs[start : start + size] for start in range(0, len(jobs), size)]


def flat(found: Iterator[list[Score]]) -> list[Score]:
    return [score for scores in found for score in scores]


@pytest.mark.parametrize("size", [1, 3, 11])
def test_a_stream_gives_each_image_the_score_it_has_alone(size: int, panel: Panel, jobs: list[Job]) -> None:
    alone = [panel.score([job])[0] for job in jobs]
    found = flat(panel.stream(batches(jobs, size)))
    assert [score.sample_id for score in found] == list(range(11))
    assert [score.cosine for score in found] == pytest.approx([score.cosine for score in alone], abs=1e-6)
    assert [(score.digest, score.pixels) for score in found] == [(score.digest, score.pixels) for score in alone]


def test_a_stream_asks_for_one_batch_more_than_it_has_given(panel: Panel, jobs: list[Job]) -> None:
    asked = []

    def endless() -> Iterator[Sequence[Job]]:
        while True:
            asked.append(len(asked))
            yield jobs[:2]

    stream = panel.stream(endless())
    for given in range(1, 6):
        assert len(next(stream)) == 2
        assert len(asked) == given + AHEAD


def test_no_batches_give_no_scores(panel: Panel) -> None:
    assert list(panel.stream([])) == []


def test_bad_files_in_a_stream_are_errors_of_their_own(panel: Panel, jobs: list[Job]) -> None:
    jobs[2].path.write_bytes(b"")
    jobs[3].path.unlink()
    found = flat(panel.stream(batches(jobs, 3)))
    assert [score.sample_id for score in found] == list(range(11))
    assert [score.sample_id for score in found if score.error] == [2, 3]


def test_a_stream_that_is_left_keeps_no_thread(model: Model, jobs: list[Job]) -> None:
    before = set(threading.enumerate())
    panel = Panel({"clip": model})
    next(panel.stream(batches(jobs, 2)))
    panel.close()
    assert set(threading.enumerate()) <= before


@pytest.fixture
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
def test_as_many_threads_decode_as_a_model_has_on_a_cpu() -> None:
    for threads in (1, 3, MOST + 5):
        torch.set_num_threads(threads)
        assert decoders(["cpu"]) == min(threads, MOST)
        assert decoders(["cuda:0", "cpu"]) == min(threads, MOST)
        assert 1 <= decoders(["cuda:0"]) <= MOST  # of the cores, whatever torch has
