"""A model's folder: found, checked, and named so that scores of different models are told apart.

Without torch: a folder that cannot be used is reported in a moment, however often it is tried.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcher.errors import ScoreError
from watcher.score.devices import CONTEXT
from watcher.score.families import FAMILIES, Family, family_of, not_scoring
from watcher.score.footprint import ENOUGH, MARGIN, activations
from watcher.score.known import vision_of
from watcher.score.precision import BYTES, Precision

EXPECTED = (
    "expected a CLIP model, or one like it, as transformers' save_pretrained writes it: config.json (model_type "
    f"{', '.join(one.model_type for one in FAMILIES)}), model.safetensors, tokenizer.json, preprocessor_config.json"
)
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
"""In the order in which transformers looks for them."""
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
"""What names the parts of weights that are not in one file."""
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
UNKNOWN_BATCH = 2**30
"""Bytes that a batch takes on its way through a model whose image tower is of no known kind."""
VOLATILE = frozenset(
    {
        "transformers_version",
        "_name_or_path",
        "_commit_hash",
        "architectures",
        "dtype",
        "torch_dtype",
        "attn_implementation",
        "_attn_implementation",
    }
)
"""What `config.json` says that changes no number: weights are used in the precision of the settings."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that holds every file of a model that scores."""

    name: str
    """As configured: a folder, or a hub id."""
    folder: Path

    def fault(self, what: str) -> ScoreError:
        """Give the error that says what is wrong here, what was expected, and the way out."""
        way = f"; `watcher model fetch {self.name}` fetches what is missing" if self._is_hub_id else ""
        return ScoreError(f"{self}: {what}; {EXPECTED}{way}", permanent=True)

    def __str__(self) -> str:
        """Name it for people, with where it lies."""
        return f"model {self.name} (cached in {self.folder})" if self._is_hub_id else f"model folder {self.folder}"

    @property
    def _is_hub_id(self) -> bool:
        return self.name != str(self.folder)

    @property
    def family(self) -> Family | None:
        """Give the family that its configuration names; None where it cannot score."""
        return family_of(str(_json(self.folder / "config.json").get("model_type")))

    def identity(self, dtype: Precision = "fp32") -> str:
        """Name what a score depends on: model, weights, preparation of images and texts, dtype, truncation.

        Which kernel attention takes is no part of it: that changes less than the tolerance of the precision.
        """
        shown = self.name.partition("@")[0] if self._is_hub_id else self.folder.resolve().name
        policy = self.family.policy if self.family else ""
        return f"{shown}@{self._weights()}/{self._preparation()}/{dtype}/{policy}"

    def memory(self, batch_size: int = ENOUGH, dtype: Precision = "fp32") -> int:
        """Estimate the bytes that scoring takes on a GPU: weights in `dtype`, CUDA itself, a batch, and a margin.

        Room is asked for `ENOUGH` images at most: a larger batch is halved where it does not fit.
        """
        stored = sum(path.stat().st_size for path in _weight_files(self.folder))
        config = _json(self.folder / "config.json")
        is_half = str(config.get("dtype", config.get("torch_dtype"))) in ("float16", "bfloat16")
        vision = vision_of(self.folder)
        batch = activations(vision, min(batch_size, ENOUGH), BYTES[dtype]) if vision else UNKNOWN_BATCH
        return stored * BYTES[dtype] // (2 if is_half else 4) + CONTEXT + batch + MARGIN

    def _weights(self) -> str:
        """Hash the weight files that are loaded: SHA-256, 12 hex digits."""
        digest = hashlib.sha256()
        for path in _weight_files(self.folder):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:12]

    def _preparation(self) -> str:
        """Hash what else makes the number: architecture, image preprocessing, tokenizer; 8 hex digits."""
        config = {key: value for key, value in _json(self.folder / "config.json").items() if key not in VOLATILE}
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
        for path in _present(self.folder, PROCESSORS):
            digest.update(json.dumps(_json(path), sort_keys=True).encode())
        for path in _present(self.folder, TOKENIZER_FILES):
            digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()[:8]


def find_checkpoint(name: str) -> Checkpoint:
    """Find a model: an absolute folder, or a hub id (`NAME`, `NAME@REVISION`) in the local cache; downloads nothing.

    Raises:
        ScoreError: it is not there or cannot score; permanent, names it and what was expected.

    """
    folder = Path(name)
    found = Checkpoint(name, folder if folder.is_absolute() else _cached(name))
    try:
        missing = _missing(found.folder)
    except OSError as error:
        missing = f"it cannot be read: {error.strerror}"
    if missing:
        raise found.fault(missing)
    if found.family and (package := found.family.lacking(found.folder)):
        raise ScoreError(f"{found}: {package}", permanent=True)
    return found


def _cached(name: str) -> Path:
    from huggingface_hub import try_to_load_from_cache

    plain, _, revision = name.partition("@")
    try:
        # Not `snapshot_download`, which refuses a snapshot without the files that scoring does not need.
        found = try_to_load_from_cache(plain, "config.json", revision=revision or None)
    except ValueError:  # no hub id
        found = None
    if isinstance(found, str):
        return Path(found).parent
    raise ScoreError(
        f"model {name} is not in this user's model cache, and nothing is downloaded by itself: fetch it with "
        f"`watcher model fetch {name}`, or set `model:` to a folder; {EXPECTED}",
        permanent=True,
    )


def _missing(folder: Path) -> str:
    """Say what a folder lacks to score, before transformers does in words of its own, or makes it up."""
    if not folder.is_dir():
        return "there is no such folder"
    if not (folder / "config.json").is_file():
        return "it has no config.json" if any(folder.iterdir()) else "it is empty"
    try:
        kind = _json(folder / "config.json").get("model_type", "unknown")
    except ValueError as error:
        return f"its config.json is broken: {error}"
    family = family_of(str(kind))
    if family is None:
        return f"it is {not_scoring(str(kind))}"
    if not _weight_files(folder):
        return "it has no weights"
    if lacking := _lacking_parts(folder):
        return f"its weights lack {lacking[0]}"
    if not any(len(_present(folder, names)) == len(names) for names in family.tokenizers):
        return "it has no tokenizer"  # without one, transformers makes an empty one and goes on
    return "" if _present(folder, PROCESSORS) else "it has no preprocessor_config.json"


def _lacking_parts(folder: Path) -> list[str]:
    """Give the parts of weights that an index names and that are not there, as after a download that was cut off."""
    index = next(iter(_present(folder, INDEXES)), None)
    if index is None or index.with_suffix("").with_suffix("").is_file():  # beside parts, the whole is enough
        return []
    try:
        names = sorted(set(_json(index).get("weight_map", {}).values()))
    except ValueError as error:
        return [f"a readable {index.name} ({error})"]
    return [name for name in names if not (folder / name).is_file()]


def _weight_files(folder: Path) -> list[Path]:
    return next((found for kind in WEIGHTS if (found := sorted(folder.glob(kind)))), [])


def _present(folder: Path, names: Iterable[str]) -> list[Path]:
    return [folder / name for name in names if (folder / name).is_file()]


def _json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: it is none.

    """
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - broken content, as broken JSON is
    return found
