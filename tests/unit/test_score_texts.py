"""Prompts are encoded once; a disk that fails costs time and never a score."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.score import texts
from watcher.score.texts import TextCache, Vector


class Encoder:
    """Gives every prompt a unit vector of its own; calls prompts over 20 characters truncated."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, prompts: Sequence[str]) -> tuple[Vector, list[bool]]:
        self.asked += prompts
        rows = [np.random.default_rng(abs(hash(prompt))).normal(size=8) for prompt in prompts]
        vectors = np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)
        return vectors, [len(prompt) > 20 for prompt in prompts]


def filled(folder: Path | None, prompts: Sequence[str], encoder: Encoder, identity: str = "one") -> TextCache:
    cache = TextCache(identity, folder)
    cache.fill(prompts, encoder)
    return cache


def files(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file()]


def test_a_prompt_is_encoded_once_also_across_restarts(tmp_path: Path) -> None:
    encoder = Encoder()
    cache = filled(tmp_path, ["a cat", "a dog", "a cat"], encoder)
    cache.fill(["a dog", "a cat"], encoder)
    again = filled(tmp_path, ["a cat", "a bird"], encoder)
    assert encoder.asked == ["a cat", "a dog", "a bird"]
    assert (again.vector("a cat") == cache.vector("a cat")).all()


def test_another_model_never_sees_these_vectors(tmp_path: Path) -> None:
    encoder = Encoder()
    filled(tmp_path, ["a cat"], encoder)
    filled(tmp_path, ["a cat"], encoder, identity="two")
    assert encoder.asked == ["a cat", "a cat"]


@given(prompts=st.lists(st.text(st.characters(), max_size=40), max_size=8))
@settings(max_examples=60, deadline=None)
def test_what_comes_from_disk_is_what_went_there(prompts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("texts")
    first = filled(folder, prompts, Encoder())
    encoder = Encoder()
    second = filled(folder, prompts, encoder)
    assert encoder.asked == []
    for prompt in prompts:
        assert (first.vector(prompt) == second.vector(prompt)).all()
        assert first.truncated(prompt) == second.truncated(prompt) == (len(prompt) > 20)


@given(damage=st.one_of(st.binary(max_size=40), st.integers(0, 35), st.sampled_from([0.0, math.nan, 1e30])))
@settings(max_examples=100, deadline=None)
def test_a_damaged_file_is_encoded_anew(damage: bytes | int | float, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("texts")
    known = filled(folder, ["a cat"], Encoder()).vector("a cat")
    (path,) = files(folder)
    whole = path.read_bytes()
    other = np.append(np.full(8, damage, dtype=np.float32), np.float32(0)).tobytes() if type(damage) is float else b""
    path.write_bytes(damage if isinstance(damage, bytes) else other or whole[:damage])
    encoder = Encoder()
    cache = filled(folder, ["a cat"], encoder)
    assert encoder.asked == ["a cat"]
    assert (cache.vector("a cat") == known).all()
    assert path.read_bytes() == whole


def test_a_vector_that_is_no_number_is_not_kept_for_later(tmp_path: Path) -> None:
    broken = np.full((1, 8), np.nan, dtype=np.float32)
    TextCache("one", tmp_path).fill(["a cat"], lambda prompts: (broken, [False]))
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_made_fails_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        cache = filled(tmp_path / "file", ["a cat", "a dog"], Encoder())
    assert np.linalg.norm(cache.vector("a dog")) == pytest.approx(1)
    assert caplog.text.count("prompts are kept in memory only") == 1


def test_a_full_disk_fails_nothing_and_leaves_no_half_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(tmp_path / "one", ["a cat"], Encoder())
    (made,) = files(tmp_path / "one")
    place = tmp_path / "full" / made.parent.name
    place.mkdir(parents=True)
    (place / made.with_suffix(f".{os.getpid()}.tmp").name).symlink_to("/dev/full")
    cache = filled(tmp_path / "full", ["a cat"], Encoder())
    assert np.linalg.norm(cache.vector("a cat")) == pytest.approx(1)
    assert "No space left on device" in caplog.text
    assert list(place.iterdir()) == []


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cache = filled(None, ["a cat"], Encoder())
    assert not cache.truncated("a cat")
    assert list(tmp_path.iterdir()) == []


def test_many_prompts_are_encoded_in_parts_and_all_of_them() -> None:
    prompts = [f"prompt {number}" for number in range(150)]
    encoder = Encoder()
    cache = filled(None, prompts, encoder)
    assert encoder.asked == prompts
    assert (cache.vector("prompt 149") == Encoder()(["prompt 149"])[0][0]).all()


def test_no_more_prompts_stay_in_memory_than_are_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MOST", 10)
    for folder in (tmp_path, None):
        encoder = Encoder()
        cache = TextCache("one", folder)
        for start in range(0, 100, 5):
            some = [f"prompt {number}" for number in range(start, start + 5)]
            cache.fill(some, encoder)
            assert [cache.truncated(prompt) for prompt in some] == [False] * 5
            assert len(cache._known) <= 10 + 5
        cache.fill(["prompt 0"], encoder)
        assert (cache.vector("prompt 0") == Encoder()(["prompt 0"])[0][0]).all()
        assert encoder.asked.count("prompt 0") == (1 if folder else 2)
