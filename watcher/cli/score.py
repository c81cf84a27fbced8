"""`watcher score`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from watcher.cli.common import JsonOption, console, print_json

if TYPE_CHECKING:
    from watcher.score import ScorerSettings

SCHEMA_VERSION = 1
FIELDS = ("path", "step", "prompt_key", "prompt", "cosine", "health", "error")


def score(
    path: Annotated[Path, typer.Argument(help="A run's folder, as trainers write it.")],
    prompts: Annotated[
        Path | None, typer.Option(help="Prompt file: JSON object of key to text, or one prompt a line.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="CLIP model: a folder or a cached hub id.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    output: Annotated[Literal["table", "csv"], typer.Option("--format", help="table or csv.")] = "table",
    as_json: JsonOption = False,
) -> None:
    """Score a folder now, without daemon and configuration."""
    from watcher.view.score import score_folder

    found = score_folder(path, prompts, _settings(model, device))
    if as_json:
        print_json(found)
    elif output == "csv":
        _print_csv(found["images"])
    else:
        _print(found)


def _settings(model: str | None, device: str) -> ScorerSettings:
    from watcher.score import ScorerSettings

    given = {"device": device} if model is None else {"device": device, "model": model}
    return ScorerSettings.model_validate(given)


def _print_csv(images: Sequence[dict[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, FIELDS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**image, "health": " ".join(image["health"])} for image in images)


def _print(found: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("cosine", "step", "key", "prompt", "remarks", box=None)
    for one in found["images"]:
        cosine = "-" if one["cosine"] is None else f"{one['cosine']:.4f}"
        remarks = ", ".join([*one["health"], *([one["error"]] if one["error"] else [])])
        cells = (cosine, str(one["step"]), one["prompt_key"], one["prompt"] or "-", remarks)
        table.add_row(*(Text(cell) for cell in cells))
    out = console()
    out.print(table)
    out.print(f"scored by {found['identity'] or 'nothing: no image could be scored'}", markup=False)
    out.print("  ".join(f"{name} {value:.4g}" for name, value in found["summary"].items()), markup=False)
