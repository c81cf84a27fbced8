"""The model under stress: too little memory, numbers that are none, images that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

from tests.unit.score_models import CAPTION, picture, scored
from watcher.demo.stage import CLIP
from watcher.errors import ScoreError
from watcher.score import Job, ScorerSettings, score_images
from watcher.score.encoder import Encoder
from watcher.score.memory import set_threads
from watcher.score.model import Model


class Small(CLIPModel):
    """The demo's CLIP on a device that has room for so many images at once, and may lack memory for texts."""

    room = 1000
    error: Callable[[], Exception] = staticmethod(lambda: torch.cuda.OutOfMemoryError("CUDA out of memory."))

    def get_image_features(self, pixel_values: torch.Tensor, **more: Any) -> Any:
        self.sizes.append(len(pixel_values))
        if len(pixel_values) > self.room:
            raise self.error()
        return super().get_image_features(pixel_values=pixel_values, **more)


@pytest.fixture
def small() -> Small:
    model = Small.from_pretrained(CLIP)
    model.sizes = []
    return model


@cache
def parts() -> tuple[Any, Any]:
    return AutoImageProcessor.from_pretrained(CLIP), AutoTokenizer.from_pretrained(CLIP)


def wrapped(model: CLIPModel) -> Model:
    return Model(Encoder(model, *parts(), "small", "cpu"))


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    for number in range(7):
        picture(seed=number).save(tmp_path / f"{number}.png")
    return [Job(number, tmp_path / f"{number}.png", f"{CAPTION} {'red ' * number}") for number in range(7)]


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
    ids=lambda error: str(error)[:20] or "MemoryError",
)
def test_too_little_memory_halves_the_batch_and_changes_no_score(
    error: Exception, small: Small, jobs: list[Job]
) -> None:
    plain = scored(wrapped(small), jobs)
    assert small.sizes == [7]
    small.sizes.clear()
    small.room, small.error = 2, lambda: error
    model = wrapped(small)
    scores = scored(model, jobs)
    assert small.sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert [one.cosine for one in scores] == pytest.approx([one.cosine for one in plain], abs=1e-6)
    small.sizes.clear()
    scored(model, jobs)
    assert small.sizes == [1] * 7  # it has learned what fits


def test_no_memory_for_even_one_image_blames_no_image(small: Small, jobs: list[Job]) -> None:
    small.room = 0
    with pytest.raises(ScoreError, match="no memory for one image on cpu: CUDA out of memory") as caught:
        scored(wrapped(small), jobs)
    assert not caught.value.permanent
    assert small.sizes == [7, 3, 1]


def test_any_other_error_of_the_model_is_not_taken_for_missing_memory(small: Small, jobs: list[Job]) -> None:
    small.room, small.error = 2, lambda: RuntimeError("CUDA error: an illegal memory access was encountered")
    with pytest.raises(RuntimeError, match="illegal memory access"):
        scored(wrapped(small), jobs)
    assert small.sizes == [7]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_cosine_that_is_no_number_is_an_error_and_never_a_score(value: float, small: Small, jobs: list[Job]) -> None:
    with torch.no_grad():
        small.text_model.embeddings.token_embedding.weight[6] = value  # "background": in every one of these prompts
    scores = scored(wrapped(small), [*jobs, Job(7, jobs[0].path, "red")])
    assert [one.cosine for one in scores[:-1]] == [None] * 7
    assert {one.error for one in scores[:-1]} == {"the model gave nan instead of a number"}
    assert scores[-1].cosine is not None


def test_bad_files_among_good_ones_shift_no_score_to_another_image(small: Small, jobs: list[Job]) -> None:
    plain = {one.sample_id: one.cosine for one in scored(wrapped(small), jobs)}
    jobs[1].path.write_bytes(b"")
    jobs[4].path.unlink()
    scores = scored(wrapped(small), jobs)
    assert [one.sample_id for one in scores if one.error] == [1, 4]
    good = {one.sample_id: one.cosine for one in scores if not one.error}
    assert good == pytest.approx({number: plain[number] for number in good}, abs=1e-6)


def test_nothing_but_bad_files_needs_no_model(small: Small, jobs: list[Job]) -> None:
    jobs[0].path.write_bytes(b"")
    (found,) = scored(wrapped(small), jobs[:1])
    assert found.error
    assert small.sizes == []


def test_a_cache_that_cannot_be_written_fails_no_score(small: Small, jobs: list[Job], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    scores = scored(wrapped(small), jobs)
    assert all(one.cosine is not None for one in scores)


class Same(CLIPModel):
    """Sees in every image and text the same vector, whose product with itself is rounded to more than 1."""

    def get_image_features(self, pixel_values: torch.Tensor, **more: Any) -> Any:
        return over_one().repeat(len(pixel_values), 1)

    def get_text_features(self, input_ids: torch.Tensor, **more: Any) -> Any:
        return over_one().repeat(len(input_ids), 1)


def over_one() -> torch.Tensor:
    rows = torch.nn.functional.normalize(torch.randn(200, 64, generator=torch.Generator().manual_seed(0)), dim=-1)
    return rows[(rows * rows).sum(-1) > 1][:1]


def test_a_cosine_never_leaves_its_range_by_rounding(jobs: list[Job]) -> None:
    assert (over_one() * over_one()).sum() > 1
    scores = scored(wrapped(Same.from_pretrained(CLIP)), jobs)
    assert {one.cosine for one in scores} == {1.0}


@pytest.fixture
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
def test_the_cpu_is_left_to_the_training_but_for_a_quarter_of_its_cores() -> None:
    assert set_threads(3) == torch.get_num_threads() == 3
    assert 1 <= set_threads(None) == torch.get_num_threads()


def test_scoring_at_once_goes_in_batches_and_keeps_the_order(jobs: list[Job]) -> None:
    settings = ScorerSettings(model=str(CLIP), device="cpu", batch_size=3)
    batches = list(score_images(settings, jobs))
    scores = [score for batch in batches for score in batch.scores]
    assert {(batch.identity, batch.device) for batch in batches} == {(Model.load(str(CLIP), "cpu").identity, "cpu")}
    assert [len(batch.scores) for batch in batches] == [3, 3, 1]
    assert [one.sample_id for one in scores] == list(range(7))
    assert all(one.cosine is not None for one in scores)
    half = next(iter(score_images(settings.model_copy(update={"dtype": "bf16"}), jobs))).identity
    assert half == Model.load(str(CLIP), "cpu", dtype="bf16").identity != batches[0].identity


def test_scoring_nothing_loads_nothing() -> None:
    assert list(score_images(ScorerSettings(model="/nowhere"), [])) == []
