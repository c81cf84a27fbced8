"""A run is found by name, id or folder, and a living one before those that are gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.errors import StepError
from watcher.nouns import Run, RunState
from watcher.view.find import STATES, find


def run(identity: str, name: str = "flux", state: RunState = "active", path: str = "/out/flux") -> Run:
    return Run(identity, name, Path(path), "simpletuner", state=state)


def test_a_name_an_id_and_a_folder_lead_to_the_run() -> None:
    one, other = run("a1"), run("b2", "sd", path="/out/sd")
    for name in ("flux", "a1", "/out/flux", "/out/sd/../flux", "/out/flux/"):
        assert find([other, one], name) is one


def test_a_relative_folder_counts_from_where_the_user_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one = run("a1", path=str(tmp_path.resolve() / "flux-7"))
    assert find([one], "flux-7") is one
    assert find([one], "./flux-7") is one


@given(st.permutations(["active", "archived", "gone"]), st.integers(1, 3))
def test_of_runs_that_share_a_name_the_liveliest_is_meant(order: list[RunState], number: int) -> None:
    runs = [run(state, state=state) for state in order if state in STATES[3 - number :]]
    assert find(runs, "flux").state == STATES[3 - number]


def test_an_id_is_exact_also_for_a_run_that_is_gone_and_shares_its_name() -> None:
    old, new = run("a1", state="gone"), run("b2")
    assert find([old, new], "a1") is old
    assert find([old, new], "/out/flux") is new


def test_runs_that_cannot_be_told_apart_are_listed_with_their_ids() -> None:
    with pytest.raises(StepError, match=r"fits several runs: a1 \(gone, /out/flux\), b2 \(gone, /x\); give the id"):
        find([run("a1", state="gone"), run("b2", state="gone", path="/x")], "flux")


def test_an_unknown_name_gets_the_nearest_or_all_that_are_known() -> None:
    runs = [run("a1", "flux-lora"), run("b2", "pixart")]
    with pytest.raises(StepError, match="no run 'flux-lore'; did you mean `flux-lora`"):
        find(runs, "flux-lore")
    with pytest.raises(StepError, match="no run 'zzz'; known are flux-lora, pixart"):
        find(runs, "zzz")
    with pytest.raises(StepError, match="no run 'zzz'; no run was seen yet"):
        find([], "zzz")


@given(st.text())
def test_any_text_is_a_run_or_an_error_for_the_user(text: str) -> None:
    with pytest.raises(StepError):
        find([run("a1", "\0never")], text)


def test_an_unknown_home_is_no_folder() -> None:
    with pytest.raises(StepError):
        find([run("a1")], "~nobody-of-this-name/x")
