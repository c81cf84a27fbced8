"""The prompt libraries as `watcher prompts list` shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from watcher.library import Library
from watcher.view.table import Lines, table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

COLUMNS = ("name", "title", "prompts", "licence", "source")


def described(library: Library) -> dict[str, Any]:
    """Give what there is to say of a library, JSON."""
    entries = library.entries()
    return {
        "name": library.name,
        "title": library.title,
        "prompts": len(entries),
        "licence": library.licence,
        "source": library.source,
        "categories": dict(Counter(one.category for one in entries)),
    }


def overview(found: Sequence[dict[str, Any]], console: Console) -> Iterator[RenderableType]:
    """Give a table of the libraries, then the categories of each."""
    yield table(COLUMNS, [tuple(str(one[name]) for name in COLUMNS) for one in found], console)
    for one in found:
        shares = ", ".join(f"{category} {number}" for category, number in one["categories"].items())
        yield Lines(f"{one['name']}: {shares}")
