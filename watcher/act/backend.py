"""Through what a run is controlled."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AnyHttpUrl, BeforeValidator, PrivateAttr, SecretStr, field_validator, model_validator

from watcher.nouns import ActionKind
from watcher.part import Duration, PlugIn, UserPath

_UNIT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9:_.\\@-]*\.(service|scope)")
_JOB = re.compile(r"[1-9]\d*(_\d+)?")


class Backend(PlugIn):
    """A way to act on a run."""

    @property
    def saves_at_end(self) -> bool:
        """Whether a trainer that is ended through it saves a checkpoint by itself."""
        return False

    @property
    def always_saves(self) -> bool:
        """Whether it can end a run only together with a checkpoint."""
        return False


class ExecBackend(Backend):
    """The hook in a training that was launched by `watcher exec`: it stops, saves and lowers the rate from inside."""

    name: ClassVar[str] = "exec"

    folder: UserPath | None = None
    """Its control folder; default: found by the run's folder, beside it or in the state folder."""
    _state: Path | None = PrivateAttr(default=None)

    @property
    def state(self) -> Path | None:
        """The state folder, in which control folders may lie."""
        return self._state

    def with_state(self, state: Path | None) -> ExecBackend:
        """Give it with the state folder."""
        made = self.model_copy()
        made._state = state
        return made


class NativeBackend(Backend):
    """The trainer's own way of being asked: diffusion-pipe's files, ai-toolkit's job, SimpleTuner's counters or server,
    a signal on which it saves."""

    name: ClassVar[str] = "native"

    url: AnyHttpUrl | None = None
    """Address of SimpleTuner's server, such as `http://127.0.0.1:8001`, for jobs that it has started."""
    key: SecretStr | None = None
    """Its API key (`st_...`); best as `${NAME}` of an environment variable."""
    signal: Literal["SIGUSR1", "SIGUSR2"] | None = None
    """The signal on which the trainer saves a checkpoint and goes on: `SIGUSR1` of CompVis' `main.py`."""
    _trainer: str = PrivateAttr(default="")

    @property
    def trainer(self) -> str:
        """The trainer, by the name of its layout; empty where that is not known."""
        return self._trainer

    @property
    def always_saves(self) -> bool:
        """Whether it can end a run only together with a checkpoint: it can."""
        return True

    @field_validator("url")
    @classmethod
    def _holds_no_secret(cls, value: AnyHttpUrl | None) -> AnyHttpUrl | None:
        if value and (value.username or value.password or value.query or value.fragment):
            raise ValueError("give only the address, such as http://127.0.0.1:8001; the key is `key`")
        return value

    @field_validator("key")
    @classmethod
    def _is_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value().strip() if value else ""
        if value and not (text and text.isascii() and text.isprintable()):
            raise ValueError("no API key: it is empty, or holds what no header may")
        return SecretStr(text) if value else None

    @model_validator(mode="after")
    def _one_way(self) -> NativeBackend:
        if self.signal and (self.url or self.key):
            raise ValueError("give `url` or `signal`, not both")
        if self.key and not self.url:
            raise ValueError("`key` is for a server; give its `url` as well")
        return self

    def of(self, trainer: str) -> NativeBackend:
        """Give it for a trainer."""
        made = self.model_copy()
        made._trainer = trainer
        return made


class ProcessBackend(Backend):
    """The run's processes: found by a pid file, by their command line, or because they write in its folder."""

    name: ClassVar[str] = "process"

    pidfile: UserPath | None = None
    """File that holds the pid of the training, or of what launched it."""
    match: str | None = None
    """Regular expression that the training's command line contains; only Python programs are looked at."""
    interrupt: bool | None = None
    """Whether SIGINT comes first, as by Ctrl-C, for trainers that save on it: OneTrainer's command line, EveryDream2,
    CompVis; default: as the run's layout says."""

    @property
    def saves_at_end(self) -> bool:
        """Whether it saves on the first signal."""
        return bool(self.interrupt)

    @field_validator("match")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _one_way(self) -> ProcessBackend:
        if self.pidfile and self.match:
            raise ValueError("give `pidfile` or `match`, not both")
        return self


class RecordedBackend(Backend):
    """A unit or job that runs the training, which may be left to what `watcher exec` has recorded of its launch."""

    _control: Path | None = PrivateAttr(default=None)

    @property
    def control(self) -> Path | None:
        """The control folder whose record names it; None where the configuration does."""
        return self._control

    def recorded(self, control: Path, **named: Any) -> Self:
        """Give it with what a launch record names."""
        made = self.model_copy(update=named)
        made._control = control
        return made


class SystemdBackend(RecordedBackend):
    """The systemd unit that runs the training: stopped by `systemctl stop`, which no `Restart=` undoes."""

    name: ClassVar[str] = "systemd"

    unit: str = ""
    """The unit, such as `flux-train.service`; a service or a scope. Default: the service that `watcher exec` was in."""
    user: bool | Literal["auto"] = "auto"
    """`true`: a unit of your user manager (`systemctl --user`); `false`: of the system; `auto`: where it is active."""

    @field_validator("unit")
    @classmethod
    def _is_one_unit(cls, value: str) -> str:
        if not _UNIT.fullmatch(value):  # to systemctl `*` and `[` are patterns, that fit several units
            raise ValueError(f"{value!r} names no single unit; write for example flux-train.service")
        return value


class SlurmBackend(RecordedBackend):
    """The Slurm job that runs the training: SIGTERM to all of it, then `scancel`."""

    name: ClassVar[str] = "slurm"

    job: Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)] = ""
    """Number of the job, or of one element of an array: `12_3`. Default: the job that `watcher exec` was in."""

    @field_validator("job")
    @classmethod
    def _is_one_job(cls, value: str) -> str:
        if not _JOB.fullmatch(value):
            raise ValueError(f"{value!r} names no single job; write its number, or for an array's element '12_3'")
        return value


class CommandBackend(Backend):
    """Programs of yours that stop the run, save it, or lower its rate; what they say is not taken for a proof."""

    name: ClassVar[str] = "command"

    stop: tuple[str, ...] = ()
    """The program and its arguments, without a shell: it tells the training to end; status 0: that was accepted."""
    checkpoint: tuple[str, ...] = ()
    """A program that has the training save a checkpoint, also before a stop that waits for one."""
    lr: tuple[str, ...] = ()
    """A program that lowers the learning rate, by `factor` or `to` of the JSON on its standard input."""
    status: tuple[str, ...] = ()
    """A program that says `running` or `gone` within five seconds; `running ID` tells one launch from the next."""
    timeout: Duration = 60.0
    """How long each of them may take; then it is killed."""

    def program(self, kind: ActionKind) -> tuple[str, ...]:
        """Give the program for an action; empty where there is none."""
        return {"stop": self.stop, "checkpoint": self.checkpoint}.get(kind, self.lr)

    @model_validator(mode="after")
    def _can_something(self) -> CommandBackend:
        if not (self.stop or self.checkpoint or self.lr):
            raise ValueError("give at least one of `stop`, `checkpoint` and `lr`: a program and its arguments")
        return self


BACKENDS: tuple[type[Backend], ...] = (
    ExecBackend,
    NativeBackend,
    ProcessBackend,
    SystemdBackend,
    SlurmBackend,
    CommandBackend,
)
