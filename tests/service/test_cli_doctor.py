"""`watcher doctor` as a user runs it: a line for everything, an exit status, and nothing changed, sent or stopped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.commands import Answer, alone
from tests.patients import STOP, Ward
from tests.service.daemons import Place
from tests.service.trees import Trees, is_living
from watcher.doctor import CHECKS


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


def ask(ward: Ward, *words: object, **environment: str) -> Answer:
    return alone("doctor", "-c", ward.write(), *words, environment={"HOME": str(ward.folder), **environment})


def contents(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_a_sound_setup_has_a_line_for_everything_and_exits_0(ward: Ward) -> None:
    ward.run("run")
    ward.settings["notify"] = ["log"]
    ward.settings["trackers"] = {"tensorboard": {}}
    before = contents(ward.folder / "run")
    answer = ask(ward)
    assert (answer.status, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert all(re.match(r"(ok  |warn)  \S.*: \S", line) for line in lines)
    for said in (
        r"program: Python 3\.\d+\.\d+, torch ",
        r"device: ",
        r"model: .*demo/clip, 2\.88 MB",
        r"speed: [\d.]+ s an image on .*, measured: 8 images of run take [\d.]+ s, and its evaluations come every 60s",
        r"run \(.*/run\): pattern: .*; 8 prompts, 32 images",
        r"events: file events arrive",
        r"state: .*/state is made at the first start",
        r"log: set up; nothing was sent",
        r"control of run: no process of .*/run was found",
    ):
        assert any(re.match(rf"(ok|warn) +{said}", line) for line in lines), (said, answer.out)
    assert contents(ward.folder / "run") == before
    assert not (ward.folder / "state").exists()


def test_what_does_not_work_exits_1_with_the_way_out(ward: Ward) -> None:
    ward.run("run")
    ward.settings["scorers"]["clip"]["model"] = "nobody/nothing"
    answer = ask(ward, "--offline", HF_HUB_CACHE=str(ward.folder / "hub"))
    assert answer.status == 1
    (failed,) = [line for line in answer.out.splitlines() if line.startswith("FAIL")]
    assert failed.startswith("FAIL  model: model nobody/nothing is not in this user's model cache; ")
    assert "`watcher model fetch nobody/nothing`: " in failed


def test_an_unusable_configuration_exits_2_and_nothing_is_looked_at(ward: Ward) -> None:
    ward.run("run")
    ward.settings["mode"] = "enforcing"
    answer = ask(ward)
    assert (answer.status, answer.out) == (2, "")
    assert "mode" in answer.err


def test_programs_get_the_same_as_json(ward: Ward) -> None:
    ward.run("run")
    answer = ask(ward, "--json", "--offline")
    assert (answer.status, answer.json["schema_version"], answer.json["ok"]) == (0, 1, True)
    findings = answer.json["findings"]
    assert {one["check"] for one in findings} == {name for name, _ in CHECKS}
    assert all(one.keys() == {"check", "level", "what", "finding", "fix"} for one in findings)


def test_the_process_of_a_training_is_found_and_lives_on(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        trees.run.rmdir()
        ward = Ward(tmp_path)
        ward.run("run")
        ward.rules, ward.settings["mode"] = [STOP], "enforce"
        ward.now += 60  # what is asked for is whether it could be stopped by images of now
        trees.train("up('trainer'); rest()")
        pid = trees.pid("trainer")
        answer = ask(ward, "--offline")
        (line,) = [line for line in answer.out.splitlines() if "control of run: " in line]
        assert line.startswith(f"ok    control of run: process {pid} (")
        assert line.endswith(f"its settings name {trees.run}; 1 rule may stop it")
        assert is_living(pid)


def test_a_daemon_that_runs_is_told_by_its_process(tmp_path: Path) -> None:
    place = Place(tmp_path, scenes=4)
    place.write(100)
    with place.daemon() as daemon:
        daemon.wait_ready()
        answer = alone("doctor", "-c", place.config, "--offline", environment={"HOME": str(tmp_path)})
        assert f"ok    daemon: runs as process {daemon.pid}\n" in answer.out
        assert "Traceback" not in answer.out + answer.err
        assert daemon.end() == 0
