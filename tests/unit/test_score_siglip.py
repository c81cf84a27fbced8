"""The tokenizers that SigLIP models come with: SigLIP's own, by sentencepiece, and Gemma's, that of SigLIP 2."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import GemmaTokenizer

from tests.unit.score_families import CONTEXT, siglip
from tests.unit.score_models import Reference, change_json, picture, scored
from watcher.errors import ScoreError
from watcher.score import Job, find_checkpoint
from watcher.score.model import Model

NEAR = 1e-4
SENTENCES = ("a small red ring on a teal background", "a large blue disc", "the green square and a yellow star")
PROMPTS = ("a Small, RED ring!", "the (blue) disc", "A large star", " ".join(SENTENCES) + ".")


def own_tokenizer(folder: Path) -> Path:
    """Give a folder SigLIP's own tokenizer, trained on a few sentences, in the place of the one that it has."""
    sentencepiece = pytest.importorskip("sentencepiece")
    (folder / "tokenizer.json").unlink()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 5),
        model_prefix=str(folder / "spiece"),
        vocab_size=22,
        character_coverage=1.0,
        model_type="char",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (folder / "spiece.vocab").unlink()
    change_json(folder / "tokenizer_config.json", tokenizer_class="SiglipTokenizer", pad_token="</s>", eos_token="</s>")
    return folder


def gemma_tokenizer(folder: Path) -> Path:
    """Give a folder a tokenizer of Gemma's kind with capital letters, which pads on the left where nobody says more."""
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "▁", *"aerdR"]
    GemmaTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[]).save_pretrained(folder)
    return folder


def cosines(folder: Path, tmp_path: Path, prompts: Sequence[str]) -> list[float | None]:
    picture().save(tmp_path / "a.png")
    jobs = [Job(number, tmp_path / "a.png", prompt) for number, prompt in enumerate(prompts)]
    return [one.cosine for one in scored(Model.load(str(folder), "cpu"), jobs)]


def padded(reference: Reference, text: str) -> Any:
    """Give the tokens of a text as SigLIP was trained on them."""
    how = {"padding": "max_length", "truncation": True, "max_length": CONTEXT, "padding_side": "right"}
    return reference.tokenizer(text, **how)["input_ids"]


def test_siglips_own_tokenizer_gives_the_numbers_of_transformers(tmp_path: Path) -> None:
    folder = own_tokenizer(siglip(tmp_path / "model", vocabulary=64))
    reference = Reference(folder)
    assert type(reference.tokenizer).__name__ == "SiglipTokenizer"
    wanted = [reference.cosine_of_tokens(picture(), padded(reference, text)) for text in PROMPTS]
    assert cosines(folder, tmp_path, PROMPTS) == pytest.approx(wanted, abs=NEAR)
    assert max(wanted) - min(wanted) > 100 * NEAR
    same, other = cosines(folder, tmp_path, ["a red ring", "A (red) ring!"])
    assert same == other  # small letters, and no punctuation


def test_letters_are_made_small_for_gemmas_tokenizer_and_padding_goes_to_the_right(tmp_path: Path) -> None:
    folder = gemma_tokenizer(siglip(tmp_path / "model"))
    reference = Reference(folder)
    assert reference.tokenizer.padding_side == "left"
    assert padded(reference, "Red") != padded(reference, "red")
    wanted = reference.cosine_of_tokens(picture(), padded(reference, "red"))
    assert cosines(folder, tmp_path, ["Red", "red"]) == pytest.approx([wanted, wanted], abs=NEAR)


def test_without_sentencepiece_it_says_what_to_install_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)  # Python's own way to say that it is not there
    folder = siglip(tmp_path / "model")
    assert find_checkpoint(str(folder)).folder == folder  # another tokenizer needs nothing
    change_json(folder / "tokenizer_config.json", tokenizer_class="SiglipTokenizer")
    with pytest.raises(ScoreError) as caught:
        Model.load(str(folder), "cpu")
    assert caught.value.permanent
    way = f"`{sys.executable} -m pip install sentencepiece`, then ask again"
    lacks = "its tokenizer needs the package sentencepiece, which is not installed here"
    assert str(caught.value) == f"model folder {folder}: {lacks}; {way}"
