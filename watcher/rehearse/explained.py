"""What `watcher rules explain` prints: a decision for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from watcher.clock import clock
from watcher.names import place_of
from watcher.view.table import table
from watcher.view.text import plain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def parts(found: dict[str, Any], console: Console) -> Iterator[RenderableType]:
    """Give the explanation, part by part."""
    yield from (plain(line) for line in _head(found))
    yield ""
    yield from _rule(found)
    if found["led"]:
        yield "\nwhat led there:"
        yield _led(found["led"], console)
    yield from _titled("done", [_action(one) for one in found["done"]])
    yield from _titled("told", [_notice(one) for one in found["told"]])
    yield from _replay(found["replay"])


def _head(found: dict[str, Any]) -> Iterator[str]:
    decision, run = found["decision"], found["run"]["name"]
    if decision is None:
        last = found["led"][-1]
        yield f"{found['rule']} has decided nothing about {run} at step {last['step']}: it is {last['state']} there"
        yield f"because: {last['reason']}" + (f"; {last['way_out']}" if last["way_out"] else "")
    else:
        over = f", resolved {clock(decision['resolved_at'])}" if decision["resolved_at"] is not None else ""
        place = f"{place_of(decision['step'], by_epoch=decision['by_epoch'])} of attempt {decision['attempt']}"
        yield f"{found['rule']} fired for {run} at {place}, {clock(decision['at'])}{over}"
        yield f"because: {decision['reason']}"
        if decision["resolution"]:
            yield f"resolved because: {decision['resolution']}"
    if found["numbers"]:
        yield "numbers: " + ", ".join(f"{name} {value}" for name, value in found["numbers"].items())
    if found["for_run"] is False:
        yield "the rule is not for this run now (`runs:`)"


def _rule(found: dict[str, Any]) -> Iterator[str]:
    now = found["hash_now"]
    same = "gone from the configuration" if now is None else "the same now" if now == found["hash"] else f"now {now}"
    yield f"rule (hash {found['hash']}; {same}):"
    text = found["text"] or "not known: it was not kept, and the rule of that name is another now or is gone"
    yield from (f"  {plain(line)}" for line in text.splitlines())


def _led(led: Sequence[dict[str, Any]], console: Console) -> RenderableType:
    metrics = list(dict.fromkeys(name for one in led for name in one["metrics"]))
    columns = ("attempt", "step", *metrics, "verdict", "state", "because")
    return table(columns, [_moment(one, metrics) for one in led], console, ("because",))


def _moment(one: dict[str, Any], metrics: Sequence[str]) -> tuple[str, ...]:
    count = f" {one['count']}/{one['needed']}" if one["state"] == "pending" else ""
    values = (f"{one['metrics'][name]:.4g}" if name in one["metrics"] else "-" for name in metrics)
    return (str(one["attempt"]), str(one["step"]), *values, one["verdict"], one["state"] + count, one["reason"])


def _action(one: dict[str, Any]) -> str:
    only = " (only observed)" if one["mode"] == "observe" else ""
    return f"{clock(one['at'])}  {one['kind']} {one['state']}{only}" + (f": {one['proof']}" if one["proof"] else "")


def _notice(one: dict[str, Any]) -> str:
    where = ", ".join(f"{target} {state}" for target, state in one["sent_to"].items()) or "no target"
    return f"{clock(one['at'])}  {one['title']} ({one['kind']}): {where}"


def _titled(title: str, entries: Sequence[str]) -> Iterator[str]:
    if entries:
        yield from ("", f"{title}:", *(f"  {plain(entry)}" for entry in entries))


def _replay(replay: dict[str, Any] | None) -> Iterator[str]:
    if replay is None:
        return
    if replay["same"]:
        yield "\nreplay: the same, from what the store holds now"
        return
    yield "\nreplay: " + ("not possible" if replay["same"] is None else "differs")
    yield from (f"  {plain(line)}" for line in replay["differences"])
    if replay["changed"]:
        steps = ", ".join(str(step) for step in replay["changed"])
        yield f"  closed again since they were first closed: the evaluations at step {steps}"
