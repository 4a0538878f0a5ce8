"""`tieout report` beside what a system states of each customer, and the statement as its customer gets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pypdf
import pytest

from tests.cli.conftest import Ran

Run = Callable[..., Ran]
BILLS = (
    "kind,number,customer,customer_name,issued,due,currency,net,tax,total,open\n"
    "invoice,R-1,C1,Ada Ltd,2026-01-05,2026-02-04,USD,100.00,0.00,100.00,\n"
    "invoice,R-2,C1,Ada Ltd,2026-02-10,2026-03-12,USD,200.00,0.00,200.00,\n"
    "invoice,R-3,C2,Bee <b>Inc,2026-01-20,2026-02-19,EUR,50.00,0.00,50.00,\n"
    "invoice,R-4,C3,Cy SA,2026-01-20,2026-02-19,EUR,7.00,0.00,7.00,\n"
    "invoice,R-5,C3,Cy SA,2026-01-20,2026-02-19,USD,9.00,0.00,9.00,\n"
)
STATED = (
    "customer,name,currency,balance\nC1,Ada Ltd,USD,300.00\nC2,Bee <b>Inc,EUR,{bee}\nC3,Cy SA,EUR,7.00\nC4,Dot,USD,0\n"
)
FILES = ("--left", "bills.csv", "--left-profile", "documents", "--left", "who.csv", "--left-profile", "customers")
DAY = ("--as-of", "2026-01-31")


@pytest.fixture
def books(tmp_path: Path) -> Path:
    (tmp_path / "bills.csv").write_text(BILLS)
    (tmp_path / "who.csv").write_text(STATED.format(bee="50.00"))
    return tmp_path


def asked(tieout: Run, name: str, files: tuple[str, ...] = FILES) -> tuple[list[dict], list[dict]]:
    """The rows of each customer's stated balance, and the proofs of it."""
    ran = tieout("report", name, *files, *DAY, "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    held = [r for t in found["tables"] if t["title"].startswith("What the system states of") for r in t["rows"]]
    return held, [p for p in found["proofs"] if "it states of" in p["claim"]]


@pytest.mark.parametrize("name", ["aging", "open-items", "tie-out"])
def test_each_customer_is_held_against_the_balance_that_its_system_states(tieout: Run, books: Path, name: str) -> None:
    (books / "who.csv").write_text(STATED.format(bee="49.50"))
    rows, proofs = asked(tieout, name)
    of = {(r["customer"], r["currency"]): r for r in rows if r["style"] == "detail"}
    ada, bee = of["Ada Ltd", "USD"], of["Bee <b>Inc", "EUR"]
    assert (ada["on_day"], ada["later"], ada["stated"], ada["result"]) == ("100.00", "200.00", "300.00", "agrees")
    assert (Decimal(bee["difference"]), bee["result"]) == (Decimal("-0.50"), "differs")
    assert [of["Cy SA", c]["result"] for c in ("EUR", "USD")] == ["cannot be told", "none stated"]
    assert ("Dot", "USD") not in of, "who owes nothing on either side is no line"
    assert [(p["ours"], p["theirs"], p["held"]) for p in proofs] == [
        ("50.00", "49.50", False),
        ("300.00", "300.00", True),
    ]
    assert "; 1 differs; of 1 more it cannot be told" in proofs[0]["claim"]


def test_a_system_that_states_none_is_said_to_state_none(tieout: Run, books: Path) -> None:
    rows, proofs = asked(tieout, "aging", FILES[:4])
    assert (rows, [p["held"] for p in proofs]) == ([], [None])


def sent(tieout: Run, books: Path, form: str) -> tuple[list[Path], Ran]:
    ran = tieout("report", "statement", *FILES, *DAY, "--from", "2026-01-01", "--format", form, "--out", "s")
    assert ran.returncode == 0, ran.stderr
    return sorted(p for p in (books / "s").iterdir() if p.is_file()), ran


def words(path: Path) -> str:
    if path.suffix == ".html":
        return path.read_text()
    return "\n".join(p.extract_text() for p in pypdf.PdfReader(path).pages)


@pytest.mark.parametrize("form", ["html", "pdf"])
def test_a_statement_tells_its_customer_the_account_and_nothing_of_the_house(
    tieout: Run, books: Path, form: str
) -> None:
    made, _ = sent(tieout, books, form)
    assert len(made) == 3
    for path in made:
        said = words(path)
        assert "Open items" in said
        for inner in ("bills.csv", "roof", "xtracted", "tieout", "known", "Nothing stands"):
            assert inner not in said, (path.name, inner)
        [kept] = (p for p in (books / "s" / "inside").iterdir() if p.name.startswith(path.stem))
        reference = sha256(kept.read_bytes()).hexdigest()[:12]
        assert kept.stem.endswith(reference)
        assert reference in said
        inside = json.loads(kept.read_text())
        assert inside["proofs"]
        assert inside["provenance"]["read"]


@pytest.mark.parametrize("form", ["csv", "json", "pdf", "text"])
def test_where_nobody_owes_anything_it_is_said_that_there_is_no_statement(tieout: Run, books: Path, form: str) -> None:
    (books / "bills.csv").write_text(BILLS.partition("\n")[0] + "\n")
    ran = tieout("report", "statement", *FILES[:4], *DAY, "--format", form, "--out", "s")
    assert (ran.returncode, ran.stderr.startswith("nothing to report: no customer has a balance")) == (0, True)


def test_a_statement_in_doubt_says_so_and_is_no_letter(tieout: Run, books: Path) -> None:
    (books / "who.csv").write_text(STATED.format(bee="49.50"))
    made, ran = sent(tieout, books, "html")
    assert "1 of 3 is not for customers" in ran.stderr
    assert [path.name.split("-")[4] for path in made if "DOES NOT HOLD" in words(path)] == ["C2"]
    (books / "bills.csv").write_text(BILLS + "invoice,R-6,C1,Ada Ltd,2026-02-30,,USD,9.00,0.00,9.00,\n")
    made, ran = sent(tieout, books, "html")
    assert "3 of 3 are not for customers" in ran.stderr
    assert all("could not be read" in words(path) for path in made)


def test_a_credit_balance_is_called_one_and_a_letter_that_cannot_be_printed_is_named(tieout: Run, books: Path) -> None:
    """The fonts of a PDF have no Japanese: a statement to `[U+5C71]` is not to be sent."""
    credit = "credit_memo,K-1,C2,Bee <b>Inc,2026-01-21,,EUR,1250.00,0.00,1250.00,\n"
    (books / "bills.csv").write_text(BILLS.replace("Cy SA", "山田商事") + credit)
    (books / "who.csv").write_text(STATED.format(bee="-1200.00").replace("Cy SA", "山田商事"))
    made, ran = sent(tieout, books, "pdf")
    assert "Balance 1,200.00 EUR credit" in "\n".join(map(words, made))
    [of_cy] = (path for path in made if "-C3-" in path.name)
    assert (
        f"1 statement not for customers: the fonts of a PDF lack letters of their names:\n  - s/{of_cy.name}"
        in ran.stderr
    )
    _, ran = sent(tieout, books, "html")
    assert "not for customers" not in ran.stderr


CONNECTION = (
    '[connection.{0}]\nkind = "tabular"\nfolder = "{0}"\ncurrency = "USD"\n'
    'exports = [{{ glob = "*", profile = "documents" }}]\n'
)


def configured(folder: Path, *pairs: tuple[str, str]) -> None:
    connections = "".join(CONNECTION.format(name) for name in ("erp", "shop", "bank"))
    told = "".join(f'[pair.{a}-{b}]\nleft = "{a}"\nright = "{b}"\nmode = "propose"\n' for a, b in pairs)
    (folder / "tieout.toml").write_text(f'[company]\nname = "Acme"\n{connections}{told}')


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("aging", "a connection (erp, shop, bank); --pair (erp-shop, erp-bank); files with --left"),
        ("bridge", "--pair erp-shop or --pair erp-bank, or files with --left and --right"),
        ("bridge bank", "of two ledgers: --pair erp-bank, or files"),
        ("bridge --left bills.csv --left-profile documents", "or files with --left and --right"),
        ("audit shop", "of two ledgers: --pair erp-shop\n"),
        ("checklist --left bills.csv --left-profile documents", "of two ledgers: --pair erp-shop or --pair erp-bank\n"),
        (
            "aging erp-bank",
            "'erp-bank' is a pair of tieout.toml, not a connection\n  → name one of its connections: erp, bank; a report",
        ),
    ],
)
def test_a_report_that_is_not_told_of_what_names_what_there_is(tieout: Run, books: Path, words: str, says: str) -> None:
    configured(books, ("erp", "shop"), ("erp", "bank"))
    ran = tieout("report", *words.split(), *DAY)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert says in ran.stderr


def test_the_only_pair_need_not_be_named(tieout: Run, books: Path) -> None:
    configured(books, ("erp", "shop"))
    ran = tieout("report", "discrepancy-history", *DAY)
    assert "of the pair erp-shop, the only one" in ran.stderr
    assert "no state database yet" in ran.stderr
    configured(books)
    assert "tieout.toml has no pair yet" in tieout("report", "unadjusted", *DAY).stderr
