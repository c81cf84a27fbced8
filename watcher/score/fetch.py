"""Fetching a model from the hub, when the user asks for it: only the files that scoring needs, and nothing twice."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from watcher.errors import ConfigError, ScoreError
from watcher.part import shown_size
from watcher.score.checkpoint import PROCESSORS, TOKENIZER_FILES, Checkpoint, find_checkpoint
from watcher.score.families import family_of, not_scoring
from watcher.score.known import KNOWN
from watcher.score.resume import fetch_blob
from watcher.score.settings import ScorerSettings

SMALL = ("config.json", *PROCESSORS, *TOKENIZER_FILES)
WEIGHTS = (
    re.compile(r"model\.safetensors"),
    re.compile(r"model-\d+-of-\d+\.safetensors|model\.safetensors\.index\.json"),
    re.compile(r"pytorch_model\.bin"),
    re.compile(r"pytorch_model-\d+-of-\d+\.bin|pytorch_model\.bin\.index\.json"),
)
"""Forms of the same weights, the best first: whole or in parts; one of them is fetched."""
MARGIN = 1.02
"""The disk needs a little more than the files."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the hub has of a model that scoring needs: sizes in bytes by file name."""

    files: Mapping[str, int]
    weights: Sequence[str]
    """Those of the files that are large."""

    @property
    def size(self) -> int:
        """Give the bytes of all files."""
        return sum(self.files.values())


def split_revision(name: str) -> tuple[str, str | None]:
    """Take `NAME@REVISION` apart; the revision is None where none is given."""
    plain, _, revision = name.partition("@")
    return plain, revision or None


def fetch_model(name: str, say: Callable[[str], None]) -> Checkpoint:
    """Download what scoring needs of a hub id, `NAME` or `NAME@REVISION`; goes on where an earlier try was cut off.

    What is there already is not asked for again. Whether it can be loaded is for the caller to try.

    Raises:
        ConfigError: it names a folder, or is no hub id.
        ScoreError: the hub cannot be reached or refuses, the disk is too full, or the model cannot score.

    """
    _check_name(name)
    try:
        found = find_checkpoint(name)
    except ScoreError:
        return _download(name, say)
    say(f"{name} is there already: {found.folder}")
    return found


def _check_name(name: str) -> None:
    if Path(ScorerSettings(model=name).model).is_absolute():
        there = "a folder: there is nothing to fetch" if Path(name).is_dir() else "no hub id"
        raise ConfigError(f"{name} is {there}; give a hub id such as {KNOWN[0].name}")


def _download(name: str, say: Callable[[str], None]) -> Checkpoint:
    from huggingface_hub import constants, snapshot_download

    if constants.HF_HUB_OFFLINE:
        raise ScoreError(
            f"model {name}: HF_HUB_OFFLINE is set, so nothing may be downloaded; run this once with HF_HUB_OFFLINE=0, "
            "or copy the model's folder here and set `model:` to it"
        )
    plain, revision = split_revision(name)
    try:
        offer = _offer(plain, revision)
        cache = Path(constants.HF_HUB_CACHE)
        _check_space(name, offer, cache)
        say(f"fetching {name}: {len(offer.files)} files, {shown_size(offer.size)}, into {cache}")
        for file in offer.weights:
            fetch_blob(plain, revision, file, cache)
        snapshot_download(plain, revision=revision, allow_patterns=list(offer.files))
    except ScoreError:
        raise
    except Exception as error:  # the hub's library and those below it raise many kinds
        raise _refusal(name, error) from error
    return find_checkpoint(name)


def _offer(name: str, revision: str | None) -> Offer:
    """Ask the hub what it has.

    Raises:
        ScoreError: it cannot score, or has no weights that can be loaded.

    """
    from huggingface_hub import HfApi

    info = HfApi().model_info(name, revision=revision, files_metadata=True)
    sizes = {one.rfilename: one.size or 0 for one in info.siblings or []}
    kind = (info.config or {}).get("model_type", "clip")
    if family_of(kind) is None:
        raise ScoreError(f"model {name} is {not_scoring(kind)}", permanent=True)
    weights = choose_weights(list(sizes))
    if not weights or "config.json" not in sizes:
        raise ScoreError(f"model {name} has no weights as transformers writes them: {_some(sizes)}", permanent=True)
    return Offer({file: sizes[file] for file in (*SMALL, *weights) if file in sizes}, weights)


def choose_weights(names: Sequence[str]) -> list[str]:
    """Give the files of the best form that the weights are there in: safetensors before pickles, whole before parts."""
    for form in WEIGHTS:
        if found := sorted(name for name in names if form.fullmatch(name)):
            return found
    return []


def _some(sizes: Mapping[str, int]) -> str:
    return "it has " + (", ".join(sorted(sizes)[:5]) or "no files")


def _check_space(name: str, offer: Offer, cache: Path) -> None:
    there = next(place for place in (cache, *cache.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    needed = int(offer.size * MARGIN) - _fetched(name, cache)
    if free < needed:
        raise ScoreError(
            f"model {name} needs {shown_size(needed)}, and {cache} has {shown_size(free)} free; make room, or set "
            "HF_HOME to a folder on a larger disk, here and for the daemon"
        )


def _fetched(name: str, cache: Path) -> int:
    """Give the bytes of this model that an earlier try has left."""
    blobs = cache / f"models--{split_revision(name)[0].replace('/', '--')}" / "blobs"
    return sum(path.stat().st_size for path in blobs.glob("*")) if blobs.is_dir() else 0


def _refusal(name: str, error: Exception) -> ScoreError:
    """Say why the hub gave nothing, and the way out."""
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    plain, revision = split_revision(name)
    place = constants.ENDPOINT
    login = "`hf auth login`, or HF_TOKEN"
    if isinstance(error, GatedRepoError):
        why = f"is gated: accept its conditions at {place}/{plain}, give your token by {login}, and try again"
    elif isinstance(error, RevisionNotFoundError):
        why = f"has no revision {revision!r}; leave it out for the newest (main)"
    elif isinstance(error, RepositoryNotFoundError):
        why = f"is not at {place}, or is private{_nearest(plain)}; for a private one give your token by {login}"
    elif isinstance(error, HfHubHTTPError) and (status := error.response.status_code) in (401, 403):
        why = f"is refused by {place} ({status}): give a token that may read it by {login}, or unset a stale one"
    elif isinstance(error, HfHubHTTPError):
        why = f"cannot be fetched just now: {place} answers {error.response.status_code}; try again later"
    else:
        return ScoreError(
            f"model {name} cannot be fetched from {place}: {_first_line(error)}; run the command again (it goes "
            "on where it was cut off), or without a network copy the model's folder here and set `model:` to it"
        )
    return ScoreError(f"model {name} {why}", permanent=True)


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, [one.name for one in KNOWN], 1, 0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def load_model(name: str) -> str:
    """Load a model on the CPU as the scorer does, and try it; gives its identity.

    Raises:
        ScoreError: it cannot be loaded.

    """
    from watcher.score.model import Model

    return Model.load(name, "cpu").identity
