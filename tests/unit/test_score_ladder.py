"""Whatever memory does while batches are scored: each image is scored once, in order, and no device is taken twice."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.unit.score_machines import NO_ROOM, Machine
from watcher.errors import ScoreError
from watcher.score.fitting import Fitting


class Ladder(RuleBasedStateMachine):
    """Memory comes and goes while batches are scored."""

    def __init__(self) -> None:
        super().__init__()
        gc.freeze()  # garbage is collected whenever memory is out, and all that tests have loaded makes that slow

    def teardown(self) -> None:
        gc.unfreeze()

    @initialize(
        rooms=st.lists(st.integers(NO_ROOM, 9), min_size=1, max_size=3),
        cpu=st.integers(NO_ROOM, 9),
        wanted=st.sampled_from(["auto", "auto", "shared", "cuda:0"]),
    )
    def begin(self, rooms: list[int], cpu: int, wanted: str) -> None:
        self.machine = Machine(**{f"cuda{place}": room for place, room in enumerate(rooms)}, cpu=cpu)
        self.wanted = wanted
        self.place = self.machine.place(wanted)
        self.fitting = Fitting(self.machine, self.place)
        self.failed: dict[str, int] = {}
        self.devices = [self.place.device.name]

    @rule(data=st.data(), room=st.integers(NO_ROOM, 9))
    def memory_changes(self, data: st.DataObject, room: int) -> None:
        self.machine.rooms[data.draw(st.sampled_from(sorted(self.machine.rooms)))] = room

    @rule(data=st.data(), busy=st.booleans())
    def a_training_begins_or_ends(self, data: st.DataObject, busy: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.machine.rooms)))
        (self.machine.busy.add if busy else self.machine.busy.discard)(name)

    @rule(number=st.integers(0, 12))
    def a_batch_comes(self, number: int) -> None:
        items = list(range(number))
        seen: list[int] = []

        def look(part: Sequence[int]) -> list[int]:
            device = self.machine.device
            if device != self.devices[-1]:
                assert device not in self.devices, "a device that was left is not come back to"
                self.devices.append(device)
            assert device == self.place.device.name
            assert 1 <= len(part) < self.failed.get(device, 10**6), "what did not fit is not tried again"
            try:
                found = self.machine.look(part)
            except torch.cuda.OutOfMemoryError:
                self.failed[device] = len(part)
                raise
            seen.extend(found)
            return [-one for one in found]

        try:
            found = self.fitting.run(items, look)
        except ScoreError:
            last = self.place.device.name
            assert last == "cpu" or self.wanted == "cuda:0"
            assert self.machine.rooms[last] < 1
            self.begin(list(self.machine.rooms.values())[:-1], 9, self.wanted)  # the worker ends, another begins
        else:
            assert found == [-one for one in items]
            assert seen == items, "every image once, in order"


TestLadder = Ladder.TestCase
TestLadder.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
