"""What `watcher init` makes of folders: which are runs, what of them becomes a glob, and what is said to be missing."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from watcher.errors import ConfigError
from watcher.judge.schema import CAREFUL
from watcher.nouns import PROMPTS_TO_STOP, Setup
from watcher.record.trackers import TRACKERS
from watcher.score.devices import Gpu
from watcher.setup import advice, places
from watcher.setup.places import entries
from watcher.setup.rules import copy_rules, ready
from watcher.setup.survey import Survey, _trackers, survey

DAY = 86400.0


def run_folder(path: Path, images: int = 0) -> Path:
    (path / "validation_images").mkdir(parents=True)
    for number in range(images):
        (path / f"validation_images/step_{number}_cat_0_512x512.png").write_bytes(b"x")
    return path


def named(*paths: object) -> list[str]:
    return [entry.path for entry in entries([str(path) for path in paths])]


def looked(*paths: object, **more: object) -> Survey:
    return survey([str(path) for path in paths], Path("/nowhere/state"), **more)  # type: ignore[arg-type]


def told(found: Survey, now: float | None = None) -> str:
    return "\n".join(advice.advise(found, time.time() if now is None else now))


def test_a_runs_folder_stays_itself(tmp_path: Path) -> None:
    assert named(run_folder(tmp_path / "flux")) == [str(tmp_path / "flux")]


def test_a_folder_of_runs_becomes_a_glob_so_that_the_next_is_seen(tmp_path: Path) -> None:
    run_folder(tmp_path / "outputs" / "only one")
    assert named(tmp_path / "outputs") == [f"{tmp_path}/outputs/*"]


def test_runs_of_different_trainers_deep_below_are_found_and_grouped_by_their_parents(tmp_path: Path) -> None:
    run_folder(tmp_path / "a/outputs/one")
    run_folder(tmp_path / "a/outputs/two")
    run_folder(tmp_path / "b/three")
    assert named(tmp_path) == [f"{tmp_path}/a/outputs/*", f"{tmp_path}/b/three"]


def test_no_glob_where_most_folders_are_something_else(tmp_path: Path) -> None:
    for name in ("code", "data", "weights"):
        (tmp_path / name / "x").mkdir(parents=True)
    run_folder(tmp_path / "one")
    run_folder(tmp_path / "two")
    assert named(tmp_path) == [f"{tmp_path}/one", f"{tmp_path}/two"]
    (tmp_path / "empty").mkdir()  # one that a trainer has just made is nothing yet
    run_folder(tmp_path / "three")
    assert named(tmp_path) == [f"{tmp_path}/*"]


def test_hidden_folders_and_what_lies_inside_a_run_are_no_runs(tmp_path: Path) -> None:
    run_folder(tmp_path / ".cache" / "hidden")
    run_folder(run_folder(tmp_path / "deep/one") / "inner")
    assert named(tmp_path) == [f"{tmp_path}/deep/one"]


def test_a_folder_of_images_means_its_run(tmp_path: Path) -> None:
    run_folder(tmp_path / "flux")
    (entry,) = entries([str(tmp_path / "flux" / "validation_images")])
    assert (entry.path, [run.name for run in entry.runs]) == (str(tmp_path / "flux"), ["flux"])
    assert entry.remark == "validation_images/ holds images of this run"


def test_a_glob_stays_as_it_is_and_so_does_what_does_not_exist_yet(tmp_path: Path) -> None:
    run_folder(tmp_path / "runs" / "a1")
    assert named(tmp_path / "runs/a*", tmp_path / "later") == [f"{tmp_path}/runs/a*", f"{tmp_path}/later"]
    assert [entry.remark for entry in entries([f"{tmp_path}/later/*", f"{tmp_path}/soon"])] == [
        "matches nothing yet",
        "does not exist yet; it is picked up when it appears",
    ]


def test_what_is_named_twice_stands_once(tmp_path: Path) -> None:
    run_folder(tmp_path / "out" / "flux")
    (tmp_path / "link").symlink_to(tmp_path / "out" / "flux")
    assert named(tmp_path / "out", tmp_path / "out", tmp_path / "out/flux", tmp_path / "link") == [f"{tmp_path}/out/*"]


def test_below_home_and_below_here_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folder(tmp_path / "flux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert named("flux") == named("~/flux") == named("./flux/../flux") == ["~/flux"]


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"x\.png: is a file; give a training's output folder"):
        named(tmp_path / "x.png")


def test_a_look_into_endless_folders_ends(tmp_path: Path) -> None:
    for number in range(places.MOST + 50):
        (tmp_path / f"{number:04d}" / "inner").mkdir(parents=True)
    run_folder(tmp_path / "0000" / "zzz")
    run_folder(tmp_path / "0001")  # on the first level, so it is seen
    assert named(tmp_path) == [f"{tmp_path}/0001"]
    assert named(tmp_path / "0000") == [f"{tmp_path}/0000/*"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_hides_no_other(tmp_path: Path) -> None:
    run_folder(tmp_path / "open")
    (tmp_path / "shut").mkdir(mode=0)
    assert named(tmp_path) == [f"{tmp_path}/*"]


def test_each_run_is_told_with_its_prompts_images_and_age(tmp_path: Path) -> None:
    run_folder(tmp_path / "out/flux", images=3)
    old = run_folder(tmp_path / "out/old", images=1)
    os.utime(old / "validation_images/step_0_cat_0_512x512.png", (1e9, 1e9))
    found = looked(tmp_path / "out")
    assert [(one.run.name, one.images, advice.is_idle(one, time.time())) for one in found.findings] == [
        ("flux", 3, False),
        ("old", 1, True),
    ]
    assert "old: no image for 24h or more, so listed as archived and not scored" in told(found)
    assert "flux: no image" not in told(found)


def configured(folder: Path, **more: object) -> Path:
    run_folder(folder / "output")
    (folder / "config").mkdir()
    settings = {"output_dir": str(folder / "output"), "validation_resolution": "512", **more}
    (folder / "config" / "config.json").write_text(json.dumps(settings))
    return folder / "output"


def test_few_prompts_are_told_with_what_they_cost_and_the_way_out(tmp_path: Path) -> None:
    text = told(looked(configured(tmp_path, validation_prompt="a cat")))
    assert "output: a single prompt: rules that stop a run need 8 and stay unknown until then" in text
    assert text.count("Until then the run is `unprotected` (abandon-low-clip needs 16)") == 1
    assert "user_prompt_library" in text


def test_advice_of_the_trainers_own_layout_comes_in_place_of_the_general_one(tmp_path: Path) -> None:
    found = looked(configured(tmp_path, validation_prompt="a cat"))
    (finding,) = found.findings
    setup = Setup(advice=("output: add prompts to config.json", "save more often"))
    text = told(replace(found, findings=(replace(finding, setup=setup),)))
    assert "output: 1 prompt, and rules that stop need 8" in text
    assert "output: add prompts to config.json" in text.splitlines()
    assert "output: save more often" in text.splitlines()
    assert "kohya" not in text


def test_what_is_archived_needs_no_advice(tmp_path: Path) -> None:
    old = run_folder(tmp_path / "old", images=1)
    os.utime(old / "validation_images/step_0_cat_0_512x512.png", (1e9, 1e9))
    assert "give `prompts:`" not in told(looked(old))


def test_runs_that_lack_the_same_are_told_of_once(tmp_path: Path) -> None:
    for number in range(7):
        found = looked(configured(tmp_path / f"r{number}", validation_prompt="a cat").parent.parent)
    lines = [line for line in told(found).splitlines() if "a single prompt" in line]
    assert len(lines) == 1
    assert lines[0].startswith("r0/output, r1/output, r2/output, r3/output, r4/output and 2 more: a single prompt")
    assert "(so for r0/output; the others alike)" in lines[0]


def test_enough_prompts_are_not_complained_of(tmp_path: Path) -> None:
    (tmp_path / "prompts.json").write_text(json.dumps({f"p{number}": "a cat" for number in range(16)}))
    said = told(looked(configured(tmp_path, user_prompt_library=str(tmp_path / "prompts.json"))))
    assert "unprotected" not in said
    assert "user_prompt_library" not in said


def test_the_number_of_prompts_is_that_of_the_rules(tmp_path: Path) -> None:
    assert CAREFUL["prompts"] == PROMPTS_TO_STOP
    assert advice.most_needed() == 16  # of the ready rule


def test_no_prompts_are_told_with_the_way_out(tmp_path: Path) -> None:
    assert "give `prompts:` for this run" in told(looked(run_folder(tmp_path / "flux")))


def test_an_unknown_kind_of_images_gets_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "step_000100_0.png").write_bytes(b"x")
    found = looked(tmp_path)
    assert "looks like none of" in told(found)
    assert "from names such as samples/step_000100_0.png" in told(found)
    assert list(found.suggestions) == [str(tmp_path)]


def test_folders_that_a_glob_also_names_are_told(tmp_path: Path) -> None:
    run_folder(tmp_path / "flux")
    (tmp_path / "notes" / "x").mkdir(parents=True)
    assert f"{tmp_path}/*: also names notes, which no known trainer wrote (yet)" in told(looked(tmp_path))


class Gpus:
    def __init__(self, *gpus: Gpu) -> None:
        self._gpus = list(gpus)

    def gpus(self) -> list[Gpu]:
        return self._gpus


BUSY = Gpu(0, free=2**36, used=2**36, percent=99, processes=(4711,))
FREE = Gpu(0, free=2**36, used=0, percent=0, processes=())


def test_where_scoring_runs_is_told_only_where_it_is_slow(tmp_path: Path) -> None:
    run_folder(tmp_path / "flux")
    assert "say `--device shared`" in told(looked(tmp_path, probe=Gpus(BUSY)))
    assert "CPU at low priority (no GPU)" in told(looked(tmp_path, probe=Gpus()))
    assert "shared" not in told(looked(tmp_path, probe=Gpus()))
    assert "CPU" not in told(looked(tmp_path, probe=Gpus(FREE)))
    assert "CPU" not in told(looked(tmp_path, device="cpu"))


def test_runs_on_a_network_file_system_are_looked_at_and_the_state_stays_local(tmp_path: Path) -> None:
    run_folder(tmp_path / "flux")
    remote = ("/nowhere", str(tmp_path))
    found = looked(tmp_path, kind=lambda path: "nfs4" if str(path).startswith(remote) else "ext4")
    assert "no file events arrive" in told(found)
    assert "/nowhere/state is on nfs4, where a database is not safe" in told(found)
    assert found.state is not None
    assert found.state.parent in (Path("/var/tmp"), Path("/tmp"))
    assert looked(tmp_path).state is None


def test_where_nothing_is_local_the_user_is_asked_for_a_state_folder(tmp_path: Path) -> None:
    found = looked(run_folder(tmp_path / "flux"), kind=lambda _: "nfs4")
    assert found.state is None
    assert "set `state:` to a local one" in told(found)


def test_tensorboard_is_always_there_and_the_trainers_trackers_if_they_are_known() -> None:
    assert _trackers([]) == {"tensorboard": {}}
    assert _trackers([Setup(trackers=("comet_ml", "tensorboard"), project="art")]) == {"tensorboard": {}}


@pytest.mark.skipif("wandb" not in {tracker.name for tracker in TRACKERS}, reason="this version has no W&B")
def test_wandb_gets_the_project_that_the_trainers_agree_on() -> None:
    one, other = Setup(trackers=("wandb",), project="art"), Setup(trackers=("wandb",), project="craft")
    assert _trackers([one])["wandb"] == {"project": "art"}
    assert _trackers([one, other])["wandb"] == {}


def test_rules_are_copied_once_and_what_the_user_changed_stays(tmp_path: Path) -> None:
    first = copy_rules(tmp_path)
    assert [copy.state for copy in first] == ["copied"] * len(ready())
    assert [copy.path.read_text() for copy in first] == [path.read_text() for path in ready()]
    first[0].path.write_text("version: 1\nrules: []\n")
    again = copy_rules(tmp_path)
    assert [copy.state for copy in again] == ["changed"] + ["there"] * (len(ready()) - 1)
    assert first[0].path.read_text() == "version: 1\nrules: []\n"
