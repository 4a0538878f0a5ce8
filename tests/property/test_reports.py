"""Every report's figures add up, as of any day, whatever was applied, taken back, returned, refunded or voided."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.deep import examples
from tests.ledgers import D, adjustment, applied, credit, customer, invoice, open_items, payment
from tieout.compare.ledgers import Ledger, compare_ledgers
from tieout.mapping.balances import open_receivables
from tieout.model import ControlBalance, Credit, Customer, Entity, Group, Instalment, PostingState, Share
from tieout.reports import Books, layout
from tieout.reports.cash import forecast, worklist
from tieout.reports.forms import plain, text
from tieout.reports.ledger import Subledger
from tieout.reports.receivables import aging, cut_off, roll_forward, statement, subsequent, unapplied, write_offs
from tieout.reports.receivables import open_items as items
from tieout.reports.reconciliation import bridge

START = date(2026, 1, 1)
offsets = st.integers(0, 60)
amounts = st.integers(1, 50_000).map(lambda n: Decimal(n) / 100)
days = st.integers(-1, 95).map(lambda n: START + timedelta(days=n))
CURRENCIES = ("USD", "EUR")
RATES = {"USD": None, "EUR": Decimal("1.0825")}
REACHED: Counter[str] = Counter()
STATED: Counter[str] = Counter()


def on(n):
    return (START + timedelta(days=n)).isoformat()


def voided(draw, record):
    if draw(st.integers(0, 2)):
        return record
    when = draw(st.none() | st.integers(0, 30).map(lambda n: record.posted + timedelta(days=n)))
    return type(record).model_validate(record.model_dump() | {"state": "voided", "voided_on": when})


@st.composite
def bills(draw, n):
    currency, total, start = draw(st.sampled_from(CURRENCIES)), draw(amounts), draw(offsets)
    more = {"currency": currency, "exchange_rate": RATES[currency]}
    if draw(st.booleans()):
        more["due"] = on(start + draw(st.integers(0, 30)))
    if draw(st.integers(0, 3)) == 0 and total > 1:
        first = draw(st.integers(1, int(total * 100) - 1)) / Decimal(100)
        parts = ((10, first), (40, total - first))
        more["instalments"] = tuple(Instalment(due=START + timedelta(days=start + d), amount=a) for d, a in parts)
    if draw(st.integers(0, 4)) == 0:
        more["deposit_applied"] = (total / 4).quantize(Decimal("0.01"))
    return voided(draw, invoice(f"I{n}", draw(st.sampled_from(["C1", "C2"])), str(total), on(start), **more))


@st.composite
def ledgers(draw):
    """Invoices of two customers in two currencies, and everything that can happen to them."""
    held = [draw(bills(n)) for n in range(draw(st.integers(1, 4)))]
    records = [customer("C1", "One", "1"), customer("C2", "Two", "2"), *held]
    targets = st.sampled_from([*(b.ref.id for b in held), "gone"])
    of = {b.ref.id: b.currency for b in held}
    for n in range(draw(st.integers(0, 5))):
        currency = draw(st.sampled_from(CURRENCIES))
        apps = []
        for _ in range(draw(st.integers(0, 3))):
            target, start = draw(targets), draw(offsets)
            back = draw(st.none() | st.integers(0, 20).map(lambda k, s=start: on(s + k)))
            one = applied(target, str(draw(amounts)), on(start), back)
            if of.get(target, currency) != currency:
                one = one.model_copy(update={"amount_invoice": draw(amounts)})
            apps.append(one)
        make, id = draw(st.sampled_from([(payment, "P"), (credit, "K")]))
        more = {"currency": currency, "exchange_rate": RATES[currency], "apps": apps}
        records.append(voided(draw, make(f"{id}{n}", "C1", str(draw(amounts)), on(draw(offsets)), **more)))
    kinds = st.sampled_from(
        ["discount", "write_off", "refund", "returned_payment", "finance_charge", "journal", "deposit"]
    )
    for n in range(draw(st.integers(0, 4))):
        concerned = draw(st.none() | targets)
        currency = of.get(concerned or "", draw(st.sampled_from(CURRENCIES)))
        more = {"document": concerned, "currency": currency, "exchange_rate": RATES[currency]}
        records.append(
            voided(draw, adjustment(f"A{n}", "C1", draw(kinds), str(draw(amounts)), on(draw(offsets)), **more))
        )
    records += together(draw)
    return records


def together(draw):
    """Sometimes, two invoices that money and a credit settled at once, in one of the two ways to say so."""
    if draw(st.booleans()):
        return []
    held = [voided(draw, invoice(f"G{n}", "C2", str(draw(amounts)), on(draw(offsets)))) for n in range(2)]
    total = sum(b.total for b in held)
    used = draw(st.integers(1, int(total * 100))) / Decimal(100)
    day = START + timedelta(days=draw(offsets))
    if draw(st.booleans()):
        apps = [applied(b.ref.id, str(b.total), on(draw(offsets))) for b in held]
        linked = (Credit(credit_memo="GK", amount=used),)
        return [*held, voided(draw, credit("GK", "C2", str(used), on(draw(offsets)))),
                voided(draw, payment("GP", "C2", str(total - used), on(draw(offsets)), apps=apps, credits=linked))]  # fmt: skip
    shares = tuple(Share(invoice=b.ref.id, amount=b.total) for b in held)
    part = Group(id="9", settled_on=day, amount=used)
    whole = Group(id="9", settled_on=day, amount=total - used, invoices=shares)
    return [*held, voided(draw, credit("GK", "C2", str(used), on(draw(offsets)), group=part)),
            voided(draw, payment("GP", "C2", str(total - used), on(draw(offsets)), group=whole))]  # fmt: skip


def books(records, name="erp", **more):
    return Books(name, records, {"system": name}, **{"home": "USD"} | more)


def every(held, as_of, since):
    yield aging.build(held, as_of=as_of)
    yield aging.build(held, as_of=as_of, by="document", buckets=(7, 21))
    yield items.build(held, as_of=as_of)
    yield unapplied.build(held, as_of=as_of)
    yield roll_forward.build(held, as_of=as_of, since=since)
    yield write_offs.build(held, as_of=as_of, since=since)
    yield cut_off.build(held, as_of=as_of)
    yield subsequent.build(held, as_of=as_of, until=as_of + timedelta(days=20))
    yield from statement.build(held, as_of=as_of, since=since)


def table(report, key):
    return next(t for t in report.tables if t.key == key)


def cells(report, key, column, style="detail"):
    t = table(report, key)
    at = [c.key for c in t.columns].index(column)
    return [r.cells[at] for r in t.rows if r.style == style]


def rows(report, key, *columns, style="detail"):
    return list(zip(*(cells(report, key, column, style) for column in columns), strict=True))


def by_currency(report, key, column, style="detail"):
    sums = Counter()
    for currency, amount in zip(cells(report, key, "currency", style), cells(report, key, column, style), strict=True):
        sums[currency] += amount if amount is not None else 0
    return {c: a for c, a in sums.items() if a}


def add_up(report):
    """Every total, every closing and every sum across a row is what it says it is made of."""
    for t in report.tables:
        place = {c.key: n for n, c in enumerate(t.columns)}
        for row in t.rows:
            for n, column in enumerate(t.columns):
                if row.sums and column.kind == "money" and row.cells[n] is not None:
                    parts = [t.rows[i].cells[n] for a, b in row.sums for i in range(a, b)]
                    assert row.cells[n] == sum(p for p in parts if p is not None), (report.name, t.key, column.key)
                if column.key in row.formula and row.cells[n] is not None:
                    held = [(way, t.rows[i].cells[n]) for way, i in row.formula[column.key]]
                    made = sum(way * cell for way, cell in held if cell is not None)
                    assert row.cells[n] == made, (report.name, t.key, column.key)
                added = [(-1 if k[0] == "-" else 1, row.cells[place[k.removeprefix("-")]]) for k in column.adds]
                if row.cells[n] is not None and any(cell is not None for _, cell in added):
                    made = sum(way * cell for way, cell in added if cell is not None)
                    assert row.cells[n] == made, (report.name, t.key, column.key)


@examples(45)
@given(ledgers(), days, st.integers(1, 60))
def test_every_total_adds_up_and_every_proof_holds(ledger, as_of, length):
    for report in every([books(ledger)], as_of, as_of - timedelta(days=length)):
        add_up(report)
        broken = [p for p in report.proofs if p.held is False]
        assert not broken, (report.name, broken)
        assert report.name == "statement" or any(p.held for p in report.proofs) or not open_items(ledger, as_of)
        text.write(report)


def stating(records, off):
    """The records with what a system states of each customer now, in its currency, and how much that is off."""
    sums = Counter()
    for item in Subledger(books(records)).items(date.max):
        sums[item.document.customer, item.currency] += item.amount
    own = {id: {c for (who, c), amount in sums.items() if who == id and amount} for id in ("C1", "C2")}
    for r in records:
        if isinstance(r, Customer) and len(own[r.ref.id]) <= 1:
            currency = next(iter(own[r.ref.id]), "USD")
            told = {"currency": currency, "reported_balance": sums[r.ref.id, currency] + off}
            yield r.model_copy(update=told)
        elif isinstance(r, Customer):
            yield r.model_copy(update={"reported_balance": Decimal(1)})
        else:
            yield r


@examples(30)
@given(ledgers(), days, st.sampled_from([Decimal(0), Decimal("0.01"), Decimal("-0.01")]))
def test_a_cent_between_a_customers_documents_and_its_stated_balance_is_said_whatever_the_day(ledger, as_of, off):
    held = list(stating(ledger, off))
    report = aging.build([books(held)], as_of=as_of)
    add_up(report)
    whole = cells(report, "stated", "result")
    assert {*whole} <= {"agrees" if not off else "differs", "cannot be told", "none stated"}
    assert [g for g in cells(report, "stated", "difference") if g is not None] == [off] * sum(
        r in ("agrees", "differs") for r in whole
    )
    assert by_currency(report, "stated", "on_day") == by_currency(report, "customers", "total")
    [*told] = [p for p in report.proofs if "it states of" in p.claim]
    assert told
    assert all(p.held is (None if p.ours is None else not off) for p in told)
    STATED.update(whole)
    STATED["later"] += any(cells(report, "stated", "later"))


def test_each_way_a_stated_balance_may_stand_was_reached():
    """Runs after the one above, in this file's order; alone, it makes them itself."""
    if not STATED:
        test_a_cent_between_a_customers_documents_and_its_stated_balance_is_said_whatever_the_day()
    assert all(STATED[w] for w in ("agrees", "differs", "cannot be told", "none stated", "later")), STATED


@examples(60)
@given(ledgers(), days, st.sampled_from(["due", "document"]))
def test_aging_is_open_items_is_effects(ledger, as_of, by):
    side = books(ledger)
    aged = aging.build([side], as_of=as_of, by=by)
    listed = items.build([side], as_of=as_of)
    theirs = Counter()
    for i in open_items(ledger, as_of):
        theirs[i.currency] += i.amount
    expected = {c: a for c, a in theirs.items() if a}
    for table_, column in (("ages", "amount"), ("customers", "total"), ("documents", "total")):
        assert by_currency(aged, table_, column) == expected
    assert by_currency(listed, "items", "open") == expected
    crossing = any(
        r.currency != of
        for r in ledger
        if not isinstance(r, Customer)
        for a in getattr(r, "applications", ())
        if (of := currency_of(ledger, a.invoice))
    )
    if not crossing:
        assert {c: a for c, a in open_receivables(ledger, as_of).items() if a} == expected
    REACHED["one currency" if not crossing else "across currencies"] += 1
    for i in open_items(ledger, as_of):
        REACHED[f"open {i.document.entity.value}"] += 1
    for r in ledger:
        gone = getattr(r, "voided_on", None)
        REACHED["voided after the date"] += bool(gone and gone > as_of >= r.posted)
        REACHED["taken back after the date"] += any(
            a.reversed_on and a.reversed_on > as_of >= a.applied_on for a in getattr(r, "applications", ())
        )


def currency_of(ledger, id):
    return next((r.currency for r in ledger if r.entity is Entity.INVOICE and r.ref.id == id), None)


def test_the_cases_were_reached():
    """Runs after the one above, in this file's order; alone, it makes them itself."""
    if not REACHED:
        test_aging_is_open_items_is_effects()
    kinds = ("invoice", "credit_memo", "payment", "adjustment")
    wanted = ["one currency", "across currencies", "voided after the date", "taken back after the date"]
    assert all(REACHED[k] for k in [*wanted, *(f"open {k}" for k in kinds)]), REACHED


@examples(12)
@given(ledgers(), days)
def test_every_report_of_a_day_has_the_same_total_as_its_neighbours(ledger, as_of):
    """What a controller ticks off: aging, open items, statements, roll-forward and the cash lists."""
    side, since = books(ledger), as_of - timedelta(days=20)
    total = by_currency(items.build([side], as_of=as_of), "items", "open")
    said = {
        "aging": by_currency(aging.build([side], as_of=as_of), "ages", "amount", "total"),
        "roll-forward": by_currency(
            roll_forward.build([side], as_of=as_of, since=since), "roll_forward", "amount", "closing"
        ),
        "statements": sum_of(
            by_currency(one, "movements", "balance", "closing")
            for one in statement.build([side], as_of=as_of, since=since)
        ),
        "unapplied": proved(unapplied.build([side], as_of=as_of), "owed, unapplied cash and open credits"),
        "collections": proved(worklist.build(side, as_of=as_of), "overdue, not due and credits"),
        "cash-forecast": by_currency(forecast.build(side, as_of=as_of), "weeks", "together", "closing"),
    }
    assert said == dict.fromkeys(said, total)


def sum_of(parts):
    sums = Counter()
    for part in parts:
        for currency, amount in part.items():
            sums[currency] += amount
    return {c: a for c, a in sums.items() if a}


def proved(report, claim):
    return {p.currency: p.ours for p in report.proofs if claim in p.claim and p.ours}


@examples(1)
@given(ledgers(), days)
def test_a_bridge_begins_and_ends_at_the_open_items(ledger, as_of):
    side = books(ledger)
    twice = compare_ledgers(Ledger("A", ledger), Ledger("B", ledger), as_of=as_of)
    made = bridge.build([side, side], twice, as_of=as_of)
    total = by_currency(items.build([side], as_of=as_of), "items", "open")
    for style in ("opening", "closing"):
        end = by_currency(made, "bridge", "amount", style)
        assert sum_of([end, Subledger(side).crossing(as_of)]) == total


@examples(30)
@given(ledgers(), days)
def test_unapplied_money_has_no_age(ledger, as_of):
    aged = table(aging.build([books(ledger)], as_of=as_of), "documents")
    at = {c.key: n for n, c in enumerate(aged.columns)}
    ages = [k for k in at if k.startswith(("days_", "not_due", "no_due"))]
    for row in aged.rows:
        if row.style == "detail":
            in_age = [row.cells[at[k]] for k in ages if row.cells[at[k]] is not None]
            money = row.cells[at["kind"]] in ("payment", "credit memo", "refund", "deposit")
            assert (row.cells[at["unapplied"]] is None) == bool(in_age)
            assert not (money and in_age)
            assert all(a > 0 for a in in_age), "what is owed is positive; a credit is in no bucket"


@examples(30)
@given(ledgers(), days, st.integers(1, 40), st.integers(1, 40))
def test_one_periods_closing_is_the_next_ones_opening(ledger, middle, before, after):
    side = books(ledger)
    first = roll_forward.build([side], as_of=middle, since=middle - timedelta(days=before))
    second = roll_forward.build([side], as_of=middle + timedelta(days=after), since=middle + timedelta(days=1))
    assert by_currency(first, "roll_forward", "amount", "closing") == by_currency(
        second, "roll_forward", "amount", "opening"
    )


@examples(30)
@given(ledgers(), ledgers(), days)
def test_two_sides_are_each_side_and_their_difference(left, right, as_of):
    a, b = books(left, "erp"), books(right, "package")
    both = aging.build([a, b], as_of=as_of)
    swapped = aging.build([b, a], as_of=as_of)
    assert by_currency(both, "ages", "left.amount") == by_currency(aging.build([a], as_of=as_of), "ages", "amount")
    assert by_currency(both, "ages", "right.amount") == by_currency(aging.build([b], as_of=as_of), "ages", "amount")
    one, other = (by_currency(r, "ages", "difference", "total") for r in (both, swapped))
    assert {c: -v for c, v in one.items()} == other
    for report in every([a, b], as_of, as_of - timedelta(days=15)):
        add_up(report)
        assert not [p for p in report.proofs if p.held is False]
    links = {(r.entity, r.ref.id): f"{r.entity}{r.ref.id}" for r in left}
    same = aging.build([books(left, "erp", links=links), books(left, "package", links=links)], as_of=as_of)
    assert not by_currency(same, "customers", "difference")
    assert not by_currency(same, "ages", "difference")


@examples(30)
@given(ledgers(), days)
def test_every_form_has_the_same_figures(ledger, as_of):
    for report in every([books(ledger)], as_of, as_of - timedelta(days=30)):
        as_json = json.loads(plain.write_json(report))
        sheets = plain.write_csv(report)
        for t in as_json["tables"]:
            rows = list(csv.DictReader(io.StringIO(sheets[t["key"]])))
            homes = {c["key"]: c["currency"] for c in t["columns"] if c["key"].endswith("base") and "currency" in c}
            assert all(
                row.pop(f"{k}_currency") == (home if row[k] else "") for row in rows for k, home in homes.items()
            )
            assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in t["rows"]] == [
                {k: v[1:] if v.startswith("'") and v[1:2] in "=+-@" else v for k, v in row.items()} for row in rows
            ]


@examples(30)
@given(ledgers(), days)
def test_statements_are_the_whole_ledger(ledger, as_of):
    closing = Counter()
    for report in statement.build([books(ledger)], as_of=as_of, since=as_of - timedelta(days=20)):
        for currency, amount in by_currency(report, "movements", "balance", "closing").items():
            closing[currency] += amount
    theirs = Counter()
    for i in open_items(ledger, as_of):
        theirs[i.currency] += i.amount
    assert {c: a for c, a in closing.items() if a} == {c: a for c, a in theirs.items() if a}


def test_a_returned_payment_makes_its_invoice_due_again_on_the_day_of_its_return():
    """As a void of the payment, as an application taken back, and as an adjustment on the invoice."""
    bill = invoice("I", "C1", "100", "2026-01-05", due="2026-01-20")
    paid = {"apps": [applied("I", "100", "2026-01-10")]}
    ways = (
        [payment("P", "C1", "100", "2026-01-10", **paid, voided_on="2026-02-03")],
        [payment("P", "C1", "100", "2026-01-10", apps=[applied("I", "100", "2026-01-10", "2026-02-03")]),
         adjustment("R", "C1", "refund", "100", "2026-02-03")],
        [payment("P", "C1", "100", "2026-01-10", **paid), adjustment("R", "C1", "returned_payment", "100", "2026-02-03", document="I")],
    )  # fmt: skip
    for way in ways:
        ledger = books([customer("C1", "One"), bill, *way])
        before, then = (aging.build([ledger], as_of=date(2026, 2, d)) for d in (2, 3))
        assert by_currency(before, "ages", "amount") == {}
        assert by_currency(then, "customers", "days_1_30") == {"USD": D(100)}
        assert by_currency(then, "customers", "total") == {"USD": D(100)}


def test_each_instalment_ages_by_itself_and_the_earliest_is_paid_first():
    parts = tuple(Instalment(due=date(2026, m, 1), amount=D(100)) for m in (1, 2, 3))
    bill = invoice("I", "C1", "300", "2025-12-15", due="2026-03-01", instalments=parts)
    paid = payment("P", "C1", "130", "2026-01-03", apps=[applied("I", "130", "2026-01-03")])
    report = aging.build([books([customer("C1", "One"), bill, paid])], as_of=date(2026, 2, 15))
    assert cells(report, "documents", "due") == [date(2026, 2, 1), date(2026, 3, 1)]
    assert cells(report, "documents", "total") == [D(70), D(100)]
    assert by_currency(report, "customers", "not_due") == {"USD": D(100)}
    assert by_currency(report, "customers", "days_1_30") == {"USD": D(70)}


def test_a_missing_due_date_is_not_guessed():
    bill = invoice("I", "C1", "100", "2026-01-05")
    report = aging.build([books([customer("C1", "One"), bill])], as_of=date(2026, 6, 30))
    assert by_currency(report, "customers", "no_due_date") == {"USD": D(100)}
    assert any("no due date" in note for note in report.notes)
    by_document = aging.build([books([customer("C1", "One"), bill])], as_of=date(2026, 6, 30), by="document")
    assert by_currency(by_document, "customers", "days_over_90") == {"USD": D(100)}


def test_a_list_of_open_items_counts_for_what_it_lists_and_tells_no_movements():
    listed = [
        customer("C1", "One"),
        invoice("I", "C1", "100", "2026-01-05", reported_open=D(40)),
        credit("K", "C1", "30", "2026-01-06", reported_open=D(10)),
        payment("P", "C1", "20", "2026-01-07", reported_unapplied=D(5)),
    ]
    side = books(listed, open_only=True, dated=date(2026, 1, 31))
    assert by_currency(items.build([side], as_of=date(2026, 1, 31)), "items", "open") == {"USD": D(25)}
    moved = roll_forward.build([side], as_of=date(2026, 1, 31), since=date(2026, 1, 1))
    assert cells(moved, "roll_forward", "line") == []
    assert any("cannot tell what moved" in note for note in moved.notes)
    assert any("settled since" in note for note in items.build([side], as_of=date(2026, 1, 20)).notes)


MOVED = [
    customer("C1", "One", "1"),
    invoice("I1", "C1", "1000", "2026-01-05", due="2026-02-04"),
    invoice("I2", "C1", "500", "2026-01-20", due="2026-02-19"),
    adjustment("M", "C1", "debit_memo", "20", "2026-01-21"),
    credit("K", "C1", "50", "2026-01-22", apps=[applied("I1", "50", "2026-01-22")], reason="damaged"),
    payment("P1", "C1", "400", "2026-01-23", apps=[applied("I1", "400", "2026-01-23")]),
    payment("P2", "C1", "70", "2026-01-24", voided_on="2026-02-03"),
    adjustment("D", "C1", "discount", "8", "2026-01-23", document="I1"),
    adjustment("W", "C1", "write_off", "42", "2026-01-31", document="I1", approver="Ada", reason="too small"),
    adjustment("R", "C1", "refund", "30", "2026-01-25"),
    adjustment("N", "C1", "returned_payment", "15", "2026-01-26"),
    payment(
        "P3", "C1", "500", "2026-02-05", apps=[applied("I1", "300", "2026-02-05"), applied("I2", "150", "2026-02-05")]
    ),
    payment("P4", "C1", "200", "2026-02-06", apps=[applied("I1", "200", "2026-02-06")], voided_on="2026-02-20"),
]
JANUARY = {"as_of": date(2026, 1, 31), "since": date(2026, 1, 1)}


def test_each_kind_of_movement_has_its_line():
    report = roll_forward.build([books(MOVED)], **JANUARY)
    lines = dict(zip(cells(report, "roll_forward", "line"), cells(report, "roll_forward", "amount"), strict=True))
    assert lines == {
        "invoices": D(1500), "debit memos and finance charges": D(20), "credit memos": D(-50),
        "payments received": D(-470), "refunds": D(30), "returned payments and chargebacks": D(15),
        "write-offs": D(-42), "discounts": D(-8),
    }  # fmt: skip
    assert cells(report, "roll_forward", "amount", "closing") == [D(995)]
    february = roll_forward.build([books(MOVED)], as_of=date(2026, 2, 28), since=date(2026, 2, 1))
    lines = dict(zip(cells(february, "roll_forward", "line"), cells(february, "roll_forward", "amount"), strict=True))
    assert lines == {"payments received": D(-700), "voided documents": D(270)}


def test_what_came_in_after_the_date_is_set_against_what_was_open_on_it():
    report = subsequent.build([books(MOVED)], as_of=date(2026, 1, 31), until=date(2026, 2, 28))
    found = {
        d: (o, r, s)
        for d, o, r, s in zip(
            *(cells(report, "items", c) for c in ("document", "open", "received", "still")), strict=True
        )
    }
    assert found["I1"] == (D(500), D(300), D(200)), "the payment that was returned settles nothing"
    assert found["I2"] == (D(500), D(150), D(350))
    assert cells(report, "payments", "document") == ["P3"]
    assert cells(report, "payments", "rest") == [D(50)]
    early = subsequent.build([books(MOVED)], as_of=date(2026, 1, 31), until=date(2026, 2, 10))
    assert dict(zip(cells(early, "items", "document"), cells(early, "items", "received"), strict=True))["I1"] == D(500)


def test_a_receipt_that_comes_back_after_the_day_is_listed_by_itself():
    """Paid on the day, it was owed again after it: an auditor who sees later receipts only would not know."""
    bills = [invoice(i, "C1", "50", "2026-01-05") for i in ("A", "B", "E")]
    gone = {"state": PostingState.VOIDED, "voided_on": date(2026, 2, 3)}
    came = [
        payment("P1", "C1", "50", "2026-01-25", apps=[applied("A", "50", "2026-01-25")]).model_copy(update=gone),
        payment("P2", "C1", "50", "2026-02-01", apps=[applied("B", "50", "2026-02-01")]).model_copy(update=gone),
        adjustment("R", "C1", "returned_payment", "7", "2026-02-02"),
        adjustment("S", "C1", "chargeback", "9", "2026-02-04", document="P3"),
        payment("P3", "C1", "50", "2026-02-02", apps=[applied("E", "50", "2026-02-02")]),
    ]
    books_ = books([customer("C1", "One"), *bills, *came])
    report = subsequent.build([books_], as_of=date(2026, 1, 31), until=date(2026, 2, 10))
    assert rows(report, "returned", "document", "back", "before", "after", "untold") == [
        ("R", date(2026, 2, 2), None, None, D(7)), ("P1", date(2026, 2, 3), D(50), None, None),
        ("P2", date(2026, 2, 3), None, D(50), None), ("S", date(2026, 2, 4), None, D(9), None),
    ]  # fmt: skip
    assert rows(report, "returned", "before", "after", "untold", style="total") == [(D(50), D(59), D(7))]
    assert cells(report, "payments", "document") == ["P3"]
    early = subsequent.build([books_], as_of=date(2026, 1, 31), until=date(2026, 2, 1))
    assert [t.key for t in early.tables] == ["coverage", "items", "payments"]


def test_credits_and_write_offs_name_their_approver_or_that_there_is_none():
    report = write_offs.build([books(MOVED)], **JANUARY)
    found = dict(zip(cells(report, "documents", "document"), cells(report, "documents", "approver"), strict=True))
    assert found == {"K": "", "D": "", "W": "Ada"}
    assert by_currency(report, "kinds", "amount") == {"USD": D(-100)}
    assert any("no approver for 2 of 3" in note for note in report.notes)


def test_cut_off_shows_what_stands_in_another_period_on_the_other_side():
    left = [
        customer("C1", "One"),
        invoice("A", "C1", "10", "2026-01-31"),
        invoice("B", "C1", "20", "2026-02-10"),
        invoice("C", "C1", "30", "2026-02-11"),
    ]
    right = [
        customer("C1", "One"),
        invoice("A", "C1", "10", "2026-02-15"),
        invoice("D", "C1", "5", "2026-01-22"),
        invoice("E", "C1", "6", "2026-01-21"),
    ]
    links = {(Entity.INVOICE, "A"): "same", (Entity.CUSTOMER, "C1"): "who"}
    report = cut_off.build(
        [books(left, "erp", links=links), books(right, "package", links=links)], as_of=date(2026, 1, 31)
    )
    found = zip(*(cells(report, "documents", c) for c in ("left.document", "right.document", "finding")), strict=True)
    assert sorted(found) == [("", "D", "only in package"), ("A", "A", "other period"), ("B", "", "only in erp")]
    note = table(report, "periods").note
    assert "1 in another period" in note
    assert "2 on one side only" in note


def test_cut_off_counts_each_movement_in_the_period_in_which_it_falls():
    """A check that was returned after the day is a movement after it; what moved before the window is in no figure."""
    returned = payment("P", "C1", "40", "2025-12-01", apps=[applied("I", "40", "2025-12-01")])
    side = [
        customer("C1", "One"),
        invoice("I", "C1", "40", "2025-11-01"),
        returned.model_copy(update={"state": PostingState.VOIDED, "voided_on": date(2026, 2, 3)}),
        invoice("A", "C1", "10", "2026-01-31"),
        invoice("B", "C1", "7", "2026-02-01"),
    ]
    report = cut_off.build([books(side)], as_of=date(2026, 1, 31))
    assert rows(report, "documents", "kind", "document", "before", "after") == [
        ("invoice", "A", D(10), None),
        ("invoice", "B", None, D(7)),
        ("payment voided", "P", None, D(40)),
    ]
    assert rows(report, "documents", "before", "after", style="total") == [(D(10), D(47))]
    assert rows(report, "periods", "what", "count", "amount") == [
        ("up to 2026-01-31", 1, D(10)),
        ("after it", 2, D(47)),
    ]
    assert rows(report, "periods", "amount", style="total") == [], "two periods have no sum"
    moved = [p for p in report.proofs if "moved by" in p.claim]
    assert [(p.ours, p.theirs, p.held) for p in moved] == [(D(10), D(10), True), (D(47), D(47), True)]
    # A counterpart outside of these days is beside it, in a column of its own.
    links = {(Entity.INVOICE, "A"): "same"}
    other = [customer("C1", "One"), invoice("A", "C1", "10", "2026-03-15")]
    two = [books(side, "erp", links=links), books(other, "package", links=links)]
    both = cut_off.build(two, as_of=date(2026, 1, 31))
    found = rows(both, "documents", "left.before", "right.after", "right.outside", "finding")
    assert (D(10), None, D(10), "other period") in found
    assert (None, None, None, "voided only in erp") in found


def test_home_currency_stands_beside_the_documents_own_and_is_not_made_up():
    rated = invoice("I", "C1", "100", "2026-01-05", currency="EUR", exchange_rate=D("1.10"))
    paid = payment(
        "P", "C1", "40", "2026-01-20", currency="EUR", exchange_rate=D("1.25"), apps=[applied("I", "40", "2026-01-20")]
    )
    home = invoice("H", "C1", "7", "2026-01-05")
    side = [customer("C1", "One"), rated, paid, home]
    listed = items.build([books(side)], as_of=date(2026, 1, 31))
    assert cells(listed, "items", "base") == [D("66.00"), D(7)]
    assert cells(listed, "items", "base", "total") == [D("66.00"), D("7.00"), D("73.00")]
    moved = roll_forward.build([books(side)], **JANUARY)
    euros = dict(zip(cells(moved, "roll_forward", "line")[:3], cells(moved, "roll_forward", "base")[:3], strict=True))
    assert euros == {"invoices": D(110), "payments received": D(-50), "exchange differences": D(6)}
    lines, all_of_it = cells(moved, "roll_forward_home", "line"), cells(moved, "roll_forward_home", "base")
    assert dict(zip(lines, all_of_it, strict=True)) == {
        "invoices": D(117), "payments received": D(-50), "exchange differences": D(6),
    }  # fmt: skip
    assert cells(moved, "roll_forward_home", "base", "closing") == [D("73.00")]
    bare = [customer("C1", "One"), rated.model_copy(update={"exchange_rate": None}), home]
    listed = items.build([books(bare)], as_of=date(2026, 1, 31))
    assert cells(listed, "items", "base", "total") == [None, D("7.00"), None]
    assert any("no rate" in note for note in listed.notes)
    blank = roll_forward.build([books(bare)], **JANUARY)
    assert cells(blank, "roll_forward_home", "base", "closing") == [None], "what is not known is not made up"


def test_each_side_is_shown_in_its_own_home_currency():
    """Two companies may keep their books in two currencies, and one may not say in which."""
    euro = invoice("I", "C1", "100", "2026-01-05", currency="EUR", exchange_rate=D("1.10"))
    dollar = invoice("J", "C1", "50", "2026-01-05", exchange_rate=D("0.90"))
    side = [customer("C1", "One"), euro, dollar]
    american, european, silent = (books(side, str(home), home=home) for home in ("USD", "EUR", None))

    def told(report, key):
        return [(c.title, c.currency) for c in table(report, key).columns if c.key.endswith("base")]

    for sides, columns in (
        ((american, european), [("in USD", "USD"), ("in EUR", "EUR")]),
        ((silent, european), [("in home currency", ""), ("in EUR", "EUR")]),
    ):
        aged = aging.build(sides, as_of=date(2026, 1, 31))
        assert told(aged, "customers") == columns
        assert told(roll_forward.build(sides, **JANUARY), "roll_forward") == columns
        assert cells(aged, "customers", "right.base", "total")[-1] == D(145)
    both = aging.build((american, european), as_of=date(2026, 1, 31))
    assert cells(both, "customers", "number", "total")[-1] == "Total in USD and EUR"
    assert cells(both, "customers", "left.base", "total")[-1] == D(160)


def aged_in_two_currencies():
    parts = (Instalment(due=date(2025, 12, 1), amount=D(10)), Instalment(due=date(2026, 3, 1), amount=D("20.01")))
    return [
        customer("C1", "One"), customer("C2", "Two"),
        invoice("I", "C1", "100", "2026-01-05", currency="EUR", exchange_rate=D("1.10"), entity_code="DE01"),
        invoice("J", "C1", "50", "2026-01-05", entity_code="US01"),
        invoice("K", "C2", "30.01", "2025-11-05", currency="EUR", exchange_rate=D("1.10"), instalments=parts),
    ]  # fmt: skip


def test_aging_totals_each_legal_entity_and_each_customer_over_currencies():
    made = aging.build((books(aged_in_two_currencies()),), as_of=date(2026, 1, 31))
    found = [r.cells for r in table(made, "entities").rows if r.style == "detail"]
    assert [(*c[:2], c[-2], c[-1]) for c in found] == [
        ("none named", "EUR", D("30.01"), D("33.01")), ("DE01", "EUR", D(100), D(110)), ("US01", "USD", D(50), D(50)),
    ]  # fmt: skip
    home = {r.cells[1]: r.cells[-1] for r in table(made, "home").rows}
    assert home == {"One": D(160), "Two": D("33.01"), None: D("193.01")}
    assert cells(made, "home", "not_due") == [D(0), D("22.01")], "an instalment has its part of the home amount"
    assert cells(made, "documents", "amount", "total")[0] is None, "a full amount stands beside each instalment"
    assert cells(made, "documents", "total", "total") == [D("130.01"), D(50)]
    bare = aging.build((books([r for r in aged_in_two_currencies() if r.ref.id == "J"]),), as_of=date(2026, 1, 31))
    assert "home" not in {t.key for t in bare.tables}, "one currency needs no second table"


def test_a_customer_with_a_document_without_a_rate_has_no_total_in_home_currency():
    bare = invoice("X", "C1", "5", "2026-01-05", currency="EUR")
    made = aging.build((books([*aged_in_two_currencies(), bare]),), as_of=date(2026, 1, 31))
    assert {r.cells[1]: r.cells[-1] for r in table(made, "home").rows} == {"One": None, "Two": D("33.01"), None: None}


@examples(30)
@given(ledgers(), days)
def test_home_amounts_of_an_aging_add_up_in_every_table(records, as_of):
    side = books(records)
    made = aging.build((side,), as_of=as_of)
    held = {t.key: t for t in made.tables}
    if "home" in held:
        [total] = [r.cells[-1] for r in held["home"].rows if r.style == "total"]
        assert total == layout.total([p.base for p in Subledger(side).items(as_of)], whole=True)
        for row in held["home"].rows:
            if row.cells[-1] is not None:
                assert sum(row.cells[3:-1]) == row.cells[-1]


def test_a_customers_money_that_paid_for_another_is_on_both_statements():
    side = [
        customer("C1", "Parent"), customer("C2", "Child"), invoice("I", "C2", "100", "2026-01-05"),
        payment("P", "C1", "100", "2026-01-20", apps=[applied("I", "100", "2026-01-20")]),
    ]  # fmt: skip
    parent, child = sorted(statement.build([books(side)], **JANUARY), key=lambda r: r.title, reverse=True)
    for report in (parent, child):
        assert by_currency(report, "movements", "balance", "closing") == {}
        assert [p.held for p in report.proofs if p.held is not None] in ([], [True])
    assert cells(child, "movements", "kind") == ["invoice", "invoice settled from another account"]
    assert cells(parent, "movements", "kind") == ["payment settled to another account", "payment"]


def test_a_figure_of_the_system_is_held_against_the_documents_of_its_day():
    """One without a day of its own counts what is dated later; one that agrees with neither does not hold."""
    side = [
        customer("C1", "One"),
        invoice("I", "C1", "100", "2026-01-05", ar_account="1200"),
        invoice("J", "C1", "7", "2026-02-05", ar_account="1200"),
    ]

    def stated(amount, **parameters):
        one = ControlBalance(
            connection="erp",
            account="1200",
            as_of=date(2026, 1, 31),
            amount=D(amount),
            currency="USD",
            report="Aged",
            parameters=parameters,
        )
        report = items.build([books(side, controls=[one])], as_of=date(2026, 1, 31))
        [proof] = [p for p in report.proofs if "Aged" in p.claim]
        return proof.held

    assert stated(100, day="2026-01-31") is True
    assert stated(107, day="2026-01-31") is False
    assert stated(107) is True
    assert stated(100) is True
    assert stated(99) is False


def test_a_share_that_rounds_to_nothing_is_no_negative_zero():
    held = [invoice("I", "C1", "100000", on(0)), payment("P", "C1", "0.01", on(1))]
    assert {str(s) for s in cells(aging.build([books(held)], as_of=START + timedelta(days=9)), "ages", "share")} == {
        "100.0",
        "0.0",
    }
