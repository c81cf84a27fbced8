"""A small training with diffusers and accelerate, in the form of its `examples/text_to_image/train_text_to_image.py`.

The pipeline is Stable Diffusion's, of a few thousand random weights, built in code; the pictures are the demo's. What
is logged, where and how is done by diffusers, accelerate and torch as in that script. Moreover it saves what the
pipeline made, `{clean_dir}/{step}-{number}.png`, and stays until its standard input is closed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from watcher.demo.world import draw, training_scenes

SIDE = 32


def parse_args() -> argparse.Namespace:
    """Read the script's own options, as far as they matter here."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--clean_dir", required=True)
    parser.add_argument("--logging_dir", default="logs")
    parser.add_argument("--validation_prompts", nargs="+")
    parser.add_argument("--validation_epochs", type=int, default=1)
    parser.add_argument("--num_train_epochs", type=int, default=2)
    parser.add_argument("--steps_per_epoch", type=int, default=3)
    parser.add_argument("--checkpointing_steps", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report_to", default="tensorboard")
    parser.add_argument("--hub_model_id", default=None)
    parser.add_argument("--push_to_hub", action="store_true")
    parser.add_argument("--tracker_project_name", default="text2image-fine-tune")
    return parser.parse_args()


def build_pipeline(folder: Path) -> StableDiffusionPipeline:
    """Make Stable Diffusion's parts, small and with random weights; a tokenizer of single letters."""
    folder.mkdir(parents=True)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)
    text = CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    blocks: dict[str, Any] = {"block_out_channels": (32, 64), "layers_per_block": 1, "norm_num_groups": 8}
    vae = AutoencoderKL(
        **blocks,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        sample_size=SIDE,
    )
    unet = UNet2DConditionModel(
        **blocks,
        sample_size=SIDE // 2,
        cross_attention_dim=32,
        attention_head_dim=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(num_train_timesteps=100, steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def log_validation(
    pipeline: StableDiffusionPipeline, args: argparse.Namespace, accelerator: Accelerator, global_step: int
) -> None:
    """Generate a picture for each prompt and log them, as the script does."""
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(args.seed)
    images = [
        pipeline(prompt, num_inference_steps=3, generator=generator).images[0] for prompt in args.validation_prompts
    ]
    for number, image in enumerate(images):
        image.save(Path(args.clean_dir) / f"{global_step}-{number}.png")
    for tracker in accelerator.trackers:
        if tracker.name == "tensorboard":
            np_images = np.stack([np.asarray(image) for image in images])
            tracker.writer.add_images("validation", np_images, global_step, dataformats="NHWC")


def train_step(pipeline: StableDiffusionPipeline, unet: Any, rng: random.Random) -> torch.Tensor:
    """Give the loss of the noise that the model predicts in one picture."""
    scene = rng.choice(training_scenes())
    pixels = np.asarray(draw(scene, rng, SIDE), dtype=np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
    words = pipeline.tokenizer(scene.caption, padding="max_length", truncation=True, return_tensors="pt")
    with torch.no_grad():
        latents = (
            pipeline.vae.encode(torch.from_numpy(pixels)).latent_dist.sample() * pipeline.vae.config.scaling_factor
        )
        states = pipeline.text_encoder(words.input_ids)[0]
    noise, times = torch.randn_like(latents), torch.randint(0, 100, (1,))
    noisy = pipeline.scheduler.add_noise(latents, noise, times)
    return torch.nn.functional.mse_loss(unet(noisy, times, states).sample, noise)


def main() -> None:
    """Train, validate at the end of each epoch, save."""
    args = parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    logging_dir = str(Path(args.output_dir) / args.logging_dir)
    project = ProjectConfiguration(project_dir=args.output_dir, logging_dir=logging_dir)
    accelerator = Accelerator(cpu=True, log_with=args.report_to, project_config=project)
    pipeline = build_pipeline(Path(args.clean_dir) / "tokenizer")
    optimizer = torch.optim.AdamW(pipeline.unet.parameters(), lr=1e-3)
    unet, optimizer = accelerator.prepare(pipeline.unet, optimizer)
    tracker_config = dict(vars(args))
    tracker_config.pop("validation_prompts")
    accelerator.init_trackers(args.tracker_project_name, tracker_config)
    rng, global_step = random.Random(args.seed), 0
    for epoch in range(args.num_train_epochs):
        for _ in range(args.steps_per_epoch):
            loss = train_step(pipeline, unet, rng)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            global_step += 1
            accelerator.log({"train_loss": loss.item()}, step=global_step)
            if global_step % args.checkpointing_steps == 0:
                accelerator.save_state(str(Path(args.output_dir) / f"checkpoint-{global_step}"))
        if args.validation_prompts is not None and epoch % args.validation_epochs == 0:
            log_validation(pipeline, args, accelerator, global_step)
    accelerator.end_training()
    print("trained", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
