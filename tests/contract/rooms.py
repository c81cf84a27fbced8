"""The source as its syntax trees: what the contract tests look at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted(ROOT.glob("watcher/**/*.py"))
TESTS = sorted([*ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/**/*.py")])


@cache
def tree(path: Path) -> ast.Module:
    """Parse a file once."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def shown(path: Path) -> str:
    """Name a file for a test's id."""
    return str(path.relative_to(ROOT))


def room(path: Path) -> str:
    """Give the part of the package that a file belongs to: its folder, or its own name."""
    first = path.relative_to(ROOT / "watcher").parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Give the line and full name of every module that a file imports, wherever in it."""
    for node in ast.walk(tree(path)):
        yield from ((node.lineno, name) for name in _names(node))


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        whole = [f"{node.module}.{alias.name}" for alias in node.names]
        return whole if _is_package(node.module) else [node.module]
    return []


def _is_package(module: str) -> bool:
    return (ROOT / module.replace(".", "/") / "__init__.py").is_file()
