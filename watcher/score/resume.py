"""A large file of the hub fetched into its cache, going on where an earlier process was cut off.

huggingface_hub takes a broken connection up again, but forgets what it has when its process ends: of a download of
gigabytes nothing would be left. So the file is written beside the cache's blobs, and moved among them once its hash is
right; `snapshot_download` then finds it there. The layout of the cache is documented:
https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import re
from pathlib import Path

log = logging.getLogger(__name__)
SHA256 = re.compile(r"[0-9a-f]{64}")
"""The ETag of a large file is the SHA-256 of its bytes."""


def fetch_blob(name: str, revision: str | None, file: str, cache: Path) -> None:
    """Fetch one file into the cache's blobs; leaves it to `snapshot_download` where this is not possible.

    Raises:
        Exception: the connection is lost, in the words of the hub's library; what has come is kept.

    """
    from huggingface_hub.errors import HfHubHTTPError

    try:
        _fetch(name, revision, file, cache / f"models--{name.replace('/', '--')}" / "blobs")
    except (ImportError, TypeError, AttributeError, BlockingIOError, HfHubHTTPError) as error:
        # Another version of the library, another process at it, or a server that does not like the question.
        log.debug("%s: fetched as a whole: %s", file, error)


def _fetch(name: str, revision: str | None, file: str, blobs: Path) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(name, file, revision=revision)
    told = get_hf_file_metadata(url)
    if told.etag is None or told.size is None or not SHA256.fullmatch(told.etag) or (blobs / told.etag).exists():
        return
    blobs.mkdir(parents=True, exist_ok=True)
    partial = blobs / f"{told.etag}.partial"
    _append(partial, url, told.size, file)
    if _sha256(partial) == told.etag:
        partial.replace(blobs / told.etag)
    else:  # what was there was torn, or the file has changed in between
        partial.unlink()


def _append(partial: Path, url: str, size: int, file: str) -> None:
    """Fetch what a file still lacks; one process at a time.

    Raises:
        BlockingIOError: another process is at it.

    """
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented, but not in __all__

    with partial.open("ab") as out:
        fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if out.tell() > size:
            out.truncate(0)
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        http_get(url, out, resume_size=out.tell(), headers=headers, expected_size=size, displayed_filename=file)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
