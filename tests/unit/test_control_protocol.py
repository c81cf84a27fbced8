"""The files of a control folder are whole, private, and nobody's but the owner's."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from watcher.control import protocol

NOBODY = 65534


def test_a_file_is_private_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "a.json"
    protocol.write_json(str(place), {"a": 1})
    protocol.write_json(str(place), {"a": 2})
    assert protocol.read_json(str(place)) == {"a": 2}
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("value", [{"a": object()}, {"a": float("nan")}])
def test_what_is_no_json_leaves_the_old_file_and_no_rest(tmp_path: Path, value: protocol.Json) -> None:
    place = tmp_path / "a.json"
    protocol.write_json(str(place), {"a": 1})
    with pytest.raises((TypeError, ValueError)):
        protocol.write_json(str(place), value)
    assert protocol.read_json(str(place)) == {"a": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_file_that_must_be_new_is_never_written_over(tmp_path: Path) -> None:
    place = tmp_path / "a.json"
    protocol.create_json(str(place), {"a": 1})
    with pytest.raises(FileExistsError):
        protocol.create_json(str(place), {"a": 2})
    assert protocol.read_json(str(place)) == {"a": 1}
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_failed_write_leaves_no_rest(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        protocol.write_json(str(tmp_path / "a.json"), {})
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", '{"a": "\udcff"}', "[" * 100_000, " " * protocol.LARGEST + "{}"]
)
def test_what_cannot_be_read_is_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text, errors="surrogateescape")
    assert protocol.read_json(str(tmp_path / "a.json")) is None
    assert protocol.read_json(str(tmp_path / "absent.json")) is None


def test_neither_a_fifo_nor_a_link_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    assert protocol.read_json(str(tmp_path / "real.json")) == {}
    for name in ("fifo.json", "link.json"):
        assert protocol.read_json(str(tmp_path / name)) is None
        assert not protocol.owned(str(tmp_path / name))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_not_read(tmp_path: Path) -> None:
    place = tmp_path / "a.json"
    protocol.write_json(str(place), {"a": 1})
    assert protocol.owned(str(place))
    os.chown(place, NOBODY, NOBODY)
    assert not protocol.owned(str(place))
    assert protocol.read_json(str(place)) is None


def test_commands_are_numbered_in_the_order_in_which_they_are_given(tmp_path: Path) -> None:
    given = [protocol.send(str(tmp_path), "launch", "scale_lr", {"factor": 0.5}, reason="low") for _ in range(11)]
    assert given == protocol.numbered(str(tmp_path)) == list(range(1, 12))
    written = json.loads((tmp_path / "commands" / "11.json").read_text())
    assert written.pop("issued_at") > 0
    assert written == {
        "version": 1,
        "id": 11,
        "launch_id": "launch",
        "kind": "scale_lr",
        "args": {"factor": 0.5},
        "reason": "low",
        "expires_after_seconds": 600,
    }
    assert stat.S_IMODE((tmp_path / "commands").stat().st_mode) == 0o700


def test_two_clients_at_once_lose_no_command(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: protocol.send(str(tmp_path), "launch", "checkpoint"), range(40)))
    assert sorted(given) == protocol.numbered(str(tmp_path)) == list(range(1, 41))


def test_what_is_not_numbered_is_no_command(tmp_path: Path) -> None:
    assert protocol.numbered(str(tmp_path)) == []
    (tmp_path / "commands").mkdir()
    for name in ("0.json", "01.json", "-1.json", ".2.json.ab", "x.json", "3.txt", "4.json"):
        (tmp_path / "commands" / name).touch()
    assert protocol.numbered(str(tmp_path)) == [4]


def test_no_command_of_an_unknown_kind_is_given(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are stop, checkpoint"):
        protocol.send(str(tmp_path), "launch", "explode")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["train.py", "--lr", "1e-4"], ["train.py", "--lr", "1e-4"]),
        (["--hub_token", "abc", "--steps", "9"], ["--hub_token", "***", "--steps", "9"]),
        (["--hub_token", "--steps", "9"], ["--hub_token", "--steps", "9"]),
        (["--wandb-api-key=abc", "WANDB_API_KEY=abc"], ["--wandb-api-key=***", "WANDB_API_KEY=***"]),
        (["https://me:pw@host/x", "hf_abcdefghijkl"], ["https://***@host/x", "***"]),
        (["https://hooks.slack.com/services/T/B/x"], ["https://hooks.slack.com/***"]),
    ],
)
def test_secrets_are_hidden_and_the_rest_is_kept_word_by_word(argv: list[str], shown: list[str]) -> None:
    assert protocol.redact(argv) == shown
