"""SimpleTuner's server and signals: whom they are for, what is asked once, and what costs no stop."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.controlled import until
from tests.service.daemons import wait_for
from tests.service.natives import KEY, Native, ask, ask_again
from tests.service.trees import Stop, Trees
from watcher.act import CommandBackend, NativeBackend, ProcessBackend


def served(trees: Trees) -> Native:
    native = Native(trees, "server")
    native.start()
    return native


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"status": "idle", "job_id": None, "config": {}}, "runs no training (it is idle)"),
        ({"status": "completed", "job_id": "7", "config": {}}, "runs no training (it is completed)"),
        ({"status": "running", "job_id": "7", "config": {"--output_dir": "/else/where"}}, "trains into /else/where"),
        ({"status": "running", "job_id": "7", "config": {}}, "a folder that it does not tell"),
        ({"status": "running", "job_id": "7", "config": []}, "a folder that it does not tell"),
        ([], "is no server of SimpleTuner"),
    ],
)
def test_a_server_that_runs_something_else_is_not_asked(tmp_path: Path, status: object, words: str) -> None:
    with Trees(tmp_path) as trees:
        native = served(trees)
        assert native.server
        native.server.status = status
        act = native.act("checkpoint")
        assert act.step() == "failed"
        assert words in act.proof
        assert native.asked() == []
        native.close()


def test_a_folder_is_meant_as_the_job_sees_it(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = served(trees)
        assert native.server
        native.server.status["config"] = {"output_dir": "run"}  # the trainer works in the folder above
        act = native.act("checkpoint")
        ask(act)
        assert native.asked() == ["save"]
        native.close()


def test_a_job_that_follows_is_neither_saved_nor_ended(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = served(trees)
        assert native.server
        act = native.act("stop", save="wait")
        ask(act)
        native.server.status["job_id"] = "8"
        native.saves(act)
        assert act.step() == "failed"
        assert "runs job 8 now, not 7" in act.proof
        assert native.asked() == ["save"]
        native.close()


def test_a_server_refuses_a_wrong_key_which_is_never_told(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = served(trees)
        act = native.act("checkpoint")
        act.backend = native.backend.model_copy(update={"key": None})
        assert act.step() == "failed"
        assert "it wants a `key` (401)" in act.proof
        act = native.act("checkpoint")
        ask(act)
        assert KEY not in json.dumps([act.command.identity, act.command.progress, act.proof])
        native.close()


def test_a_server_that_does_not_answer_costs_no_stop(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = served(trees)
        native.close()
        act = native.act("stop", ProcessBackend(), save="no")
        act.until("verified")
        assert "SIGTERM" in act.proof


def test_a_server_with_a_fault_just_now_is_asked_again(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = served(trees)
        assert native.server
        act = native.act("checkpoint")
        act.go("acknowledged")
        native.server.refuses = 503
        act.step()
        act.step()
        assert "answers 503; it is asked again" in act.proof
        native.server.refuses = 0
        ask_again(act)
        until(lambda: native.asked() == ["save"], "the request")
        native.close()


def test_no_process_gets_a_signal_that_it_does_not_catch(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "signal")
        trees.train("up('trainer'); rest()")
        trees.pid("trainer")
        act = native.act("checkpoint")
        assert act.step() == "failed"
        assert "none of its processes catches SIGUSR1" in act.proof
        assert trees.lives("trainer")


def test_a_worker_beside_a_trainer_that_is_signalled_lives_on(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "signal")
        native.start()
        act = native.act("checkpoint")
        ask(act)
        until(lambda: native.asked() == ["save"], "the request")
        assert f"SIGUSR1 to {trees.pid('trainer')}" in act.command.progress["sent"][0]
        assert trees.lives("worker")


def test_an_address_leads_to_the_server_whatever_the_layout_is(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = served(trees)
        act = native.act("checkpoint")
        act.backend = native.backend.of("")
        ask(act)
        assert native.asked() == ["save"]
        native.close()


def test_a_request_without_an_answer_is_not_made_again(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = served(trees)
        assert native.server
        native.server.breaks = True
        act = native.act("checkpoint")
        ask(act)
        ask_again(act)
        assert native.asked() == ["save"]
        native.saves(act)
        assert act.step() == "verified"
        native.close()


def test_a_server_that_is_gone_once_it_has_saved_leaves_the_end_to_others(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = served(trees)
        act = native.act("stop", ProcessBackend(), save="wait", wait=3600.0)
        ask(act)
        native.saves(act)
        native.close()
        assert act.step() == "acknowledged"
        assert "is asked again" in act.proof
        assert act.step(121) == "rechecked"
        act.until("verified")
        assert "SIGTERM" in act.proof


def test_a_row_that_is_gone_ends_the_waiting(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = Native(trees, "ai-toolkit")
        native.start(DEAF="1")
        act = native.act("checkpoint")
        ask(act)
        with sqlite3.connect(native.database) as database:
            database.execute("DELETE FROM Job WHERE id = '7'")
        assert act.step() == "failed"
        assert "has no job 7" in act.proof


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "http://user:pw@127.0.0.1:8001"},
        {"url": "http://127.0.0.1:8001/?api_key=x"},
        {"url": "http://127.0.0.1:8001", "key": " "},
        {"url": "http://127.0.0.1:8001", "key": "st_\u00e9"},
        {"url": "http://127.0.0.1:8001", "signal": "SIGUSR1"},
        {"key": "st_x"},
    ],
)
def test_settings_that_are_none_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"give|no API key"):
        NativeBackend.model_validate(settings)


def test_a_key_is_taken_without_the_space_around_it() -> None:
    backend = NativeBackend.model_validate({"url": "http://127.0.0.1:8001", "key": "st_x\n"})
    assert backend.key
    assert backend.key.get_secret_value() == "st_x"


def test_what_is_asked_after_another_backend_has_failed_is_asked_anew(tmp_path: Path) -> None:
    with Trees(tmp_path) as trees:
        native = served(trees)
        first = CommandBackend(checkpoint=("/bin/false",))
        act = Stop(trees.run, first, kind="checkpoint", then=[native.backend])
        wait_for(lambda: act.step() == "acknowledged" and native.asked() == ["save"], "the request")
        native.saves(act)
        assert act.step() == "verified"
        assert "Before that command had failed" in act.proof
        native.close()
