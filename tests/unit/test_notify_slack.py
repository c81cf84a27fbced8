"""What Slack gets: every kind of notice with what counts in fields, and never anything that Slack refuses."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.servers import Answer, Request, Server
from tests.slackapi import faults, slack
from tests.unit.test_notify_docs import RUN, every_notice
from watcher.judge import Rule, State
from watcher.notify import Slack
from watcher.notify.blocks import BLOCKS, FIELD, FIELDS, HEADER, SECTION, blocks, cut, escape
from watcher.notify.slack import message
from watcher.nouns import Command, Evaluation, Notice, Severity, Verdict
from watcher.steps import protection, routing
from watcher.steps.outcome import outcome

NOW = 1_700_000_000.0
RULE = Rule.model_validate(
    {
        "name": "low-clip",
        "description": "It does not follow its prompts",
        "when": "clip/mean < 0.22",
        "for": "3 evaluations",
        "then": {"stop": {"delay": "10m"}},
    }
)
METRICS = {"clip/mean": 0.1973, "clip/stderr": 0.0121, "clip/prompts": 24.0}
NUMBERS = {"clip/mean": 0.1973, "bound": 0.2133, "threshold": 0.22}
STATE = State(state="firing", count=3, needed=3, steps=(2000, 2500, 3000))
AT = Evaluation(7, "r", 2, 3000, "", "closed", False, True, 0.0, 0.0, revision=1, metrics=METRICS)
LOWEST = [("a *red* cube <!channel> & co", 0.0912), ("x" * 900, 0.1)]


def alert(mode: Any = "enforce") -> Notice:
    verdict = Verdict("low-clip", True, "clip/mean 0.197 +- 0.012 over 24 prompts is below 0.22", NUMBERS)
    return replace(routing.alert(RUN, RULE, verdict, AT, mode, 4, LOWEST, STATE, NOW), at=NOW)


def fields(notice: Notice) -> dict[str, str]:
    """Give the fields of a message by their names."""
    texts = [field["text"] for block in blocks(notice) for field in block.get("fields", [])]
    return dict(re.match(r"\*(.+?)\*\n(.*)", text, re.DOTALL).groups() for text in texts)  # type: ignore[union-attr,misc]


def paragraphs(notice: Notice) -> list[str]:
    return [block["text"]["text"] for block in blocks(notice) if block["type"] == "section" and "text" in block]


def sent(notice: Notice) -> dict[str, Any]:
    """Give what arrives at a server that refuses what Slack refuses."""
    with Server(slack) as server:
        Slack(url=server.url()).send(notice, NOW)
    found = server.heard[0].json
    assert isinstance(found, dict)
    return found


def test_an_alert_has_value_threshold_steps_mode_and_deadline_in_fields() -> None:
    said = sent(alert())
    assert said["text"] == "flux-lora: low-clip at step 3000"
    assert said["blocks"][0]["text"]["text"] == "⚠️ flux-lora: low-clip at step 3000"
    found = fields(alert())
    assert found["Value"] == "clip/mean 0.1973 ± 0.012 over 24 prompts"
    assert found["Threshold"] == "&lt; 0.22 (bound 0.2133)"
    assert found["Step"] == "3000 (attempt 2)"
    assert found["Evaluations"] == "3 in a row (3 are needed): steps 2000, 2500, 3000"
    assert found["Mode"] == "enforce"
    assert found["Folder"] == "/data/flux-lora"
    assert found["Stopped at the earliest"].startswith("<!date^1700000600^")


def test_the_value_has_the_error_and_the_prompts_of_its_own_scorer() -> None:
    facts: dict[str, Any] = {
        "metric": "siglip/mean",
        "metrics": {**METRICS, "siglip/mean": 0.08, "siglip/stderr": 0.004},
    }
    assert fields(replace(alert(), facts=facts))["Value"] == "siglip/mean 0.08 ± 0.004 over 24 prompts"
    facts["metrics"]["siglip/prompts"] = 23.0
    assert fields(replace(alert(), facts=facts))["Value"] == "siglip/mean 0.08 ± 0.004 over 23 prompts"
    facts["metric"] = "siglip/max"
    facts["metrics"]["siglip/max"] = 0.2
    assert fields(replace(alert(), facts=facts))["Value"] == "siglip/max 0.2 over 23 prompts"


def test_an_alert_says_why_what_follows_and_how_to_hold_the_run() -> None:
    said = paragraphs(alert())
    assert said[0] == "*Why:* clip/mean 0.197 +- 0.012 over 24 prompts is below 0.22"
    assert said[1] == "It does not follow its prompts"
    assert said[2].startswith("It will be stopped in 10 min at the earliest")
    assert "*To hold it:* watcher hold flux-lora" in said
    assert "*To let it go again:* watcher release flux-lora" in said


def test_the_lowest_prompts_stand_there_as_they_were_written() -> None:
    """In plain text nothing is markup: neither stars nor a channel's name."""
    (block,) = [one for one in blocks(alert()) if one.get("text", {}).get("text", "").startswith("Lowest prompts")]
    assert block["text"]["type"] == "plain_text"
    _, first, second = block["text"]["text"].splitlines()
    assert first == "0.091  a *red* cube <!channel> & co"
    assert second == "0.100  " + "x" * 299 + "…"


def test_an_observed_alert_promises_no_stop_and_needs_no_hold() -> None:
    assert "Stopped at the earliest" not in fields(alert("observe"))
    assert not [text for text in paragraphs(alert("observe")) if "hold" in text]
    assert fields(alert("observe"))["Mode"] == "observe"


def test_a_stop_shows_its_proof_the_surviving_checkpoint_and_what_is_lost() -> None:
    command = Command(5, "r", "low-clip", "stop", {}, "verified", "clip/mean low", 0.0, 1.0, 2.0, proof="pid 7 is gone")
    notice = outcome(RUN, command)
    kept = {"checkpoint": "/data/flux-lora/checkpoint-2500", "checkpoint_step": 2500, "lost_steps": 500}
    notice = replace(notice, facts={**notice.facts, **kept})
    sent(notice)
    assert fields(notice)["Action"] == "stop verified"
    assert fields(notice)["Surviving checkpoint"] == "/data/flux-lora/checkpoint-2500 (step 2500)"
    assert fields(notice)["Steps lost"] == "500"
    assert paragraphs(notice)[:2] == ["*Proof:* pid 7 is gone", "*Why:* clip/mean low"]


def test_a_rule_that_cannot_judge_shows_why_and_the_way_out() -> None:
    blind = State(unknowns=3, reason="cannot judge: 1 prompt, 8 are needed", way_out="validate with more")
    notice = protection.cannot_judge(RUN, RULE, blind, AT)
    sent(notice)
    assert fields(notice)["Could not be judged"] == "3 in a row"
    assert paragraphs(notice) == ["*Why:* 1 prompt, 8 are needed", "*Way out:* validate with more"]


def test_good_news_and_troubles_with_targets_have_their_own_looks() -> None:
    good = routing.resolved(RUN, "low-clip", "clip/mean 0.3 is not below 0.22", 4)
    assert blocks(good)[0]["text"]["text"].startswith("✅")
    assert paragraphs(good) == ["*Why:* clip/mean 0.3 is not below 0.22."]
    (dead,) = [one for one in every_notice() if one.title.startswith("notices no longer reach")]
    assert fields(dead) == {"Target": "slack"}
    assert paragraphs(dead) == [dead.text]


@pytest.mark.parametrize("notice", every_notice(), ids=lambda notice: f"{notice.kind} {notice.title}")
def test_slack_takes_every_notice_that_there_is(notice: Notice) -> None:
    assert sent(notice)["blocks"]


def test_no_text_turns_the_direction_of_what_follows_it() -> None:
    notice = replace(alert(), title="a\u202eb", run="c\u2066d")
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", json.dumps(blocks(notice), ensure_ascii=False))


WORDS = ["&", "<!channel>", "*", "`", "🚨", "שלום", "\u202e", "\ud800", "\n", "\0", "\x1b[31m", " ", "&amp;", "​"]
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(WORDS), max_size=60).map("".join),
    st.tuples(st.sampled_from(WORDS), st.integers(0, 4000)).map(lambda pair: pair[0] * pair[1]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)
NAMES = (
    *("step", "attempt", "path", "mode", "reason", "description", "intention", "metric", "sign", "count", "needed"),
    *("steps", "hold", "release", "deadline", "lowest", "note", "numbers", "metrics", "proof", "state", "action"),
    *("checkpoint", "checkpoint_step", "lost_steps", "unknowns", "way_out", "target"),
)
FACTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=12)
NOTICES = st.builds(
    Notice,
    key=TEXTS,
    severity=st.sampled_from(get_args(Severity)),
    title=TEXTS,
    text=TEXTS,
    run=TEXTS,
    rule=TEXTS,
    kind=st.sampled_from(["alert", "resolved", "action", "history", "target", "protection"]),
    at=st.floats(0, 1e12),
    facts=FACTS,
)


@given(NOTICES)
@settings(max_examples=200, deadline=None)
def test_slack_refuses_no_notice_whatever_is_in_it(notice: Notice) -> None:
    body = json.dumps(message(notice)).encode()
    assert list(faults(json.loads(body)["blocks"])) == []
    assert slack(Request("POST", "/", {}, body)) == Answer(200, "ok")


@given(TEXTS)
def test_escaped_text_reads_back_as_it_was(text: str) -> None:
    shown = escape(text)
    assert "<" not in shown
    assert ">" not in shown
    assert shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text


@given(TEXTS, st.integers(10, 200))
def test_a_cut_text_is_the_beginning_of_the_text(text: str, limit: int) -> None:
    shown = cut(escape(text), limit)
    assert len(shown.encode("utf-16-le", "surrogatepass")) // 2 <= limit
    if shown not in ("-", escape(text)):
        assert shown.endswith("…")
        assert escape(text).startswith(shown[:-1])
        assert len(shown) >= (limit - 6) // 2  # it is cut no shorter than it must


@pytest.mark.parametrize("limit", range(10, 20))
def test_an_escape_is_never_torn_by_a_cut(limit: int) -> None:
    assert re.fullmatch(r"(x|&lt;)+…", cut(escape("x<" * 50), limit))


def text(kind: str, words: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "text": words, **more}


@pytest.mark.parametrize(
    "wrong",
    [
        [{"type": "divider", "text": text("mrkdwn", "x")}] * (BLOCKS + 1),
        [{"type": "section", "text": text("mrkdwn", "x" * (SECTION + 1))}],
        [{"type": "section", "text": text("mrkdwn", "🚨" * (SECTION // 2 + 1))}],
        [{"type": "section", "text": text("mrkdwn", "&am")}],
        [{"type": "section", "text": text("mrkdwn", "<!channel>")}],
        [{"type": "section", "text": text("mrkdwn", "x", emoji=False)}],
        [{"type": "section", "text": text("plain_text", " ")}],
        [{"type": "section", "text": text("plain_text", "a\0b")}],
        [{"type": "section"}],
        [{"type": "section", "fields": []}],
        [{"type": "section", "fields": [text("mrkdwn", "x")] * (FIELDS + 1)}],
        [{"type": "section", "fields": [text("mrkdwn", "x" * (FIELD + 1))]}],
        [{"type": "header", "text": text("plain_text", "x" * (HEADER + 1))}],
        [{"type": "header", "text": text("mrkdwn", "x")}],
        [{"type": "context", "elements": [text("mrkdwn", "x")] * 11}],
        [{"type": "nonsense"}],
    ],
)
def test_the_scripted_slack_refuses_what_slack_refuses(wrong: Any) -> None:
    body = json.dumps({"text": "x", "blocks": wrong}).encode()
    assert slack(Request("POST", "/", {}, body)) == Answer(400, "invalid_blocks")


def test_the_scripted_slack_takes_what_is_at_the_limits() -> None:
    right = [
        {"type": "header", "text": text("plain_text", "x" * HEADER, emoji=False)},
        {"type": "section", "text": text("mrkdwn", "x" * SECTION, verbatim=True)},
        {"type": "section", "fields": [text("mrkdwn", "x" * FIELD)] * FIELDS},
    ]
    assert slack(Request("POST", "/", {}, json.dumps({"blocks": right}).encode())) == Answer(200, "ok")
    assert slack(Request("POST", "/", {}, b'{"text": ""}')) == Answer(400, "no_text")
    assert slack(Request("POST", "/", {}, b"nonsense")) == Answer(400, "invalid_payload")


def test_a_run_with_an_odd_name_is_held_by_a_command_that_works(tmp_path: Path) -> None:
    run = replace(RUN, name="my run; rm -rf ~", path=tmp_path)
    assert routing.hold_facts(run)["hold"] == "watcher hold 'my run; rm -rf ~'"
