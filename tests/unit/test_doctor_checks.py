"""Each check of `watcher doctor` finds what is really amiss, says how to mend it, and touches nothing."""

from __future__ import annotations

import ast
import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.rooms import SOURCES, room, tree
from tests.patients import STOP, Gpus, Ward, only
from watcher.doctor import CHECKS, examine
from watcher.doctor.control import control
from watcher.doctor.events import events
from watcher.doctor.finding import fail, ok, warn
from watcher.doctor.folders import clock, folders
from watcher.doctor.hardware import device, model
from watcher.doctor.outlets import targets, trackers
from watcher.doctor.program import program
from watcher.doctor.state import state
from watcher.record import runs
from watcher.record.store import open_store
from watcher.score import Gpu

GIB = 2**30
FREE = Gpu(index=0, free=70 * GIB, used=0, percent=0, processes=())
TRAINING = Gpu(index=0, free=20 * GIB, used=60 * GIB, percent=99, processes=(4711,))
ROOT = os.geteuid() == 0


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ward:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))  # read from the environment once, at import
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return Ward(tmp_path)


def files(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *folder.rglob("*")]}


def test_a_line_has_its_level_thing_finding_and_way_out() -> None:
    assert str(ok("disk", "well")) == "ok    disk: well"
    assert str(warn("disk", "full", "make room")) == "warn  disk: full; make room"
    assert str(fail("disk", "gone", "plug it in")) == "FAIL  disk: gone; plug it in"


def test_every_check_that_exists_stands_in_the_registry() -> None:
    found = [node for path in SOURCES if room(path) == "doctor" for node in tree(path).body if _is_check(node)]
    defined = {node.name for node in found if isinstance(node, ast.FunctionDef)}
    assert defined == {name for name, _ in CHECKS}
    assert all(name == check.__name__ and check.__doc__ for name, check in CHECKS)


def _is_check(node: ast.stmt) -> bool:
    """Tell whether a function is public, takes a patient alone and gives findings."""
    if not isinstance(node, ast.FunctionDef) or node.name.startswith("_") or node.returns is None:
        return False
    takes = [ast.unparse(one.annotation) for one in node.args.args if one.annotation]
    return takes == ["Patient"] and ast.unparse(node.returns) == "Iterator[Finding]"


def test_a_check_that_fails_itself_is_a_line_and_holds_up_no_other(ward: Ward) -> None:
    ward.run("run")
    patient = ward.patient(offline=True)

    class Torn:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError(f"torn\n{name}")

    patient.rules, patient.__dict__["runs"] = (), Torn()
    found = list(examine(patient))
    assert {name for name, _ in found} == {name for name, _ in CHECKS}
    torn = [one for name, one in found if name == "folders"]
    assert "could not be looked at: " in torn[-1].finding
    assert torn[-1].level == "FAIL"
    assert "\n" not in str(torn[-1])


def test_the_packages_are_there(ward: Ward) -> None:
    found = only(list(program(ward_with_run(ward).patient())))
    assert (found.level, found.finding.split(",")[0][:7]) == ("ok", "Python ")


def ward_with_run(ward: Ward) -> Ward:
    ward.run("run")
    return ward


@pytest.mark.parametrize(
    ("wanted", "gpus", "level", "said"),
    [
        ("auto", Gpus(trouble="Driver Not Loaded"), "ok", "cpu (no GPU: Driver Not Loaded)"),
        ("auto", Gpus(), "ok", "cpu (no GPU)"),
        ("auto", Gpus(FREE), "ok", "cuda:0 (unused, 70 GiB free); GPUs: cuda:0 (75.2 GB free, 0 % busy, 0 processes)"),
        ("auto", Gpus(TRAINING), "ok", "`device: shared` would use it beside the training"),
        ("shared", Gpus(TRAINING), "ok", "cuda:0 (shared, 20 GiB free, 2 GiB of it kept for the training; cuda:0 is"),
        ("auto", Gpus(TRAINING), "ok", "cpu (all GPUs are in use or too full: cuda:0 is used by pid 4711); GPUs: "),
        ("cuda:1", Gpus(FREE), "FAIL", "`device: cuda:1` is set, and the GPUs here are: cuda:0"),
        ("cuda", Gpus(trouble="Driver Not Loaded"), "FAIL", "none (Driver Not Loaded); set `device: auto`"),
        ("cpu", Gpus(FREE), "ok", "cpu (set in the configuration)"),
    ],
)
def test_the_device_is_named_with_its_reason(ward: Ward, wanted: str, gpus: Gpus, level: str, said: str) -> None:
    ward.run("run")
    ward.settings["scorers"]["clip"]["device"] = wanted
    ward.probe = gpus
    found = only(list(device(ward.patient())))
    assert found.level == level
    assert said in str(found)


def test_a_model_that_is_not_there_can_be_fetched_and_the_room_for_it_is_told(ward: Ward) -> None:
    ward.run("run")
    ward.settings["scorers"]["clip"]["model"] = "openai/clip-vit-base-patch32"
    found = only(list(model(ward.patient())))
    assert found.level == "FAIL"
    assert found.finding == "model openai/clip-vit-base-patch32 is not in this user's model cache"
    assert found.fix.startswith("`watcher model fetch openai/clip-vit-base-patch32`: it needs 605 MB, and ")
    ward.settings["scorers"]["clip"]["model"] = "./nowhere"
    gone = only(list(model(ward.patient())))
    assert (gone.level, gone.finding) == ("FAIL", f"model folder {ward.folder}/nowhere: there is no such folder")
    assert "watcher model fetch" not in gone.fix


def test_a_model_that_is_there_is_told_with_its_size(ward: Ward) -> None:
    found = only(list(model(ward_with_run(ward).patient())))
    assert (found.level, "2.88 MB" in found.finding) == ("ok", True)


def test_every_run_and_entry_is_told_and_those_with_trouble_first(ward: Ward) -> None:
    ward.run("well")
    folder = ward.run("silent")
    (folder / "prompts.json").unlink()
    (ward.folder / "strange").mkdir()
    ward.settings["runs"] += [{"path": "strange"}, {"path": "later/*"}]
    found = list(folders(ward.patient()))
    assert [one.level for one in found] == ["warn", "warn", "warn", "ok"]
    later, silent, strange, well = found
    assert later.what == f"{ward.folder}/later/*"
    assert "no prompts are known, so its images are not scored" in silent.finding
    assert "prompts.json" in silent.fix
    assert strange.finding.startswith("no layout: looks like none of ")
    assert "above any glob" in strange.fix
    assert well.finding == "pattern: chosen in the configuration; 8 prompts, 32 images"


def test_many_runs_that_are_well_are_one_line(ward: Ward) -> None:
    for number in range(21):
        ward.run(f"run{number}", steps=1, keys="a")
    assert str(only(list(folders(ward.patient())))) == "ok    folders: 21 runs are well"


@pytest.mark.skipif(ROOT, reason="root may read everything")
def test_a_folder_that_may_not_be_read_fails(ward: Ward) -> None:
    folder = ward.run("run")
    folder.chmod(0)
    try:
        found = only(list(folders(ward.patient())))
        assert (found.level, "may not read it" in found.finding) == ("FAIL", True)
    finally:
        folder.chmod(0o755)


def test_images_from_the_future_show_that_clocks_differ(ward: Ward) -> None:
    folder = ward.run("run")
    assert only(list(clock(ward.patient()))).level == "ok"
    os.utime(folder / "samples" / "400_a.png", (ward.now + 300, ward.now + 300))
    found = only(list(clock(ward.patient())))
    assert found.level == "warn"
    assert "the newest image of run is 5m in the future" in found.finding


def test_file_events_are_tried_out_and_no_run_folder_is_written_into(ward: Ward) -> None:
    before = files(ward.run("run"))
    found = {one.what: one for one in events(ward.patient())}
    assert (found["events"].level, found["events"].finding) == ("ok", "file events arrive")
    assert "2 folders to watch" in found["inotify"].finding or "1 folder to watch" in found["inotify"].finding
    assert files(ward.folder / "run") == before


def test_inotify_watches_in_use_are_counted(ward: Ward) -> None:
    from watcher.discover import Observer
    from watcher.doctor.events import _used

    observer = Observer(lambda _hint: None)
    observer.start()
    try:
        before = _used()
        (ward.folder / "a" / "b" / "c").mkdir(parents=True)
        observer.watch([ward.folder / "a"])
        assert _used() >= before + 3
    finally:
        observer.stop()


def test_a_state_folder_is_told_before_and_after_the_first_start(ward: Ward) -> None:
    ward.run("run")
    first = list(state(ward.patient()))
    assert [one.level for one in first] == ["ok", "ok"]
    assert "is made at the first start" in first[0].finding
    assert "none has run yet" in first[1].finding
    assert not (ward.folder / "state").exists()
    store = open_store(ward.folder / "state")
    with store.change("test") as db:
        runs.set_fact(db, "daemon", {"state": "running", "pid": 1, "host": socket.gethostname(), "created": 1.0}, 1.0)
    store.close()
    second = list(state(ward.patient()))
    assert "can be written" in second[0].finding
    assert (second[1].level, second[1].finding) == ("warn", "process 1 died without a word")
    (ward.folder / "state").chmod(0o755)
    assert "chmod 700" in next(iter(state(ward.patient()))).fix


def test_a_store_of_another_version_fails(ward: Ward) -> None:
    ward.run("run")
    (ward.folder / "state").mkdir(mode=0o700)
    with closing(sqlite3.connect(ward.folder / "state" / "watcher.db")) as link:
        link.execute("CREATE TABLE alembic_version AS SELECT '0000' AS version_num")
        link.commit()
    found = list(state(ward.patient()))[-1]
    assert (found.level, found.what) == ("FAIL", "daemon")
    assert "has version 0000" in found.finding


def test_where_tensorboard_writes_is_told(ward: Ward) -> None:
    ward.run("run")
    ward.settings["trackers"] = {"tensorboard": {}}
    found = only(list(trackers(ward.patient())))
    assert found.level == "ok"
    assert "no writable logging folder of the trainer is known for run" in found.finding
    assert found.fix == f"tensorboard --logdir {ward.folder}/state/tensorboard"
    assert not (ward.folder / "state").exists()


def test_a_target_is_not_sent_to_and_its_trouble_is_told(ward: Ward) -> None:
    ward.run("run")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        url = f"http://127.0.0.1:{port}/x?key=SECRET"
        ward.settings["notify"] = ["log", {"slack": {"url": url, "called": "team"}}]
        log, team = targets(ward.patient())
        assert (log.level, team.level) == ("ok", "ok")
        listener.settimeout(5)
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1) == b""  # it was knocked at, and nothing was said
    _, gone = targets(ward.patient())
    assert gone.level == "warn"
    assert f"127.0.0.1:{port} cannot be reached: Connection refused" in gone.finding
    assert "SECRET" not in str(gone)
    _, unasked = targets(ward.patient(offline=True))
    assert unasked.level == "ok"


def test_a_target_that_failed_before_or_lacks_its_secret_is_told(ward: Ward) -> None:
    ward.run("run")
    ward.settings["notify"] = [{"webhook": {"url": "http://127.0.0.1:9/", "secret_file": "key", "called": "hook"}}]
    found = only(list(targets(ward.patient(offline=True))))
    assert (found.level, found.finding) == ("FAIL", f"its secret_file {ward.folder}/key cannot be read")
    (ward.folder / "key").write_text("k")
    store = open_store(ward.folder / "state")
    with store.change("test") as db:
        runs.set_fact(db, "target:hook", {"state": "disabled", "reason": "404 Not Found"}, 1.0)
    store.close()
    found = only(list(targets(ward.patient(offline=True))))
    assert (found.level, found.finding) == ("warn", "disabled: 404 Not Found")


def test_without_targets_nobody_is_told(ward: Ward) -> None:
    found = only(list(targets(ward_with_run(ward).patient())))
    assert (found.level, found.finding) == ("warn", "none: alerts stand in `watcher status` only")


@pytest.mark.parametrize(("mode", "level"), [("enforce", "warn"), ("observe", "ok")])
def test_a_run_that_rules_may_stop_but_that_no_process_is_known_of_warns(ward: Ward, mode: str, level: str) -> None:
    ward.run("run")
    ward.rules, ward.settings["mode"] = [STOP], mode
    found = only(list(control(ward.patient())))
    assert found.level == level
    assert ("cannot stop: no backend" in found.finding) == (mode == "enforce")
    assert "set `control: " in found.finding


def test_a_run_that_has_been_silent_for_a_day_is_not_looked_for(ward: Ward) -> None:
    folder = ward.run("run")
    for path in (folder / "samples").iterdir():
        os.utime(path, (ward.now - 90000, ward.now - 90000))
    assert "no process was looked for" in only(list(control(ward.patient()))).finding
