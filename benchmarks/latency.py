"""From the last file of an evaluation to its verdict: `python -m benchmarks.latency [--rounds 10]`.

The real daemon as a process with the settings that a user has by default, the demo's CLIP on one thread, loaded, one
rule and a run whose configuration says how many images an evaluation has. The clock starts when the last of its 16
files is closed and stops when another process reads from the store that the evaluation has its metric and the rule has
judged it. Images come one after the other, as a trainer draws them, or all at once, as from many GPUs.

The budget is one forward pass of the same model over 16 images, measured here on as many threads, and one second. The
pauses between evaluations differ, so that the daemon is met at every moment of its clock.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import transformers
from transformers import CLIPModel

from benchmarks.common import Figure, alternate, medians, parser, report
from tests.service.daemons import Daemon, Place, wait_for
from watcher.demo.stage import CLIP

OVERHEAD = 1.0
"""Seconds beside the forward pass."""
GAP = 0.2
"""Seconds between two images of a trainer."""
RULE = "version: 1\nrules: [{name: low, when: clip/mean < 0.2, after: 100 steps, for: 3 evaluations}]\n"
JUDGED = """
SELECT EXISTS (
  SELECT 1 FROM metrics m JOIN evaluations e ON e.id = m.evaluation_id
  WHERE e.step = {step} AND m.name = 'clip/images' AND m.value = {images}
) AND EXISTS (SELECT 1 FROM rule_states WHERE json_extract(state, '$.points') = {count})
"""


class Trainer:
    """Writes evaluations and waits for their verdicts."""

    def __init__(self, place: Place, daemon: Daemon) -> None:
        self._place, self._daemon = place, daemon
        self._written = 0

    def evaluate(self, gap: float) -> float:
        """Write the images of the next step, `gap` seconds apart; gives the seconds from the last to the verdict."""
        self._written += 1
        step = 100 * self._written
        for scene in self._place.scenes:
            time.sleep(gap)
            self._place.write(step, scenes=[scene])
        closed = time.perf_counter()
        asked = JUDGED.format(step=step, images=len(self._place.scenes), count=self._written)
        wait_for(lambda: self._place.query(asked) == [(1,)], f"step {step} is judged", self._daemon, pause=0.005)
        return time.perf_counter() - closed


def measure(folder: Path, rounds: int, gap: float) -> dict[str, list[float]]:
    """Give the seconds to the verdict, by how the images came; the first evaluation, which loads the model, apart."""
    (folder / "rules.yaml").write_text(RULE)
    place = Place(folder, rules=["rules.yaml"], settle={})
    rng = random.Random(0)
    found: dict[str, list[float]] = {"one after the other": [], "all at once": []}
    with place.daemon() as daemon:
        daemon.wait_ready()
        trainer = Trainer(place, daemon)
        trainer.evaluate(0)
        for _ in range(rounds):
            for how, pause in (("one after the other", gap), ("all at once", 0.0)):
                time.sleep(rng.random() * 2)
                found[how].append(trainer.evaluate(pause))
        daemon.end()
    return found


def forward(images: int, rounds: int) -> float:
    """Give the median seconds of the model's forward pass over one evaluation's images, on one thread."""
    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    model = CLIPModel.from_pretrained(CLIP).eval()
    side = model.config.vision_config.image_size
    pixels = torch.zeros(images, 3, side, side)
    with torch.inference_mode():
        return medians(alternate({"forward": lambda: _seconds(model, pixels)}, rounds))["forward"]


def _seconds(model: CLIPModel, pixels: torch.Tensor) -> float:
    began = time.perf_counter()
    model.get_image_features(pixel_values=pixels)
    return time.perf_counter() - began


def figures(found: dict[str, list[float]], budget: float) -> Iterator[Figure]:
    """Give what is claimed."""
    for how, seconds in found.items():
        what = f"last file closed to rule judged, images {how}"
        yield Figure(f"{what}: median", statistics.median(seconds), "s", most=budget)
        yield Figure(f"the same, worst of {len(seconds)}", max(seconds), "s", most=budget)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon, measure, compare."""
    arguments = parser(__doc__, rounds=10)
    arguments.add_argument("--gap", type=float, default=GAP, help="Seconds between two images of a trainer.")
    given = arguments.parse_args(argv)
    if given.quick:
        vars(given).update(rounds=1, gap=0.0)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.rounds, given.gap)
    pass_seconds = forward(16, given.rounds)
    seen = {"seconds": found, "forward_seconds": pass_seconds, "gap": given.gap}
    return report("latency", list(figures(found, pass_seconds + OVERHEAD)), given, seen)


if __name__ == "__main__":
    sys.exit(main())
