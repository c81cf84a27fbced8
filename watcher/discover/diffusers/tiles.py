"""Which pictures lie in one that a script logs: how many, and whose prompt they are of.

| script | tag | pictures in it |
|---|---|---|
| train_text_to_image.py, Kandinsky, Wuerstchen | `validation` | one for each of `--validation_prompts` |
| dreambooth, LoRA and SDXL scripts, textual inversion | `validation`, at the end `test` | `--num_validation_images` |
| ControlNet, T2I-Adapter, control | the prompt | the conditioning image, then `--num_validation_images` |
| LCM distillation | the prompt | 4 of the target model; logged again, of the model in training |
| train_unconditional.py | `test_samples` | `--eval_batch_size` |

Source: huggingface/diffusers, `examples/*/train_*.py`, `log_validation`.
"""

from __future__ import annotations

from dataclasses import dataclass

from watcher.discover.diffusers.names import FINAL, UNCONDITIONAL, VALIDATION
from watcher.discover.diffusers.starts import Start

DISTILLED = 4
"""Pictures of a prompt that LCM distillation makes; no option changes it."""
_UPSCALES = "class_labels_conditioning"
"""A setting of scripts that take `--validation_images` as well, which say how many there are, and are not noted."""
_WAY_OUT = "say how many with `layout: {diffusers: {images: N}}`"


@dataclass(frozen=True, slots=True)
class Tiling:
    """What lies in a picture."""

    count: int
    conditioning: int = 0
    """So many of them, the first ones, were given to the model, not made by it."""
    numbered: bool = False
    """Each is of the prompt of its number; else all are of one."""
    is_sure: bool = True
    """It is plainly said how many; else only the models' own, square pictures are believed."""

    @property
    def generated(self) -> int:
        """How many the model made."""
        return self.count - self.conditioning


def tiling(start: Start, tag: str, images: int | None, prompts: int) -> Tiling | str:
    """Say what lies in a picture with a tag, or why that is not known.

    Of the user's, `images` says how many each prompt has, or with several prompts how many there are; `prompts` is how
    many there are in the prompt file, 0 without one.
    """
    if tag in (VALIDATION, FINAL):
        return _numbered(start, images, prompts) if takes_prompts(start, prompts) else _of_one(start, images)
    if tag == UNCONDITIONAL:
        count = images or start.number("eval_batch_size")
        return Tiling(count) if count else f"it is not known how many pictures `{tag}` holds; {_WAY_OUT}"
    return _of_tag(start, tag, images)


def takes_prompts(start: Start, prompts: int = 0) -> bool:
    """Tell whether a script validates with several prompts; those are never among the hyperparameters."""
    if start.has("validation_prompts"):
        return True
    if start.settings:
        return not start.has("num_validation_images") and not start.has("validation_prompt")
    return not start.lists and prompts > 1


def is_conditioned(start: Start) -> bool | None:
    """Tell whether a script that logs by prompts puts the conditioning image first; None where that is not known."""
    if start.has("conditioning_image_column") or start.has("validation_image"):
        return True
    if start.has("pretrained_teacher_model"):
        return False
    return True if not start.is_known and ("control" in start.tracker or "adapter" in start.tracker) else None


def logs_epochs(start: Start) -> bool:
    """Tell whether a script logs its pictures at the epoch: it validates one prompt, once in so many epochs.

    `train_text_to_image.py`, which has several, logs them at the step.
    """
    return start.has("validation_epochs") and start.has("num_validation_images")


def _numbered(start: Start, images: int | None, prompts: int) -> Tiling | str:
    count = images or len(start.lists.get("validation_prompts", ()))
    if count or prompts:
        return Tiling(count or prompts, numbered=True, is_sure=bool(count))
    return (
        "the script was not seen running, and writes down neither its `--validation_prompts` nor how many there are; "
        "give `prompts:` with all of them, one a line"
    )


def _of_one(start: Start, images: int | None) -> Tiling | str:
    given = len(start.lists.get("validation_images", ()))
    count = images or given or start.number("num_validation_images")
    if not count:
        return f"no `num_validation_images` is known of {start.tracker}; {_WAY_OUT}"
    return Tiling(count, is_sure=bool(images or given) or _UPSCALES not in start.settings)


def _of_tag(start: Start, tag: str, images: int | None) -> Tiling | str:
    conditioned = is_conditioned(start)
    if conditioned is None:
        return f"{start.tracker} logs {tag[:40]!r}, and no script of diffusers that is known logs by such a tag"
    if not conditioned:
        return Tiling(images or DISTILLED)
    count = images or start.number("num_validation_images")
    if not count:
        return f"no `num_validation_images` is known of {start.tracker}; {_WAY_OUT}"
    return Tiling(count + 1, conditioning=1)
