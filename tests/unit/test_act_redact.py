"""Command lines lose their secrets before they are stored or shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.act.redact import LONGEST, redacted

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "argv",
    [
        ["--token", SECRET],
        ["--hub_token", f"{SECRET} with spaces {SECRET}"],
        [f"--token={SECRET}"],
        ["--wandb-key", SECRET],
        ["--wandb_api_key", SECRET],
        ["-password", SECRET],
        ["--api-key", f"-{SECRET}"],
        [f"HF_TOKEN={SECRET}"],
        [f"AWS_SECRET_ACCESS_KEY={SECRET}/{SECRET}"],
        [f"trainer.hub_token={SECRET}"],
        ["-c", f"HF_TOKEN={SECRET} python train.py"],
        ["-c", f"python train.py --hub_token {SECRET} --steps 3"],
        [f'{{"hub_token": "{SECRET}"}}'],
        ["-H", f"Authorization: Bearer {SECRET}"],
        [f"https://me:{SECRET}@example.org/x"],
        [f"https://me:{SECRET}@{SECRET}@example.org/x"],
        [f"https://example.org/x?a=1&token={SECRET}&b=2"],
        [f"https://hooks.slack.com/services/T0/B0/{SECRET}"],
        ["hf_" + SECRET],
        ["--x", "ghp_" + SECRET],
        ["sk-" + SECRET],
    ],
    ids=lambda argv: " ".join(argv)[:30],
)
def test_a_secret_is_hidden_wherever_it_stands(argv: list[str]) -> None:
    shown = redacted(["python", "train.py", *argv, "--after", "kept"])
    assert SECRET not in shown
    assert shown.startswith("python train.py ")
    assert shown.endswith(" --after kept")


def test_a_wandb_key_is_known_by_its_looks() -> None:
    assert redacted(["wandb", "login", "0123456789abcdef" * 2 + "01234567"]) == "wandb login ***"


@pytest.mark.parametrize(
    "argv",
    [
        ["--max_token_length", "225"],
        ["--keep_tokens=1", "--output_dir", "/out/run"],
        ["--learning_rate=1e-4"],
        ["https://example.org/a@b".replace("@", "-")],
        ["--token", "--resume"],
    ],
)
def test_what_is_no_secret_stays_readable(argv: list[str]) -> None:
    assert redacted(argv) == " ".join(argv)


@given(st.lists(st.text(max_size=400), max_size=20))
def test_any_command_line_becomes_one_short_printable_line(argv: list[str]) -> None:
    shown = redacted(argv)
    assert len(shown) <= LONGEST
    assert shown.isprintable()


@given(
    st.sampled_from(["--token", "--hub-token", "--api_key", "--password", "-auth"]),
    st.text(alphabet=st.characters(blacklist_categories=["Cs"]), min_size=1).map(lambda text: f"Q{text}Q9Q"),
    st.booleans(),
)
def test_no_value_of_a_secret_option_survives(option: str, value: str, joined: bool) -> None:
    argv = [f"{option}={value}"] if joined else [option, value]
    assert "Q9Q" not in redacted(["python", *argv])


def test_a_prompt_of_a_megabyte_takes_no_time() -> None:
    """Long values are cut before they are searched; searching them would take minutes."""
    assert len(redacted(["python", "x" * 1_000_000, "token" * 200_000])) == LONGEST
