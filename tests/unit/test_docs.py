"""What README and docs say can be followed: links lead somewhere, commands exist, configurations load."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

import pytest
import yaml

from watcher.config import load_config
from watcher.discover import Facts
from watcher.discover.layouts import DETECTED
from watcher.discover.pattern import Pattern

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("rules/*.md")])
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_FENCED = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in _FENCED.findall(page.read_text()) if kind == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    broken = [link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not broken


@pytest.mark.parametrize("name", ["README.md", "docs/trainers.md", "docs/trackers.md"])
def test_every_configuration_shown_loads(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/x")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text("version: 1\nrules: [{name: low, when: clip/mean < 0.2}]\n")
    shown = [text for text in blocks(ROOT / name, "yaml") if "runs:" in text]
    assert shown
    for text in shown:
        (tmp_path / "watcher.yaml").write_text(text)
        load_config(tmp_path / "watcher.yaml")


def test_the_sentence_at_the_top_of_readme_is_a_rule(tmp_path: Path) -> None:
    rule = yaml.safe_load(blocks(ROOT / "README.md", "yaml")[0])
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [{"name": "shown", **rule}]}))
    (tmp_path / "watcher.yaml").write_text("runs: [{path: a}]\nrules: [rules.yaml]\n")
    load_config(tmp_path / "watcher.yaml")


def test_trainers_has_a_section_for_every_layout_that_is_recognised_and_for_no_other() -> None:
    told = re.findall(
        r"^The layout `([\w-]+)` is for|^## (SimpleTuner)$", (ROOT / "docs/trainers.md").read_text(), re.M
    )
    assert sorted("".join(one).lower() for one in told) == sorted(cls.name for cls in DETECTED)


def test_the_pattern_of_docs_reads_the_names_it_is_shown_for() -> None:
    text = next(text for text in blocks(ROOT / "docs/trainers.md", "yaml") if "pattern:" in text)
    pattern = Pattern.model_validate(yaml.safe_load(text)["runs"][0]["layout"]["pattern"])
    assert pattern.parse(PurePath("sample/mine_000500_07.png")) == Facts(500, "7")
    assert pattern.parse(PurePath("sample/mine_000500_00.png")) == Facts(500, "0")


def test_nothing_points_outside_of_the_project() -> None:
    texts = {path: path.read_text(errors="replace") for path in [*PAGES, *ROOT.rglob("watcher/**/*.py")]}
    assert not [path for path, text in texts.items() if "../shared" in text or "/work/" in text]


def test_every_dependency_has_its_reason_in_readme() -> None:
    listed = re.findall(r'^  "([A-Za-z_-]+)[><=]', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    reasons = (ROOT / "README.md").read_text()
    optional = {"hypothesis", "mypy", "pytest", "pytest-cov", "pytest-timeout", "pytest-xdist", "ruff"}
    assert not [name for name in listed if name not in optional and f"**{name}**" not in reasons]
