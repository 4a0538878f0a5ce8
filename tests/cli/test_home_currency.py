"""A connection that is set to another home currency than its books: told once, before anything is kept or written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import EXAMPLE, Ran, files

Run = Callable[..., Ran]
HEAD = "kind,number,customer,issued,currency,rate,total\n"
PAIR = '[pair.main]\nleft = "erp"\nright = "crm"\nmode = "observe"\n'
IN_EUR = "".join(f"invoice,{n},C-1,2026-01-15,EUR,1.0,10{n}.00\n" for n in range(3))
TOLD = "its books are kept in EUR: 3 documents in it have an exchange rate of 1, and none in USD has"


@pytest.fixture
def office(tmp_path: Path, tieout: Run) -> Run:
    """Two exports, the books of both in EUR, and connections in USD."""
    (tmp_path / "tieout.toml").write_text(EXAMPLE + files("erp", "documents") + files("crm", "documents") + PAIR)
    for name in ("erp", "crm"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "d.csv").write_text(HEAD + IN_EUR)
    return tieout


def test_it_is_one_line_for_the_connection_that_says_what_to_set(office: Run, tmp_path: Path) -> None:
    for command in ("check", "sync"):
        ran = office(command)
        assert ran.returncode == 2
        assert ran.stderr.count(TOLD) == (2 if command == "check" else 1)
        assert 'set currency = "EUR" in [connection.erp]' in ran.stderr
    assert "0 differences" in office("discrepancies", "list").stdout
    config = tmp_path / "tieout.toml"
    config.write_text(config.read_text().replace('currency = "USD"', 'currency = "EUR"'))
    ran = office("sync")
    assert ran.returncode == 0, ran.stderr
    assert "differences  0 open" in ran.stdout


@pytest.mark.parametrize(
    "also",
    [
        "invoice,8,C-1,2026-01-15,USD,1.0,5.00\n",
        "invoice,8,C-1,2026-01-15,USD,,5.00\n",
        "invoice,8,C-1,2026-01-15,EUR,1.08,5.00\n",
        "invoice,8,C-1,2026-01-15,GBP,1.0,5.00\n",
    ],
    ids=["one in dollars at 1", "one in dollars without a rate", "euros at two rates", "two currencies at 1"],
)
def test_where_it_may_be_the_documents_each_is_listed(office: Run, tmp_path: Path, also: str) -> None:
    for name in ("erp", "crm"):
        (tmp_path / name / "d.csv").write_text(HEAD + IN_EUR + also)
    assert "INVARIANT_BROKEN" in office("sync").stdout


def test_a_currency_that_was_set_wrongly_is_corrected_while_nothing_was_written(office: Run, tmp_path: Path) -> None:
    """Without rates nobody can tell: the run goes through, and the setting can still be put right."""
    for name in ("erp", "crm"):
        (tmp_path / name / "d.csv").write_text(HEAD + IN_EUR.replace(",1.0,", ",,"))
    assert office("sync").returncode == 0
    config = tmp_path / "tieout.toml"
    config.write_text(config.read_text().replace('currency = "USD"', 'currency = "EUR"'))
    ran = office("sync")
    assert ran.returncode == 0, ran.stderr
