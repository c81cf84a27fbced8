"""A real training of several ranks, as `torchrun` starts it; it knows nothing of any watcher.

    python ranked.py FOLDER [--accelerate]

Trains until a file FOLDER/end is there; each rank writes the rate of every step into FOLDER/rates-RANK, one a line.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(sys.argv[1])
SAVED = FOLDER / "third.pt"
"""A checkpoint of the third step, from which a second start goes on."""
PACE = float(os.environ.get("PACE", "0.01"))


def prepared() -> tuple[Any, Any, Any, int, Any]:
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9999)
    if "--accelerate" in sys.argv:
        from accelerate import Accelerator

        made = Accelerator(cpu=True)
        ready = made.prepare(model, optimizer, scheduler)
        return (*ready, made.process_index, made.backward)
    torch.distributed.init_process_group("gloo")
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    return wrapped, optimizer, scheduler, torch.distributed.get_rank(), lambda loss: loss.backward()


def main() -> None:
    model, optimizer, scheduler, rank, backward = prepared()
    flag, done = torch.zeros(1), 0
    if SAVED.exists():
        kept = torch.load(SAVED, weights_only=False)
        optimizer.load_state_dict(kept[0])
        scheduler.load_state_dict(kept[1])
        done = kept[2]
    with (FOLDER / f"rates-{rank}").open("w", buffering=1) as log:
        while not flag.item():
            loss = model(torch.randn(8, 4)).pow(2).mean()
            backward(loss)
            log.write(f"{optimizer.param_groups[0]['lr']!r}\n")
            optimizer.step()
            scheduler.step()
            done += 1
            if done == 3 and rank == 0 and not SAVED.exists():
                torch.save([optimizer.state_dict(), scheduler.state_dict(), done], SAVED.with_suffix(".part"))
                SAVED.with_suffix(".part").rename(SAVED)
            optimizer.zero_grad()
            time.sleep(PACE * (1 + 2 * rank))
            flag = torch.tensor([float((FOLDER / "end").exists() and rank == 0)])
            torch.distributed.all_reduce(flag)
    (FOLDER / f"state-{rank}").write_text("done")


main()
