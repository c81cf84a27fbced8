"""What two evaluations' scores say of each other: checked against scipy's own tests and by symmetry."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from watcher.view.paired import Paired, paired

SCORES = st.dictionaries(st.sampled_from("abcdefghij"), st.integers(-100, 100).map(lambda one: one / 100))
FIRST = {"a": 0.20, "b": 0.25, "c": 0.22, "d": 0.30, "e": 0.18, "f": 0.27, "g": 0.21, "h": 0.24}
SECOND = {"a": 0.24, "b": 0.26, "c": 0.28, "d": 0.28, "e": 0.25, "f": 0.27, "g": 0.29, "h": 0.27}


def compared(first: dict[str, float], second: dict[str, float]) -> Paired:
    found = paired(first, second)
    assert found is not None
    return found


def test_the_numbers_are_those_of_scipy() -> None:
    found = compared(FIRST, SECOND)
    differences = [SECOND[key] - FIRST[key] for key in FIRST]
    usual = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert found.difference == pytest.approx(0.03375)
    assert found.means == (pytest.approx(sum(FIRST.values()) / 8), pytest.approx(sum(SECOND.values()) / 8))
    assert found.interval == (pytest.approx(usual.low), pytest.approx(usual.high))
    assert (found.prompts, found.wins, found.losses, found.ties) == (8, 6, 1, 1)


def test_wilcoxons_p_is_the_share_of_signs_that_are_as_uneven() -> None:
    """Ranks 1 to 6, all of one sign: 2 of the 64 ways to give them signs are as uneven."""
    found = compared(dict.fromkeys("abcdef", 0.1), {key: 0.11 + 0.01 * place for place, key in enumerate("abcdef")})
    assert found.p == pytest.approx(2 / 64)
    lost = compared(dict.fromkeys("abcdef", 0.1), {key: 0.09 - 0.01 * place for place, key in enumerate("abcdef")})
    assert lost.p == pytest.approx(2 / 64)
    assert (lost.wins, lost.losses) == (0, 6)


def test_only_prompts_of_both_count() -> None:
    found = compared({"a": 0.1, "b": 0.9}, {"a": 0.3, "c": 0.0})
    assert (found.prompts, found.means, found.wins) == (1, (0.1, 0.3), 1)
    assert found.interval is None
    assert paired({"a": 0.1}, {"b": 0.1}) is None


def test_what_is_the_same_to_six_digits_is_a_tie_and_no_evidence() -> None:
    found = compared({"a": 0.1, "b": 0.2}, {"a": 0.1 + 4e-7, "b": 0.2})
    assert (found.wins, found.losses, found.ties, found.p) == (0, 0, 2, None)


@settings(deadline=None)  # the machine may be busy
@given(SCORES, SCORES)
def test_the_other_way_round_everything_has_the_other_sign(first: dict[str, float], second: dict[str, float]) -> None:
    there, back = paired(first, second), paired(second, first)
    if there is None or back is None:
        assert there is back is None
        return
    assert there.difference == pytest.approx(-back.difference, abs=1e-12)
    assert (there.wins, there.losses, there.ties) == (back.losses, back.wins, back.ties)
    assert there.wins + there.losses + there.ties == there.prompts == len(first.keys() & second.keys())
    assert (there.p is None) == (there.wins + there.losses == 0)
    if there.p is not None and back.p is not None:
        assert 0 < there.p <= 1
        assert math.isclose(there.p, back.p, abs_tol=1e-12)
    if there.interval and back.interval:
        assert there.interval[0] == pytest.approx(-back.interval[1], abs=1e-12)
        assert there.interval[0] - 1e-12 <= there.difference <= there.interval[1] + 1e-12


@pytest.mark.parametrize(
    ("first", "second", "said"), [(0.31, 0.35, True), (0.29, 0.35, False), (0.35, 0.30, False), (0.2, 0.25, False)]
)
def test_means_that_both_lie_above_030_are_said_not_to_rank(first: float, second: float, *, said: bool) -> None:
    found = compared(dict.fromkeys("abcdefgh", first), dict.fromkeys("abcdefgh", second))
    assert found.notes == ["both means lie above 0.30: differences here do not rank models"] * said


def test_too_few_prompts_for_any_p_are_said() -> None:
    five, six = dict.fromkeys("abcde", 0.1), dict.fromkeys("abcdef", 0.1)
    more = {key: 0.2 + 0.01 * place for place, key in enumerate("abcdef")}
    assert compared(five, more).p == pytest.approx(0.0625)
    assert compared(five, more).notes == ["5 prompts differ: with fewer than 6, no p can be below .05"]
    assert compared(six, more).notes == []
