"""The bridge as a report: every line in its place, totals that add up, and proofs that fail when something is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from tests.ledgers import JAN31, D, adjustment, applied, credit, customer, invoice, payment
from tieout.cli.ledgers import linked
from tieout.compare import codes
from tieout.compare.base import ONE_RATE, ROUNDED
from tieout.compare.ledgers import Compared, Ledger, compare_ledgers
from tieout.compare.result import Explained
from tieout.model import ControlBalance
from tieout.reports import Report, Table
from tieout.reports.books import Books
from tieout.reports.forms import text
from tieout.reports.receivables import aging
from tieout.reports.reconciliation import bridge, bridge_lines, tie_out
from tieout.reports.reconciliation.bridge_lines import line_of

PEOPLE = [customer("1", "Ada", "1"), customer("2", "Bob", "2")]
LEFT = [
    *PEOPLE,
    invoice("I1", "1", "100", "2026-01-02", currency="EUR", exchange_rate=D("1.10"), due="2026-01-30"),
    invoice("I2", "1", "50", "2026-01-02"),
    invoice("I3", "2", "70", "2026-01-03", due="2026-02-10"),
    invoice("I4", "2", "8", "2026-01-04"),
    payment("P1", "1", "30", "2026-01-05", apps=[applied("I2", "30", "2026-01-05")]),
]
RIGHT = [
    *PEOPLE,
    invoice("I1", "1", "95", "2026-01-02", currency="EUR", exchange_rate=D("1.20"), due="2026-01-30"),
    invoice("I2", "1", "50", "2026-01-02"),
    invoice("I3", "1", "70", "2026-01-03", due="2026-01-10"),
    payment("P1", "1", "30", "2026-01-05", apps=[applied("I3", "30", "2026-01-05")]),
    invoice("I9", "2", "1.10", "2026-01-03"),
    invoice("I10", "2", "9", "2026-01-04", state="draft"),
]


def books(left=LEFT, right=RIGHT, **more) -> tuple[Books, Books]:
    sides = linked([Books("erp", left, {}, home="USD"), Books("quickbooks", right, {}, home="USD")])
    return replace(sides[0], **more), sides[1]


def compared(sides, **more) -> Compared:
    ledgers = [Ledger(b.name, b.records, links=b.links, open_items=b.open_only) for b in sides]
    return compare_ledgers(*ledgers, as_of=JAN31, **more)


def made(sides=None, both=None, **more) -> Report:
    sides = sides or books()
    return bridge.build(sides, both or compared(sides), as_of=JAN31, **more)


def table(report: Report, key: str) -> Table:
    [found] = [t for t in report.tables if t.key == key]
    return found


def cells(held: Table, *keys: str, style: str | None = None) -> list[tuple]:
    at = [next(n for n, c in enumerate(held.columns) if c.key == key) for key in keys]
    return [tuple(r.cells[n] for n in at) for r in held.rows if style in (None, r.style)]


def added_up(held: Table) -> None:
    """Every total is the sum of the detail rows that it names, and every formula gives its cell."""
    checked = 0
    for row in held.rows:
        for n, c in enumerate(held.columns):
            rows = [held.rows[m] for first, end in row.sums for m in range(first, end)]
            if row.sums and c.kind == "money" and isinstance(row.cells[n], Decimal):
                assert row.cells[n] == sum(r.cells[n] or 0 for r in rows if r.style == "detail"), (held.key, c.key)
                checked += 1
            if refs := row.formula.get(c.key):
                assert row.cells[n] == sum(way * held.rows[m].cells[n] for way, m in refs), (held.key, c.key)
                checked += 1
    assert checked or not held.rows


def test_the_statement_leads_from_a_to_b_in_every_currency() -> None:
    report = made(base="USD")
    statement = table(report, "bridge")
    assert cells(statement, "line", "currency", "amount", "base") == [
        ("SL A", "EUR", D("100.00"), D("110.00")),
        ("5", "EUR", D("-5.00"), D("-5.75")),
        ("8", "EUR", D("0.00"), D("9.75")),
        ("", "EUR", D("-5.00"), D("4.00")),
        ("", "EUR", D("0.00"), D("0.00")),
        ("SL B", "EUR", D("95.00"), D("114.00")),
        ("SL A", "USD", D("98.00"), D("98.00")),
        ("1.4", "USD", D("-8.00"), D("-8.00")),
        ("2.4", "USD", D("1.10"), D("1.10")),
        ("", "USD", D("-6.90"), D("-6.90")),
        ("", "USD", D("0.00"), D("0.00")),
        ("SL B", "USD", D("91.10"), D("91.10")),
    ]
    for held in report.tables:
        added_up(held) if held.key in ("bridge", "base", "differences", "zero_sum", "records") else None
    assert [c for c in cells(statement, "unconfirmed", style="subtotal") if c != (None,)] == [
        (D("5.00"),),
        (D("9.10"),),
    ]
    assert all(p.held for p in report.proofs if p.held is not None)
    assert len(cells(table(report, "differences"), "id", style="detail")) == 4
    waterfall = {c.currency: c for c in report.charts if c.key != "bridge_base"}["USD"]
    assert [(b.amount, b.total) for b in waterfall.bars] == [
        (D("98.00"), True), (D("-8.00"), False), (D("1.10"), False), (D("91.10"), True),
    ]  # fmt: skip


def test_the_bridge_of_all_currencies_is_in_base_currency() -> None:
    report = made(base="USD")
    whole = table(report, "base")
    added_up(whole)
    assert cells(whole, "amount", style="opening") == [(D("208.00"),)]
    assert cells(whole, "amount", style="closing") == [(D("205.10"),)]
    assert cells(whole, "amount", style="subtotal") == [(D("-2.90"),), (D("0.00"),)]
    ends = [*cells(whole, "what", style="opening"), *cells(whole, "what", style="closing")]
    named = [f"open receivables per {name}, of documents with a rate" for name in ("erp", "quickbooks")]
    assert [what for (what,) in ends] == named
    for chart in report.charts:
        assert [b.label for b in chart.bars if b.total] == ["A  erp", "B  quickbooks"]


def test_what_moves_no_total_adds_up_to_zero_and_is_listed() -> None:
    report = made()
    moved = table(report, "zero_sum")
    assert cells(moved, "what", "documents", "more", "less", "total", style="detail") == [
        ("applications: what is open of documents", 2, D("30.00"), D("-30.00"), D("0.00")),
        ("documents on another customer", 1, D("70.00"), D("-70.00"), D("0.00")),
        ("invoices in another aging bucket", 1, D("70.00"), D("-70.00"), D("0.00")),
    ]
    listed = {code for (code,) in cells(table(report, "others"), "code")}
    assert {"CUSTOMER_MISMATCH", "DUE_DATE_DIFF", "MISAPPLIED"} <= listed


def test_a_threshold_sums_what_is_below_it_and_hides_nothing() -> None:
    report = made(threshold={"USD": D("5")})
    statement = table(report, "bridge")
    assert [x for x in cells(statement, "line", "count", "amount") if x[0] in ("2.4", "14")] == [("14", 1, D("1.10"))]
    assert [p.held for p in report.proofs if "remainder" in p.claim] == [True, True]
    assert D("1.10") in [amount for (amount,) in cells(table(report, "differences"), "amount")]
    assert any("below 5.00 USD" in note for note in report.notes)


def test_control_accounts_stand_at_both_ends_and_lead_to_the_documents() -> None:
    stated = [
        ControlBalance(connection="erp", account="1100", as_of=JAN31, amount=D(amount), currency=c, report="GL",
                       parameters={"date": "2026-01-31"})
        for c, amount in (("USD", "103.00"), ("EUR", "100.00"))
    ]  # fmt: skip
    plain = books(controls=stated)
    right = replace(plain[1], controls=[b.model_copy(update={"connection": "quickbooks"}) for b in stated])
    report = made((plain[0], right))
    usd = [x for x in cells(table(report, "bridge"), "line", "currency", "amount", "code") if x[1] == "USD"]
    assert usd[:3] == [
        ("GL A", "USD", D("103.00"), ""),
        ("A9", "USD", D("-5.00"), "UNTRACED_TIE_OUT"),
        ("SL A", "USD", D("98.00"), ""),
    ]
    assert usd[-3:] == [
        ("SL B", "USD", D("91.10"), ""),
        ("B9", "USD", D("11.90"), "UNTRACED_TIE_OUT"),
        ("GL B", "USD", D("103.00"), ""),
    ]
    assert usd[0][2] + usd[1][2] == usd[2][2]
    assert usd[-3][2] + usd[-2][2] == usd[-1][2]
    broken = [p.claim for p in report.proofs if p.held is False]
    assert len(broken) == 3, "USD of A, both of B; EUR of A ties out"


def test_other_accounts_and_a_figure_of_now_lead_to_the_subledger_too() -> None:
    """Documents of another account, and what is dated after the day and stands in a balance of now, are no riddle."""
    own = {"ar_account": "1100"}
    left = [
        *PEOPLE,
        invoice("I1", "1", "100", "2026-01-02", **own),
        invoice("I2", "1", "20", "2026-01-02", ar_account="1150"),
        invoice("I3", "1", "7", "2026-02-02", **own),
    ]
    stated = ControlBalance(
        connection="erp",
        account="1100",
        as_of=JAN31,
        amount=D("107.00"),
        currency="USD",
        report="CurrentBalance",
        parameters={},
    )
    report = made(books(left=left, right=[*PEOPLE], controls=[stated]))
    assert cells(table(report, "bridge"), "line", "amount")[:5] == [
        ("GL A", D("107.00")), ("A3", D("20.00")), ("A5", D("-7.00")), ("A9", D("0.00")), ("SL A", D("120.00")),
    ]  # fmt: skip
    assert not [p for p in report.proofs if p.held is False]


def test_a_side_that_states_nothing_is_said_to_and_one_that_cannot_be_told_is_not_accused() -> None:
    one = ControlBalance(
        connection="erp", account="1100", as_of=JAN31, amount=D("103.00"), currency="USD", report="GL", parameters={}
    )
    report = tie_out.build(books(controls=[one]), as_of=JAN31)
    [(gap, code)] = cells(table(report, "stated"), "difference", "code")
    assert (gap, code) == (None, "cannot be told"), "the report covers no EUR, and the documents name no account"
    assert not [p for p in report.proofs if p.held is False]
    assert any("quickbooks states no figure of its own" in note for note in report.notes)


def test_tie_out_lists_what_no_document_shows_with_the_report_and_its_parameters() -> None:
    stated = [
        ControlBalance(connection="erp", account="1100", as_of=JAN31, amount=D(amount), currency=c, report="AR aging",
                       parameters={"report_date": "2026-01-31", "method": "current"})
        for c, amount in (("USD", "103.00"), ("EUR", "100.00"))
    ]  # fmt: skip
    report = tie_out.build(books(controls=stated)[:1], as_of=JAN31)
    assert cells(table(report, "stated"), "report", "parameters", "currency", "documents", "difference", "code") == [
        ("AR aging", "method current, report_date 2026-01-31", "EUR", D("100.00"), D("0.00"), "ties out"),
        ("AR aging", "method current, report_date 2026-01-31", "USD", D("98.00"), D("5.00"), "UNTRACED_TIE_OUT"),
    ]
    assert [(p.ours, p.theirs) for p in report.proofs if p.held is False] == [(D("98.00"), D("103.00"))]
    assert cells(table(report, "subledger"), "effects", "items", "aged", style="detail") == [
        (D("100.00"),) * 3, (D("98.00"),) * 3,
    ]  # fmt: skip


def test_each_proof_fails_when_what_it_proves_is_wrong() -> None:
    sides = books()
    both = compared(sides)
    lost = replace(both, result=replace(both.result, discrepancies=both.result.discrepancies[1:]))
    forgotten = replace(both, clusters=both.clusters[1:])
    lopsided = replace(both, swapped=replace(both.swapped, discrepancies=both.swapped.discrepancies[1:]))
    other_books = (replace(sides[0], records=[*LEFT, invoice("I77", "1", "5", "2026-01-02")]), sides[1])

    def broken(report: Report) -> str:
        return " / ".join(p.claim for p in report.proofs if p.held is False)

    assert broken(made(sides, both)) == ""
    assert "remainder" in broken(made(sides, lost))
    assert "documents = in both" in broken(made(sides, forgotten))
    assert "sides swapped" in broken(made(sides, lopsided))
    assert "sum of the documents' effects" in broken(made(other_books, both))


def test_every_code_that_can_move_a_total_has_a_line_of_its_own() -> None:
    sides = books()
    some = compared(sides).result.discrepancies[0]
    alone = {"left": "1", "right": None}, {"left": None, "right": "2"}
    for code, entry in codes.CODES.items():
        # What only one ledger can hold by its very name is never a pair.
        both = () if code in bridge_lines._ALONE else ({"left": "1", "right": "2"},)
        for ids in (*both, *alone) if entry.class_ == "T" else ():
            assert line_of(replace(some, code=code, **ids)).number != "13", (code, ids)
    for code in (ONE_RATE, ROUNDED, "AMBIGUOUS_MATCH"):
        assert line_of(replace(some, code=code, left="1", right="2")).number not in ("13", "14")
    assert line_of(replace(some, code="NEVER_HEARD_OF", left="1", right="2")).number == "13"


def test_the_same_difference_stands_in_the_line_of_its_reason() -> None:
    """What the sync accounts for is in flight or blocked, not missing."""
    sides = books()
    why = Explained("left", "invoice", "I4", "SYNC_IN_FLIGHT", "planned; waits for approval", "approve it")
    report = made(sides, compared(sides, explained=[why]))
    lines = [x for x in cells(table(report, "bridge"), "line", "what", "unconfirmed") if x[0].startswith("1.")]
    assert lines == [("1.1", "only in A: in flight", D("0.00"))]


def test_books_kept_in_two_currencies_have_no_base_and_say_so() -> None:
    sides = books()
    report = made((sides[0], replace(sides[1], home="EUR")))
    assert any("kept in USD and in EUR" in note for note in report.notes)
    assert "base" not in {t.key for t in report.tables}


def test_documents_without_a_rate_are_in_no_base_figure_and_are_listed() -> None:
    bare = invoice("I1", "1", "95", "2026-01-02", currency="EUR", due="2026-01-30")
    right = [*(r for r in RIGHT if r.ref.id != "I1" or r.entity == "customer"), bare]
    report = made(books(right=right), base="USD")
    assert cells(table(report, "unrated"), "document", "amount", style="detail") == [("I1", D("95.00"))]
    assert any("no rate is guessed" in note for note in report.notes)
    assert all(p.held for p in report.proofs if p.held is not None)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_list_of_open_items_has_a_bridge_too(reverse: bool) -> None:
    left = [
        *PEOPLE,
        invoice("I2", "1", "50", "2026-01-02", reported_open=D("20")),
        invoice("I3", "2", "70", "2026-01-03", reported_open=D("70")),
    ]
    right = [
        *PEOPLE,
        invoice("I2", "1", "50", "2026-01-02"),
        invoice("I3", "2", "70", "2026-01-03"),
        payment("P1", "1", "30", "2026-01-05", apps=[applied("I2", "30", "2026-01-05")]),
        adjustment("W1", "2", "write_off", "7", "2026-01-09", document="I3"),
        credit("K1", "2", "3", "2026-01-09"),
    ]
    sides = (Books("list", left, {}, open_only=True), Books("books", right, {}))
    sides = linked(sides[::-1] if reverse else sides)
    report = made(sides)
    assert not [p for p in report.proofs if p.held is False]
    moved, rest = [a for (a,) in cells(table(report, "bridge"), "amount", style="subtotal")]
    assert (moved, rest) == (D("10.00") * (1 if reverse else -1), D("0.00"))


def test_equal_books_have_equal_hashes_and_other_ones_do_not() -> None:
    sides = books()
    first = made(sides).provenance["hashes"]
    again = made((replace(sides[0], records=[*reversed(LEFT)]), sides[1])).provenance["hashes"]
    assert first == again
    other = books(left=[*LEFT, invoice("I77", "1", "5", "2026-01-02")])
    assert made(other).provenance["hashes"]["records of A"] != first["records of A"]
    assert date(2026, 1, 31) == JAN31


def test_what_a_ledger_says_of_an_amount_is_read_as_one() -> None:
    sides = books([*PEOPLE, invoice("I1", "1", "12480", "2026-01-02")], [*PEOPLE])
    report = made(sides)
    assert cells(table(report, "differences"), "left_value", style="detail") == [(D("12480.00"),)]
    assert "  12,480.00  " in text.write(report)


def test_where_the_bridge_in_base_currency_is_not_the_agings_total_it_says_by_how_much() -> None:
    """What is open is rounded once in an aging, and the bill and its payment each here."""
    yen = {"currency": "JPY", "exchange_rate": D("0.0067")}
    paid = payment("P", "1", "104", "2026-01-05", **yen, apps=[applied("I", "104", "2026-01-05")])
    left = [*PEOPLE, invoice("I", "1", "202", "2026-01-02", **yen), paid]
    sides = books(left, left)
    [told] = {n.partition(": ")[2] for n in made(sides, base="USD").notes if "its aging" in n}
    assert "open items come to 0.66 (" in told
    assert "documents to 0.65 (" in told
    assert "are -0.01: what was settled" in told
    [total] = {r.cells[-1] for r in aging.build([sides[0]], as_of=JAN31).tables[1].rows if r.style == "total"}
    assert total == D("0.66")
    assert not any("its aging" in n for n in made(books(left[:-1], left[:-1]), base="USD").notes)
