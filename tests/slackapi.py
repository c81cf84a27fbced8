"""A server that takes messages as Slack's incoming webhooks do, and refuses what they refuse.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (answers),
https://docs.slack.dev/reference/block-kit/blocks/ and .../composition-objects/text-object (limits),
https://docs.slack.dev/messaging/formatting-message-text/ (escaping).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.servers import Answer, Request

BLOCKS, FIELDS, ELEMENTS = 50, 10, 10
HEADER, TEXT, FIELD = 150, 3000, 2000
OPTIONS = {"plain_text": {"emoji"}, "mrkdwn": {"verbatim"}}
"""What a text object may have beside `type` and `text`."""
DATE = re.compile(r"<!date\^\d+\^[^<>|]+\|[^<>]+>")


def slack(request: Request) -> Answer:
    """Answer a message."""
    try:
        said = request.json
    except ValueError:
        return Answer(400, "invalid_payload")
    if not isinstance(said, Mapping):
        return Answer(400, "invalid_payload")
    if not said.get("text") and not said.get("blocks"):
        return Answer(400, "no_text")
    return Answer(400, "invalid_blocks") if list(faults(said.get("blocks", []))) else Answer(200, "ok")


def faults(blocks: Any) -> Iterator[str]:
    """Say what is wrong with a message's blocks."""
    if not isinstance(blocks, list) or len(blocks) > BLOCKS:
        yield f"blocks: no list, or more than {BLOCKS}"
        return
    for number, block in enumerate(blocks):
        known = _BLOCKS.get(block.get("type"))
        found = known(block) if known else [f"unknown type {block.get('type')!r}"]
        yield from (f"/blocks/{number}: {fault}" for fault in found)


def _header(block: Mapping[str, Any]) -> Iterator[str]:
    yield from _keys(block, {"type", "text"})
    if block["text"].get("type") != "plain_text":
        yield "a header is plain_text"
    yield from _text(block["text"], HEADER)


def _section(block: Mapping[str, Any]) -> Iterator[str]:
    yield from _keys(block, {"type", "text", "fields"})
    if "text" not in block and "fields" not in block:
        yield "a section has a text or fields"
    if "text" in block:
        yield from _text(block["text"], TEXT)
    yield from _several(block.get("fields", [{"type": "plain_text", "text": "x"}]), FIELDS, FIELD)


def _context(block: Mapping[str, Any]) -> Iterator[str]:
    yield from _keys(block, {"type", "elements"})
    yield from _several(block.get("elements"), ELEMENTS, TEXT)


_BLOCKS: Mapping[Any, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "header": _header,
    "section": _section,
    "context": _context,
}


def _several(texts: Any, most: int, longest: int) -> Iterator[str]:
    if not isinstance(texts, list) or not 1 <= len(texts) <= most:
        yield f"not 1 to {most} texts"
        return
    for text in texts:
        yield from _text(text, longest)


def _keys(block: Mapping[str, Any], allowed: set[str]) -> Iterator[str]:
    yield from (f"unknown key {key}" for key in block.keys() - allowed)


def _text(text: Any, longest: int) -> Iterator[str]:
    kind, words = text.get("type"), text.get("text")
    if kind not in OPTIONS or not isinstance(words, str):
        yield "no text object"
        return
    yield from _keys(text, {"type", "text"} | OPTIONS[kind])
    length = len(words.encode("utf-16-le", "surrogatepass")) // 2
    if not words.strip() or length > longest:
        yield f"{length} characters, 1 to {longest} are allowed"
    if any(unicodedata.category(one) in ("Cc", "Cs") and one != "\n" for one in words):
        yield "signs that are no text"
    if kind == "mrkdwn" and _torn(words):
        yield "markup that nobody meant, or a torn escape"


def _torn(words: str) -> bool:
    """Tell whether a text has markup of its own beside dates, or an escape that is not whole."""
    rest = DATE.sub("", words)
    return "<" in rest or ">" in rest or bool(re.search(r"&(?!amp;|lt;|gt;)", rest))
