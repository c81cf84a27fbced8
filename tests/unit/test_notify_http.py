"""One POST: what arrives, what each answer means, how long it may take, and that it never tells the URL."""

from __future__ import annotations

import logging
import shutil
import socket
import threading
import time
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.servers import Answer, Manner, Request, Server, certificate, tls_context
from watcher.errors import DeliveryError
from watcher.notify import http
from watcher.notify.http import NoticeRefusedError, checked_url, retry_after, shown_host, shown_text

NOW = 1_700_000_000.0
SECRET = "/services/T0001/B0002/kEyOfThisHook"
PATIENT = 60.0


def post(url: str, timeout: float = PATIENT) -> None:
    http.post(url, b'{"a": 1}', {"Content-Type": "application/json"}, timeout=timeout, now=NOW)


def failure(url: str, timeout: float = PATIENT) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        post(url, timeout)
    return caught.value


def tried(url: str) -> DeliveryError | None:
    try:
        post(url)
    except DeliveryError as error:
        return error
    return None


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_2xx_is_a_success_and_the_body_arrives_once(status: int) -> None:
    with Server(Answer(status, "")) as server:
        post(server.url())
    (request,) = server.heard
    assert (request.method, request.path, request.body) == ("POST", "/hook", b'{"a": 1}')
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_answers_that_may_heal_are_tried_again(status: int) -> None:
    with Server(Answer(status, "busy", {"Retry-After": "7"})) as server:
        error = failure(server.url())
    assert (error.permanent, error.retry_after) == (False, 7.0)
    assert str(error) == f"answered {status}: busy"


@pytest.mark.parametrize("status", [401, 403, 404, 405, 410, 451])
def test_answers_that_never_heal_are_permanent(status: int) -> None:
    with Server(Answer(status, "no_service")) as server:
        error = failure(server.url())
    assert error.permanent
    assert not isinstance(error, NoticeRefusedError)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_answers_that_blame_the_notice_do_not_condemn_the_target(status: int) -> None:
    with Server(Answer(status, "invalid_blocks")) as server:
        error = failure(server.url())
    assert isinstance(error, NoticeRefusedError)
    assert error.permanent


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_not_taken_for_a_delivery(status: int) -> None:
    with Server(Answer(200)) as elsewhere, Server(Answer(status, "", {"Location": elsewhere.url("/login")})) as server:
        error = failure(server.url())
    assert error.permanent
    assert f"answered {status}" in str(error)
    assert not elsewhere.heard


def test_nobody_listening_is_no_permanent_failure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        error = failure(f"http://127.0.0.1:{taken.getsockname()[1]}{SECRET}")
    assert not error.permanent
    assert "cannot be reached" in str(error)


@pytest.mark.parametrize("manner", ["hang", "drip"])
def test_a_server_that_never_ends_its_answer_is_left_after_the_timeout(manner: Manner) -> None:
    with Server(Answer(manner=manner)) as server:
        started = time.monotonic()
        error = failure(server.url(), timeout=0.5)
        assert time.monotonic() - started < PATIENT
    assert not error.permanent
    assert str(error) == "no answer within 0.5 s"


def test_a_server_that_closes_without_an_answer_is_tried_again() -> None:
    with Server(Answer(manner="drop")) as server:
        error = failure(server.url())
    assert not error.permanent


def test_an_answer_torn_after_its_2xx_has_been_delivered() -> None:
    with Server(Answer(200, manner="cut")) as server:
        post(server.url())


def test_an_error_torn_in_its_body_still_says_its_status() -> None:
    with Server(Answer(503, "overloa", manner="cut")) as server:
        error = failure(server.url())
    assert str(error) == "answered 503: overloa"


@pytest.mark.parametrize("status", [200, 500])
def test_an_endless_body_is_not_waited_for(status: int) -> None:
    with Server(Answer(status, "x" * 500, manner="endless")) as server:
        if status == 200:
            post(server.url())
        else:
            assert str(failure(server.url())).startswith("answered 500: xxx")


def test_a_broken_certificate_is_told_and_tried_again(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    with Server(tls=tls_context(*certificate(tmp_path))) as server:
        error = failure(server.url(SECRET))
    assert not error.permanent
    assert "certificate" in str(error).lower()
    assert not server.heard


def test_a_certificate_of_the_users_own_authority_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    made, key = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    with Server(tls=tls_context(made, key)) as server:
        post(server.url())
    assert len(server.heard) == 1


def test_the_environments_proxy_is_used_but_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as proxy, Server() as server:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        post(server.url())
        post("http://receiver.invalid/hook")
    assert [request.path for request in server.heard] == ["/hook"]
    assert [request.path for request in proxy.heard] == ["http://receiver.invalid/hook"]


def _echo(request: Request) -> Answer:
    return Answer(404, f"Cannot {request.method} {request.path}")


@pytest.mark.parametrize("answer", [_echo, Answer(500, "the key kEyOfThisHook is unknown"), Answer(302), Answer(200)])
def test_the_url_stands_in_no_error_and_no_log(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Server(answer) as server:
        error = tried(server.url(SECRET + "?token=hush%2Dhush"))
    text = caplog.text + "".join(traceback.format_exception(error) if error else [])
    assert len(server.heard) == 1
    assert not [part for part in ("services", "kEyOfThisHook", "T0001", "token", "hush-hush") if part in text]


def test_a_url_that_cannot_be_used_is_permanent_and_not_shown() -> None:
    error = failure("http://127.0.0.1:1/kEyOfThisHook\x00")
    assert error.permanent
    assert "kEyOfThisHook" not in str(error)


def test_no_thread_is_left_behind_by_a_post() -> None:
    before = set(threading.enumerate())
    with Server(Answer(manner="hang")) as server:
        failure(server.url(), timeout=0.2)
    assert set(threading.enumerate()) <= before


@given(st.text(max_size=40))
def test_retry_after_is_a_time_within_a_day_or_nothing_whatever_stands_there(text: str) -> None:
    found = retry_after({"retry-after": text}, NOW)
    assert found is None or 0 <= found <= 86400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        (" 5 ", 5.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("999999999", 86400.0),
        *((nothing, None) for nothing in ("soon", "-3", "²", "1e3", "")),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(text: str, seconds: float | None) -> None:
    assert retry_after({"RETRY-AFTER": text}, NOW) == seconds


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=4, max_size=30), st.text(), st.text())
def test_a_text_that_holds_a_secret_is_not_shown(secret: str, before: str, after: str) -> None:
    assert shown_text(f"{before}{secret}{after}", [secret]) == ""


@given(st.text(max_size=500))
def test_a_text_of_a_server_is_shown_on_one_short_line_without_control_signs(text: str) -> None:
    shown = shown_text(text, [])
    assert shown.isprintable()
    assert len(shown) <= 200


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "host/x",
        "https://",
        "https:///x",
        "http://h:99999/",
        "http://h:0/",
        "https://[::1/",
        "https://a b/",
    ],
)
def test_a_url_without_a_place_to_post_to_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match="`url` must") as caught:
        checked_url(url)
    assert url not in str(caught.value)


def test_only_scheme_host_and_port_of_a_url_are_shown() -> None:
    assert shown_host("https://user:pass@chat.example.org:8443/a/b?key=c") == "https://chat.example.org:8443/..."
    assert shown_host("http://[::1]:80/x") == "http://[::1]:80/..."
