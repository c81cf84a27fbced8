"""Names of samples as each trainer's own format strings make them, whatever users call their trainings and prompts."""

from __future__ import annotations

import time

from hypothesis import strategies as st

from tests import aitoolkit, kohya, onetrainer

LOOKALIKES = (
    "step_100_cat_1_8x6",
    "000500_07_20250114093012",
    "e000003_01_20250114101500_000",
    "1724085406830__000000500_7",
    "2025-01-14_09-30-12-training-sample-500-4-20",
    "0 - a cat",
    "samples",
    "val_img_1",
    "gs00249-000-",
    "sample",
)
"""What looks like another trainer's name, and may well stand in a name of one's own."""
WORDS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
FREE = st.lists(st.sampled_from([*LOOKALIKES, "_", "-", " ", "__"]) | WORDS, min_size=1, max_size=4).map("".join)
STEPS = st.integers(0, 10**7) | st.sampled_from([0, 999_999, 10**6, 10**9])
TIMES = st.floats(1.6e9, 2e9)
SEEDS = st.none() | st.integers(0, 2**32)
SIZES = st.tuples(st.integers(64, 4096), st.integers(64, 4096)).map(lambda size: f"{size[0]}x{size[1]}")
SMALL = st.integers(0, 120)
PICTURE = st.sampled_from([".png", ".jpg"])


def stamp(at: float) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.localtime(at))


@st.composite
def simpletuner_names(draw: st.DrawFn) -> str:
    short, size = draw(FREE.map(lambda name: name.replace("\n", " "))), draw(SIZES)
    if draw(st.booleans()):
        return f"benchmarks/base_model/{short}_{size}.png"
    return f"validation_images/step_{draw(STEPS)}_{short}_{draw(SMALL)}_{size}{draw(PICTURE)}"


@st.composite
def kohya_names(draw: st.DrawFn) -> str:
    make = draw(st.sampled_from([kohya.sample_name, kohya.old_sample_name]))
    epoch = draw(st.none() | st.integers(0, 10**4))
    name = draw(st.none() | FREE)
    return "sample/" + make(name, index=draw(SMALL), at=draw(TIMES), step=draw(STEPS), epoch=epoch, seed=draw(SEEDS))


@st.composite
def musubi_names(draw: st.DrawFn) -> str:
    """Write names of musubi-tuner: `sample_image_inference` with `save_images_grid`'s number; Kandinsky 5's own."""
    step, index, seed = draw(STEPS), draw(SMALL), draw(SEEDS)
    if draw(st.booleans()):
        return f"sample/sample_{step:06d}_{index:02d}.png"
    number = draw(st.sampled_from([f"{step:06d}", f"e{step % 10**4:06d}"]))
    name = draw(st.just("") | FREE.map(lambda name: f"{name}_"))
    return f"sample/{name}{number}_{index:02d}_{stamp(draw(TIMES))}{'' if seed is None else f'_{seed}'}_000.png"


@st.composite
def aitoolkit_names(draw: st.DrawFn) -> str:
    ext = draw(st.sampled_from(["jpg", "png", "webp"]))
    return "samples/" + aitoolkit.sample_name(draw(STEPS), draw(SMALL), draw(TIMES), ext)


@st.composite
def onetrainer_names(draw: st.DrawFn) -> str:
    folder = onetrainer.folder_name(draw(SMALL), draw(FREE), draw(st.sampled_from(["", " - no-ema"])))
    prefix = draw(st.just("") | FREE)
    name = onetrainer.sample_name(draw(STEPS), draw(SMALL), draw(SMALL), draw(TIMES), prefix, draw(PICTURE))
    return f"samples/{folder}/{name}"


@st.composite
def diffusers_names(draw: st.DrawFn) -> str:
    """Write names of the one example script that saves files, `train_instruct_pix2pix_sdxl.py`."""
    return f"validation_images/step_{draw(STEPS)}_val_img_{draw(SMALL)}.png"


@st.composite
def finetrainers_names(draw: st.DrawFn) -> str:
    phase, slug = draw(st.sampled_from(["validation", "final"])), draw(FREE)[:25]
    return f"{phase}-{draw(STEPS)}-{draw(SMALL)}-{draw(SMALL)}-{slug}-{int(draw(TIMES))}.png"


@st.composite
def everydream_names(draw: st.DrawFn) -> str:
    clean = "".join(one for one in draw(FREE) if one.isalpha() or one.isdigit() or one == " ")[:100]
    return f"samples/gs{draw(STEPS):05}-{draw(SMALL):03}-{draw(st.sampled_from(['', '_ema']))}{clean}.jpg"


@st.composite
def compvis_names(draw: st.DrawFn) -> str:
    key, split = draw(st.sampled_from(["samples", "inputs", "conditioning"])), draw(st.sampled_from(["train", "val"]))
    folder = draw(st.sampled_from(["images", "image_log"]))
    return f"{folder}/{split}/{key}_gs-{draw(STEPS):06}_e-{draw(SMALL):06}_b-{draw(STEPS):06}.png"


@st.composite
def invoke_names(draw: st.DrawFn) -> str:
    place = f"epoch_{draw(SMALL):08}-step_{draw(STEPS):08}/prompt_{draw(SMALL):04}"
    return f"{draw(TIMES)}/validation/{place}/{draw(SMALL):04}.jpg"


@st.composite
def videox_names(draw: st.DrawFn) -> str:
    return f"sample/sample-{draw(STEPS)}-rank{draw(SMALL)}-image-{draw(SMALL)}.jpg"


TRAINERS: dict[str, st.SearchStrategy[str] | None] = {
    "simpletuner": simpletuner_names(),
    "kohya": kohya_names(),
    "musubi": musubi_names(),
    "ai-toolkit": aitoolkit_names(),
    "onetrainer": onetrainer_names(),
    "diffusers": diffusers_names(),
    "diffusion-pipe": None,
    "finetrainers": finetrainers_names(),
    "EveryDream2": everydream_names(),
    "CompVis": compvis_names(),
    "invoke-training": invoke_names(),
    "VideoX-Fun": videox_names(),
}
"""By layout, and by trainer where there is none; None where a trainer writes no pictures."""
