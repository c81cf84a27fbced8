"""The families of dual encoders that score: how each reads its texts, and which files it needs.

Without torch: models and tokenizers are handed in.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

TRIAL = ("a cat", "a photo of a dog on a beach")
"""Texts that every tokenizer is tried with."""
OFFSET = frozenset({"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm"})
"""Text towers that count positions from behind that of the padding token."""


class Family:
    """A kind of model with a picture tower and a text tower; the score is the cosine of what they give."""

    model_type: ClassVar[str]
    """As `config.json` says it."""
    shown: ClassVar[str]
    """What people call it."""
    policy: ClassVar[str] = "keep-end"
    """How texts are cut and padded, for the identity."""
    padding: ClassVar[str] = "longest"
    """`longest` of the batch where padding changes no number, else `max_length`."""
    masked: ClassVar[bool] = True
    """Whether the text tower is told which tokens are padding."""
    side: ClassVar[str | None] = None
    """Where padding goes, `right` or `left`; None where the tokenizer's own setting may stand."""
    tokenizers: ClassVar[tuple[tuple[str, ...], ...]]
    """Files that make a tokenizer; one of these sets must be there."""

    def lacking(self, folder: Path) -> str:  # noqa: ARG002 - for families that need more than files
        """Say what else it takes to read this folder's texts; empty when nothing is missing."""
        return ""

    def context(self, text: Any, tokenizer: Any) -> int:  # noqa: ARG002 - for towers that say less
        """Give how many tokens the text tower reads, start and end among them; `text` is its configuration."""
        return int(text.max_position_embeddings)

    def fault(self, text: Any, tokenizer: Any) -> str:
        """Say why a tokenizer does not belong to the text tower; empty when it does."""
        known, wanted = text.vocab_size, len(tokenizer)
        return f"its tokenizer has {wanted} tokens, the model knows {known}" if wanted > known else ""

    def texts(self, tokenizer: Any, prompts: Sequence[str]) -> list[str]:  # noqa: ARG002 - for families that change texts
        """Give the prompts as the model was trained on texts, where the tokenizer does not see to it."""
        return list(prompts)

    def tokens(self, tokenizer: Any, prompts: Sequence[str], context: int) -> tuple[dict[str, Any], list[bool]]:
        """Give what the text tower takes, tensors of shape (n, tokens), and which prompts were cut to the context.

        A tokenizer cuts the text and not the end token that it adds.
        """
        texts = self.texts(tokenizer, prompts)
        how = {"padding": self.padding, "truncation": True, "max_length": context, "return_tensors": "pt"}
        cut = tokenizer(texts, **how, **({"padding_side": self.side} if self.side else {}))
        whole = tokenizer(texts, verbose=False)["input_ids"]
        names = ("input_ids", "attention_mask", "token_type_ids") if self.masked else ("input_ids",)
        return {name: cut[name] for name in names if name in cut}, [len(ids) > context for ids in whole]


class Clip(Family):
    """CLIP as OpenAI, LAION and LongCLIP have it: a causal text tower, which looks at the end token.

    As no token sees those behind it, padding to the longest of the batch is exact.
    """

    model_type = "clip"
    shown = "CLIP"
    tokenizers = (("tokenizer.json",), ("vocab.json", "merges.txt"))

    def fault(self, text: Any, tokenizer: Any) -> str:
        """Also the token at which the tower looks has to be the last one of every text."""
        return super().fault(text, tokenizer) or _end_fault(text, tokenizer)


class Siglip(Family):
    """SigLIP, and SigLIP 2 of fixed resolution: no causal mask, and the vector is taken at the last place.

    It was trained with every text padded to its context and with the padding in view, so nothing else is exact:
    https://huggingface.co/docs/transformers/model_doc/siglip. Its loss is a sigmoid of the scaled cosine; the score
    is the cosine itself, as for CLIP.

    Texts were in small letters. SigLIP's tokenizers see to that; SigLIP 2 comes with Gemma's, which does not:
    https://github.com/huggingface/transformers/pull/43101.
    """

    model_type = "siglip"
    shown = "SigLIP"
    policy = "padded"
    padding = "max_length"
    side = "right"
    masked = False
    tokenizers = (("tokenizer.json",), ("spiece.model",))

    def texts(self, tokenizer: Any, prompts: Sequence[str]) -> list[str]:
        """Make letters small where the tokenizer is Gemma's."""
        return [one.lower() for one in prompts] if type(tokenizer).__name__.startswith("Gemma") else list(prompts)

    def lacking(self, folder: Path) -> str:
        """SigLIP's own tokenizer drops punctuation and needs sentencepiece; any other gives other numbers."""
        try:
            told = json.loads((folder / "tokenizer_config.json").read_bytes()).get("tokenizer_class")
        except (OSError, ValueError, AttributeError):
            told = None
        wants = told == "SiglipTokenizer" or not (folder / "tokenizer.json").is_file()
        if wants and importlib.util.find_spec("sentencepiece") is None:
            way = f"`{sys.executable} -m pip install sentencepiece`, then ask again"
            return f"its tokenizer needs the package sentencepiece, which is not installed here; {way}"
        return ""


class DualEncoder(Family):
    """`VisionTextDualEncoderModel`: any two towers, each with a projection; the text tower masks padding."""

    model_type = "vision-text-dual-encoder"
    shown = "VisionTextDualEncoder"
    tokenizers = (
        ("tokenizer.json",),
        ("vocab.json", "merges.txt"),
        ("vocab.txt",),
        ("sentencepiece.bpe.model",),
        ("spiece.model",),
    )

    def context(self, text: Any, tokenizer: Any) -> int:
        """Give the smaller of what the tower and its tokenizer say; some towers lose places to the padding token."""
        places = int(text.max_position_embeddings)
        if text.model_type in OFFSET:
            places -= int(text.pad_token_id) + 1
        return min(places, int(tokenizer.model_max_length))

    def fault(self, text: Any, tokenizer: Any) -> str:
        """For CLIP's text tower as for CLIP."""
        fault = super().fault(text, tokenizer)
        return fault or (_end_fault(text, tokenizer) if text.model_type.startswith("clip") else "")


FAMILIES: tuple[Family, ...] = (Clip(), Siglip(), DualEncoder())


def family_of(model_type: str) -> Family | None:
    """Find the family of a model; None where it cannot score."""
    return next((one for one in FAMILIES if one.model_type == model_type), None)


def not_scoring(model_type: str) -> str:
    """Say that a model of this type cannot score, and which can."""
    known = ", ".join(f"{one.shown} ({one.model_type})" for one in FAMILIES)
    more = "; SigLIP 2 of variable resolution (NaFlex) is not among them" if model_type == "siglip2" else ""
    return f"of type {model_type}, none that scores pictures against texts here: {known}{more}"


def _end_fault(text: Any, tokenizer: Any) -> str:
    ends = all(_pools_at_end(text, tokenizer(one)["input_ids"]) for one in TRIAL)
    return "" if ends else "its tokenizer does not end a text with the token at which the model looks"


def _pools_at_end(text: Any, ids: Sequence[int]) -> bool:
    """Tell whether a text's embedding is taken at its last token; old configurations say 2 for the highest."""
    place = max(ids) if text.eos_token_id == 2 else text.eos_token_id
    return place in ids and ids.index(place) == len(ids) - 1
