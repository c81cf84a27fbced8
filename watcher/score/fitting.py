"""As many images at once as memory allows, on a device that has room for one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from watcher.errors import ScoreError
from watcher.score.memory import first_line, free, out_of_memory
from watcher.score.place import Place

Item = TypeVar("Item")
Result = TypeVar("Result")


class Movable(Protocol):
    """A model on a device."""

    device: str

    def to(self, device: str) -> None:
        """Move to another device."""


class Fitting:
    """Halves what goes through a model at once while memory does not suffice, and remembers what did.

    Where there is not even room for one, the model moves to the next device of its place, at last to the CPU. It also
    follows when another model of the same place made it move.
    """

    def __init__(self, model: Movable, place: Place) -> None:
        self._model = model
        self._place = place
        self._fits = sys.maxsize
        """Images that go through the model at once, as far as memory has shown."""

    def run(self, items: Sequence[Item], through: Callable[[Sequence[Item]], Sequence[Result]]) -> list[Result]:
        """Give what `through` makes of all items, in their order.

        Raises:
            ScoreError: there is not even memory for one, and no device after this one; no image is to blame.

        """
        results: list[Result] = []
        while len(results) < len(items):
            self._follow()
            part = items[len(results) :][: self._fits]
            try:
                results += through(part)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if len(part) == 1:
                    self._move("with one image", error)
            else:
                continue
            self._fits = max(1, len(part) // 2)
            free(self._model.device)  # only here is the error gone, whose traceback held the tensors that did not fit
        return results

    def _follow(self) -> None:
        """Bring the model to its place; further on, where there is no room for it.

        Raises:
            ScoreError: there is room nowhere.

        """
        while self._model.device != self._place.device.name:
            left = self._model.device
            try:
                self._model.to(self._place.device.name)
                self._fits = sys.maxsize
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                self._move("with the model", error)
            free(left)

    def _move(self, what: str, error: Exception) -> None:
        """Have the place move on.

        Raises:
            ScoreError: there is no device after this one.

        """
        device = self._place.device.name
        if not self._place.move(f"out of memory {what}"):
            one = what.removeprefix("with ")
            raise ScoreError(f"no memory for {one} on {device}: {first_line(error)}") from error
