"""Yen have no cents and dinars three places, wherever a person reads an amount."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran

Run = Callable[..., Ran]
_BOOKS = """
[connection.{name}]
kind = "tabular"
folder = "{name}"
currency = "USD"
settle_seconds = 0
exports = [ {{ glob = "*.csv", profile = "documents" }} ]
"""
_PAIR = '\n[pair.main]\nleft = "a"\nright = "b"\nmode = "observe"\ncodes = "same"\n'
_HEAD = "kind,number,customer,customer_name,issued,due,currency,net,tax,total\n"
_BILL = "invoice,{cur}-{n},C{n},Company {n},2026-01-0{n},2026-02-0{n},{cur},{net:.{p}f},{tax:.{p}f},{total:.{p}f}\n"
PLACES = {"JPY": 0, "KWD": 3, "USD": 2}
# An amount that follows or precedes its currency; tables put columns between them.
_AMOUNT = re.compile(r"(?<![\d.,-])-?\d[\d,]*\.?\d*(?![\d%])")


def _books(name: str) -> str:
    out = _HEAD
    for cur, p in PLACES.items():
        for n in range(1, 6):
            net = 1000 * n + (50 if name == "b" and n == 2 else 0)
            tax = 100 * n + (7 if name == "b" and n == 3 else 0)
            if name == "a" or n != 5:
                out += _BILL.format(cur=cur, n=n, net=net, tax=tax, total=net + tax, p=p)
    return out


@pytest.fixture
def company(tmp_path: Path) -> Path:
    text = '[company]\nname = "Example"\n' + "".join(_BOOKS.format(name=n) for n in "ab") + _PAIR
    (tmp_path / "tieout.toml").write_text(text)
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "documents.csv").write_text(_books(name))
    return tmp_path


def test_amounts_have_the_places_of_their_currency(tieout: Run, company: Path) -> None:
    day = ("--pair", "main", "--as-of", "2026-01-31")
    files = [w for side in ("left", "right") for w in (f"--{side}", f"{side[0]}.csv", f"--{side}-profile", "documents")]
    for name, side in (("a", "l"), ("b", "r")):
        (company / f"{side}.csv").write_text(_books(name))
    said = [tieout("sync", "main"), tieout("compare", *files, "--as-of", "2026-01-31"), tieout("discrepancies", "list")]
    said.append(tieout("profile", "check", "l.csv", "--profile", "documents"))
    said += [tieout("report", name, *day) for name in ("aging", "open-items", "bridge", "checklist", "unadjusted")]
    wrong, right = [], set()
    for ran in said:
        assert ran.returncode in (0, 1), ran.stderr
        for line in ran.stdout.splitlines():
            held = [c for c in PLACES if re.search(rf"\b{c}\b", line)]
            if len(held) != 1 or "base" in line or "in USD" in line:
                continue
            # Amounts of this ledger are thousands, or what differs in them; rates, shares and counts are not.
            found = [a for a in _AMOUNT.findall(line) if re.fullmatch(r"-?\d,\d{3}(\.\d+)?|-?(50|7)\.\d+", a)]
            right |= {(held[0], a) for a in found}
            wrong += [(line, a) for a in found if len(a.partition(".")[2]) != PLACES[held[0]]]
    assert not wrong
    assert {c for c, _ in right} == set(PLACES)
    assert "they move open receivables by -5,443 JPY, -5,443.000 KWD, -5,443.00 USD" in said[2].stdout
    checklist = said[-2].stdout
    assert "0 JPY; 0.000 KWD; 0.00 USD" in checklist
    id = next(line.split()[0] for line in said[2].stdout.splitlines() if "AMOUNT_NET" in line and "JPY" in line)
    shown = tieout("discrepancies", "show", id).stdout
    assert re.search(r"left value +2,200\n", shown)
    assert re.search(r"right value +2,250\n", shown)
