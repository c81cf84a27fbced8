"""What every plug-in promises: a name, a description, described settings, no unknown keys, no change once made."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from tests.contract.registries import PARTS, PLUG_INS, SETTINGS, make
from tests.contract.rooms import ROOT, SOURCES, room, shown
from watcher.discover import LAYOUTS, RunSettings
from watcher.part import Part, PlugIn

CODE = re.compile(r"^```yaml\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
REGISTRY_FOLDERS = ("discover", "notify", "record", "act", "judge")


def subclasses(cls: type) -> Iterator[type]:
    for one in cls.__subclasses__():
        yield one
        yield from subclasses(one)


def test_a_plug_in_that_exists_stands_in_a_registry() -> None:
    for path in SOURCES:
        if room(path) in REGISTRY_FOLDERS and "migrations" not in path.parts:
            importlib.import_module(shown(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
    found = {cls for cls in subclasses(PlugIn) if "name" in vars(cls) and not inspect.isabstract(cls)}
    assert {cls for cls in found if cls.__module__.startswith("watcher.")} == set(PLUG_INS)


def test_names_are_unique_and_easy_to_type() -> None:
    names = [part.name for part in PLUG_INS]
    assert len(set(names)) == len(names)
    layouts = {layout.name for layout in LAYOUTS}  # are called as their trainers call themselves, such as ai-toolkit
    plain = [name.replace("-", "_") if name in layouts else name for name in names]
    assert all(name.isascii() and name.isidentifier() and name.islower() for name in plain)
    assert set(names) == SETTINGS.keys()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_it_describes_itself_and_every_setting(part: type[Part]) -> None:
    assert (part.__doc__ or "").strip().endswith(".")
    silent = [name for name, field in part.model_fields.items() if not (field.description or "").strip()]
    assert not silent


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_it_refuses_what_it_does_not_know_and_never_changes(part: type[Part]) -> None:
    made = make(part)
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        make(part, nonsense=1)
    for name in [*part.model_fields, "nonsense"]:
        with pytest.raises((ValidationError, ValueError)):
            setattr(made, name, "changed")
    assert made == make(part)


@pytest.mark.parametrize("part", PLUG_INS, ids=lambda part: part.name)
def test_the_documentation_shows_it(part: type[PlugIn]) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    code = "\n".join("".join(found) for page in pages for found in CODE.findall(page.read_text()))
    assert re.search(rf"(?<![\w/-]){part.name}(?![\w/-])", code), f"no page shows `{part.name}`"


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda part: part.name)
def test_a_layout_can_be_chosen_by_its_name(layout: type[PlugIn]) -> None:
    chosen = RunSettings.model_validate({"path": "x", "layout": {layout.name: SETTINGS[layout.name]}}).layout
    assert type(chosen) is layout
    if not SETTINGS[layout.name]:
        assert RunSettings.model_validate({"path": "x", "layout": layout.name}).layout == chosen
