"""Rules of the house that a reader of one file cannot see: no float near money, no swallowed error, one door to HTTP."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from tests.architecture.source import ROOT, imports, kept_files, modules

# Where a float is right, and why. A file that is not here holds none.
FLOATS = {
    "errors.py": "seconds to wait",
    "config/secrets.py": "seconds to wait for a lock",
    "config/settings.py": "refuses floats; likeness of misspelled words",
    "connectors/decode.py": "shares of byte values, to tell encodings apart",
    "connectors/http.py": "seconds",
    "connectors/pinned.py": "seconds",
    "connectors/infer/sheet.py": "shares of cells, to find the heading row",
    "connectors/memory/books.py": "seconds of the books' own clock",
    "connectors/memory/faults.py": "seconds",
    "connectors/memory/types.py": "seconds",
    "connectors/quickbooks/connector.py": "seconds",
    "connectors/quickbooks/landing.py": "seconds",
    "connectors/quickbooks/oauth.py": "seconds",
    "connectors/quickbooks/wire.py": "seconds",
    "connectors/sage_x3/connector.py": "seconds",
    "connectors/sage_x3/wire.py": "seconds",
    "connectors/workbook.py": "a workbook stores numbers as floats: each becomes a Decimal of its 15 digits here",
    "demo/stage.py": "seconds",
    "demo/story.py": "seconds",
    "mapping/quickbooks/native.py": "refuses floats",
    "model.py": "refuses floats",
    "sandbox/faults.py": "seconds; the share of an answer that is kept",
    "sandbox/file_erp/seeds.py": "chances in sample data",
    "sandbox/quickbooks/app.py": "seconds",
    "sandbox/quickbooks/seeds.py": "chances in sample data",
    "sandbox/sage_x3/pool.py": "seconds",
    "sync/work.py": "seconds",
    "sync/apply.py": "seconds",
    "sync/store.py": "seconds",
    "testing/bench.py": "finds floats; seconds",
    "reports/forms/sums.py": "what a spreadsheet would make of a total, to see whether it may be a formula; no figure of ours",
}
# Who reads JSON without turning numbers into Decimal, and why no amount passes.
PLAIN_JSON = {
    "config/secrets.py": "sign-ins",
    "connectors/tabular/outbox.py": "our own manifests: sums are text",
    "connectors/quickbooks/oauth.py": "answers of the token endpoint",
    "connectors/quickbooks/watch.py": "notes on sign-ins: a count, times and days",
    "sandbox/faults.py": "orders at the control port",
    "sandbox/file_erp/__init__.py": "its own books: amounts are text",
    "sandbox/file_erp/inbox.py": "manifests: sums are text",
    "sandbox/quickbooks/oauth.py": "forms of the token endpoint",
    "sandbox/quickbooks/server.py": "shown to people at the control port",
    "sandbox/quickbooks/upload.py": "metadata of an attachment",
    "sync/store.py": "our own rows: amounts are text or micro-units",
}
FOR_A_PERSON = {"ConfigError", "ProfileError", "RefusedError"}
HTTP = ("requests", "urllib3", "httpx", "aiohttp", "http.client", "urllib.request", "socket", "ssl")
MAY_TALK = {
    "connectors/http.py": "the one transport",
    "connectors/pinned.py": "the sockets beneath it",
    "sandbox/*": "the other end of the line",
    "demo/*": "plays the person at the browser",
}


def floats(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node.lineno
        if isinstance(node, ast.Name) and node.id == "float":
            yield node.lineno


def test_no_float_comes_near_money() -> None:
    found = {path: sorted(set(floats(tree))) for path, tree in modules().items()}
    assert {p: lines for p, lines in found.items() if lines and p not in FLOATS} == {}
    assert {p for p in FLOATS if not found.get(p)} == set(), "excused, but has none: take it off the list"


def test_the_check_of_floats_sees_them() -> None:
    tree = ast.parse("x = 1.5\ndef f(y: float) -> int:\n    return int(float(y))\n")
    assert sorted(floats(tree)) == [1, 2, 3]


def plain_json(tree: ast.Module) -> Iterator[int]:
    """Calls that read JSON and leave numbers to become floats."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            exact = {k.arg for k in node.keywords} & {"parse_float", "float_hook"}
            if called in {"json.loads", "json.load", "msgspec.json.decode", "msgspec.json.Decoder"} and not exact:
                yield node.lineno


def test_json_that_may_hold_money_is_read_exactly() -> None:
    found = {path: sorted(plain_json(tree)) for path, tree in modules().items()}
    assert {p: lines for p, lines in found.items() if lines and p not in PLAIN_JSON} == {}
    assert {p for p in PLAIN_JSON if not found.get(p)} == set(), "excused, but reads none: take it off the list"


def swallowed(tree: ast.Module) -> Iterator[int]:
    """`except …: pass`, whatever follows."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and all(map(_nothing, node.body)):
            yield node.lineno


def _nothing(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def test_no_error_is_swallowed() -> None:
    found = {path: list(swallowed(tree)) for path, tree in modules().items()}
    assert {p: lines for p, lines in found.items() if lines} == {}


def test_the_check_of_swallowed_errors_sees_them() -> None:
    lost = "try:\n    f()\nexcept ValueError:\n    pass\n"
    assert list(swallowed(ast.parse(lost))) == [3]
    assert list(swallowed(ast.parse(lost + "raise KeyError\n"))) == [3]
    assert list(swallowed(ast.parse("try:\n    f()\nexcept ValueError:\n    raise KeyError from None\n"))) == []


def hintless(tree: ast.Module) -> Iterator[int]:
    """Errors for a person to act upon that say neither what to do next nor list problems."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) not in FOR_A_PERSON:
            continue
        if not {k.arg for k in node.keywords} & {"hint", "problems"}:
            yield node.lineno


def test_an_error_for_a_person_says_what_to_do_next() -> None:
    found = {path: list(hintless(tree)) for path, tree in modules().items()}
    assert {p: lines for p, lines in found.items() if lines} == {}


def test_only_the_transport_talks_http() -> None:
    found = [
        f"{path}:{line} imports {name}"
        for path, tree in modules().items()
        for name, line in imports(tree)
        if any(name == h or name.startswith(h + ".") for h in HTTP) and not any(fnmatch(path, p) for p in MAY_TALK)
    ]
    assert found == []


def test_layers_and_vendors_are_kept_apart() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    assert program.exists(), "import-linter is not here: pip install 'tieout[dev]'"
    ran = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_vendor_files_never_import_each_other() -> None:
    vendors = ("quickbooks", "memory", "tabular", "sage")
    found = []
    for path, tree in modules().items():
        for folder in ("connectors/", "mapping/"):
            own = path.removeprefix(folder).split("/")[0] if path.startswith(folder) else ""
            mine = [v for v in vendors if own.startswith(v)]
            for name, line in imports(tree):
                leaf = name.rpartition(f"tieout.{folder.rstrip('/')}.")[2] if mine else ""
                if name.startswith(f"tieout.{folder[:-1]}.") and any(
                    leaf.startswith(v) for v in vendors if v not in mine
                ):
                    found.append(f"{path}:{line} imports {name}")
    assert found == []


# The home of a person or a build, and marks that writing programs leave behind.
TRACES = re.compile(
    r"/(?:home|Users|root|work|tmp)/[A-Za-z0-9_.-]+/|[A-Z]:\\\\Users\\\\|co-authored-by|generated (?:by|with) \[|"
    r"as an ai\b|language model",
    re.IGNORECASE,
)


def test_nothing_names_a_machine_it_was_made_on() -> None:
    found = []
    for path in kept_files():
        if path == Path(__file__).resolve():
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {hit.group()}" for hit in TRACES.finditer(text)]
    assert found == []


def test_no_two_files_of_tests_have_one_name() -> None:
    """Outside of packages pytest knows a file by its name alone: of two, it collects neither in a run of all."""
    names: dict[str, list[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        if not (path.parent / "__init__.py").exists():
            names.setdefault(path.name, []).append(str(path.relative_to(ROOT)))
    assert names
    assert [paths for paths in names.values() if len(paths) > 1] == []


def test_recorded_exchanges_say_whom_they_were_recorded_against() -> None:
    cassettes = {p.parent for p in kept_files() if p.suffix in {".yaml", ".yml"} and "fixtures" in p.parts}
    assert cassettes, "the wire tests replay cassettes"
    for folder in cassettes:
        said = (folder / "README.md").read_text("utf-8")
        assert "sandbox" in said, folder
        assert "not against" in said, folder
