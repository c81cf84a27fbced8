"""How the code should read: small files, everything public explained, nothing left to be done."""

from __future__ import annotations

import ast
import io
import re
import statistics
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.contract.rooms import SOURCES, TESTS, shown, tree

LONGEST = 300
"""Lines of a file."""
TYPICAL = 10
"""Lines that the median function stays below."""
UNDONE = re.compile(r"\b(TODO|FIXME|XXX|HACK|WIP)\b")
SILENT = {"log_message"}
"""Methods of others that are overridden to do nothing: the demo's receiver does not log its requests."""
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def test_no_file_is_long() -> None:
    lengths = {shown(path): len(path.read_text().splitlines()) for path in (*SOURCES, *TESTS)}
    assert not {name: length for name, length in lengths.items() if length > LONGEST}, "split it by meaning"


def test_functions_are_small() -> None:
    lengths = [(node.end_lineno or 0) - node.lineno + 1 for path in SOURCES for node in _functions(path)]
    assert statistics.median(lengths) < TYPICAL


def _functions(path: Path) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef))


def test_every_module_and_everything_public_explains_itself() -> None:
    silent = [shown(path) for path in SOURCES if path.read_text() and not ast.get_docstring(tree(path))]
    for path in SOURCES:
        silent += [f"{shown(path)}:{node.lineno}: {node.name}" for node in _public(tree(path)) if not _explained(node)]
    assert not silent


def _public(node: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """Give what can be used from outside."""
    for inner in node.body:
        if isinstance(inner, Definition) and not inner.name.startswith("_"):
            yield inner
            if isinstance(inner, ast.ClassDef):
                yield from _public(inner)


def _explained(node: Definition) -> bool:
    """Tell whether it has a docstring; an override is explained by what it overrides."""
    return bool(ast.get_docstring(node)) or any(getattr(one, "id", "") == "override" for one in node.decorator_list)


def test_nothing_is_left_to_be_done() -> None:
    found = [
        f"{shown(path)}:{token.start[0]}: {token.string}"
        for path in (*SOURCES, *TESTS)
        if path != Path(__file__)
        for token in _words(path)
        if UNDONE.search(token.string)
    ]
    assert not found


def _words(path: Path) -> Iterator[tokenize.TokenInfo]:
    """Give the comments and texts of a file."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return (token for token in tokens if token.type in (tokenize.COMMENT, tokenize.STRING))


def test_no_function_is_a_stub() -> None:
    stubs = [
        f"{shown(path)}:{node.lineno}: {node.name}"
        for path in SOURCES
        for node in _functions(path)
        if _is_stub(node) and node.name not in SILENT and not _is_declared(path, node)
    ]
    assert not stubs


def _is_stub(node: ast.FunctionDef) -> bool:
    """Tell whether a function does nothing, or says that it cannot; a bare `return` says that nothing is meant."""
    unready = any(getattr(one, "id", "") in ("NotImplementedError", "NotImplemented") for one in ast.walk(node))
    return unready or all(
        isinstance(one, ast.Pass) or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
        for one in node.body
    )


def _is_declared(path: Path, node: ast.FunctionDef) -> bool:
    """Tell whether others have to fill it in: an abstract method, or one of a Protocol."""
    abstract = any(getattr(one, "id", "") in ("abstractmethod", "overload") for one in node.decorator_list)
    return abstract or any(node in cls.body for cls in _protocols(path))


def _protocols(path: Path) -> Iterator[ast.ClassDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == "Protocol" for base in node.bases):
            yield node


SHELLS = {"system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell"}
"""Functions of the standard library that give what they get to a shell."""


def test_nothing_is_passed_to_a_shell() -> None:
    found = [
        f"{shown(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Attribute) and node.func.attr in SHELLS)
            or any(one.arg == "shell" for one in node.keywords)
        )
    ]
    assert not found
