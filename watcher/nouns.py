"""What travels between the rooms. Frozen; wall times are seconds since the epoch (UTC)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from watcher.names import MAIN, place_of

Mode = Literal["observe", "enforce"]
Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
RunState = Literal["active", "archived", "gone"]
SampleState = Literal["ready", "scored", "unscorable", "undecodable"]
NO_PROMPT = "no prompt"
EMPTY_PROMPT = "empty prompt"
"""Reasons of unscorable samples that the path has to tell from others."""
HOLD = "HOLD"
"""A file of this name in a run's folder vetoes every action on it."""
PROMPTS_TO_STOP = 8
"""Prompts; with fewer, rules that stop a run stay unknown unless they ask for less."""
EvaluationState = Literal["open", "closed", "superseded"]
Tile = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""
_MASKED = ";mask="


def masked(identity: str, mask: Tile | None) -> str:
    """Give the identity of a score whose picture was painted over there: only scores of equal masks are compared."""
    return f"{identity}{_MASKED}{','.join(map(str, mask))}" if mask else identity


def unmasked(identity: str) -> str:
    """Give the identity of what made a score, whatever was painted over in its picture."""
    return identity.partition(_MASKED)[0]


@dataclass(frozen=True, slots=True)
class Run:
    """One training's output folder (or one stream in it)."""

    id: str
    name: str
    path: Path
    layout: str
    stream: str = ""
    state: RunState = "active"
    mode: Mode = "observe"
    attempt: int = 1
    first_seen: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Setup:
    """What the trainer's own configuration says of a run, as far as it was found."""

    config: Path | None = None
    """The configuration file."""
    logging_folder: Path | None = None
    """The trainer's TensorBoard folder, where there is one."""
    trackers: tuple[str, ...] = ()
    """The trackers that it reports to, such as `tensorboard` or `wandb`."""
    project: str = ""
    """The project that it reports to."""
    run_name: str = ""
    """The name that it gives the run there."""
    model: str = ""
    """The CLIP model that it would itself evaluate with."""
    advice: tuple[str, ...] = ()
    """What its user should change in it so that decisions can be trusted; a sentence each, with the way."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One generated image of one evaluation, whole on disk; `id` is None until it is stored."""

    run_id: str
    step: int
    key: str
    """What names its prompt within the run: a slug or an index."""
    index: int
    """Which image of that prompt, from 0."""
    path: Path
    size: int
    """Bytes."""
    mtime: float
    digest: str
    """SHA-256 of the file's bytes, hex."""
    prompt: str | None = None
    state: SampleState = "ready"
    reason: str = ""
    variant: str = ""
    """Empty for the main model; else adapter, EMA, base model."""
    epoch: float | None = None
    tile: Tile | None = None
    attempt: int = 1
    id: int | None = None
    again: bool = False
    """Another file of its step, prompt and index can only be of another start of the run: names bear times. The newer
    one counts."""
    wording: str = ""
    """The prompt as it is scored, where that differs: without weights and trigger words."""
    mask: Tile | None = None
    """What is painted over before it is scored, counted from its tile's corner: words that a trainer has put there."""
    by_epoch: bool = False
    """Its step is the number of an epoch: nothing tells the optimizer step."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one scorer says of one sample: a raw cosine in [-1, 1], or why there is none."""

    sample_id: int
    digest: str
    """SHA-256 of the bytes that were scored, hex; empty when the file could not be read."""
    cosine: float | None
    health: tuple[str, ...] = ()
    """Such as `blank`; a blank image has a cosine but is left out of the means."""
    error: str = ""
    truncated: bool = False
    """The prompt was longer than the model's context."""
    scorer: str = MAIN
    """Which of the configured scorers; its metrics bear this name."""
    pixels: str = ""
    """SHA-256 of the picture as it was scored (RGB, upright, cut to its tile, masked), hex: equal pictures are found by
    it."""
    image: bytes = b""
    """The image's embedding: a unit vector, float32."""
    text: bytes = b""
    """The prompt's embedding, alike."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All samples of one (run, attempt, step, variant)."""

    id: int
    run_id: str
    attempt: int
    step: int
    variant: str
    state: EvaluationState
    history: bool
    """Everything in it was there at first sight: it never acts."""
    complete: bool
    first_at: float
    """Wall time at which its first image was written."""
    last_at: float
    """Wall time at which its last image was written."""
    epoch: float | None = None
    revision: int = 0
    """Counts closings: a reopened evaluation is closed again with a higher revision."""
    identity: str = ""
    """Identity of the main scorer, `clip`, whose metrics these are."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    """Identities of further scorers, by their names."""
    by_epoch: bool = False
    """Its step is the number of an epoch: nothing tells the optimizer step."""

    def __str__(self) -> str:
        """Say where in its training it stands: `step 900`, or `epoch 3`."""
        return place_of(self.step, by_epoch=self.by_epoch)

    def identity_of(self, scorer: str) -> str:
        """Give the identity of a scorer; empty where it has no score in this evaluation."""
        return self.identity if scorer == MAIN else self.others.get(scorer, "")


@dataclass(frozen=True, slots=True)
class Clock:
    """What makes the windows in which a rule on the trainer's numbers is judged: their length, and the metrics."""

    every: int
    """So many steps has each."""
    names: tuple[str, ...]

    def __str__(self) -> str:
        """Name the clock: rules with the same one share their windows."""
        return f"{self.every} {' '.join(self.names)}"


@dataclass(frozen=True, slots=True)
class Window:
    """A span of steps in which a trainer has logged numbers, once it is over; wall times in seconds."""

    attempt: int
    end: int
    """The last step that belongs to it."""
    step: int
    """That of its last number: where the window stands in the training."""
    first_at: float
    last_at: float
    values: Mapping[str, float]
    """Of each metric the median of its numbers, or the first that is not finite."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of one evaluation: true, false or unknown (None), with its reason and numbers."""

    rule: str
    value: bool | None
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    way_out: str = ""
    """Of an unknown one: what its user can do, so that the rule can judge."""


ActionState = Literal[
    "planned",
    "waiting",
    "rechecked",
    "attempting",
    "acknowledged",
    "saving",
    "verified",
    "failed",
    "cancelled",
    "refused",
]
FINAL: frozenset[str] = frozenset({"verified", "failed", "cancelled", "refused"})
ActionKind = Literal["stop", "checkpoint", "scale_lr", "set_lr"]
RATES: tuple[ActionKind, ...] = ("scale_lr", "set_lr")
DEEDS: Mapping[ActionKind, str] = {
    "stop": "stop",
    "checkpoint": "ask for a checkpoint",
    "scale_lr": "lower the learning rate",
    "set_lr": "set the learning rate",
}
"""What each kind of action does, as it stands behind `cannot`."""
"""Actions that change the learning rate."""


@dataclass(frozen=True, slots=True)
class Command:
    """An action on a run and how far it has come; each state is stored before the next is begun."""

    id: int
    run_id: str
    rule: str
    kind: ActionKind
    args: Mapping[str, Any]
    state: ActionState
    reason: str
    """Why it was ordered, for people."""
    evidence_at: float
    """Wall time of the oldest image of the evaluation that ordered it: its process must be older."""
    created_at: float
    changed_at: float
    identity: Mapping[str, Any] = field(default_factory=dict)
    """The frozen identity of the processes, once planned; JSON."""
    progress: Mapping[str, Any] = field(default_factory=dict)
    """What the backend remembers between steps; JSON."""
    proof: str = ""
    """Why it is verified, failed, cancelled or refused, or what it waits for; for people."""

    @property
    def by_hand(self) -> bool:
        """Whether a person ordered it, and no rule."""
        return not self.rule


@dataclass(frozen=True, slots=True)
class Limits:
    """How much rules may do; people's orders are counted and not held up."""

    stops_per_hour: int | None = None
    """Over all runs; None: the larger of 2 and a quarter of the active ones."""
    lr_changes_per_run: int = 3


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for people; `key` is the same on every delivery of it."""

    key: str
    severity: Severity
    title: str
    text: str
    run: str = ""
    rule: str = ""
    kind: str = "alert"
    """alert, resolved, action, history, target, protection, test."""
    at: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Numbers and proof behind it, JSON."""
