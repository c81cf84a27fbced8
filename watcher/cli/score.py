"""`watcher score`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from watcher.cli.common import JsonOption, console, print_json, say

if TYPE_CHECKING:
    from watcher.score import ScorerSettings

FIELDS = ("path", "step", "variant", "prompt_key", "prompt", "cosine", "health", "error")


def score(
    path: Annotated[Path, typer.Argument(help="A run's output folder, or a folder of pictures.", show_default=False)],
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="Prompt file: a JSON object of key to text (the key of `cat.png` is `cat`), or one prompt a line. "
            "Default: what the trainer's configuration names, else the `.txt` file beside each picture.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="CLIP model: a folder or a cached hub id.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    output: Annotated[Literal["table", "csv"], typer.Option("--format", help="table or csv.")] = "table",
    as_json: JsonOption = False,
) -> None:
    """Score a folder now, without daemon and configuration.

    Prints the raw cosine between every image and its prompt, in [-1, 1] and the lowest first, then the metrics. Exits
    1 when no image could be scored.
    """
    from watcher.view.score import score_folder

    found = score_folder(path.expanduser(), prompts, _settings(model, device))
    if as_json:
        print_json(found)
    elif output == "csv":
        _print_csv(found["images"])
    else:
        _print(found)
    if not found["identity"]:
        raise typer.Exit(_explain(found))


def _settings(model: str | None, device: str) -> ScorerSettings:
    """Read the options as the settings that they are in a configuration.

    Raises:
        ConfigError: there is no such device.

    """
    from pydantic import ValidationError

    from watcher.errors import ConfigError
    from watcher.score import ScorerSettings

    given = {"device": device} if model is None else {"device": device, "model": model}
    try:
        return ScorerSettings.model_validate(given)
    except ValidationError as error:
        raise ConfigError(f"--device {device}: no such device; give auto, cpu, cuda or cuda:N") from error


def _print_csv(images: Sequence[dict[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, FIELDS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**image, "health": " ".join(image["health"])} for image in images)
    sys.stdout.flush()


def _print(found: dict[str, Any]) -> None:
    from watcher.view.history import images, metrics

    out = console()
    out.print(images(found["images"], out, ("step",)))
    if not found["identity"]:
        return
    out.print()
    out.print(metrics(found["evaluations"], out))
    say(out, f"scored by {found['identity']}")
    if found["problem"]:
        say(out, found["problem"], style="yellow")


def _explain(found: dict[str, Any]) -> int:
    why = found["problem"] or "see the remarks beside each"
    lacking = any(image["error"] == "no prompt" for image in found["images"])
    way = "; give prompts with --prompts FILE, or as a .txt file beside each picture" if lacking else ""
    sys.stderr.write(f"watcher: no image could be scored: {why}{way}\n")
    return 1
