"""What is said of a run that its rules cannot protect: because they cannot judge, or because nothing can stop it."""

from __future__ import annotations

from collections.abc import Sequence

from watcher.judge import FROM_INSIDE, Rule, State
from watcher.nouns import SEVERITIES, ActionKind, Evaluation, Notice, Run, Severity
from watcher.steps.routing import where

NO_BACKEND = "cannot stop: no backend"
CONTROL = (
    "run the watcher as the user who trains, on the same host and in the same container, and name the training with "
    "`control: [{process: {match: ...}}]` or `pidfile`, or what runs it by `systemd`, `slurm` or "
    "`command` (docs/control.md)"
)
NOTHING_STOPS = "no rule stops it; rules with `then: stop` would (docs/rules.md)"


def cannot_judge(run: Run, rule: Rule, state: State, at: Evaluation) -> Notice:
    """Say that a rule could not judge a run's last evaluations, why, and what would let it."""
    quiet: Severity = "info" if rule.severity == "info" else "warning"
    stops = " nor stops anything" if rule.does("stop") else " nor is it resolved"
    return Notice(
        key=f"{run.id}:{rule.name}:{at.attempt}:{at.step}:blind:{at.revision}",
        severity=quiet,
        title=f"{run.name}: {rule.name} cannot judge",
        text=f"{state.unknowns} {rule.judged_at}s in a row, the last at {at}, could not be judged: "
        f"{_bare(state.reason)}. So the rule neither alerts{stops}. Way out: {state.way_out}.",
        run=run.name,
        rule=rule.name,
        kind="protection",
        facts={
            **where(at),
            "path": str(run.path),
            "mode": rule.mode_for(run),
            "reason": _bare(state.reason),
            "way_out": state.way_out,
            "unknowns": state.unknowns,
        },
    )


def _bare(reason: str) -> str:
    return reason.removeprefix("cannot judge: ")


def cannot_stop(run: Run, rules: Sequence[Rule], why: str, spell: int) -> Notice:
    """Say that rules which would stop a run cannot: nothing that runs is known to be it, or it must not be touched.

    Where the rules are only observed nothing is lost yet, and it is information.
    """
    names = ", ".join(rule.name for rule in rules)
    mode = "enforce" if _enforced(run, rules) else "observe"
    then = "" if mode == "enforce" else " Its rules are only observed, so nothing would be stopped now either."
    return Notice(
        key=f"{run.id}:cannot-stop:{spell}",
        severity=_severity(run, rules),
        title=f"{run.name}: {NO_BACKEND}",
        text=f"Should {names} fire, this run could not be stopped: {why}.{then}",
        run=run.name,
        kind="protection",
        facts={"path": str(run.path), "mode": mode, "reason": why, "rules": [rule.name for rule in rules]},
    )


def lacks(kind: ActionKind, why: str) -> str:
    """Say that rules would do something that cannot be done, as `status` shows it."""
    return f"cannot {FROM_INSIDE[kind]}: {why}"


def cannot_do(run: Run, rules: Sequence[Rule], kind: ActionKind, why: str) -> Notice:
    """Say, once for a run, that what rules would do cannot be done; they alert only."""
    what = f"cannot {FROM_INSIDE[kind]}"
    names = ", ".join(rule.name for rule in rules)
    return Notice(
        key=f"{run.id}:{what}: no backend",
        severity="warning" if _enforced(run, rules) else "info",
        title=f"{run.name}: {what}",
        text=f"Should {names} fire, you are alerted, and that is not done: {why}. Start the training by "
        "`watcher exec -- COMMAND`, do it in the trainer, or let the rule stop the run (`then: stop`, or `escalate`).",
        run=run.name,
        kind="protection",
        facts={"path": str(run.path), "reason": why, "rules": [rule.name for rule in rules]},
    )


def _enforced(run: Run, rules: Sequence[Rule]) -> bool:
    return any(rule.mode_for(run) == "enforce" for rule in rules)


def _severity(run: Run, rules: Sequence[Rule]) -> Severity:
    loud: list[Severity] = ["warning", *(rule.severity for rule in rules)]
    return max(loud, key=SEVERITIES.index) if _enforced(run, rules) else "info"


def can_stop_again(run: Run, rules: Sequence[Rule], spell: int) -> Notice:
    """Say that what was missing to stop a run is there again, to all who were told that it was."""
    return Notice(
        key=f"{run.id}:can-stop:{spell}",
        severity=_severity(run, rules),
        title=f"{run.name}: its rules can stop it again",
        text="Its processes were found, and they are this user's.",
        run=run.name,
        kind="resolved",
        facts={"path": str(run.path)},
    )
