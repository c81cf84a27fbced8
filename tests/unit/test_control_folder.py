"""Where the control folder of a run is, who may see it, and what is never used as one."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from watcher.control import proc
from watcher.control.folder import beside, is_busy, place, state_name
from watcher.control.start import LaunchError

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")


def unused() -> str:
    raise AssertionError("the state folder is not needed")


def state(folder: Path) -> Callable[[], str]:
    return lambda: str(folder / "state")


def test_it_is_a_private_sibling_of_the_runs_folder_which_stays_as_it_is(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "flux"
    found = place(str(run), "id", unused)
    assert found == (str(tmp_path / "runs" / ".watcher" / "flux"), str(run), "")
    assert stat.S_IMODE(Path(found.path).stat().st_mode) == 0o700
    assert not run.exists()
    assert place(str(run), "other", unused) == found


def test_every_path_to_a_run_leads_to_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "disk" / "flux").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "flux")
    expected = tmp_path / "disk" / ".watcher" / "flux"
    for run in (tmp_path / "link", tmp_path / "disk" / "flux", f"{tmp_path}/disk/./flux/", f"{tmp_path}/x/../link"):
        assert place(str(run), "id", unused).path == beside(str(run)) == str(expected)


def test_where_new_folders_are_the_groups_it_is_private_all_the_same(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        found = place(str(tmp_path / "flux"), "id", unused)
    finally:
        os.umask(before)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (Path(found.path), Path(found.path).parent)] == [0o700, 0o755]


def test_a_run_whose_folder_is_not_known_has_one_by_its_launch(tmp_path: Path) -> None:
    found = place(None, "id", state(tmp_path))
    assert found == (str(tmp_path / "state" / "control" / "id"), None, "the run's folder is not known")
    assert stat.S_IMODE(Path(found.path).stat().st_mode) == 0o700


def test_where_there_can_be_none_beside_the_run_it_is_in_the_state_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = tmp_path / "file" / "flux"
    found = place(str(run), "id", state(tmp_path))
    assert found.path == str(tmp_path / "state" / "control" / state_name(str(run)))
    assert found.run == str(run)
    assert "file" in found.why
    other = place(str(tmp_path / "file" / "x" / "flux"), "id", state(tmp_path))
    assert other.path != found.path, "two runs of one name have a folder each"


def test_the_root_of_the_file_system_has_no_sibling(tmp_path: Path) -> None:
    assert place("/", "id", state(tmp_path)).why == "the run's folder has no parent"


def test_a_folder_that_others_may_change_holds_none(tmp_path: Path) -> None:
    (tmp_path / ".watcher").mkdir()
    (tmp_path / ".watcher").chmod(0o777)
    found = place(str(tmp_path / "flux"), "id", state(tmp_path))
    assert found.why == f"others may change {tmp_path / '.watcher'}"
    assert not list((tmp_path / ".watcher").iterdir())
    (tmp_path / ".watcher").chmod(0o1777)  # as /tmp: nobody can replace what is another's
    assert place(str(tmp_path / "flux"), "id", unused).path == str(tmp_path / ".watcher" / "flux")


@root_only
def test_a_folder_of_somebody_else_holds_none(tmp_path: Path) -> None:
    (tmp_path / ".watcher").mkdir()
    os.chown(tmp_path / ".watcher", 12345, 12345)
    assert "others may change" in place(str(tmp_path / "flux"), "id", state(tmp_path)).why


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
def test_one_that_is_open_to_others_is_refused_with_the_way_out(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / ".watcher" / "flux"
    folder.mkdir(parents=True)
    folder.chmod(mode)
    with pytest.raises(LaunchError, match=rf"{folder} is open to others; `chmod 700` it") as refused:
        place(str(tmp_path / "flux"), "id", unused)
    assert refused.value.status == 2
    assert stat.S_IMODE(folder.stat().st_mode) == mode


@root_only
def test_one_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / ".watcher" / "flux"
    folder.mkdir(parents=True, mode=0o700)
    os.chown(folder, 12345, 12345)
    with pytest.raises(LaunchError, match="belongs to user 12345, this is user 0"):
        place(str(tmp_path / "flux"), "id", unused)


def test_a_link_or_a_file_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / ".watcher").mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / ".watcher" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".watcher" / "file").write_text("")
    for name in ("linked", "file"):
        with pytest.raises(LaunchError, match="is no folder; move it away"):
            place(str(tmp_path / name), "id", unused)


def test_none_anywhere_is_said_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(LaunchError, match=r"no control folder can be made: .*state.*`--config`"):
        place(None, "id", state(tmp_path))


def recorded(control: Path, **facts: object) -> None:
    mine = proc.read(os.getpid())
    assert mine is not None
    known = {
        "boot_id": proc.boot_id(),
        "pid_namespace": proc.pid_namespace(),
        "pid": mine.pid,
        "start_time": mine.start,
    }
    (control / "launch.json").write_text(json.dumps({**known, **facts}))


def test_a_launch_that_still_runs_keeps_its_folder_and_another_one_gets_its_own(tmp_path: Path) -> None:
    first = place(str(tmp_path / "flux"), "first", unused)
    recorded(Path(first.path))
    assert is_busy(first.path)
    second = place(str(tmp_path / "flux"), "second", state(tmp_path))
    assert second.path == str(tmp_path / "state" / "control" / "second")
    assert second.why == "another launch trains into the run's folder"


@pytest.mark.parametrize(
    "facts", [{"start_time": 1}, {"pid": 0}, {"pid": None}, {"boot_id": "x"}, {"pid_namespace": "x"}]
)
def test_a_launch_that_is_over_or_elsewhere_keeps_nothing(tmp_path: Path, facts: dict[str, object]) -> None:
    first = place(str(tmp_path / "flux"), "first", unused)
    recorded(Path(first.path), **facts)
    assert place(str(tmp_path / "flux"), "second", unused) == first
