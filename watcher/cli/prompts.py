"""`watcher prompts`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from watcher.cli.common import JsonOption, console, print_json, write_whole

SCHEMA_VERSION = 1
FormatName = Literal["simpletuner", "kohya", "ai-toolkit", "onetrainer", "txt", "json"]
"""As in the formats, which are not loaded for `--help`."""
app = typer.Typer(no_args_is_help=True, help="Give any trainer the same standard prompts.")


@app.callback()
def _main() -> None:
    return


@app.command("list")
def listed(as_json: JsonOption = False) -> None:
    """List the prompt libraries that come with the program: prompts, categories, licence, source."""
    from watcher.library import LIBRARIES
    from watcher.view.library import described, overview

    found = [described(one) for one in LIBRARIES]
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, "libraries": found})
    else:
        out = console()
        for part in overview(found, out):
            out.print(part)


@app.command("export")
def export(
    name: Annotated[str, typer.Argument(help="The library: parti or geneval.", show_default=False)],
    form: Annotated[
        FormatName, typer.Option("--format", help="The trainer that is to read it, or txt, or json.")
    ] = "txt",
    size: Annotated[
        int | None,
        typer.Option("--sample", help="Only so many, of every category its share.", min=1, show_default="all"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which sample: the same seed gives the same prompts everywhere.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write this file instead of standard output.")
    ] = None,
) -> None:
    """Write a library's prompts as a trainer reads them.

    Two trainings with the same prompts can be compared with `watcher compare`.
    """
    from watcher.library import FORMATS, choose_library, sample

    library = choose_library(name)
    entries = library.entries()
    text = FORMATS[form].write(entries if size is None else sample(entries, size, seed))
    if output is None:
        _print(text)
        return
    write_whole(output.expanduser(), text)
    number = len(entries) if size is None else size
    sys.stderr.write(f"written: {output}: {number} prompts of {library.title} ({library.licence}); ")
    sys.stderr.write(f"{FORMATS[form].where}\n")


def _print(text: str) -> None:
    """Print in UTF-8, whatever the terminal's encoding: trainers read the files as that."""
    sys.stdout.flush()
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None:
        sys.stdout.write(text)
    else:
        stream.write(text.encode())
        stream.flush()
