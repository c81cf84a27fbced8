"""Webhook, Slack and the log: what arrives at a real server, signed, within limits, and as often as it should."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import queue
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.servers import Answer, Request, Server
from watcher.config import load_config
from watcher.errors import ConfigError, DeliveryError
from watcher.notify import Delivered, Log, NotDelivered, Postman, Slack, Target, Webhook, retry_delay
from watcher.notify.blocks import blocks
from watcher.notify.http import NoticeRefusedError
from watcher.notify.webhook import payload
from watcher.nouns import Notice

NOW = 1_700_000_000.5
PATIENCE = 60.0
NOTICE = Notice(
    key="run1:low:1:100:firing",
    severity="critical",
    title="flux: low at step 100",
    text="clip/mean 0.18 < 0.22",
    run="flux",
    rule="low",
    at=1_700_000_000.0,
    facts={"step": 100, "numbers": {"clip/mean": 0.18}},
)
TEXTS = st.text(alphabet=st.one_of(st.characters(), st.sampled_from("&<>🚨\ud800\n")), max_size=9000)


def signature_of(request: Request, key: bytes) -> str:
    signed = request.headers["X-Watcher-Timestamp"].encode() + b"." + request.body
    return "sha256=" + hmac.new(key, signed, hashlib.sha256).hexdigest()


def test_the_webhook_body_is_the_notice_with_a_schema_version() -> None:
    with Server() as server:
        Webhook(url=server.url()).send(NOTICE, NOW)
    (request,) = server.heard
    assert request.json == {
        "schema_version": 1,
        "key": "run1:low:1:100:firing",
        "severity": "critical",
        "title": "flux: low at step 100",
        "text": "clip/mean 0.18 < 0.22",
        "run": "flux",
        "rule": "low",
        "kind": "alert",
        "at": 1_700_000_000.0,
        "facts": {"step": 100, "numbers": {"clip/mean": 0.18}},
    }
    assert request.headers["Content-Type"] == "application/json"
    assert "X-Watcher-Signature" not in request.headers


def test_every_try_has_the_same_key_and_body_and_a_timestamp_and_signature_of_its_own() -> None:
    with Server(Answer(500), Answer(200)) as server:
        target = Webhook(url=server.url(), secret="sesame")
        with pytest.raises(DeliveryError):
            target.send(NOTICE, NOW)
        target.send(NOTICE, NOW + 60)
    first, second = server.heard
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] == NOTICE.key
    assert first.body == second.body
    assert [one.headers["X-Watcher-Timestamp"] for one in (first, second)] == ["1700000000", "1700000060"]
    assert [one.headers["X-Watcher-Signature"] for one in (first, second)] == [
        signature_of(one, b"sesame") for one in (first, second)
    ]


def test_the_key_of_a_signature_may_be_exchanged_in_its_file_while_running(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with Server() as server:
        target = Webhook(url=server.url(), secret_file=file)
        for key in (b"old", b"new"):
            file.write_bytes(key + b"\n")
            target.send(NOTICE, NOW)
    assert [one.headers["X-Watcher-Signature"] for one in server.heard] == [
        signature_of(one, key) for one, key in zip(server.heard, (b"old", b"new"), strict=True)
    ]


@pytest.mark.parametrize("content", [None, b"", b" \n"])
def test_nothing_is_sent_unsigned_when_the_key_file_is_missing_or_empty(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with Server() as server, pytest.raises(DeliveryError, match="secret_file") as caught:
        Webhook(url=server.url(), secret_file=file).send(NOTICE, NOW)
    assert not caught.value.permanent
    assert not server.heard


def test_a_server_that_repeats_the_signing_key_does_not_get_it_into_the_error() -> None:
    with Server(Answer(403, "wrong key: sesame")) as server, pytest.raises(DeliveryError) as caught:
        Webhook(url=server.url(), secret="sesame").send(NOTICE, NOW)
    assert str(caught.value) == "answered 403"


@given(st.text(max_size=30))
def test_any_notice_becomes_json(text: str) -> None:
    facts = {"bad": [float("nan"), float("inf")], "text": text + "\udcff"}
    notice = replace(NOTICE, text=text, facts=facts)
    body = json.dumps(payload(notice), allow_nan=False)
    assert json.loads(body)["facts"]["bad"] == [None, None]


def test_a_key_beyond_ascii_still_arrives() -> None:
    notice = replace(NOTICE, key="größe:\udcff 100%:firing\n")
    with Server() as server:
        Webhook(url=server.url()).send(notice, NOW)
    assert server.heard[0].headers["Idempotency-Key"] == "gr%C3%B6%C3%9Fe:? 100%25:firing%0A"


def test_a_resolved_notice_looks_like_good_news_whatever_its_severity(caplog: pytest.LogCaptureFixture) -> None:
    good = replace(NOTICE, kind="resolved")
    assert blocks(good)[0]["text"]["text"].startswith("✅")
    with caplog.at_level(logging.INFO, "watcher.notice"):
        Log().send(good, NOW)
        Log().send(NOTICE, NOW)
    assert [record.levelname for record in caplog.records] == ["INFO", "CRITICAL"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(404, "no_service"), DeliveryError),
        (Answer(400, "invalid_blocks"), NoticeRefusedError),
        (Answer(429, "rate_limited", {"Retry-After": "30"}), DeliveryError),
    ],
)
def test_slacks_error_words_reach_the_reason(answer: Answer, kind: type[DeliveryError]) -> None:
    with Server(answer) as server, pytest.raises(kind, match=answer.body) as caught:
        Slack(url=server.url()).send(NOTICE, NOW)
    assert caught.value.retry_after == (30.0 if answer.status == 429 else None)


class Broken(Log):
    """A target with a bug whose error text holds a secret."""

    def send(self, notice: Notice, now: float) -> None:
        raise KeyError("https://hooks.example.org/kEy")


def test_a_targets_bug_is_a_failure_to_deliver_that_says_where_but_not_what() -> None:
    (outcome,) = delivered_by([Broken()])
    assert outcome == NotDelivered(1, f"a bug: KeyError in send, line {outcome.reason.split()[-1]}", permanent=False)


def delivered_by(targets: list[Target]) -> list[Any]:
    told: queue.SimpleQueue[Delivered | NotDelivered] = queue.SimpleQueue()
    postman = Postman(targets, told.put, lambda: NOW)
    for place in range(len(targets)):
        postman.send(place + 1, place, NOTICE)
    try:
        return [told.get(timeout=PATIENCE) for _ in targets]
    finally:
        postman.close()


def test_a_target_that_hangs_keeps_no_other_waiting() -> None:
    with Server(Answer(manner="hang")) as deaf, Server() as good:
        targets: list[Target] = [Webhook(url=deaf.url(), timeout="30s"), Webhook(url=good.url())]
        told: queue.SimpleQueue[Delivered | NotDelivered] = queue.SimpleQueue()
        postman = Postman(targets, told.put, lambda: NOW)
        for number in range(10):
            postman.send(number, 0, NOTICE)
        postman.send(99, 1, NOTICE)
        assert told.get(timeout=PATIENCE) == Delivered(99)
        assert len(deaf.heard) <= 1
        deaf.ending.set()
        postman.close()


def test_outcomes_tell_permanent_refused_and_retry_after_apart() -> None:
    answers = (Answer(404, ""), Answer(400), Answer(503, "", {"Retry-After": "9"}), Answer(200))
    servers = [Server(answer) for answer in answers]
    for server in servers:
        server.__enter__()
    try:
        outcomes = delivered_by([Webhook(url=server.url()) for server in servers])
    finally:
        for server in servers:
            server.__exit__(None, None, None)
    assert sorted(outcomes, key=lambda one: int(one.delivery_id)) == [
        NotDelivered(1, "answered 404", permanent=True),
        NotDelivered(2, "answered 400: ok", permanent=True, refused=True),
        NotDelivered(3, "answered 503", permanent=False, retry_after=9.0),
        Delivered(4),
    ]


@given(st.integers(1, 10_000), st.none() | st.floats(0, 86400))
def test_the_wait_grows_to_ten_minutes_and_is_never_shorter_than_asked(failures: int, asked: float | None) -> None:
    wait = retry_delay(failures, asked)
    assert wait >= retry_delay(max(1, failures - 1), asked) >= 5.0
    assert wait >= (asked or 0.0)
    assert wait <= max(600.0, asked or 0.0)


def test_waits_double() -> None:
    assert [retry_delay(n, None) for n in (1, 2, 3, 4, 8, 9, 1000)] == [5.0, 10.0, 20.0, 40.0, 600.0, 600.0, 600.0]


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "https://h/x", "secret": "a", "secret_file": "b"},
        {"url": "https://h/x", "secret": " "},
        {"url": "ftp://h/kEy"},
        {"url": "https://h/x", "timeout": "0s"},
        {},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Webhook.model_validate(settings)


@pytest.mark.parametrize("entry", [{"webhook": {"url": "kEyOfHook"}}, {"slack": {"url": ["kEyOfHook"]}}])
def test_a_fault_of_the_configuration_does_not_show_the_url(tmp_path: Path, entry: Any) -> None:
    (tmp_path / "watcher.yaml").write_text(yaml.safe_dump({"runs": [{"path": "a"}], "notify": [entry]}))
    with pytest.raises(ConfigError, match="url") as caught:
        load_config(tmp_path / "watcher.yaml")
    assert "kEyOfHook" not in str(caught.value)


def test_neither_label_nor_repr_of_a_target_shows_a_secret() -> None:
    target = Webhook(url="https://user:kEyA@h.example/kEyB?t=kEyC", secret="kEyD")
    assert target.label() == "webhook https://h.example/..."
    assert "kEy" not in f"{target!r} {target} {target.label()} {target.mark()} {target.model_dump()}"
    assert Slack(url="https://h/kEyA", called="team").label() == "team"
