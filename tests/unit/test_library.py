"""Standard prompts: whole, by category, sampled evenly, and written as each trainer reads them."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path, PurePath

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.commands import Answer, alone, here
from tests.contract.rooms import ROOT
from watcher.discover import Facts, Prompts
from watcher.discover.aitoolkit import AiToolkit
from watcher.discover.kohya.prompts import read_kohya_prompts
from watcher.discover.layout import Place
from watcher.discover.onetrainer import OneTrainer
from watcher.discover.prompts import read_prompts
from watcher.discover.simpletuner import SimpleTuner
from watcher.library import FORMATS, LIBRARIES, Library, choose_library, sample

libraries = pytest.mark.parametrize("library", LIBRARIES, ids=lambda one: one.name)
TASKS = {
    "single object": r"an? [a-z ]+",
    "two objects": r"an? [a-z ]+ and an? [a-z ]+",
    "counting": r"(two|three|four) [a-z ]+",
    "colors": r"an? (red|orange|yellow|green|blue|purple|pink|brown|black|white) [a-z ]+",
    "position": r"an? [a-z ]+ (left of|right of|above|below) an? [a-z ]+",
    "color attribution": r"an? [a-z]+ [a-z ]+ and an? [a-z]+ [a-z ]+",
}
"""How GenEval words the prompts of each task, behind `a photo of `."""


@libraries
def test_every_prompt_is_there_once_with_a_key_and_a_category(library: Library) -> None:
    entries = library.entries()
    assert len(entries) == {"parti": 1632, "geneval": 553}[library.name]
    assert len({one.key for one in entries}) == len({one.text for one in entries}) == len(entries)
    assert all(one.text and one.text == one.text.strip() and one.category for one in entries)


def test_the_categories_are_those_that_were_published() -> None:
    parti = Counter(one.category for one in choose_library("PartiPrompts").entries())
    assert len(parti) == 12
    assert (parti["Animals"], parti["Indoor Scenes"], parti["World Knowledge"]) == (314, 40, 214)
    entries = choose_library("geneval").entries()
    assert list(dict.fromkeys(one.category for one in entries)) == list(TASKS)
    wrong = [one for one in entries if not re.fullmatch(f"a photo of {TASKS[one.category]}", one.text)]
    assert not wrong


@libraries
def test_simpletuner_names_files_by_the_keys_and_the_layout_reads_them_back(library: Library) -> None:
    layout = SimpleTuner()
    for one in library.entries():
        for index in (0, 3):
            name = PurePath("validation_images") / f"step_500_{one.key}_{index}_1024x1024.png"
            assert layout.parse(name) == Facts(500, one.key, index, size=(1024, 1024))
        older = PurePath("validation_images") / f"step_500_{one.key}_1024x1024.png"
        found = layout.parse(older)
        assert found is not None
        assert (found.key, found.variant) == (one.key, "")


def written(place: Path, library: Library, form: str, suffix: str) -> Path:
    path = place / f"prompts{suffix}"
    path.write_text(FORMATS[form].write(library.entries()), encoding="utf-8")
    return path


@libraries
def test_every_format_is_read_back_by_the_readers_of_the_layouts(library: Library, tmp_path: Path) -> None:
    entries = library.entries()
    texts = [one.text for one in entries]
    by_key, by_number = {one.key: one.text for one in entries}, {str(n): text for n, text in enumerate(texts)}
    found: dict[str, Prompts] = {
        "simpletuner": read_prompts(written(tmp_path, library, "simpletuner", ".json")),
        "json": read_prompts(written(tmp_path, library, "json", ".categories.json")),
        "kohya": read_kohya_prompts(written(tmp_path, library, "kohya", ".kohya.txt")),
        "txt": read_kohya_prompts(written(tmp_path, library, "txt", ".txt")),
    }
    assert not [one.fault for one in found.values() if one.fault]
    assert found["simpletuner"].texts == found["json"].texts == by_key
    assert found["kohya"].texts == found["txt"].texts == by_number
    assert read_prompts(tmp_path / "prompts.txt").texts == by_number


@libraries
def test_kohya_gets_the_same_seed_for_every_prompt(library: Library) -> None:
    lines = FORMATS["kohya"].write(library.entries()).splitlines()
    assert {line.rpartition(" --d ")[2] for line in lines} == {"42"}


@libraries
def test_ai_toolkit_reads_texts_without_flags_and_trigger_words(library: Library) -> None:
    block = yaml.safe_load(FORMATS["ai-toolkit"].write(library.entries()))
    assert block["sample"].pop("prompts") == [one.text for one in library.entries()]
    assert block == {"sample": {"seed": 42, "walk_seed": False}}
    assert not [one.text for one in library.entries() if "--" in one.text or "[" in one.text]


@libraries
def test_ai_toolkits_layout_reads_them_back(library: Library, tmp_path: Path) -> None:
    block = yaml.safe_load(FORMATS["ai-toolkit"].write(library.entries()))
    config = {"job": "extension", "config": {"name": "flux", "process": [{"type": "sd_trainer", **block}]}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    found = AiToolkit().prompts(Place(tmp_path))
    assert (found.fault, [*found.texts.values()]) == ("", [one.text for one in library.entries()])


@libraries
def test_onetrainers_layout_reads_them_back(library: Library, tmp_path: Path) -> None:
    place = tmp_path / "samples.json"
    place.write_text(FORMATS["onetrainer"].write(library.entries()))
    found = OneTrainer().prompts(Place(tmp_path, prompts=place))
    assert (found.fault, sorted(found.texts.values())) == ("", sorted(one.text for one in library.entries()))


@libraries
def test_onetrainer_reads_a_list_of_enabled_samples(library: Library) -> None:
    found = json.loads(FORMATS["onetrainer"].write(library.entries()))
    assert [one["prompt"] for one in found] == [one.text for one in library.entries()]
    rest = [{name: value for name, value in one.items() if name != "prompt"} for one in found]
    assert all(one == {"enabled": True, "seed": 42, "random_seed": False} for one in rest)


@settings(deadline=None)  # the machine may be busy
@given(st.sampled_from(LIBRARIES), st.integers(1, 553), st.integers(0, 2**40))
def test_a_sample_has_its_size_every_category_its_share_and_the_librarys_order(
    library: Library, size: int, seed: int
) -> None:
    entries = library.entries()
    whole, chosen = Counter(one.category for one in entries), sample(entries, size, seed)
    places = Counter(one.category for one in chosen)
    assert len(chosen) == size == len({one.key for one in chosen})
    assert chosen == [one for one in entries if one in set(chosen)]
    assert len(places) == min(size, len(whole))
    shares = {category: size * number / len(entries) for category, number in whole.items()}
    assert all(places[category] >= min(int(share), whole[category]) - 1 for category, share in shares.items())
    assert all(places[category] <= max(1, share + 2) for category, share in shares.items())


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 9))
def test_a_larger_sample_holds_the_smaller_one(one: int, other: int, seed: int) -> None:
    entries = LIBRARIES[0].entries()
    small, large = sorted((one, other))
    assert set(sample(entries, small, seed)) <= set(sample(entries, large, seed))


@libraries
def test_a_sample_that_is_large_enough_has_every_category(library: Library) -> None:
    whole = {one.category for one in library.entries()}
    places = Counter(one.category for one in sample(library.entries(), len(whole)))
    assert places == dict.fromkeys(whole, 1)
    few = sample(library.entries(), 2)
    assert {one.category for one in few} <= {"Animals", "Artifacts", "position", "color attribution"}


def test_the_seed_decides_and_the_whole_is_its_own_sample() -> None:
    entries = choose_library("parti").entries()
    assert sample(entries, 24, 1) == sample(entries, 24, 1) != sample(entries, 24, 2)
    assert sample(entries, len(entries), 3) == entries


def test_a_sample_is_the_same_on_every_machine_and_in_every_version() -> None:
    chosen = [one.key for one in sample(choose_library("parti").entries(), 4, 7)]
    assert chosen == [
        "parti-0056-a-handpalm",
        "parti-0276-horses-pulling-a-carriage-on-the",
        "parti-1152-a-tiger-standing-by-some-flowers",
        "parti-1286-a-black-shoe-with-a-lightning-bo",
    ]


def exported(*words: object) -> Answer:
    answer = here("prompts", "export", *words)
    assert answer.status == 0, answer.err
    return answer


def test_export_prints_or_writes_and_says_whose_prompts_they_are(tmp_path: Path) -> None:
    printed = exported("geneval", "--format", "kohya", "--sample", 6).out
    assert len(printed.splitlines()) == 6
    place = tmp_path / "prompts.txt"
    answer = exported("geneval", "--format", "kohya", "--sample", 6, "-o", place)
    assert (answer.out, place.read_text()) == ("", printed)
    assert "6 prompts of GenEval (MIT); name the file, with the suffix .txt, as `--sample_prompts`" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["prompts.txt"]


def test_export_is_utf_8_whatever_the_terminal_speaks() -> None:
    answer = alone("prompts", "export", "parti", environment={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert "Salvador Dalí" in answer.out.splitlines()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("drawbench",), "no prompt library 'drawbench'; there are parti, geneval: `watcher prompts list`"),
        (("geneval", "--sample", 554), "--sample 554: the library has 553 prompts; leave it out for all of them"),
        (("geneval", "--sample", 0), "--sample"),
        (("geneval", "--format", "xml"), "--format"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_what_could(words: tuple[object, ...], said: str) -> None:
    answer = here("prompts", "export", *words)
    assert (answer.status, answer.out) == (2, "")
    assert said in answer.err


def test_every_format_can_be_asked_for() -> None:
    for form in FORMATS:
        assert exported("geneval", "--sample", 2, "--format", form).out


def test_list_names_size_licence_and_categories() -> None:
    lines = here("prompts", "list").out.splitlines()
    assert [line.split()[:4] for line in lines[1:3]] == [
        ["parti", "PartiPrompts", "1632", "Apache-2.0"],
        ["geneval", "GenEval", "553", "MIT"],
    ]
    assert "geneval: single object 80, two objects 99, counting 80, colors 94, " in lines[4]
    found = here("prompts", "list", "--json").json
    assert [one["prompts"] for one in found["libraries"]] == [1632, 553]


def test_the_licences_lie_beside_the_prompts_and_go_into_the_package() -> None:
    told = (ROOT / "watcher/library/data/README.md").read_text()
    for one in LIBRARIES:
        assert one.title in told
        assert one.licence in told
        assert one.source in told
    ignored = (ROOT / ".gitignore").read_text().split()  # hatchling packs what git does not ignore below `watcher`
    assert not {"data/", "*.tsv", "*.txt"} & set(ignored)
