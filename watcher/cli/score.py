"""`watcher score`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from watcher.cli.common import ConfigOption, JsonOption, console, json_text, say, write_whole

if TYPE_CHECKING:
    from watcher.score import ScorerSettings

Format = Literal["table", "csv", "json"]
Precision = Literal["fp32", "bf16", "fp16"]
"""As in the settings of a scorer, which are not loaded for `--help`."""


def score(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH...", help="Runs' output folders, folders of pictures, or pictures.", show_default=False
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="Prompt file: .json, .jsonl, .csv or .tsv name each picture; .txt has one prompt a line, in the order "
            "of the sorted files. Or a folder of .txt files. Default: what the trainer's configuration names, else the "
            ".txt or .caption file beside each picture.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="CLIP model: a folder or a cached hub id.")] = None,
    device: Annotated[str, typer.Option(help="auto, shared, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[
        int | None, typer.Option(help="Pictures scored at once.", min=1, max=4096, show_default="32")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1, show_default="all cores")] = None,
    dtype: Annotated[
        Precision, typer.Option(help="What the model calculates in; scores of unlike precision are not compared.")
    ] = "fp32",
    everything: Annotated[bool, typer.Option("--all", help="List every picture; with --again, every attempt.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a row for every picture.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write CSV or JSON, as the name ends, into a file; the table is printed as well."
        ),
    ] = None,
    again: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Let the daemon score a run's images again, as after a new model.",
            show_default=False,
        ),
    ] = None,
    step: Annotated[int | None, typer.Option(help="With --again: only this step.", show_default=False)] = None,
    config: ConfigOption = None,
    form: Annotated[Format, typer.Option("--format", hidden=True)] = "table",
    as_json: JsonOption = False,
) -> None:
    """Score folders or pictures now, without daemon and configuration.

    Prints the raw cosine between every image and its prompt, in [-1, 1] and the lowest first, then the metrics. Exits
    1 when an image could not be scored, and names it.
    """
    if again is not None:
        given = {"--prompts": prompts, "--model": model, "--batch-size": batch_size, "--threads": threads}
        given |= {"--csv": as_csv, "--output": output, "--device": device != "auto", "--dtype": dtype != "fp32"}
        _refuse_with_again(name for name, value in given.items() if value)
        _again(again, step, config, everything=everything, as_json=as_json, paths=paths)
        return
    if not paths:
        raise typer.BadParameter("give a folder or pictures to score, or --again RUN")
    if step is not None:
        raise typer.BadParameter("--step belongs to --again RUN")
    wanted = {"model": model, "device": device, "batch_size": batch_size, "threads": threads, "dtype": dtype}
    settings = _settings({name: value for name, value in wanted.items() if value is not None})
    chosen: Format = "json" if as_json else "csv" if as_csv else form
    target = (output, _format_of(output, chosen)) if output else None
    found = _score([path.expanduser() for path in paths], prompts and prompts.expanduser(), settings)
    _print(found, "table" if target else chosen, everything=everything)
    if target:
        _write(*target, found)
    _complain(found)


def _refuse_with_again(given: Iterable[str]) -> None:
    """Refuse options that would be passed over: the daemon scores, as its configuration says.

    Raises:
        BadParameter: names the first one.

    """
    for name in given:
        raise typer.BadParameter(
            f"{name} does not go with --again: the daemon scores as `scorers:` of watcher.yaml says"
        )


def _settings(given: dict[str, Any]) -> ScorerSettings:
    """Read the options as the settings that they are in a configuration.

    Raises:
        ConfigError: there is no such device, or no such precision.

    """
    from pydantic import ValidationError

    from watcher.errors import ConfigError
    from watcher.score import ScorerSettings

    try:
        return ScorerSettings.model_validate(given)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        way = "give auto, shared, cpu, cuda or cuda:N" if name == "device" else error.errors()[0]["msg"]
        raise ConfigError(f"--{name.replace('_', '-')} {given.get(name)}: {way}") from error


def _format_of(output: Path, chosen: Format) -> Format:
    """Give what is written into a file: what was asked for, else what its name says.

    Raises:
        BadParameter: neither says it.

    """
    named: dict[str, Format] = {".csv": "csv", ".json": "json"}
    found = named.get(output.suffix.lower()) if chosen == "table" else chosen
    if found is None:
        raise typer.BadParameter(f"--output {output}: name it .csv or .json, or give --csv or --json")
    return found


def _score(paths: list[Path], prompts: Path | None, settings: ScorerSettings) -> dict[str, Any]:
    """Score, and show how far it is.

    Raises:
        KeyboardInterrupt: at Ctrl-C, once it is said how far it came.

    """
    from watcher.cli.progress import Progress
    from watcher.view.score import score_paths

    progress = Progress()
    try:
        with progress.shown():
            return score_paths(paths, prompts, settings, progress)
    except KeyboardInterrupt:
        how_far = f"{progress.done:,} of {progress.total:,} images were scored" if progress.total else "nothing scored"
        sys.stderr.write(f"watcher: interrupted: {how_far}, nothing is printed or written\n")
        raise


def _print(found: dict[str, Any], form: Format, *, everything: bool) -> None:
    from watcher.view.scored import csv_text, parts

    if form != "table":
        sys.stdout.write(csv_text(found) if form == "csv" else json_text(found))
        sys.stdout.flush()
        return
    out = console()
    for part in parts(found, out, everything=everything):
        say(out, part) if isinstance(part, str) else out.print(part)
    if found["identity"]:
        say(out, f"scored by {found['identity']} on {found['device']}")
    if found["problem"]:
        say(out, found["problem"], style="yellow")


def _write(place: Path, form: Format, found: dict[str, Any]) -> None:
    from watcher.view.scored import csv_text

    write_whole(place, csv_text(found) if form == "csv" else json_text(found))
    sys.stderr.write(f"written: {place}\n")


def _complain(found: dict[str, Any]) -> None:
    """Name what could not be scored.

    Raises:
        Exit: something could not.

    """
    from watcher.view.scored import complaints

    for number, line in enumerate(complaints(found)):
        sys.stderr.write(f"{line}\n" if number else f"watcher: {line}\n")
    if found["failed"]:
        raise typer.Exit(1)


def _again(
    name: str, step: int | None, config: Path | None, *, everything: bool, as_json: bool, paths: list[Path] | None
) -> None:
    from watcher.byhand.again import order_again

    if paths:
        raise typer.BadParameter(f"--again scores what the daemon knows of {name}; leave {paths[0]} out")
    told = order_again(name, config, step=step, superseded=everything)
    sys.stdout.write(json_text(told) if as_json else "".join(f"{line}\n" for line in told["said"]))
