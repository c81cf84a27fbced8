"""`watcher rules backtest`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watcher.cli.common import ConfigOption, JsonOption, console, print_json, recorded

if TYPE_CHECKING:
    from watcher.judge import Rule
    from watcher.rehearse.tried import Tried

Reading = tuple[Mapping[str, Sequence[str]], float, float | None]
"""The settings of `watcher.rehearse.past.Charts`."""
SUFFIXES = (".yaml", ".yml")


def backtest(
    rules: Annotated[
        list[Path],
        typer.Argument(
            metavar="RULES",
            help="A rule file or a folder of them; further rule files; further folders for --tensorboard.",
            show_default=False,
        ),
    ],
    runs: Annotated[
        list[str] | None,
        typer.Option("--runs", metavar="GLOB", help="Recorded runs by name, such as 'flux-*'; again for more."),
    ] = None,
    tensorboard: Annotated[
        list[Path] | None,
        typer.Option("--tensorboard", metavar="FOLDER", help="Runs by their event files, in this folder and below."),
    ] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="METRIC=TAG", help="The tag of a metric in event files; again for more."),
    ] = None,
    scale: Annotated[float, typer.Option(help="Factor for the cosines of event files: 0.01 for 100 x cosine.")] = 1.0,
    assume_stderr: Annotated[
        float | None,
        typer.Option(help="For `confidence`: the standard error of means without one.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try rules on past runs: where they would have fired, what a stop would have saved, and what it would have missed.

    Of runs that `watcher` never saw the event files of TensorBoard are enough.
    """
    files, folders = _sorted(rules, tensorboard)
    if not runs and not folders:
        raise typer.BadParameter("say which runs: `--runs GLOB` for recorded ones, `--tensorboard FOLDER` for any")
    if not 0 < scale < float("inf") or (assume_stderr is not None and not 0 < assume_stderr < float("inf")):
        raise typer.BadParameter("--scale and --assume-stderr must be greater than 0")
    chosen, found = _tried(files, runs or (), folders, (_tags(tags or ()), scale, assume_stderr), config)
    _print(chosen, found, as_json=as_json)
    if not any(not result.lacks for run in found for result in run.results):
        raise typer.Exit(1)


def _sorted(given: Sequence[Path], tensorboard: Sequence[Path] | None) -> tuple[list[Path], list[Path]]:
    """Part rule files from folders of event files, which a shell makes of `--tensorboard runs/*`."""
    first, *others = given
    files = [first, *(path for path in others if path.suffix in SUFFIXES)]
    folders = [path for path in others if path.suffix not in SUFFIXES]
    if folders and not tensorboard:
        raise typer.BadParameter(f"{folders[0]} is no rule file (*.yaml); folders of event files follow --tensorboard")
    return files, [*(tensorboard or ()), *folders]


def _tags(given: Sequence[str]) -> dict[str, list[str]]:
    from watcher.judge import unknown_metric

    found: dict[str, list[str]] = {}
    for metric, _, tag in (one.partition("=") for one in given):
        if wrong := unknown_metric(metric) or ("" if tag else f"`{metric}` has no tag; write {metric}=TAG"):
            raise typer.BadParameter(wrong, param_hint="--tag")
        found.setdefault(metric, []).append(tag)
    return found


def _tried(
    files: Sequence[Path],
    globs: Sequence[str],
    folders: Sequence[Path],
    charts: Reading,
    config: Path | None,
) -> tuple[Sequence[Rule], list[Tried]]:
    from watcher.cli.rules import files_of
    from watcher.judge import load_rules

    rules = load_rules(files_of(files)).rules
    return rules, [*_recorded(rules, globs, config), *_charted(rules, folders, charts)]


def _recorded(rules: Sequence[Rule], globs: Sequence[str], config: Path | None) -> Iterator[Tried]:
    from watcher.rehearse import past
    from watcher.rehearse.backtest import try_rules
    from watcher.rehearse.tried import tried

    if globs:
        with recorded(config) as store:
            yield from (tried(run, try_rules(rules, run)) for run in past.recorded(store, globs))


def _charted(rules: Sequence[Rule], folders: Sequence[Path], charts: Reading) -> Iterator[Tried]:
    from watcher.rehearse.backtest import try_rules
    from watcher.rehearse.past import Charts, charted
    from watcher.rehearse.tried import tried

    if not folders:
        return
    for run in charted(folders, Charts(*charts), rules):
        yield tried(run, try_rules(rules, run), run.folder.problems)


def _print(rules: Sequence[Rule], found: Sequence[Tried], *, as_json: bool) -> None:
    from watcher.rehearse.tried import document, parts

    if as_json:
        print_json(document(rules, found))
        return
    out: Any = console()
    for part in parts(rules, found, out):
        out.print(part, soft_wrap=isinstance(part, str), markup=False, highlight=False)
