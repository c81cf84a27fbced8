"""Imports point one way, rooms do not know each other's insides, and nothing heavy is loaded before it is used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.contract.rooms import ROOT, SOURCES, imported, room, shown, tree

BASE = {"errors", "names", "nouns", "notes", "part", "yamlfile", "yamltext", "sdnotify", "launch", "clock"}
BASE |= {"mounts", "inside", "smallfile"}
ROOMS = {"discover", "settle", "score", "record", "judge", "act", "notify"}
MAY_USE: dict[str, set[str]] = {
    "errors": set(),
    "names": set(),
    "nouns": {"names"},
    "part": set(),
    "sdnotify": set(),
    "launch": {"smallfile"},
    "smallfile": set(),
    "clock": set(),
    "inside": set(),
    "notes": set(),
    "yamltext": {"errors"},
    "yamlfile": {"errors", "yamltext"},
    "mounts": set(),
    "places": {"errors", "yamlfile"},
    "library": {"errors"},
    **dict.fromkeys(ROOMS, BASE),
    "act": {"control"} | BASE,
    "score": {"settle", "pictures"} | BASE,
    "record": {"pictures", "__init__"} | BASE,
    "pictures": {"settle"} | BASE,
    "steps": {"control"} | ROOMS | BASE,
    "pipeline": {"steps"} | BASE,
    "config": {"places"} | ROOMS | BASE,
    "backends": {"config"} | ROOMS | BASE,
    "assemble": {"backends", "config", "pipeline", "steps"} | ROOMS | BASE,
    "daemon": {"assemble", "backends", "config", "pipeline", "steps"} | ROOMS | BASE,
    "view": {"config", "library", "pictures", "places"} | ROOMS | BASE,
    "setup": {"config", "places", "steps", "view"} | ROOMS | BASE,
    "rehearse": {"config", "places", "steps", "view"} | ROOMS | BASE,
    "byhand": {"backends", "config", "control", "places", "steps", "view"} | ROOMS | BASE,
    "demo": BASE,
    "doctor": {"backends", "config", "places", "steps", "view"} | ROOMS | BASE,
    "control": set(),
    "cli": {
        "byhand",
        "config",
        "control",
        "daemon",
        "demo",
        "doctor",
        "library",
        "places",
        "rehearse",
        "setup",
        "view",
        "__init__",
    }
    | ROOMS
    | BASE,
    "__main__": {"cli"},
    "__init__": set(),
}
"""Which parts of the package each part may import, beside itself."""
OPEN = {"control", "record"}
"""Rooms whose modules are their interface; of the others only what the room's package gives may be used."""
GUESTS = {
    "watcher.config": {"watcher.judge.files"},
}
"""Exceptions: modules that know one inside of a room."""
HEAVY = {"torch", "transformers", "tensorboard", "wandb", "scipy", "apprise"}
PROGRAMS = {
    *(f"watcher/score/{name}.py" for name in ("encoder", "fast", "memory", "model", "panel", "prepare")),
    "watcher/demo/trainer.py",
    "watcher/demo/train_clip.py",
    "watcher/demo/hasty.py",
    "watcher/demo/seeds.py",
}
"""Files that are loaded for their work only, or are programs of their own."""


def module(path: Path) -> str:
    return shown(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def ours() -> Iterator[tuple[Path, str, str]]:
    """Give every import of the package from itself: the file, the place, and the name."""
    for path in SOURCES:
        for line, name in imported(path):
            if name.split(".")[0] == "watcher":
                yield path, f"{shown(path)}:{line}", name


def part_of(name: str) -> str:
    """Give the part of the package that an import names; `from watcher import __version__` names the package."""
    first = [*name.split("."), ""][1]
    return first if first in MAY_USE else "__init__"


def test_every_part_of_the_package_has_its_place_in_the_order() -> None:
    assert {room(path) for path in SOURCES} == MAY_USE.keys()


def test_the_order_has_no_circle() -> None:
    done: set[str] = set()
    while left := MAY_USE.keys() - done:
        ready = {part for part in left if MAY_USE[part] <= done}
        assert ready, f"these need each other: {sorted(left)}"
        done |= ready


def test_imports_point_one_way() -> None:
    wrong = [
        f"{place}: {name}"
        for path, place, name in ours()
        if part_of(name) not in MAY_USE.get(room(path), set()) | {room(path)}
    ]
    assert not wrong


def test_no_room_reaches_into_another() -> None:
    reaching = [(path, place, name) for path, place, name in ours() if _is_inside(name, room(path))]
    wrong = [f"{place}: {name}" for path, place, name in reaching if name not in GUESTS.get(module(path), set())]
    assert not wrong, "use what the room's __init__ gives"


def _is_inside(name: str, mine: str) -> bool:
    """Tell whether an import names a module within another room, rather than something that the room gives."""
    parts = name.split(".")
    if len(parts) < 3 or parts[1] == mine or parts[1] not in ROOMS - OPEN:
        return False
    folder = ROOT / "watcher" / parts[1]
    imports = [node for node in tree(folder / "__init__.py").body if isinstance(node, ast.ImportFrom)]
    given = {alias.name for node in imports for alias in node.names}
    return (folder / f"{parts[2]}.py").is_file() and parts[2] not in given


def test_every_exception_is_still_needed() -> None:
    used = {(module(path), name) for path, _, name in ours()}
    assert {(guest, inside) for guest, insides in GUESTS.items() for inside in insides} <= used
    assert all(_early(ROOT / path) & HEAVY for path in PROGRAMS)


def test_what_is_heavy_is_imported_where_it_is_used() -> None:
    assert {shown(path) for path in SOURCES if _early(path) & HEAVY} <= PROGRAMS


def _early(path: Path) -> set[str]:
    """Give the packages that a file imports as soon as it is itself imported."""
    nodes = list(ast.walk(tree(path)))
    lazy = {id(inner) for node in nodes if _waits(node) for inner in ast.walk(node)}
    early = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in lazy]
    return {name.split(".")[0] for node in early for name in _modules(node)}


def _waits(node: ast.AST) -> bool:
    """Tell whether what stands below runs later: in a function, or for type checkers only."""
    checked = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return checked or isinstance(node, ast.FunctionDef)


def _modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
