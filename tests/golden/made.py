"""What is kept as golden files, and how each is made: from two exports of the file ERP, and from the demo.

Everything is made in an empty folder by our own code with fixed books and dates; nothing of the machine or the day
gets in.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import re
import shlex
import tempfile
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from click.testing import CliRunner

from tests.unit.reports.forms import samples
from tieout import compare
from tieout.cli import cli
from tieout.compare import render
from tieout.compare.files import compare_files
from tieout.reports.forms import page
from tieout.reports.reconciliation import comparison
from tieout.sandbox.file_erp import Books, FileErp, generate

EXPECTED = Path(__file__).parent / "expected"
AS_OF = date(2026, 1, 31)


def books(*, others: bool = False) -> Books:
    """A trading company: 5 customers, 16 invoices of the last half year, most of them paid, and three more.

    others: as kept by somebody who missed and mistook a few things.
    """
    made = Books(company_code="1000", name="Golden Trading Ltd")
    generate(made, customers=5, invoices=16, through=AS_OF, seed=11)
    one, two = sorted(made.customers)[:2]
    lost = made.enter_invoice(one, "940.00", on=date(2026, 1, 5), tax_code="A0", text="Late fee disputed")
    wrong = made.enter_invoice(two, "310.50", on=date(2026, 1, 6), tax_code="A0", text="Goods returned")
    taxed = "26.40" if others else "25.60"
    made.enter_invoice(two, "320.00", on=date(2026, 1, 7), tax=taxed, tax_code="A1", text="Goods")
    if others:
        made.enter_invoice(one, "480.00", on=date(2026, 1, 12), tax_code="A0", text="entered on this side only")
        made.write_off(lost, on=date(2026, 1, 20))
        made.reverse(wrong, on=date(2026, 1, 25))
        made.enter_payment(one, "75.00", on=date(2026, 1, 28), method="ach", reference="ACH 75")
    return made


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty folder to work in, so that paths are relative and the same everywhere."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        yield Path()


def result() -> compare.Result:
    """The comparison of the two books: English FBL5N on the left, German FBL5N on the right, as SAP saves them."""

    def clock() -> datetime:
        return datetime(2026, 2, 2, 9, 0, tzinfo=UTC)

    with folder() as here:
        for name, kept, layout in (("left", books(), "sap-fbl5n-en"), ("right", books(others=True), "sap-fbl5n-de")):
            paths = FileErp(kept, clock=clock).export(here / name, AS_OF, layouts=(layout,))
            paths[0].rename(f"{name}.xls")
        return compare_files("left.xls", "sap-fbl5n-en", "right.xls", "sap-fbl5n-de", AS_OF)


def demo() -> str:
    """What `tieout demo` says, without the ids that every run makes anew."""
    from tieout.demo import run

    said = io.StringIO()
    with folder():
        run(Path("demo-output"), say=lambda text: print(text, file=said))
        unsourced = without_provenance(Path("demo-output"))
        for line in re.findall(r"^    tieout (.*)$", said.getvalue(), re.MULTILINE):
            ran = CliRunner().invoke(cli, shlex.split(line))
            assert ran.exit_code == 0, f"{line}: {ran.output}"
    assert unsourced == [], "exports that do not say where they come from"
    return re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<id>", said.getvalue())


def without_provenance(folder: Path) -> list[str]:
    """The exports for people in a folder that no provenance stands beside, or one that is of other bytes or rows."""
    bad = []
    for path in sorted(folder.glob("*.csv")):
        beside = Path(f"{path}.provenance.json")
        said = json.loads(beside.read_text("utf-8")) if beside.exists() else {}
        body = path.read_bytes()
        rows = len(list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))) - 1
        told = (said.get("sha256"), said.get("rows"))
        facts = {"source", "parameters", "extracted_at", "by", "program"}
        if told != (hashlib.sha256(body).hexdigest(), rows) or not facts <= said.keys():
            bad.append(path.name)
    return bad


def _lines(text: str) -> str:
    """With plain line ends: the files are read by people, and by diff."""
    return text.replace("\r\n", "\n").rstrip("\n") + "\n"


def compared() -> dict[str, str]:
    """The four forms of one comparison."""
    found = result()
    return {
        "compare.json": render.to_json(found),
        "compare.txt": render.to_table(found),
        "compare.csv": render.to_csv(found),
        "compare.html": page.write(comparison.report(found)),
    }


def reports() -> dict[str, str]:
    """Pages of sample reports: every kind of chart, three currencies, hostile names, a running balance."""
    return {f"{make.__name__}.html": page.write(make()) for make in (samples.aging, samples.bridge, samples.statement)}


MAKERS: dict[str, Callable[[], dict[str, str]]] = {
    "compare": compared,
    "demo": lambda: {"demo.txt": demo()},
    "reports": reports,
}
NAMES = frozenset(
    {
        *("compare.json", "compare.txt", "compare.csv", "compare.html", "demo.txt"),
        *("aging.html", "bridge.html", "statement.html"),
    }
)


def everything(groups: Collection[str] = ()) -> dict[str, str]:
    """Golden files by name: those of the given groups (`compare`, `demo`), of all without."""
    wanted = [make for group, make in MAKERS.items() if not groups or group in groups]
    return {name: _lines(text) for make in wanted for name, text in make().items()}


def kept(name: str) -> str:
    """What is under version control; nothing for a new file."""
    path = EXPECTED / name
    return path.read_text("utf-8") if path.exists() else ""


def save(name: str, text: str) -> None:
    EXPECTED.mkdir(exist_ok=True)
    path = EXPECTED / name
    draft = path.with_suffix(path.suffix + ".new")
    draft.write_text(text, "utf-8")
    draft.replace(path)
