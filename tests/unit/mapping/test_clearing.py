"""SAP's clearing documents: who settled whom is read where it is unique, and nothing is invented where it is not."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tieout import compare
from tieout.compare import Background
from tieout.connectors.files import load, records
from tieout.errors import RecordError
from tieout.mapping import clearing, relation
from tieout.mapping.clearing import Item
from tieout.mapping.tabular import load_profile
from tieout.model import AnyRecord, CreditMemo, Payment

D = Decimal
ON = date(2026, 1, 31)
HEAD = "Company Code;Document Number;Fiscal Year;Document Type;Account;Document Date;Posting Date;Document currency;Amount in doc. curr.;Invoice reference;Clearing Document;Clearing date"


def item(kind: str, id: str, effect: str, ref: str | None = None, **more: object) -> Item:
    values = {"entity_code": "1000", "customer": "C1", "currency": "USD", "clearing": "K", "cleared_on": ON, **more}
    return Item(kind=kind, id=id, effect=D(effect), ref=ref, **values)  # type: ignore[arg-type]


def applied(said: dict[clearing.Key, clearing.Outcome]) -> dict[str, dict[str, str]]:
    return {id: {i: str(a) for i, a, _ in s.applied} for (_, id), s in said.items() if s.applied}


def test_one_payment_settles_every_invoice_of_its_clearing_on_its_day() -> None:
    said = clearing.settle([item("invoice", "I1", "60"), item("invoice", "I2", "40"), item("payment", "P", "-100")])
    assert said["payment", "P"].applied == (("I1", D("60"), ON), ("I2", D("40"), ON))


def test_one_invoice_is_settled_by_every_source_of_its_clearing() -> None:
    rows = [
        item("invoice", "I", "100"),
        item("payment", "P", "-70"),
        item("credit_memo", "C", "-20"),
        item("adjustment", "W", "-10"),
    ]
    said = clearing.settle(rows)
    assert applied(said) == {"P": {"I": "70"}, "C": {"I": "20"}}
    assert said["adjustment", "W"].concerns == "I"


def test_several_of_both_are_a_group_and_nothing_is_invented() -> None:
    rows = [
        item("invoice", "I1", "60"),
        item("invoice", "I2", "40"),
        item("payment", "P1", "-60"),
        item("payment", "P2", "-40"),
    ]
    said = clearing.settle(rows)
    assert applied(said) == {}
    groups = {id: s.group for (_, id), s in said.items() if s.group}
    assert {id: g.amount for id, g in groups.items()} == {"P1": D("60"), "P2": D("40")}
    assert {g.id for g in groups.values()} == {"K"}
    assert [(s.invoice, s.amount) for g in groups.values() for s in g.invoices] == [("I1", D("60")), ("I2", D("40"))]


def test_references_leave_what_remains_unique() -> None:
    rows = [
        item("invoice", "I1", "60"),
        item("invoice", "I2", "40"),
        item("payment", "P1", "-60", "I1"),
        item("payment", "P2", "-40"),
    ]
    assert applied(clearing.settle(rows)) == {"P2": {"I2": "40"}}


@pytest.mark.parametrize(
    ("change", "of"),
    [
        ({"customer": "C2"}, "customer"),
        ({"currency": "EUR"}, "currency"),
        ({"entity_code": "2000"}, "company code"),
        ({"cleared_on": date(2025, 1, 31)}, "year of the number"),
        ({"cleared_on": None}, "day"),
        ({"effect": D("-99")}, "sum"),
    ],
)
def test_rows_that_do_not_belong_together_say_nothing(change: dict[str, object], of: str) -> None:
    payment = {"clearing": "K", "cleared_on": ON, **change}
    effect = str(payment.pop("effect", "-100"))
    assert clearing.settle([item("invoice", "I", "100"), item("payment", "P", effect, **payment)]) == {}, of


def test_a_residual_item_keeps_the_rest_of_its_invoice_open_until_it_is_cleared() -> None:
    open_ = {"clearing": None, "cleared_on": None}
    later = {"clearing": "L", "cleared_on": date(2026, 2, 15)}
    rows = [item("invoice", "I", "1000"), item("payment", "P", "-1000")]
    said = clearing.settle([*rows, item("payment", "P", "400", "I", **open_)])
    assert applied(said) == {"P": {"I": "600"}}
    said = clearing.settle([*rows, item("payment", "P", "400", "I", **later), item("payment", "Q", "-400", **later)])
    assert applied(said) == {"P": {"I": "600"}, "Q": {"I": "400"}}


def test_a_credit_that_was_cleared_apart_from_the_invoice_it_names_did_not_pay_it() -> None:
    other = {"clearing": "L", "cleared_on": ON}
    rows = [
        item("invoice", "I1", "100"),
        item("payment", "P", "-100"),
        item("invoice", "I2", "30", **other),
        item("credit_memo", "C", "-30", "I1", **other),
    ]
    said = clearing.settle(rows)
    assert applied(said) == {"P": {"I1": "100"}, "C": {"I2": "30"}}
    assert said["credit_memo", "C"].concerns == "I1"


@st.composite
def ledgers(draw: st.DrawFn) -> list[Item]:
    """Rows of a few clearings, some with references, residual items and rows that went missing."""
    rows = []
    for name in draw(st.lists(st.sampled_from(["K", "L"]), max_size=2, unique=True)):
        at = {"clearing": name, "cleared_on": ON}
        bills = {f"{name}I{n}": draw(st.integers(1, 9)) for n in range(draw(st.integers(0, 3)))}
        rows += [item("invoice", id, str(amount), **at) for id, amount in bills.items()]
        left = sum(bills.values())
        for n in range(draw(st.integers(0, 3))):
            amount = left if draw(st.booleans()) else draw(st.integers(1, 9))
            if amount <= 0:
                break
            left -= amount
            kind = draw(st.sampled_from(["payment", "credit_memo", "adjustment"]))
            ref = draw(st.sampled_from([None, None, *bills]))
            rows.append(item(kind, f"{name}{kind[0]}{n}", str(-amount), ref, **at))
            if ref is None and kind != "adjustment" and bills and draw(st.integers(0, 4)) == 0:
                rest = draw(st.integers(1, amount))
                rows.append(item(kind, f"{name}{kind[0]}{n}", str(rest), next(iter(bills)), clearing=None))
    return draw(st.permutations(rows)) if draw(st.booleans()) else rows


@given(ledgers())
def test_no_clearing_applies_more_than_there_is(rows: list[Item]) -> None:
    said = clearing.settle(rows)
    bills: dict[str, Decimal] = {}
    for row in rows:
        if row.kind == "invoice":
            bills[row.id] = bills.get(row.id, D(0)) + row.effect
    for (kind, id), outcome in said.items():
        own = -sum((r.effect for r in rows if (r.kind, r.id) == (kind, id)), D(0))
        grouped = outcome.group.amount if outcome.group else D(0)
        assert all(amount > 0 for _, amount, _ in outcome.applied)
        assert sum((a for _, a, _ in outcome.applied), grouped) <= max(own, D(0)) or kind == "adjustment"
    event("applied" if any(o.applied for o in said.values()) else "nothing applied")
    event("grouped" if any(o.group for o in said.values()) else "nothing grouped")
    derived: dict[str, Decimal] = {}
    for outcome in said.values():
        for invoice, amount, on in outcome.applied:
            if on is not None:
                derived[invoice] = derived.get(invoice, D(0)) + amount
        for share in outcome.group.invoices if outcome.group else ():
            derived[share.invoice] = derived.get(share.invoice, D(0)) + share.amount
    assert all(amount <= bills[invoice] for invoice, amount in derived.items())
    # A group that is settled is settled on both sides: what it used is what it paid.
    groups = [o.group for o in said.values() if o.group]
    for name in {g.id for g in groups}:
        used = sum((g.amount for g in groups if g.id == name), D(0))
        paid = sum((s.amount for g in groups if g.id == name for s in g.invoices), D(0))
        written_off = -sum(
            (r.effect for r in rows if r.kind == "adjustment" and r.clearing == name and not r.ref), D(0)
        )
        assert used + written_off == paid


def row(document: str, kind: str, amount: str, ref: str = "", clearing: str = "", on: str = "") -> str:
    return f"1000;{document};2026;{kind};C1;01/15/2026;01/15/2026;USD;{amount};{ref};{clearing};{on}"


def fbl5n(folder: Path, *rows: str, name: str = "fbl5n.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([HEAD, *rows]) + "\n", "utf-8")
    return path


def read(path: Path) -> dict[str, AnyRecord]:
    found, _ = records(path, load_profile("sap-fbl5n-en"), "sap")
    assert not [o for o in found if isinstance(o.record, RecordError)], found
    return {o.id.split("/")[1]: o.record for o in found if o.record is not None}  # type: ignore[misc]


def test_line_items_are_read_with_what_was_cleared(tmp_path: Path) -> None:
    cleared = ("1400000001", "01/31/2026")
    path = fbl5n(
        tmp_path,
        row("1", "RV", "100.00", "", *cleared),
        row("2", "RV", "50.00", "", *cleared),
        row("3", "DG", "30.00-", "1", *cleared),
        row("4", "DZ", "120.00-", "", *cleared),
    )
    held = read(path)
    memo, payment = held["3"], held["4"]
    assert isinstance(memo, CreditMemo)
    assert isinstance(payment, Payment)
    assert [(a.invoice, a.amount, a.applied_on) for a in memo.applications] == [
        ("1000/1/2026", D("30"), date(2026, 1, 15))
    ]
    assert [(a.invoice, a.amount, a.applied_on) for a in payment.applications] == [
        ("1000/1/2026", D("70"), ON),
        ("1000/2/2026", D("50"), ON),
    ]


def test_a_residual_payment_of_a_transfer_document_is_read(tmp_path: Path) -> None:
    """F-32 with a residual item: its own document moves nothing, and carries the rest of the invoice."""
    path = fbl5n(
        tmp_path,
        row("1", "RV", "1000.00", "", "7", "01/31/2026"),
        row("4", "DZ", "600.00-", "", "7", "01/31/2026"),
        row("7", "AB", "400.00-", "", "7", "01/31/2026"),
        row("7", "AB", "400.00", "1"),
    )
    payment = read(path)["4"]
    assert isinstance(payment, Payment)
    assert [(a.invoice, a.amount) for a in payment.applications] == [("1000/1/2026", D("600"))]


def test_a_settled_group_is_open_nowhere_and_unapplied_where_nothing_was_settled(tmp_path: Path) -> None:
    cleared = ("7", "01/31/2026")
    rows = [("1", "RV", "60.00"), ("2", "RV", "40.00"), ("3", "DZ", "60.00-"), ("4", "DZ", "40.00-")]
    more = [row("8", "RV", "10.00"), row("9", "DZ", "5.00-", "8")]
    settled = fbl5n(tmp_path, *(row(d, k, a, "", *cleared) for d, k, a in rows), *more)
    open_ = fbl5n(tmp_path, *(row(d, k, a) for d, k, a in rows), *more, name="open.csv")
    profile = load_profile("sap-fbl5n-en")

    def against(path: Path, *, lists: bool = False) -> list[tuple[str, str, Decimal]]:
        con = duckdb.connect()
        load(con, settled, profile, side="left")
        load(con, path, profile, side="right")
        result = compare.run(con, Background("SAP"), Background("copy", open_items=lists), as_of=None)
        return [(d.code, d.left or "", d.delta) for d in result.discrepancies]

    assert against(settled) == []
    assert against(open_) == [("UNAPPLIED_CASH", f"1000/{n}/2026", D(0)) for n in (3, 4)]
    # A list of open items has none of the four: they are settled on either side.
    listed = fbl5n(tmp_path, row("8", "RV", "5.00"), name="items.csv")
    assert [d for d in against(listed, lists=True) if d[1].split("/")[1] in "1234"] == []


def test_both_ways_of_reading_know_the_same_group(tmp_path: Path) -> None:
    cleared = ("7", "01/31/2026")
    rows = [("1", "RV", "60.00"), ("2", "RV", "40.00"), ("3", "DZ", "60.00-"), ("4", "DG", "40.00-")]
    path = fbl5n(tmp_path, *(row(d, k, a, "", *cleared) for d, k, a in rows))
    con = duckdb.connect()
    load(con, path, load_profile("sap-fbl5n-en"), side="left")
    found = con.execute("SELECT * FROM left_applications ORDER BY ALL").fetchall()
    held = read(path).values()
    expected = sorted((a for r in held for a in relation.application_rows(r)), key=repr)  # type: ignore[arg-type]
    assert sorted(map(repr, found)) == sorted(repr(tuple(_scaled(v) for v in a)) for a in expected)
    assert {f[0] for f in found} == {"group:payment", "group:credit_memo"}


def _scaled(value: object) -> object:
    return value.quantize(D("0.000000")) if isinstance(value, Decimal) else value
