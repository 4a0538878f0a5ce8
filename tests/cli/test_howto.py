"""The commands of the pages are run as they are printed, in an office that has what they name."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from tests.cli.conftest import Ran
from tests.cli.office import Office, office
from tests.cli.test_docs import COMMANDS
from tests.deep import DEEP

# What needs a person at a browser, a cluster or a terminal of its own: tests of their own have it.
ELSEWHERE = re.compile(r"tieout (connect|init|sandbox)|--engine spark|^README.md: tieout compare")
# What one page can say and no one office can have: what such a command says is looked at instead.
SAYS = {
    r"evidence confirm": (4, "there is nothing to confirm"),
    r"decide \S+ (retry|recreate|release)": (4, "→ "),
    r"--until 2026-02-28": (4, "→ "),
    r"--opening-known-on": (2, "nothing of quickbooks was read by"),
}
# Every page in `make deep`; in `make test` those with the commands that are typed each month.
PAGES = sorted({page for page, _ in COMMANDS if "tutorial" not in page})
FEW = ["docs/howto/prove-it.md", "docs/howto/schedule.md"]
LEDGER = "kind,number,customer,customer_name,issued,due,currency,net,tax,total,open\n" + "".join(
    f"invoice,R-{n},C{n % 3},Buyer {n % 3},2026-01-{n:02},2026-02-{n:02},USD,{n}.00,0.00,{n}.00,{n}.00\n"
    for n in range(1, 20)
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with office(tmp_path_factory.mktemp("howto"), sample=4) as it:
        it.mode = "propose"
        it.configure()
        it.run("sync")
        for name in ("erp", "copy", "other", "invoices"):
            (it.folder / f"{name}.csv").write_text(LEDGER)
        (it.folder / "export.csv").write_text(LEDGER.replace("kind", "Kind").replace("number", "Number"))
        (it.folder / "cash.csv").write_text(
            "payment,customer,received,currency,amount,invoice,applied\nP1,C1,2026-01-20,USD,5.00,R-4,4.00\n"
        )
        for name in ("erp", "warehouse"):
            duckdb.sql(
                "select 'a' id, 'invoice' kind, date '2026-01-05' issued, 'USD' currency, 5.00 total"
            ).write_parquet(str(it.folder / f"{name}.parquet"))
        yield it


def filled(desk: Office, line: str) -> str:
    """The command with an id of this office where the page has one of its own, or a word for one."""
    if " ID" in line and " plan " in line:
        line = line.replace(" ID", " " + found(desk, "plan show --all", "plans"))
    line = re.sub(r" (ID|D-9e1c5a7b)\b", lambda _: " " + found(desk, "discrepancies list", "discrepancies"), line)
    line = (
        line.replace("01a216e0-5407", json.loads(desk.run("sync", "--json").stdout)["runs"][0]["run"])
        if "01a2" in line
        else line
    )
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"  # the state of this office is not older
    return (
        line.replace("2026-02-05T17:30", now).replace(" 1042 ", " 1016 ").replace("--on 2026-02-06", "--on 2099-02-06")
    )


def found(desk: Office, command: str, what: str) -> str:
    return str(json.loads(desk.run(*command.split(), "--json").stdout)[what][0]["id"])


def run(desk: Office, line: str) -> Ran:
    words, target, name = filled(desk, line).partition(" > ")
    ran = desk.run(*shlex.split(words, comments=True)[1:])
    if target:
        (desk.folder / name).write_text(ran.stdout, "utf-8")
    if "profile infer" in line:  # what the page says: the questions are answered
        proposed = desk.folder / "acme.toml"
        proposed.write_text(proposed.read_text("utf-8").replace("# ASK: ", ""), "utf-8")
    if "discrepancies export" in line and "xlsx" in line:
        mark(desk.folder / "differences.xlsx")
    return ran


def mark(path: Path) -> None:
    """A person fills `action` of the first row."""
    import openpyxl

    book = openpyxl.load_workbook(path)
    sheet = book[book.sheetnames[-1]]
    heads = [c.value for c in sheet[1]]
    if "action" in heads:
        sheet.cell(2, heads.index("action") + 1, "acknowledge")
        book.save(path)


@pytest.mark.parametrize("page", PAGES if DEEP else FEW)
def test_the_commands_of_a_page_do_what_they_are_printed_for(desk: Office, page: str) -> None:
    for line in [line for where, line in COMMANDS if where == page]:
        if ELSEWHERE.search(line) or ELSEWHERE.search(f"{page}: {line}"):
            continue
        ran = run(desk, line)
        expected = next((told for words, told in SAYS.items() if re.search(words, line)), None)
        assert ran.returncode in ({0, 4} if expected is None else {0, expected[0]}), f"{line}\n{ran.stderr}"
        assert "Usage:" not in ran.stderr, f"{line}\n{ran.stderr}"
        if ran.returncode:
            assert (expected[1] if expected else "→ ") in ran.stderr, f"{line}\n{ran.stderr}"
