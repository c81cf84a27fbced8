"""Of several programs that would act for a run one does, until it ends or falls silent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.control import lease, protocol
from watcher.control.lease import Lease, holder

TAKES = """
import sys
from watcher.control.lease import Lease
mine = Lease(sys.argv[1], "watcher", "/state")
print(mine.take() is None, flush=True)
sys.stdin.read()
"""


def stored(control: Path) -> list[Path]:
    return sorted((control / lease.LEASES).glob("*.json"), key=lambda one: int(one.stem))


def change(place: Path, **values: object) -> None:
    known = protocol.read_json(str(place))
    assert known is not None
    protocol.write_json(str(place), {**known, **values})


def test_it_is_taken_renewed_and_given_up(tmp_path: Path) -> None:
    mine = Lease(str(tmp_path), "watcher", "/state")
    assert mine.take() is None
    assert (holder(str(tmp_path)) or {})["state"] == "/state"
    first = stored(tmp_path)
    mine.renewed = -lease.RENEWED
    assert mine.take() is None
    assert stored(tmp_path) == first
    mine.give_up()
    assert holder(str(tmp_path)) is None


def test_another_program_has_to_wait_until_it_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKES, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        mine = Lease(str(tmp_path), "watcher", None)
        found = mine.take()
        assert found is not None
        assert lease.said(found) == f"watcher (process {other.pid} on {os.uname().nodename} over /state) acts for it"
        other.communicate()
    assert mine.take() is None


def test_on_another_host_only_silence_tells_that_it_has_ended(tmp_path: Path) -> None:
    Lease(str(tmp_path), "watcher", None).take()
    change(stored(tmp_path)[-1], host="elsewhere")
    mine = Lease(str(tmp_path), "watcher", None)
    assert mine.take() is not None
    change(stored(tmp_path)[-1], renewed_at=time.time() - lease.LASTS - 1)
    assert mine.take() is None


def test_who_was_silent_for_too_long_has_lost_it(tmp_path: Path) -> None:
    slow = Lease(str(tmp_path), "watcher", None)
    slow.take()
    change(stored(tmp_path)[-1], host="elsewhere", renewed_at=0.0)
    slow.mine["host"] = "elsewhere"
    other = Lease(str(tmp_path), "watcher", None)
    assert other.take() is None
    assert slow.take() is not None


def test_of_many_at_once_one_gets_it(tmp_path: Path) -> None:
    everybody = [Lease(str(tmp_path), "watcher", None) for _ in range(16)]
    for number, one in enumerate(everybody):
        one.mine["host"] = f"host-{number}"
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda one: one.take(), everybody))
    assert sum(answer is None for answer in answers) == 1
    assert not list((tmp_path / lease.LEASES).glob(".*"))


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["take", "give_up", "silent"])), max_size=30))
def test_never_do_two_have_it(steps: list[tuple[int, str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        programs = [Lease(folder, "watcher", None) for _ in range(3)]
        for number, one in enumerate(programs):
            one.mine["host"] = f"host-{number}"
        for number, what in steps:
            if what == "take":
                programs[number].take()
            elif what == "give_up":
                programs[number].give_up()
            elif (there := stored(Path(folder))) and holder(folder):
                change(there[-1], renewed_at=0.0)
            believing = [one for one in programs if one.number is not None and one.number == lease._newest(folder)]
            assert len(believing) <= 1


def test_what_is_no_lease_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / lease.LEASES).mkdir()
    (tmp_path / lease.LEASES / "7.json").write_text("nonsense")
    (tmp_path / lease.LEASES / "other.txt").write_text("nonsense")
    assert holder(str(tmp_path)) is None
    assert Lease(str(tmp_path), "watcher", None).take() is None
    assert [one.name for one in stored(tmp_path)][-1] == "8.json"


def test_where_the_control_folder_is_gone_it_is_not_made_anew(tmp_path: Path) -> None:
    mine = Lease(str(tmp_path / "gone"), "watcher", None)
    with pytest.raises(FileNotFoundError):
        mine.take()
    assert not (tmp_path / "gone").exists()
