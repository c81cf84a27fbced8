"""What sd-scripts and kohya_ss leave behind, written as they do, independently of what reads it; and stand-ins."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, PngImagePlugin
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from watcher.discover.running import processes

TRAINER = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"
PROMPTS = tuple(f"a thing of kind {number}" for number in range(8))


def sample_name(
    name: str | None, *, index: int, at: float, step: int = 0, epoch: int | None = None, seed: int | None = None
) -> str:
    """Write a sample's name by the format string of sd-scripts' `sample_image_inference`."""
    ts_str = time.strftime("%Y%m%d%H%M%S", time.localtime(at))
    num_suffix = f"e{epoch:06d}" if epoch is not None else f"{step:06d}"
    seed_suffix = "" if seed is None else f"_{seed}"
    return f"{'' if name is None else name + '_'}{num_suffix}_{index:02d}_{ts_str}{seed_suffix}.png"


def old_sample_name(
    name: str | None, *, index: int, at: float, step: int = 0, epoch: int | None = None, seed: int | None = None
) -> str:
    """Write a sample's name as in 2023."""
    ts_str = time.strftime("%Y%m%d%H%M%S", time.localtime(at))
    num_suffix = f"e{epoch:06d}" if epoch is not None else f"{step:06d}"
    seed_suffix = "" if seed is None else f"_{seed}"
    return f"{'' if name is None else name + '_'}{ts_str}_{num_suffix}_{index:02d}{seed_suffix}.png"


def put_sample(
    folder: Path, name: str | None, at: float, cosine: float, index: int, step: int = 0, epoch: int | None = None
) -> Path:
    """Write one picture whose cosine stands in it."""
    path = folder / "sample" / sample_name(name, index=index, at=at, step=step, epoch=epoch, seed=42)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = PngImagePlugin.PngInfo()
    text.add_text("cosine", str(cosine))
    Image.new("RGB", (4, 4), (int(at) % 251, step % 251, 9)).save(path, pnginfo=text)
    os.utime(path, (at, at))
    return path


def put_samples(
    folder: Path, name: str | None, at: float, cosine: float, step: int = 0, epoch: int | None = None
) -> list[Path]:
    """Write an evaluation, a picture a second from the first prompt on."""
    numbers = range(len(PROMPTS))
    return [put_sample(folder, name, at + number, cosine, number, step, epoch) for number in numbers]


def put_config(folder: Path, name: str, at: float, prompts: Sequence[str] = PROMPTS, **settings: object) -> Path:
    """Write what kohya_ss writes when a training is started: prompts, `.toml` and `.json`; gives the `.toml`."""
    prompt_file = folder / "sample" / "prompt.txt"
    prompt_file.parent.mkdir(parents=True, exist_ok=True)
    prompt_file.write_text("\n".join(prompts))
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(at))
    shared: dict[str, object] = {"output_name": name, "output_dir": str(folder), "sample_every_n_epochs": 1, **settings}
    toml = folder / f"config_lora-{stamp}.toml"
    toml.write_text(
        "".join(f"{k} = {json.dumps(v)}\n" for k, v in {"sample_prompts": str(prompt_file), **shared}.items())
    )
    memory = folder / f"{name}_{stamp}.json"
    memory.write_text(json.dumps({**shared, "sample_prompts": "\n".join(prompts), "save_every_n_steps": 0}))
    for path in (prompt_file, toml, memory):
        os.utime(path, (at, at))
    return toml


def put_weights(path: Path, at: float, noted: Mapping[str, object] = {}, *, short: int = 0) -> Path:
    """Write a safetensors file of one small tensor, `short` bytes less than it should have."""
    noted_texts = {name: str(value) for name, value in noted.items()}
    header = json.dumps({"__metadata__": noted_texts, "w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}})
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + b"\0" * (16 - short))
    os.utime(path, (at, at))
    return path


def put_state(folder: Path, at: float, epoch: int, step: int, *, whole: bool = True) -> Path:
    """Write a state's folder in accelerate's order: what sd-scripts notes first, the random states last."""
    folder.mkdir()
    names = ("train_state.json", "model.safetensors", *(("random_states_0.pkl",) if whole else ()))
    (folder / "train_state.json").write_text(json.dumps({"current_epoch": epoch, "current_step": step}))
    for name in names:
        (folder / name).touch()
        os.utime(folder / name, (at, at))
    return folder


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a stand-in for a trainer, with its command line, from the folder that the output folder is in."""
    script = folder.parent / "train_network.py"
    script.write_text(TRAINER)
    trainer = subprocess.Popen([sys.executable, str(script), *arguments], cwd=folder.parent, stdout=subprocess.PIPE)
    try:
        assert trainer.stdout is not None
        trainer.stdout.readline()
        processes.cache_clear()  # what was seen a moment ago
        yield trainer
    finally:
        trainer.kill()
        trainer.communicate()


class Log:
    """A training's TensorBoard log, written as accelerate's tracker does: every log is flushed."""

    def __init__(self, logging_dir: Path, at: float, prefix: str = "", tracker: str = "network_train") -> None:
        stamp = time.strftime("%Y%m%d%H%M%S", time.localtime(at))
        self.folder = logging_dir / f"{prefix}{stamp}" / tracker
        self._writer = EventFileWriter(str(self.folder))
        (written,) = self.folder.iterdir()
        end = written.name.removeprefix("events.out.tfevents.").partition(".")[2]
        self.path = self.folder / f"events.out.tfevents.{int(at):010d}.{end}"
        written.rename(self.path)
        self._writer._general_file_writer.filename = os.fsencode(self.path)
        self.now = at

    def log(self, step: int, at: float, **scalars: float) -> None:
        """Write scalars whose names have two underscores for a slash."""
        for tag, value in scalars.items():
            summary = Summary(value=[Summary.Value(tag=tag.replace("__", "/"), simple_value=value)])
            self._writer.add_event(Event(wall_time=at, step=step, summary=summary))
        self._writer.flush()
        self.now = at
        os.utime(self.path, (at, at))

    def train(self, first: int, last: int, at: float, pace: float = 1.0) -> float:
        """Log steps, each with a loss and a rate; gives when the last was logged."""
        for step in range(first, last + 1):
            self.log(step, at + (step - first) * pace, loss__current=0.1, loss__average=0.1, lr__unet=1e-4)
        return self.now

    def end_epoch(self, epoch: int, at: float, tag: str = "loss__epoch_average") -> None:
        """Log an epoch's mean loss, with the epoch for a step."""
        self.log(epoch, at, **{tag: 0.1})

    def close(self) -> None:
        """End the writer's thread."""
        self._writer.close()
