"""The pages keep up with the program: generated ones are current, every error and code has its section, links lead somewhere."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from pathlib import Path

import pytest

from docs import generate
from docs.catalogue import MEANING, NEXT
from tests.architecture.source import ROOT, modules
from tieout import errors
from tieout.compare import codes
from tieout.compare.codes import CODES, OF_SYNC

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_CODE = re.compile(r"[A-Z]+(?:_[A-Z]+)+|CUTOFF|MISAPPLIED|RESURRECTED|ROUNDING")


def test_generated_pages_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    code = generate.main(["--check"])
    assert code == 0, capsys.readouterr().err


def test_every_public_error_has_its_section() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
    public = [n for n, c in vars(errors).items() if inspect.isclass(c) and c.__module__ == "tieout.errors"]
    assert len(public) > 15
    for name in public:
        section = re.search(rf"^## {name}\n\n(.+?)(?=\n## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert section, f"{name} has no section"
        assert "**Exit code**" in section[1]
        assert "**Next**" in section[1]
    assert set(NEXT) == set(public)


def test_every_target_of_make_is_told() -> None:
    targets = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert targets
    told = re.findall(r"^make (\w+) ", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(told) == sorted(targets[1].split())


def test_contributing_tells_the_layers_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    [layers] = [c["layers"] for c in contracts if c["name"] == "layers"]
    names = [re.findall(r"\w+", layer) for layer in layers]
    there = [
        [n for n in row if (ROOT / "tieout" / n).exists() or (ROOT / "tieout" / f"{n}.py").exists()] for row in names
    ]
    checked = [", ".join(row) for row in there if row and row != ["__main__"]]
    assert f"```text\n{' → '.join(checked)}\n```" in (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def emitted() -> set[str]:
    """Every code that stands in a text of comparison or sync (SQL included), or is used by its name there."""
    known = set(CODES) | set(OF_SYNC)
    named = {name: code for name, code in vars(codes).items() if isinstance(code, str) and code in known}
    found: set[str] = set()
    for path, tree in modules().items():
        if path.startswith(("compare/", "sync/")) and path != "compare/codes.py":
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found |= set(_CODE.findall(node.value)) & known
                elif isinstance(node, ast.Name) and node.id in named:
                    found.add(named[node.id])
    # Two that SQL puts together: MISSING_IN_{absent}.
    return found | {"MISSING_IN_A", "MISSING_IN_B"}


def test_every_code_that_is_emitted_has_its_section() -> None:
    assert emitted() == set(MEANING) == set(CODES) | set(OF_SYNC)
    assert not set(CODES) & set(OF_SYNC)


def test_no_code_is_made_up_outside_the_catalogue() -> None:
    """A finding or discrepancy names a code that the reference explains."""
    known = set(CODES) | set(OF_SYNC) | {""}
    made_up = []
    for path, tree in modules().items():
        if not path.startswith("sync/"):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            made_up += [
                f"{path}:{node.lineno} {word.value.value}"
                for word in node.keywords
                if word.arg == "code" and isinstance(word.value, ast.Constant) and word.value.value not in known
            ]
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in {"Finding", "_blame", "_note", "because", "_refusal"}:
                made_up += [
                    f"{path}:{node.lineno} {a.value}"
                    for a in node.args
                    if isinstance(a, ast.Constant) and isinstance(a.value, str)
                    if _CODE.fullmatch(a.value) and a.value not in known
                ]
    assert made_up == []


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(there), f"{page.name}: {target}"
    for name in re.findall(r"`((?:docs|contrib|tests|benchmarks|tieout)/[\w./-]*)`", text):
        # Acme is whoever reads the page.
        assert "acme" in name or (ROOT / name).exists(), f"{page.name}: `{name}`"


def test_every_page_is_found_from_the_first_one() -> None:
    first = ROOT / "docs" / "README.md"
    led = {(first.parent / name).resolve() for name in re.findall(r"\]\(([^)\s#]+)", first.read_text("utf-8"))}
    assert {p for p in PAGES if p.is_relative_to(ROOT / "docs")} - led == {first}
