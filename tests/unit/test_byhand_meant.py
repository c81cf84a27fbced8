"""Which training a person means: from the store, from the configuration alone, or from a folder without either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.worlds import World
from watcher.act import ProcessBackend
from watcher.byhand import hold, meant, release
from watcher.config import load_sections
from watcher.errors import ConfigError, StepError
from watcher.record import runs
from watcher.record.held import among
from watcher.record.store import Store

RULES = "version: 1\nrules: []\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, RULES)
    world.go()
    yield world
    world.end()


def config(world: World) -> Path:
    return world.folder / "watcher.yaml"


def share(store: Store) -> None:
    """Let a second training write into the run's folder."""
    with store.change("test") as db:
        (run,) = runs.all_runs(db)
        runs.add(db, replace(run, id="second", name="dog", stream="dog"), "test")


@pytest.mark.parametrize("how", ["name", "id", "path"])
def test_a_run_of_the_store_is_known_by_name_id_and_folder(world: World, how: str) -> None:
    with world.store.read() as db:
        (run,) = runs.all_runs(db)
    with meant(config(world), str(getattr(run, how))) as found:
        assert found.run.id == run.id
        assert found.store is not None
        assert found.found is not None
        assert not found.output.is_named


def test_a_training_of_a_shared_folder_is_known_by_the_folder_and_its_name(world: World) -> None:
    share(world.store)
    with meant(config(world), "run") as found:
        assert found.output.shared
    with meant(config(world), f"{world.run}/dog") as found:
        assert (found.run.name, found.output.stream) == ("dog", "dog")
    with pytest.raises(StepError, match="fits several runs") as raised, meant(config(world), str(world.run)):
        pass
    assert f"{world.run}/dog" in str(raised.value)


def test_only_what_tells_of_runs_has_to_be_right_in_the_configuration(world: World) -> None:
    """A run must be stoppable while a rule is being edited, from a shell without the daemon's secrets."""
    with config(world).open("a") as file:
        file.write("limits: {stops_per_hour: many}\ntrackers: 7\n")
    text = config(world).read_text().replace("notify:\n- log", "notify: [{webhook: {url: '${NO_SUCH_SECRET}'}}]")
    assert "NO_SUCH_SECRET" in text
    config(world).write_text(text.replace("path: run", "path: run\n  control: [{process: {match: train}}]"))
    with meant(config(world), "run") as found:
        assert [*found.backends] == [ProcessBackend(match="train", interrupt=False)]
    config(world).write_text(text.replace("path: run", "path: run\n  control: [{proces: {}}]"))
    with pytest.raises(ConfigError, match="proces"), meant(config(world), "run"):
        pass


def test_sections_that_were_not_asked_for_are_neither_read_nor_required(tmp_path: Path) -> None:
    path = tmp_path / "watcher.yaml"
    path.write_text("state: here\nruns: 7\n")
    assert load_sections(path, "state").state == tmp_path / "here"
    with pytest.raises(ConfigError, match="runs"):
        load_sections(path, "runs")
    path.write_text("state: here\n")
    with pytest.raises(ConfigError, match="runs"):
        load_sections(path, "state", "runs")


def test_what_the_configuration_names_is_known_before_any_daemon_has_run(tmp_path: Path) -> None:
    (tmp_path / "out" / "flux").mkdir(parents=True)
    path = tmp_path / "watcher.yaml"
    path.write_text("runs: [{path: out/*, control: [{process: {match: flux}}]}]\nstate: state\n")
    for name in ("flux", str(tmp_path / "out" / "flux")):
        with meant(path, name) as found:
            assert found.run.name == "flux"
            assert found.store is None
            assert [*found.backends] == [ProcessBackend(match="flux", interrupt=False)]
    with pytest.raises(StepError, match="no run 'fluxx'"), meant(path, "fluxx"):
        pass


def test_a_folder_that_no_configuration_names_is_meant_as_it_is(world: World) -> None:
    other = world.folder / "other"
    other.mkdir()
    with meant(config(world), str(other)) as found:
        assert (found.run.path, found.store) == (other, None)
        assert found.left.facts == {}
        hold(found, "")
        assert found.veto is not None
        release(found)
        assert found.veto is None


def test_a_folder_that_is_watched_no_more_is_meant_without_its_daemon(world: World) -> None:
    config(world).write_text(config(world).read_text().replace("path: run", "path: elsewhere"))
    with meant(config(world), "run") as found:
        assert (found.run.path, found.store) == (world.run, None)


def test_a_hold_is_told_with_who_when_and_why_and_forgotten_with_the_release(world: World) -> None:
    with meant(config(world), "run") as found:
        assert found.veto is None
        hold(found, "mine")
        assert "mine" in str(found.veto)
        hold(found, "no, ours")
        assert "no, ours" in str(found.veto)
        hold(found, "")
        assert "no, ours" in str(found.veto)
        release(found)
        assert found.veto is None
    with world.store.read() as db:
        assert among(runs.all_facts(db)) == {}
        kinds = [event.kind for event in runs.events_of(db, found.run.id)]
    assert kinds[-3:] == ["held", "held", "released"]


@pytest.mark.parametrize("name", ["", "\0", "x" * 5000, "~nobody-has-this-name/x"])
def test_any_name_is_answered(world: World, name: str) -> None:
    with pytest.raises((StepError, ConfigError)), meant(config(world), name):
        pass
