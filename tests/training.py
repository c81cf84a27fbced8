"""A small real training, stepped from its standard input: a program of its own that knows nothing of any watcher.

Reads one word of JSON after another: `["go", N]` makes N steps and answers with the rates that each used,
`["save", PATH]`, `["do", CODE]` runs a line of Python in it. It ends with its input.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from torch.optim import lr_scheduler as lrs
from torch.optim.swa_utils import SWALR

TOTAL = 60
SCHEDULERS: dict[str, Any] = {
    "none": lambda o: None,
    "lambda": lambda o: lrs.LambdaLR(o, lambda step: min(1.0, (step + 1) / 10)),
    "multiplicative": lambda o: lrs.MultiplicativeLR(o, lambda step: 0.97),
    "step": lambda o: lrs.StepLR(o, 7, 0.5),
    "multistep": lambda o: lrs.MultiStepLR(o, [6, 13, 22], 0.3),
    "exponential": lambda o: lrs.ExponentialLR(o, 0.95),
    "cosine": lambda o: lrs.CosineAnnealingLR(o, 15, eta_min=1e-4),
    "onecycle": lambda o: lrs.OneCycleLR(o, max_lr=[0.3, 0.1], total_steps=1000, pct_start=0.012),
    "cyclic": lambda o: lrs.CyclicLR(o, base_lr=0.01, max_lr=0.1, step_size_up=5),
    "linear": lambda o: lrs.LinearLR(o, 0.25, 1.0, 12),
    "constant": lambda o: lrs.ConstantLR(o, 0.3, 12),
    "sequential": lambda o: lrs.SequentialLR(
        o, [lrs.LinearLR(o, 0.1, 1.0, 5), lrs.CosineAnnealingLR(o, 20, 1e-4), lrs.ExponentialLR(o, 0.9)], [5, 14]
    ),
    "polynomial": lambda o: lrs.PolynomialLR(o, 40, 1.5),
    "restarts": lambda o: lrs.CosineAnnealingWarmRestarts(o, 7, 2, eta_min=1e-4),
    "plateau": lambda o: lrs.ReduceLROnPlateau(o, factor=0.5, patience=1, min_lr=1e-3, eps=4e-3),
    "chained": lambda o: lrs.ChainedScheduler([lrs.ConstantLR(o, 0.1, 8), lrs.ExponentialLR(o, 0.96)]),
    "swa": lambda o: SWALR(o, swa_lr=0.005, anneal_epochs=15),
}


class Training:
    """A linear model, two parameter groups, and what is asked for."""

    def __init__(self, given: dict[str, Any]) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        self.model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 1))
        self.given = given
        rate = torch.tensor(0.1) if given.get("tensor") else 0.1
        kind = getattr(torch.optim, given.get("optimizer", "SGD"))
        groups = [{"params": self.model[0].parameters()}, {"params": self.model[1].parameters()}]
        if not given.get("tensor"):
            groups[1]["lr"] = 0.02
        options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
        options |= given.get("options", {})
        self.optimizer = kind(groups, lr=rate, **options)
        self.done = 0
        self.used: list[float] = []
        self.optimizer.register_step_pre_hook(self.see)
        if given.get("load") and given.get("scheduler_last"):
            self.load()
        self.scheduler = SCHEDULERS[given.get("scheduler", "none")](self.optimizer)
        if given.get("load") and not given.get("scheduler_last"):
            self.load()
        if given.get("load") and self.scheduler and not given.get("scheduler_lost"):
            self.scheduler.load_state_dict(self.state["scheduler"])

    def load(self) -> None:
        self.state = torch.load(self.given["load"], weights_only=False)
        self.model.load_state_dict(self.state["model"])
        self.optimizer.load_state_dict(self.state["optimizer"])
        self.done = self.state["done"]

    def save(self, path: str) -> None:
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "done": self.done}
        state["scheduler"] = self.scheduler.state_dict() if self.scheduler else None
        torch.save(state, path)

    def go(self, steps: int) -> list[list[float]]:
        return [self.step() for _ in range(steps)]

    def step(self) -> list[float]:
        if self.given.get("own"):
            for group in self.optimizer.param_groups:
                group["lr"] = 0.1 * 0.99**self.done
        self.model(torch.ones(2, 4)).sum().backward()
        self.walk()
        self.optimizer.zero_grad()
        if isinstance(self.scheduler, lrs.ReduceLROnPlateau):
            self.scheduler.step(1.0)
        elif self.scheduler:
            self.scheduler.step()
        self.done += 1
        return self.used

    def see(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Note the rates at the last moment before they are used."""
        self.used = [float(group["lr"]) for group in optimizer.param_groups]

    def walk(self) -> None:
        try:
            self.optimizer.step()
        except SystemExit:
            if not self.given.get("stubborn"):
                raise


def main() -> None:
    training = Training(json.loads(sys.argv[1]))
    print(json.dumps("up"), flush=True)
    for line in sys.stdin:
        word, value = json.loads(line)
        answer = eval(value, {"training": training, "torch": torch}) if word == "do" else getattr(training, word)(value)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
