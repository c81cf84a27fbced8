"""The commands as processes: pipes, terminals, signals, a daemon that lives or was killed."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands import PATIENCE, alone, command, here
from tests.service.daemons import Place
from tests.worlds import KEYS, World


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two evaluations and a picture that has no prompt: there is something to say."""
    world = World(tmp_path_factory.mktemp("watchéd"), "version: 1\nrules: []\n")
    for step in (100, 200):
        world.evaluation(step, 0.2)
    world.put(300, {"stranger": 0.1})
    world.go()
    world.end()
    return world.folder / "watcher.yaml"


@pytest.mark.parametrize("question", [["status"], ["show", "run", "--json"], ["--help"]])
def test_a_reader_that_has_seen_enough_brings_no_traceback(config: Path, question: list[str]) -> None:
    words = [*question, *([] if question == ["--help"] else ["-c", str(config)])]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            command(*words), stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("question", [["status"], ["status", "--json"]])
def test_a_full_disk_behind_the_output_is_said_in_one_line(config: Path, question: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        words = command(*question, "-c", config)
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr.endswith("No space left on device\n")
    assert done.stderr.count("\n") == 1


def test_a_closed_standard_output_is_no_error(config: Path) -> None:
    script = f"exec {sys.executable} -m watcher status -c '{config}' >&-"
    done = subprocess.run(["sh", "-c", script], stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_output_that_cannot_hold_the_signs_gets_them_spelled_out(config: Path) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    answer = alone("status", "-c", config, environment=ascii_only)
    assert answer.status == 0
    assert r"\xb1" in answer.out


def test_json_is_the_same_whatever_the_output_can_hold(config: Path) -> None:
    plain, limited = (
        alone("show", "run", "--json", "-c", config, environment={"PYTHONUTF8": "0", "PYTHONIOENCODING": encoding})
        for encoding in ("utf-8", "ascii")
    )
    assert plain.json == limited.json
    assert "é" in plain.out
    assert limited.out.isascii()


@contextmanager
def terminal(words: list[str], environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a command on a terminal of its own; gives the process and what reads the terminal."""
    main, its = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    with subprocess.Popen(words, stdin=its, stdout=its, stderr=its, env={**clean, **environment}) as process:
        os.close(its)
        try:
            yield process, main
        finally:
            process.kill()
            os.close(main)


def read(main: int) -> bytes:
    """Give what was written next; nothing at the end."""
    assert select.select([main], [], [], PATIENCE)[0], "nothing was written for a long time"
    try:
        return os.read(main, 4096)
    except OSError:  # how a terminal ends when nobody holds its other end
        return b""


def in_terminal(words: list[str], environment: dict[str, str]) -> str:
    """Give all that a command writes to a terminal; it has to succeed."""
    with terminal(words, environment) as (process, main):
        shown = b"".join(iter(lambda: read(main), b""))
        assert process.wait(PATIENCE) == 0
    return shown.decode()


def test_a_terminal_shows_colour_unless_no_color_is_set(config: Path) -> None:
    words = command("status", "-c", config)
    assert "\x1b[33m" in in_terminal(words, {"TERM": "xterm"})
    assert "\x1b[3" not in in_terminal(words, {"TERM": "xterm", "NO_COLOR": "1"})


@pytest.mark.parametrize("width", [40, 200])
def test_no_width_of_a_terminal_hides_anything(config: Path, width: int) -> None:
    shown = in_terminal(command("status", "-c", config), {"TERM": "xterm", "COLUMNS": str(width)})
    assert all(word in "".join(shown.split()) for word in ("run", "pattern", "observe", "±", "1unscorable"))
    lines = [line for line in shown.splitlines() if "pattern" in line]
    assert len(lines) == 1
    assert ("observe" in lines[0]) == (width == 200)


def test_without_a_terminal_every_run_is_one_line(config: Path) -> None:
    lines = alone("status", "-c", config, environment={"COLUMNS": ""}).out.splitlines()
    (row,) = [line for line in lines if line.startswith("run ") and "layout" not in line]
    assert row.split()[:4] == ["run", "pattern", "observe", "200"]
    shown = alone("show", "run", "--step", 200, "-c", config, environment={"COLUMNS": ""}).out
    assert shown.count("a thing") == len(KEYS)


def test_watching_in_a_terminal_begins_with_a_clear_screen_each_time(config: Path) -> None:
    with terminal(command("status", "--watch", "-c", config), {"TERM": "xterm"}) as (process, main):
        shown = b""
        while shown.count(b"clip/mean") < 2:
            shown += (part := read(main))
            assert part, shown.decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    assert shown.count(b"\x1b[2J") == 2
    assert b"Traceback" not in shown


@pytest.fixture
def watching(config: Path) -> Iterator[subprocess.Popen[str]]:
    words = command("status", "--watch", "--json", "-c", config)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_watching_goes_on_with_a_document_a_line_until_it_is_interrupted(watching: subprocess.Popen[str]) -> None:
    assert watching.stdout is not None
    for _ in range(2):
        assert json.loads(watching.stdout.readline())["schema_version"] == 1
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=PATIENCE)
    assert (watching.returncode, errors) == (130, "")


def test_status_knows_a_living_daemon_from_one_that_ended_and_one_that_was_killed(tmp_path: Path) -> None:
    place = Place(tmp_path, scenes=1)

    def told() -> tuple[str, str]:
        found = here("status", "--json", "-c", place.config).json["daemon"]["state"]
        lines = here("status", "-c", place.config).out.splitlines()
        return found, next((line for line in lines if line.startswith("daemon: ")), "")

    with place.daemon() as daemon:
        daemon.wait_ready()
        assert told() == ("running", "")
        assert daemon.end() == 0
        assert told() == ("stopped", "daemon: stopped; start it with `watcher run` or its service")
    with place.daemon() as daemon:
        daemon.wait_ready()
        daemon.kill()
        died = f"daemon: pid {daemon.pid} died without a word (killed?); start it again, it goes on from where it was"
        assert told() == ("died", died)


def test_a_configuration_that_cannot_be_used_stops_the_daemon_with_2_and_no_traceback(tmp_path: Path) -> None:
    place = Place(tmp_path, scenes=1, mood="x", rules=["nope.yaml"])
    answer = alone("run", "-c", place.config)
    assert (answer.status, answer.out) == (2, "")
    assert len(answer.err.splitlines()) == 2
    assert "mood: unknown key" in answer.err
    assert "no file matches 'nope.yaml'" in answer.err
