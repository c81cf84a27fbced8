"""A notice as Slack's Block Kit shows it: what counts in fields, the rest below, all within Slack's limits.

Limits: https://docs.slack.dev/reference/block-kit/blocks/ (header, section, context) and
https://docs.slack.dev/reference/block-kit/composition-objects/text-object; escaping:
https://docs.slack.dev/messaging/formatting-message-text/.
"""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from watcher.names import MAIN, is_trainers
from watcher.nouns import Notice, Severity

BLOCKS = 50
HEADER = 150
SECTION = 3000
FIELDS = 10
FIELD = 2000
"""Slack's limits: blocks of a message; characters of a header and of a section's text; fields of a section, and the
characters of each."""
LAST = 2.0**32
"""Seconds since 1970 up to which a time is one."""
LOWEST = 5
"""So many of the lowest prompts are shown."""
_SIGNS: dict[Severity, str] = {"info": "ℹ️", "warning": "⚠️", "critical": "🚨"}
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Signs that turn the direction of what follows them, also of what is not theirs."""
Facts = Mapping[str, Any]


def blocks(notice: Notice) -> list[dict[str, Any]]:
    """Give a notice as Block Kit blocks within Slack's limits, its texts escaped.

    The time stands in it because a notice may arrive late.
    """
    sign = "✅" if notice.kind == "resolved" else _SIGNS[notice.severity]
    made = [
        {"type": "header", "text": _plain(" ".join(f"{sign} {sound(notice.title)}".split()), HEADER)},
        *_fields(notice),
        *_paragraphs(notice),
        _context(notice),
    ]
    return [*made[: BLOCKS - 1], made[-1]] if len(made) > BLOCKS else made


def _fields(notice: Notice) -> list[dict[str, Any]]:
    """Give what counts, each under its name; what a notice does not have is not there."""
    found = [(label, value) for label, give in _FIELDS if (value := give(notice.facts))]
    texts = [_markup(f"*{escape(label)}*\n{cut(escape(sound(value)), FIELD - 100)}", FIELD) for label, value in found]
    if deadline := _when(_number(notice.facts.get("deadline"))):
        texts.append(_markup(f"*Stopped at the earliest*\n{deadline}", FIELD))
    return [{"type": "section", "fields": texts[at : at + FIELDS]} for at in range(0, len(texts), FIELDS)]


def _paragraphs(notice: Notice) -> Iterator[dict[str, Any]]:
    """Give the sentences, and the lowest prompts exactly as they were written."""
    parts = [lead + escape(sound(str(notice.facts[name]))) for name, lead in _SAID if notice.facts.get(name)]
    for text in parts if "reason" in notice.facts else [escape(sound(notice.text))]:
        yield {"type": "section", "text": _markup(text, SECTION)}
    if lowest := _lowest(notice.facts):
        yield {"type": "section", "text": _plain("Lowest prompts\n" + "\n".join(lowest), SECTION)}
    for label, name in _WAYS:
        if notice.facts.get(name):
            text = f"*{label}:* " + escape(sound(str(notice.facts[name])))
            yield {"type": "section", "text": _markup(text, SECTION)}


def _context(notice: Notice) -> dict[str, Any]:
    said = " · ".join(part for part in (notice.severity, notice.run, notice.rule) if part)
    said = " · ".join(part for part in (_when(notice.at), cut(escape(sound(said)), SECTION - 200)) if part)
    elements = [_markup(said, SECTION)]
    if note := notice.facts.get("note"):
        elements.append(_markup(escape(sound(str(note))), SECTION))
    return {"type": "context", "elements": elements}


_SAID = (("proof", "*Proof:* "), ("reason", "*Why:* "), ("description", ""), ("intention", ""))
"""The sentences of a notice, in this order, each with what leads to it."""
_WAYS = (("Way out", "way_out"), ("To hold it", "hold"), ("To let it go again", "release"))
"""What its reader can do."""


def _value(facts: Facts) -> str:
    metric, values = facts.get("metric"), _mapping(facts, "metrics") or _mapping(facts, "numbers")
    if not isinstance(metric, str) or (value := _number(values.get(metric))) is None:
        return ""
    scorer, _, what = metric.partition("/")
    error = _number(values.get(f"{scorer}/stderr")) if what == "mean" else None
    of_images = None if is_trainers(metric) else values.get(f"{MAIN}/prompts")
    prompts = _number(values.get(f"{scorer}/prompts", of_images))
    over = "" if prompts is None else f" over {prompts:.0f} prompts"
    return f"{metric} {value:.4g}" + ("" if error is None else f" ± {error:.2g}") + over


def _threshold(facts: Facts) -> str:
    numbers = _mapping(facts, "numbers")
    threshold, bound = _number(numbers.get("threshold")), _number(numbers.get("bound"))
    if threshold is None:
        return ""
    metric = facts.get("metric")
    is_bound = bound is not None and bound != _number(numbers.get(metric if isinstance(metric, str) else ""))
    sure = f" (bound {bound:.4g})" if is_bound else ""
    return f"{facts.get('sign', '')} {threshold:g}{sure}".strip()


def _row(facts: Facts) -> str:
    count, needed, steps = facts.get("count"), facts.get("needed"), facts.get("steps")
    if not isinstance(count, int):
        return ""
    wanted = f" ({needed} are needed)" if isinstance(needed, int) and needed > 1 else ""
    named = ", ".join(str(step) for step in steps[-FIELDS:]) if isinstance(steps, list | tuple) else ""
    unit = "epochs" if facts.get("by_epoch") else "steps"
    return f"{count} in a row{wanted}" + (f": {unit} {named}" if named else "")


def _step(facts: Facts) -> str:
    attempt = facts.get("attempt")
    again = f" (attempt {attempt})" if isinstance(attempt, int) and attempt > 1 else ""
    unit = "epoch " if facts.get("by_epoch") else ""
    return f"{unit}{facts['step']}{again}" if isinstance(facts.get("step"), int) else ""


def _checkpoint(facts: Facts) -> str:
    if not facts.get("checkpoint"):
        return ""
    step = facts.get("checkpoint_step")
    return str(facts["checkpoint"]) + ("" if step is None else f" (step {step})")


def _text(name: str) -> Callable[[Facts], str]:
    return lambda facts: "" if facts.get(name) is None else str(facts[name])


_FIELDS: tuple[tuple[str, Callable[[Facts], str]], ...] = (
    ("Value", _value),
    ("Threshold", _threshold),
    ("Step", _step),
    ("Evaluations", _row),
    ("Could not be judged", lambda facts: f"{facts['unknowns']} in a row" if facts.get("unknowns") else ""),
    ("Action", lambda facts: " ".join(str(facts[name]) for name in ("action", "state") if facts.get(name))),
    ("Surviving checkpoint", _checkpoint),
    ("Steps lost", _text("lost_steps")),
    ("Mode", _text("mode")),
    ("Folder", _text("path")),
    ("Target", _text("target")),
)


def _lowest(facts: Facts) -> list[str]:
    found = facts.get("lowest")
    listed = found if isinstance(found, list | tuple) else ()
    pairs = [one for one in listed if isinstance(one, list | tuple) and len(one) == 2]
    return [f"{_cosine(cosine)}  {cut(_line(prompt), SECTION // 10)}" for prompt, cosine in pairs[:LOWEST]]


def _cosine(value: object) -> str:
    number = _number(value)
    return "?" if number is None else f"{number:.3f}"


def _line(text: object) -> str:
    return " ".join(sound(str(text)).split())


def _mapping(facts: Facts, name: str) -> Facts:
    found = facts.get(name)
    return found if isinstance(found, Mapping) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _markup(text: str, limit: int) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": cut(text, limit), "verbatim": True}


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": cut(text, limit), "emoji": False}


def _when(at: float | None) -> str:
    """Give a time that Slack shows in each reader's own time zone; nothing where it is none."""
    if at is None or not 0 <= at < LAST:
        return ""
    spelled = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
    return f"<!date^{int(at)}^{{date_short_pretty}} {{time}}|{spelled}>"


def escape(text: str) -> str:
    """Escape the three signs that Slack reads as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, limit: int) -> str:
    """Give at most so many characters, as Slack may count them (UTF-16), and never a torn `&amp;`; never nothing."""
    if _length(text) <= limit:
        return text if text.strip() else "-"
    kept = text[: limit - 1]
    while _length(kept) > limit - 1:
        kept = kept[:-1]
    torn = kept.rfind("&", len(kept) - 5)
    return (kept[:torn] if torn >= 0 and ";" not in kept[torn:] else kept) + "…"


def _length(text: str) -> int:
    return len(text) + sum(sign > "\uffff" for sign in text)


def sound(text: str) -> str:
    """Replace what is no text: lone surrogates, of a file name that is no UTF-8, and signs that steer a terminal."""
    whole = text.encode(errors="replace").decode()
    return "".join(" " if one in _BIDI or (unicodedata.category(one) == "Cc" and one != "\n") else one for one in whole)
