"""The catalogue of properties names tests that exist, and for each *always* a *sometimes*."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.architecture.source import ROOT

PAGE = ROOT / "docs" / "properties.md"
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`(?: \(([^)]*)\))?")


def rows() -> list[list[str]]:
    """The cells of each property: id, always, shown by, sometimes."""
    cells = [[c.strip() for c in line.strip().strip("|").split("|")] for line in PAGE.read_text("utf-8").splitlines()]
    return [c for c in cells if re.fullmatch(r"[A-Z]\d+", c[0])]


@cache
def defined(path: str) -> tuple[set[str], str]:
    """The names of the tests in a file below `tests/`, and its text."""
    text = (ROOT / "tests" / path).read_text("utf-8")
    return {n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)}, text


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_property_names_tests_that_exist(row: list[str]) -> None:
    _, always, shown, reached = row
    assert always.endswith((".", ";"))
    for column in (shown, reached):
        named = NAMED.findall(column)
        assert named, f"no test in {column!r}"
        for path, test, laws in named:
            assert test.startswith("test_")
            names, text = defined(path)
            assert test in names, f"tests/{path} has no {test}"
            for law in re.findall(r"`(\w+)`", laws):
                assert law in text, f"tests/{path} has no {law}"
    assert set(NAMED.findall(shown)) != set(NAMED.findall(reached)), "an always is not its own sometimes"


def test_the_catalogue_is_whole() -> None:
    ids = [row[0] for row in rows()]
    assert len(ids) == len(set(ids))
    for letter in {i[0] for i in ids}:
        numbers = [int(i[1:]) for i in ids if i[0] == letter]
        assert numbers == list(range(1, len(numbers) + 1)), letter
    assert len(ids) >= 30
