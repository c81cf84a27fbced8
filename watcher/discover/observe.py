"""File events as hints: they make the daemon look sooner; what it finds, it finds by scanning."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from watchdog import observers
from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver, ObservedWatch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hint:
    """Something was written here."""

    path: Path
    closed: bool = False
    """Its writer has closed it, or it was moved into place: it should be whole."""


class Observer:
    """Watches folders through the system's file events; folders that cannot be watched are only scanned."""

    def __init__(self, put: Callable[[Hint], None]) -> None:
        self._handler = _Handler(put)
        self._observer: BaseObserver | None = None
        self._watches: dict[Path, ObservedWatch] = {}
        self._refused: set[Path] = set()

    def start(self) -> None:
        """Begin to give hints; where the system has no file events left to give, there are none."""
        try:
            self._observer = observers.Observer()
            self._observer.start()
        except OSError as error:  # fs.inotify.max_user_instances, or this process's limit on open files
            log.warning("no file events (%s); all folders are scanned regularly instead", error.strerror)
            self._observer = None

    def stop(self) -> None:
        """End, and wait for the thread."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def watch(self, folders: Sequence[Path]) -> None:
        """Watch just these folders, with what is below them; those that are not there yet come later."""
        if self._observer is None:
            return
        wanted = {folder for folder in folders if folder.is_dir()}
        for folder in set(self._watches) - wanted:
            self._forget(self._observer, folder)
        for folder in wanted - set(self._watches):
            self._add(self._observer, folder)

    def _add(self, observer: BaseObserver, folder: Path) -> None:
        try:
            self._watches[folder] = observer.schedule(self._handler, str(folder), recursive=True)
        except OSError as error:  # the limit on inotify watches, or a folder that vanished
            if folder not in self._refused:
                log.warning("%s: no file events (%s); it is scanned regularly instead", folder, error)
            self._refused.add(folder)

    def _forget(self, observer: BaseObserver, folder: Path) -> None:
        watch = self._watches.pop(folder)
        try:
            observer.unschedule(watch)
        except (KeyError, OSError) as error:  # its folder, and with it the watch, is gone
            log.debug("%s: %s", folder, error)


class _Handler(FileSystemEventHandler):
    def __init__(self, put: Callable[[Hint], None]) -> None:
        self._put = put

    def on_any_event(self, event: FileSystemEvent) -> None:
        if isinstance(event, FileClosedEvent | FileCreatedEvent | FileMovedEvent):
            closed = not isinstance(event, FileCreatedEvent)
            self._put(Hint(Path(str(event.dest_path or event.src_path)), closed))
