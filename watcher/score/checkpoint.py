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

EXPECTED = (
    "expected a CLIP model as transformers' save_pretrained writes it: config.json (model_type clip), "
    "model.safetensors, tokenizer.json, preprocessor_config.json"
)
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
"""In the order in which transformers looks for them."""
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
VOLATILE = frozenset({"transformers_version", "_name_or_path", "_commit_hash", "architectures", "dtype", "torch_dtype"})
"""What `config.json` says that changes no number: weights are used in fp32 whatever they were stored in."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that holds every file of a CLIP."""

    name: str
    """As configured: a folder, or a hub id."""
    folder: Path

    def fault(self, what: str) -> ScoreError:
        """Give the error that says what is wrong here, what was expected, and the way out."""
        is_hub_id = self.name != str(self.folder)
        shown = f"model {self.name} (cached in {self.folder})" if is_hub_id else f"model folder {self.folder}"
        way = f"; `hf download {self.name}` fetches what is missing" if is_hub_id else ""
        return ScoreError(f"{shown}: {what}; {EXPECTED}{way}", permanent=True)

    def identity(self) -> str:
        """Name what a score depends on: model, weights, preparation of images and texts, dtype, truncation."""
        shown = self.name if self.name != str(self.folder) else self.folder.resolve().name
        return f"{shown}@{self._weights()}/{self._preparation()}/fp32/keep-end"

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
    """Find a model: an absolute folder, or a hub id in the local cache; nothing is downloaded.

    Raises:
        ScoreError: it is not there or is no CLIP; permanent, names it and what was expected.

    """
    folder = Path(name)
    found = Checkpoint(name, folder if folder.is_absolute() else _cached(name))
    try:
        missing = _missing(found.folder)
    except OSError as error:
        missing = f"it cannot be read: {error.strerror}"
    if missing:
        raise found.fault(missing)
    return found


def _cached(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except Exception as error:  # the hub's library raises many kinds, all of them about the name or its cache
        raise ScoreError(
            f"model {name} is not in this user's model cache, and nothing is downloaded by itself: fetch it with "
            f"`hf download {name}`, or set `model:` to a folder; {EXPECTED}",
            permanent=True,
        ) from error


def _missing(folder: Path) -> str:
    """Say what a folder lacks to be a CLIP, before transformers does in words of its own, or makes it up."""
    if not folder.is_dir():
        return "there is no such folder"
    if not (folder / "config.json").is_file():
        return "it has no config.json" if any(folder.iterdir()) else "it is empty"
    try:
        kind = _json(folder / "config.json").get("model_type", "unknown")
    except ValueError as error:
        return f"its config.json is broken: {error}"
    if kind != "clip":
        return f"it is a model of type {kind}, not a CLIP"
    if not _weight_files(folder):
        return "it has no weights"
    if not any(len(_present(folder, names)) == len(names) for names in TOKENIZERS):
        return "it has no tokenizer"  # without one, transformers makes an empty one and goes on
    return "" if _present(folder, PROCESSORS) else "it has no preprocessor_config.json"


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
