"""`watcher model ...`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from watcher.cli.common import ConfigOption

if TYPE_CHECKING:
    from watcher.score import Scorers

app = typer.Typer(help="Fetch the model that scores.", no_args_is_help=True)


@app.callback()
def _model() -> None:
    """Fetch the model that scores."""
    return  # that there is a callback makes `fetch` a command of its own


@app.command("fetch")
def fetch(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A hub id, such as openai/clip-vit-base-patch32. Default: the configuration's models.",
            show_default=False,
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit. Default: the newest (main).", show_default=False)
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Download the models that score into this user's cache, and try whether it loads.

    Only what scoring needs is fetched: configuration, tokenizer, preprocessing, and the weights once. A
    download that was cut off goes on where it was. A model that is there already is not asked for again. Run it as the
    user that the daemon runs as.
    """
    from watcher.score import fetch_model, load_model

    models = [name] if name else _configured(config)
    if revision is not None and len(models) > 1:
        raise typer.BadParameter(f"say of which model: {', '.join(models)}", param_hint="--revision")
    for model in models:
        wanted = model if revision is None else f"{model.partition('@')[0]}@{revision}"
        found = fetch_model(wanted, typer.echo)
        typer.echo(f"loads as {load_model(wanted)}")
        typer.echo(f"it is in {found.folder}")
    if name is not None or revision is not None:
        typer.echo(f"to score with it: `model: {wanted}` under `scorers: {{clip: ...}}`, or `--model {wanted}`")


def _configured(config: Path | None) -> list[str]:
    """Give the models of the configuration; without any configuration, the one that would be used.

    Raises:
        ConfigError: the configuration cannot be read, or says no sound model.

    """
    from watcher.config import find_config
    from watcher.errors import ConfigError
    from watcher.score import ScorerSettings

    try:
        path = config.expanduser() if config else find_config()
    except ConfigError:
        typer.echo(f"no configuration: {ScorerSettings().model} is what one without `model:` uses")
        return [ScorerSettings().model]
    models = [settings.model for settings in _scorers(path).values()]
    return [model for model in models if not Path(model).is_absolute()] or models  # a folder is there, or is not


def _scorers(path: Path) -> Scorers:
    """Read the scorers' settings alone: the rest, with its secrets, may be wrong or missing yet."""
    from dataclasses import replace

    from watcher import yamlfile
    from watcher.config import Config
    from watcher.errors import ConfigError

    document = yamlfile.load(path)
    whole = document.data if isinstance(document.data, dict) else {}
    mine = {"runs": [{"path": "."}], **({"scorers": whole["scorers"]} if "scorers" in whole else {})}
    faults = tuple(fault for fault in document.faults if fault.key.startswith("scorers"))
    found, faults_of_scorer = yamlfile.check(replace(document, data=mine, faults=faults), Config)
    if found is None or faults_of_scorer:
        raise ConfigError(faults=faults_of_scorer)
    return found.scorers
