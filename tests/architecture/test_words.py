"""The glossary is the only place where words are defined, and its last column stays out of the code's names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.architecture.source import ROOT, modules

GLOSSARY = ROOT / "docs" / "glossary.md"
# Where a word is right, and why.
EXCUSED = {
    ("compare/matching/ladder.py", "bill"): "invoice or credit memo: what bills a customer, either way",
    ("mapping/relation.py", "bill"): "the same",
}
# Vendors' own words stay in their files; the sandboxes are vendors.
VENDORS = ("sandbox/", "mapping/quickbooks/", "connectors/quickbooks/", "mapping/sage_x3/", "connectors/sage_x3/")


def avoided() -> set[str]:
    """The last column of the tables that have three."""
    words: set[str] = set()
    for line in GLOSSARY.read_text("utf-8").splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and cells[2] not in ("not in code", "---"):
            words |= {w.strip() for w in cells[2].split(",") if w.strip()}
    return words


def names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Everything that the module names itself: classes, functions, arguments, variables, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno


def snake(name: str) -> str:
    return "_".join(w.lower() for w in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name))


def test_the_code_calls_each_thing_by_its_one_name() -> None:
    words = avoided()
    assert {"credit_note", "allocation", "receipt"} <= words
    found, used = [], set()
    for path, tree in modules().items():
        if path.startswith(VENDORS):
            continue
        for name, line in names(tree):
            for word in words:
                if not re.search(rf"(^|_){word}s?(_|$)", snake(name)):
                    continue
                used.add((path, word))
                if (path, word) not in EXCUSED:
                    found.append(f"{path}:{line} {name}: see docs/glossary.md for {word!r}")
    assert found == []
    assert set(EXCUSED) <= used, "excused, but not used: take it off the list"


def test_no_other_page_defines_words() -> None:
    titles = [
        f"{page.relative_to(ROOT)}: {line}"
        for page in (ROOT / "docs").rglob("*.md")
        if page != GLOSSARY
        for line in page.read_text("utf-8").splitlines()
        if re.match(r"#+ .*\b(glossary|terminology|terms and definitions)\b", line, re.IGNORECASE)
    ]
    assert titles == []


def test_every_word_is_defined_once() -> None:
    defined = [
        word.strip().strip("*")
        for line in GLOSSARY.read_text("utf-8").splitlines()
        if line.startswith("|") and not line.startswith(("|---", "| word"))
        for word in line.split("|")[1].split(",")
    ]
    assert len(defined) > 40
    assert len(defined) == len(set(defined))
