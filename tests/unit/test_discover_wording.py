"""What is scored of a prompt: the description in it, whatever else its trainer reads there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.discover import Place
from watcher.discover.kohya import Kohya
from watcher.discover.pattern import Pattern
from watcher.discover.simpletuner import SimpleTuner
from watcher.discover.wording import plain, unweighted, without

PLAIN = st.text(st.characters(exclude_characters="()[]\\<>:|", exclude_categories=("Cs",)))
TREE = st.recursive(
    PLAIN, lambda inner: st.tuples(st.sampled_from(["({}:1.2)", "({})", "[{}]", "({}: -0.5 )", "({}:.8)"]), inner)
)


def written(tree: object) -> str:
    """Write a nested attention down."""
    if isinstance(tree, str):
        return tree
    form, inner = tree  # type: ignore[misc]
    return form.format(written(inner))


def words(tree: object) -> str:
    return tree if isinstance(tree, str) else words(tree[1])  # type: ignore[index]


@pytest.mark.parametrize(
    ("prompt", "scored"),
    [
        ("a (cat:1.2) on a ((mat))", "a cat on a mat"),
        ("a ((red:1.3) cat:1.1), [blurred]", "a red cat, blurred"),
        (r"a photo \(1999\)", "a photo (1999)"),
        (r"\[sic\] \\", r"[sic] " + "\\"),
        ("a (red cat", "a red cat"),
        ("smiling :)", "smiling :)"),
        ("ratio 1:2", "ratio 1:2"),
        ("(ratio 1:2)", "ratio 1"),  # as sd-scripts reads it
        ("a) cat]", "a) cat]"),
        ("(a [b) c]", "a b) c"),
        ("[cat:dog:0.5]", "cat:dog:0.5"),
        ("", ""),
    ],
)
def test_attention_is_taken_out_as_the_trainer_reads_it(prompt: str, scored: str) -> None:
    assert unweighted(prompt) == scored


@pytest.mark.parametrize(
    ("prompt", "scored"),
    [
        ("<lora:style:0.8> a cat <hypernet:x:1>", "a cat"),
        ("<LORA:style:0.8>a cat", "a cat"),
        ("a cat BREAK in rain", "a cat in rain"),
        ("BREAKFAST", "BREAKFAST"),
        ("a [cat:dog:0.5] in a box", "a dog in a box"),
        ("a [cat:10] in a box", "a cat in a box"),
        ("a [red::5] cat", "a cat"),
        ("a [red|blue] cat", "a red blue cat"),
        ("a (cat:1.2), , on a mat", "a cat, on a mat"),
        ("a cat  on  a mat", "a cat  on  a mat"),  # nothing to take out
    ],
)
def test_forms_of_the_web_ui_leave_the_description(prompt: str, scored: str) -> None:
    assert plain(prompt) == scored


@given(PLAIN)
def test_a_text_without_such_forms_is_scored_as_it_is(text: str) -> None:
    assert unweighted(text) == text
    assert without(text, ["[trigger]"]) == text


@given(TREE)
def test_however_deep_attention_is_nested_its_words_are_left(tree: object) -> None:
    assert unweighted(written(tree)) == words(tree)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert set(unweighted(text)) <= set(text)
    assert set(plain(text)) <= set(text) | {" "}


def test_words_that_are_no_description_are_taken_out_whole_only() -> None:
    assert without("a photo of [trigger], a dog", ["[trigger]"]) == "a photo of, a dog"
    assert without("sks asks sks", ["sks"]) == "asks"
    assert without("ohwx man, ohwx", ["ohwx", "ohwx man"]) == ""
    assert without("a cat", ["", "dog"]) == "a cat"


def test_each_layout_says_what_is_scored_of_its_prompts(tmp_path: Path) -> None:
    prompt = "a (cat:1.2) by [trigger]"
    asked = Pattern(regex="(?P<step>.*)", weights="a1111", without=("[trigger]",))
    assert Kohya().worded(prompt) == "a cat by trigger"
    assert SimpleTuner().worded(prompt) == prompt
    assert Pattern(regex="(?P<step>.*)").worded(prompt) == prompt
    assert asked.worded(prompt) == "a cat by"
    assert asked.prompts(Place(tmp_path)).texts == {}
