"""What commands print on: rich's console, which is loaded only for what it alone can do, as that takes its time."""

from __future__ import annotations

import os
import shutil
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

from watcher.view.table import UNBROKEN, Lines

if TYPE_CHECKING:
    from rich.console import Console


class Screen:
    """Stands in for a console as wide as the terminal, and unbroken where it is none."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        has_width = self._is_terminal or bool(os.environ.get("COLUMNS"))
        self.width = shutil.get_terminal_size().columns if has_width else UNBROKEN

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        return Console(width=self.width, highlight=False, emoji=False)

    def print(self, what: Any = "", *, style: str | None = None, **how: Any) -> None:
        """Print; lines that need neither breaking nor colour go out as they are."""
        if isinstance(what, Lines) and not (style and self._is_terminal):
            sys.stdout.write(f"{what}\n")
        else:
            self._console.print(what, style=style, **how)

    def __getattr__(self, name: str) -> Any:
        """Give everything else that a console can do."""
        return getattr(self._console, name)
