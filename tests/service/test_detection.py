"""A parent folder with runs of several trainers, one of two of them and one of none, by the real commands."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import yaml

from tests import aitoolkit, kohya, onetrainer
from tests.commands import alone
from tests.simpletuner import project
from watcher.demo.stage import CLIP

PLAIN = {"ait": "ai-toolkit", "ot": "onetrainer", "kohyas": "kohya", "run": "simpletuner"}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Watch such a folder once."""
    folder = tmp_path_factory.mktemp("fleet")
    output, now = folder / "output", time.time()
    project(folder, {"validation_prompt": "a thing"})
    aitoolkit.put_config(output / "ait", now)
    aitoolkit.put_samples(output / "ait", 250, now - 20, 0.3)
    kohya.put_config(output / "kohyas", "mine", now)
    kohya.put_samples(output / "kohyas", "mine", now - 20, 0.3, step=100)
    onetrainer.put_config(output / "ot", now)
    aitoolkit.put_config(output / "both", now)
    (output / "both" / "validation_images").mkdir()
    (output / "notes").mkdir()
    (output / "a file").touch()
    settings = {
        "runs": [{"path": "output/*"}],
        "scorers": {"clip": {"model": str(CLIP), "device": "cpu"}},
        "trackers": {},
        "notify": ["log"],
        "state": "state",
    }
    path = folder / "watcher.yaml"
    path.write_text(yaml.safe_dump(settings))
    done = alone("run", "--once", "-c", path)
    assert done.status == 0, done.err
    return path


def test_every_run_has_its_own_trainers_layout_and_the_reason(config: Path) -> None:
    runs = alone("status", "--json", "-c", config).json["runs"]
    assert {Path(run["path"]).name: run["layout"] for run in runs} == PLAIN
    assert all(run["layout_reason"].startswith(f"{run['layout']}: ") for run in runs)
    images = {run["layout"]: run["images"] for run in runs}
    assert (images["ai-toolkit"], images["kohya"]) == (len(aitoolkit.PROMPTS), len(kohya.PROMPTS))


@pytest.mark.parametrize(
    ("name", "why", "way"),
    [
        (
            "both",
            "looks like simpletuner (has validation_images/) and ai-toolkit (has ai-toolkit's config.yaml)",
            "say which it is by an {own} simpletuner}}`, or `layout: ai-toolkit`",
        ),
        (
            "notes",
            "looks like none of simpletuner, kohya,",
            "if it is a training, give it an {own} NAME}}`, or `layout: {{pattern: ...}}`; if not, {out}",
        ),
    ],
)
def test_what_cannot_be_told_is_listed_by_status_doctor_and_check_with_the_way_out(
    config: Path, name: str, why: str, way: str
) -> None:
    folder = config.parent / "output" / name
    way = way.format(out="leave it out of `path:`", own=f"entry of its own above any glob, `{{path: {folder}, layout:")
    told = alone("status", "--json", "-c", config).json["problems"][f"{folder} (layout)"]
    assert told.startswith(f"no layout: {why}")
    assert told.endswith(f"; {way}")
    for command in ("status", "check"):
        assert way in alone(command, "-c", config).out
    asked = alone("doctor", "--json", "-c", config)
    (finding,) = [one for one in asked.json["findings"] if one["what"] == f"{name} ({folder})"]
    assert (finding["level"], finding["fix"]) == ("warn", way)
    assert finding["finding"].startswith(f"no layout: {why}")
    needs = [one for one in alone("status", "--json", "-c", config).json["needs_you"] if one["kind"] == "place"]
    assert any(str(folder) in one["why"] for one in needs)


def test_the_way_out_works(config: Path, tmp_path: Path) -> None:
    """An entry of its own above the glob names the layout; a folder that becomes clear by itself needs none."""
    shutil.copytree(config.parent / "output", tmp_path / "output")
    both, notes = tmp_path / "output" / "both", tmp_path / "output" / "notes"
    settings = yaml.safe_load(config.read_text())
    settings["runs"] = [{"path": str(both), "layout": "simpletuner"}, {"path": "output/*"}]
    (tmp_path / "watcher.yaml").write_text(yaml.safe_dump(settings))
    (notes / "validation_images").mkdir()
    assert alone("run", "--once", "-c", tmp_path / "watcher.yaml").status == 0
    found = alone("status", "--json", "-c", tmp_path / "watcher.yaml").json
    assert {run["name"]: run["layout"] for run in found["runs"]}.items() >= {
        ("both", "simpletuner"),
        ("notes", "simpletuner"),
    }
    assert not [place for place in json.dumps(list(found["problems"])).split(",") if "(layout)" in place]
