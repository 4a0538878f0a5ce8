"""A report of long files and functions: look twice at a file over 400 lines or a function over 40. It forbids nothing."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.source import PACKAGE, modules

FILE, FUNCTION = 400, 40


def long_files() -> dict[str, int]:
    """Lines of the files over the limit, longest first."""
    lines = {path: len((PACKAGE / path).read_text("utf-8").splitlines()) for path in modules()}
    return {p: n for p, n in sorted(lines.items(), key=lambda item: -item[1]) if n > FILE}


def long_functions() -> dict[str, int]:
    """Lines of the functions over the limit, longest first."""
    found = {
        f"{path}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return {p: n for p, n in sorted(found.items(), key=lambda item: -item[1]) if n > FUNCTION}


def test_report_of_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    files, functions = long_files(), long_functions()
    assert len(modules()) > len(files)
    with capsys.disabled():
        print(
            f"\n{len(files)} of {len(modules())} files over {FILE} lines, {len(functions)} functions over {FUNCTION}:"
        )
        for name, size in [*files.items(), *list(functions.items())[:10]]:
            print(f"{size:6}  {name}")
