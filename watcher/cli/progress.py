"""How far a long command is: a bar with rate and time left on a terminal, nothing anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from watcher.clock import span


class Progress:
    """Remembers how much is done; shows it where standard error is a terminal."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self._show: Callable[[], None] = lambda: None
        self._since = 0.0
        self._before = 0

    def __call__(self, done: int, total: int) -> None:
        """Note how many of how many are done."""
        if done and not self._before:  # the first batch took the loading of the model as well
            self._since, self._before = time.monotonic(), done
        self.done, self.total = done, total
        self._show()

    @property
    def pace(self) -> str:
        """Say how fast it goes, and how long it will take."""
        seconds = time.monotonic() - self._since
        rate = (self.done - self._before) / seconds if self._before and seconds > 0 else 0.0
        if not rate:
            return "" if self.done else "loading the model"
        return f"{rate:.1f} images/s, {span(round((self.total - self.done) / rate))} left"

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it while a block runs, and clear it away in the end."""
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("looking for pictures", total=None)
            self._show = lambda: bar.update(task, completed=self.done, total=self.total, description=self.pace)
            try:
                yield
            finally:
                self._show = lambda: None
