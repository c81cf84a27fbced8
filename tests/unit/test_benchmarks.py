"""The benchmarks work, and say what they measured: no promise here depends on how fast anything is."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import torchmetrics_env
from benchmarks.__main__ import BENCHMARKS, run, show
from benchmarks.common import Figure, alternate, parser, parts, ratio, report, table
from benchmarks.models import WORDS, picture, prompts, random_clip, write_jobs
from watcher.score.encoder import Encoder
from watcher.score.model import Model
from watcher.score.panel import Panel

ROOT = Path(__file__).parents[2]
FIELDS = {"what", "value", "unit", "budget", "met"}


def started(name: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def given(*arguments: str) -> argparse.Namespace:
    return parser("about").parse_args(arguments)


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_runs_and_writes_what_it_measured(name: str, tmp_path: Path) -> None:
    if name == "torchmetrics_clip" and not torchmetrics_env.is_made(torchmetrics_env.WHERE):
        pytest.skip("torchmetrics' environment is not made here: `make bench` makes it, from the package index")
    done = started(name, "--json", str(tmp_path / "figures.json"))
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "figures.json").read_text())
    assert (written["benchmark"], written["quick"]) == (name, True)
    assert written["figures"]
    assert all(set(row) == FIELDS and row["value"] >= 0 and row["met"] is None for row in written["figures"])
    assert all(row["what"] in done.stdout for row in written["figures"])
    assert any(row["budget"] for row in written["figures"])
    assert {"cores", "torch", "load", "load_before"} <= set(written["machine"])
    assert written["seen"]


def test_every_benchmark_is_run_by_make_bench() -> None:
    programs = {path.stem for path in ROOT.glob("benchmarks/*.py") if "def main(argv" in path.read_text()}
    assert programs - {"__main__"} == set(BENCHMARKS)


def test_readme_names_every_benchmark_with_the_budgets_that_it_is_held_to() -> None:
    (told,) = re.findall(r"## What it costs\n(.*?)\n## ", (ROOT / "README.md").read_text(), re.DOTALL)
    assert not [name for name in BENCHMARKS if f"`{name}`" not in told]
    for line in (line for line in told.splitlines() if re.search(r"\| [<>]= [\d.]+ \|", line)):
        _, what, _, budget, name, _ = line.split("|")
        limit, source = budget.split()[1], (ROOT / "benchmarks" / f"{name.strip(' `')}.py").read_text()
        numbers = re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e-\d+)?(?![\w.])", source)
        written = {f"{float(number):g}" for number in numbers}
        assert f"{float(limit):g}" in written, what


def test_make_bench_has_a_quick_form() -> None:
    # What an enclosing make hands down would be obeyed here too.
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "QUICK"))}
    asked = {form: ["make", "--dry-run", "bench", *form.split()] for form in ("", "QUICK=1")}
    shown = {
        form: subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=True).stdout
        for form, command in asked.items()
    }
    assert [line for line in shown["QUICK=1"].splitlines() if line.endswith("python -m benchmarks --quick")]
    assert "--quick" not in shown[""]
    assert "python -m benchmarks" in shown[""]


def test_ways_are_taken_in_turn_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    times = iter([9.0, 1.0, 2.0])

    def timed_itself() -> float:
        order.append("a")
        return next(times)

    found = alternate({"a": timed_itself, "b": lambda: order.append("b")}, rounds=2)
    assert order == ["a", "b"] * 3
    assert found["a"] == [1.0, 2.0]
    assert len(found["b"]) == 2
    assert all(0 <= seconds < 1 for seconds in found["b"])


def test_a_ratio_is_that_within_a_round_so_a_slow_minute_slows_both() -> None:
    assert ratio({"a": [2.0, 20.0, 4.0], "b": [1.0, 10.0, 1.0]}, "a", "b") == 2.0


@pytest.mark.parametrize(
    ("figure", "budget", "met"),
    [
        (Figure("x", 0.9, least=0.9), ">= 0.9", True),
        (Figure("x", 0.89, least=0.9), ">= 0.9", False),
        (Figure("x", 0.5, "s", most=0.5), "<= 0.5 s", True),
        (Figure("x", 0.51, "s", most=0.5), "<= 0.5 s", False),
        (Figure("x", 0.51, "s"), "", None),
    ],
)
def test_a_figure_is_held_to_its_budget(figure: Figure, budget: str, met: bool | None) -> None:
    assert (figure.budget, figure.met) == (budget, met)


def test_a_missed_budget_is_said_and_is_the_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = [Figure("this", 0.5, least=0.9), Figure("that", 2.0, least=0.9)]
    assert report("some", figures, given("--json", str(tmp_path / "new" / "a.json")), {"rounds": [1]}) == 1
    assert re.search(r"this +0\.5 +>= 0\.9 +MISSED\n.*that +2 +>= 0\.9 +met", capsys.readouterr().out)
    written = json.loads((tmp_path / "new" / "a.json").read_text())
    assert [row["met"] for row in written["figures"]] == [False, True]
    assert written["seen"] == {"rounds": [1]}
    assert report("some", figures[1:], given()) == 0


def test_a_quick_run_judges_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert report("some", [Figure("this", 0.5, least=0.9)], given("--quick")) == 0
    assert capsys.readouterr().out.rstrip().endswith("not judged")


def test_all_benchmarks_stand_in_one_table_with_the_missed_ones_and_those_that_did_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = run("no_such_benchmark", tmp_path, quick=True)
    assert failed["failed"] == "it ended with status 1 and no figures"
    met = {"benchmark": "good", "figures": [Figure("a", 1.0, most=2).row(judged=True)]}
    missed = {"benchmark": "poor", "figures": [Figure("b", 3.0, most=2).row(judged=True)]}
    outcomes: list[tuple[list[dict[str, Any]], int]] = [([met], 0), ([met, missed], 1), ([met, failed], 1)]
    assert [show(found, tmp_path) for found, _ in outcomes] == [status for _, status in outcomes]
    told = capsys.readouterr().out
    assert re.search(r"good +a +1 +<= 2 +met\npoor +b +3 +<= 2 +MISSED\n", told)
    assert "no_such_benchmark: it ended with status 1 and no figures" in told


def test_small_and_large_figures_are_readable() -> None:
    rows = [Figure("a", value, "s").row(judged=True) for value in (4.2e-8, 0.1234, 12345.6, 0.0)]
    assert [line.split()[2] for line in table({"some": rows}).splitlines()[1:]] == ["4.2e-08", "0.123", "12346", "0"]


def test_pictures_and_prompts_are_the_same_each_time_and_differ_from_each_other() -> None:
    assert prompts(3) == prompts(3)
    assert len(set(prompts(50))) == 50
    assert picture(32, 1).tobytes() == picture(32, 1).tobytes() != picture(32, 2).tobytes()


def test_the_pipeline_of_the_benchmarks_scores_every_file_in_order_with_a_true_clip(tmp_path: Path) -> None:
    encoder = Encoder.load(str(random_clip(tmp_path / "clip", "tiny")), "cpu")
    jobs = write_jobs(tmp_path / "pictures", 7, 40, "jpg")
    panel = Panel({"clip": Model(encoder)})
    batches = list(panel.stream(parts(jobs, 3)))
    panel.close()
    assert [[score.sample_id for score in batch] for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert len({score.cosine for batch in batches for score in batch} - {None}) == 7


def test_a_prompt_of_the_benchmarks_has_as_many_tokens_as_words_between_start_and_end(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(random_clip(tmp_path, "tiny"))
    assert {len(ids) for ids in tokenizer(prompts(20))["input_ids"]} == {WORDS + 2}


def test_torchmetrics_environment_is_made_anew_when_what_it_holds_changes(tmp_path: Path) -> None:
    assert not torchmetrics_env.is_made(tmp_path)
    (tmp_path / "made.json").write_text(json.dumps({"pins": ["torchmetrics==1.0"]}))
    assert not torchmetrics_env.is_made(tmp_path)
