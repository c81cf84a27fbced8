"""What a rule does when it fires, as it stands in a YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)
from pydantic_core import InitErrorDetails

from watcher.judge.spans import ASpan, Span
from watcher.nouns import DEEDS, ActionKind
from watcher.part import Duration, Part
from watcher.yamlfile import nearest

FROM_INSIDE: Mapping[ActionKind, str] = {kind: deed for kind, deed in DEEDS.items() if kind != "stop"}
"""Actions that not every training can be told to do, with what they do: those that `watcher exec` has started can."""
GRAVE = frozenset({"stop", "scale_lr", "set_lr"})
"""Actions that change the course of a training: rules with them need more evidence by default."""


class StopAction(Part):
    """Stops the run, verified."""

    save: Literal["wait", "required", "no"] = "wait"
    """`wait`: for the trainer's next checkpoint, up to `wait`; `required`: no checkpoint, no stop; `no`: at once."""
    wait: Duration = 3600.0
    """How long to wait for a checkpoint."""
    delay: Duration = 600.0
    """How long `watcher hold`, or a file `HOLD` in the run's folder, can veto before anything is done."""
    grace: Duration = 300.0
    """How long the processes have to end before the next signal."""
    kill: bool = False
    """Whether SIGKILL may be the last signal."""


class CheckpointAction(Part):
    """Asks the trainer for a checkpoint now."""


class ScaleLrAction(Part):
    """Lowers the learning rate of the live run by a factor; may repeat while the rule fires."""

    factor: float = Field(gt=0, lt=1)
    """What the learning rate is multiplied with, below 1."""
    min: float | None = Field(default=None, gt=0)
    """It is never made lower than this."""
    at_most: int | None = Field(default=None, ge=1)
    """How often at most, in one run."""
    cooldown: ASpan = Span(amount=0, unit="steps")
    """How long to wait after a change that really happened, such as `2000 steps`."""


class SetLrAction(Part):
    """Sets the learning rate of the live run."""

    to: float = Field(gt=0)
    """The new learning rate."""


class RunAction(Part):
    """Runs a program of the user's, without a shell, with the notice as JSON on its standard input."""

    command: tuple[str, ...]
    """The program and its arguments, one by one."""
    timeout: Duration = Field(default=60.0, gt=0)
    """How long it may take; then it is killed, and counts as failed."""

    @field_validator("command")
    @classmethod
    def _names_a_program(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not command or not command[0]:
            raise ValueError("names no program; write for example `[notify-send, look]`")
        return command


Settings = StopAction | CheckpointAction | ScaleLrAction | SetLrAction | RunAction
ACTIONS: Mapping[str, type[Settings] | None] = {
    "alert": None,
    "stop": StopAction,
    "checkpoint": CheckpointAction,
    "scale_lr": ScaleLrAction,
    "set_lr": SetLrAction,
    "run": RunAction,
}
"""Every action that there is, with its settings; `alert` has none."""


class Written(Part):
    """An action as it is written, `{stop: {...}}`, so that faults in it have its name in their path."""

    stop: StopAction | None = None
    checkpoint: CheckpointAction | None = None
    scale_lr: ScaleLrAction | None = None
    set_lr: SetLrAction | None = None
    run: RunAction | None = None


def _parse_action(value: object, info: ValidationInfo) -> object:
    """Read `alert`, `stop` or `{stop: {...}}` as a name and settings.

    Raises:
        ValueError: the action is not known.

    """
    if isinstance(value, tuple):
        return value
    name, settings = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (value, None)
    if not isinstance(name, str) or name not in ACTIONS:
        shown = f"`{name}`" if isinstance(name, str) else "this"
        hint = nearest(name, list(ACTIONS)) if isinstance(name, str) else ""
        hint = f" ({hint})" if hint.startswith("did") else ""
        raise ValueError(f"{shown} is no action{hint}; write `alert`, `stop` or `{{stop: {{delay: 10m}}}}`")
    if ACTIONS[name] is None:
        if settings:
            raise ValueError(f"`{name}` has no settings; write `{name}`")
        return (name, None)
    made = Written.model_validate({name: {} if settings is None else settings}, context=info.context)
    return (name, getattr(made, name))


def _parse_actions(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def _at_once(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """Check every action and what they mean together, so that a fault in one does not hide that two contradict.

    Raises:
        ValidationError: with the faults of both.

    """
    try:
        actions = handler(value)
    except ValidationError as error:
        names = [name for name in names_in(value) if name in ACTIONS]
        if not names or not (together := _contradiction(names)):
            raise
        raise ValidationError.from_exception_data(error.title, [_told(together, value), *_again(error)]) from error
    if together := _contradiction([name for name, _ in actions]):
        raise ValueError(together)
    return actions


def _told(words: str, value: object) -> InitErrorDetails:
    return InitErrorDetails(type="value_error", loc=(), input=value, ctx={"error": ValueError(words)})


def _again(error: ValidationError) -> list[InitErrorDetails]:
    """Give the faults of a validation in the form in which they can be raised once more."""
    return [
        InitErrorDetails(type=fault["type"], loc=fault["loc"], input=fault["input"], ctx=fault.get("ctx", {}))
        for fault in error.errors(include_url=False)
    ]


def _contradiction(names: list[str]) -> str:
    """Say why actions cannot stand together; empty when they can."""
    rate = next((name for name in ("scale_lr", "set_lr") if name in names), None)
    if not names:
        return "names no action; write `alert` or `stop`"
    if twice := next((name for name in names if names.count(name) > 1), None):
        return f"action `{twice}` is given twice; keep one"
    if {"scale_lr", "set_lr"} <= {*names}:
        return "`scale_lr` and `set_lr` contradict each other; keep one"
    if rate and "stop" in names:
        return (
            f"`{rate}` and `stop` at once: a run that is stopped has no learning rate; stop it later, if that does not "
            "help: `escalate: {after: 4 evaluations, then: stop}`"
        )
    return ""


# `Written` is there for those who ask which keys may stand below an action's name.
AnAction = Annotated[tuple[str, Settings | None], BeforeValidator(_parse_action), tuple[Written]]
# What stands last is asked first: a single action is made a list before they are checked together.
Actions = Annotated[tuple[AnAction, ...], WrapValidator(_at_once), BeforeValidator(_parse_actions)]


def names_in(then: Any) -> list[str]:
    """Give the names of actions as they are written, in order, before anything is checked."""
    found = then if isinstance(then, list) else [then]
    return [
        str(name) for one in found for name in ([one] if isinstance(one, str) else one if isinstance(one, dict) else [])
    ]
