"""Trainings that write what real trainers write, as programs of their own: their files, names, processes.

They learn nothing: what their pictures show is decided by `right`, the share of pictures that show what was asked.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

from PIL import Image, ImageDraw

from watcher.demo.world import PROMPTS, Scene, draw, validation_scenes

GUI = '''"""Stands for kohya_ss's GUI: it starts what a file asks for, as the GUI's button does, and lives on."""
import pathlib, subprocess, sys, time
log = open(pathlib.Path(sys.argv[sys.argv.index("--outdir") + 1], "gui.log"), "a")
orders = pathlib.Path("orders")
children = []
while True:
    for order in sorted(orders.glob("*.toml")):
        config = order.read_text()
        order.unlink()
        launcher = [sys.executable, "venv/bin/accelerate", "launch"]
        print("started", config, file=log, flush=True)
        children.append(subprocess.Popen([*launcher, "sd-scripts/train_network.py", "--config_file", config]))
    for child in children:
        child.poll()
    time.sleep(0.1)
'''
ACCELERATE = '''"""Stands for accelerate's launcher with one process: it starts the training and waits."""
import subprocess, sys
sys.exit(subprocess.Popen([sys.executable, *sys.argv[2:]]).wait())
'''
TRAIN_NETWORK = '''"""Stands for sd-scripts' train_network.py: epochs, samples, TensorBoard scalars, checkpoints."""
import sys, tomllib
from tests.journeys.trainers import train_kohya
train_kohya(tomllib.load(open(sys.argv[sys.argv.index("--config_file") + 1], "rb")))
'''
SIMPLETUNER = '''"""Stands for SimpleTuner's train.py: it reads config/config.json of its working folder."""
from tests.journeys.trainers import train_simpletuner
train_simpletuner()
'''
STEPS_AN_EPOCH = 50
STEPS_AN_EVALUATION, SECONDS_AN_EVALUATION = 500, 4.0
SIDE = 128
"""Pixels of a SimpleTuner picture, large enough for its label to be small in it."""


def kohya_home(home: Path) -> Path:
    """Make a kohya_ss folder with its GUI, launcher and trainer; gives it."""
    folder = home / "kohya_ss"
    for name, text in {
        "kohya_gui.py": GUI,
        "venv/bin/accelerate": ACCELERATE,
        "sd-scripts/train_network.py": TRAIN_NETWORK,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "orders").mkdir()
    return folder


def kohya_config(output: Path, name: str, logs: Path, stamp: str, seconds: float, right: float) -> Path:
    """Write what the GUI writes before it starts a training: its prompt file and the training's configuration."""
    (output / "sample").mkdir(parents=True, exist_ok=True)
    lines = [f"{scene.caption} --w 32 --h 32 --d {number}" for number, scene in enumerate(validation_scenes(PROMPTS))]
    (output / "sample" / "prompt.txt").write_text("# portraits\n" + "\n".join(lines) + "\n")
    settings = {
        "output_dir": str(output),
        "output_name": name,
        "logging_dir": str(logs),
        "log_with": "tensorboard",
        "sample_every_n_epochs": 1,
        "save_every_n_epochs": 1,
        "sample_prompts": str(output / "sample" / "prompt.txt"),
        "epoch_seconds": seconds,
        "right": right,
    }
    path = output / f"config_lora-{stamp}.toml"
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
    return path


def train_kohya(settings: dict[str, object], epochs: int = 400) -> None:
    """Write an epoch's scalars, samples and checkpoint after another, as train_network.py does."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    logs = Path(str(settings["logging_dir"])) / time.strftime("%Y%m%d%H%M%S") / "network_train"
    writer = EventFileWriter(str(logs))
    step = 0

    def log(tag: str, value: float) -> None:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.add_event(Event(wall_time=time.time(), step=epoch if "epoch" in tag else step, summary=summary))
        writer.flush()

    for epoch in range(1, epochs):
        for _ in range(STEPS_AN_EPOCH):
            step += 1
            log("loss/current", 1 / step)
            time.sleep(float(str(settings["epoch_seconds"])) / STEPS_AN_EPOCH)
        log("loss/epoch_average", 1 / step)
        kohya_checkpoint(Path(str(settings["output_dir"])), str(settings["output_name"]), epoch, step)
        kohya_samples(settings, epoch)


def kohya_samples(settings: dict[str, object], epoch: int, at: float | None = None) -> list[Path]:
    """Write one epoch's samples, named as at a wall time."""
    folder = Path(str(settings["output_dir"])) / "sample"
    rng = random.Random(epoch)
    stamp = time.strftime("%Y%m%d%H%M%S", time.localtime(at))
    found = []
    for number, scene in enumerate(validation_scenes(PROMPTS)):
        shown = scene if rng.random() < float(str(settings["right"])) else rng.choice(validation_scenes(PROMPTS))
        path = folder / f"{settings['output_name']}_e{epoch:06d}_{number:02d}_{stamp}_{number}.png"
        draw(shown, rng).save(path)
        found.append(path)
    return found


def kohya_checkpoint(output: Path, name: str, epoch: int, step: int) -> Path:
    """Write an epoch's checkpoint with the metadata that sd-scripts puts into it."""
    import numpy as np
    from safetensors.numpy import save_file

    path = output / f"{name}-{epoch:06d}.safetensors"
    metadata = {"ss_output_name": name, "ss_epoch": str(epoch), "ss_steps": str(step)}
    save_file({"lora.weight": np.zeros((2, 2), np.float32)}, path, metadata)
    return path


def simpletuner_home(home: Path, clip: str, **settings: object) -> Path:
    """Make a SimpleTuner folder with its configuration; gives its output folder."""
    folder = home / "simpletuner"
    output = folder / "output" / "flux-cat"
    (folder / "config").mkdir(parents=True, exist_ok=True)
    (output / "validation_images").mkdir(parents=True, exist_ok=True)
    (folder / "train.py").write_text(SIMPLETUNER)
    configured = {
        "--output_dir": str(output),
        "--validation_prompt": validation_scenes(1)[0].caption,
        "--validation_resolution": f"{SIDE}x{SIDE}",
        "--validation_steps": STEPS_AN_EVALUATION,
        "--validation_disable_unconditional": "true",
        "--checkpointing_steps": STEPS_AN_EVALUATION,
        "--evaluation_type": "clip",
        "--pretrained_evaluation_model_name_or_path": clip,
        "--report_to": "tensorboard",
        "--tracker_project_name": "flux-cat",
        **settings,
    }
    (folder / "config" / "config.json").write_text(json.dumps(configured, indent=2))
    return output


def train_simpletuner(evaluations: int = 400) -> None:
    """Write display images, with footer and by default the base model's panel, and checkpoints, as SimpleTuner does."""
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    settings = json.loads(Path("config/config.json").read_text())
    output = Path(settings["--output_dir"])
    scenes = validation_scenes(16 if settings.get("--user_prompt_library") else 1)
    names = [scene.slug if settings.get("--user_prompt_library") else "validation" for scene in scenes]
    before = [int(path.name.split("_")[1]) for path in output.glob("validation_images/step_*")]
    first = 1 + max(before, default=0) // STEPS_AN_EVALUATION
    log = EventFileWriter(str(output / "logs" / settings["--tracker_project_name"]))
    for number in range(first, first + evaluations):
        step, rng = number * STEPS_AN_EVALUATION, random.Random(number)
        simpletuner_checkpoint(output, step)
        for name, scene in zip(names, scenes, strict=True):
            base = None if settings.get("--disable_benchmark") else draw(rng.choice(validation_scenes()), rng)
            picture = display_image(draw(scene, rng), base, scene, step)
            picture.save(output / "validation_images" / f"step_{step}_{name}_0_{SIDE}x{SIDE}.png")
        log.flush()
        time.sleep(SECONDS_AN_EVALUATION)


def display_image(panel: Image.Image, base: Image.Image | None, scene: Scene, step: int) -> Image.Image:
    """Write the prompt below, and stitch the base model's panel, if any, to the left, as SimpleTuner since 3.1.3."""
    left = SIDE + 5 if base else 0
    width = left + SIDE
    picture = Image.new("RGB", (width + (base is not None and width % 16 != 0), SIDE + 47), "black")
    picture.paste(panel.convert("RGB").resize((SIDE, SIDE)), (left, 0))
    pen = ImageDraw.Draw(picture)
    pen.text((4, SIDE + 10), f"Prompt: {scene.caption}", fill="white")
    if base:
        picture.paste(base.convert("RGB").resize((SIDE, SIDE)), (0, 0))
        pen.text((10, 10), "base model", fill="white")
        pen.text((left + 10, 10), f"step {step}", fill="white")
    return picture


def simpletuner_checkpoint(output: Path, step: int) -> None:
    """Write a checkpoint folder, its `.guard` last."""
    folder = output / f"checkpoint-{step}"
    folder.mkdir(exist_ok=True)
    (folder / "training_state.json").write_text(json.dumps({"global_step": step}))
    (folder / ".guard").write_text("complete\n")
