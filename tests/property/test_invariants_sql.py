"""What SQL names as broken in a ledger is what the pure functions name, for every invariant that both know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, seed

from tests.deep import examples
from tests.ledgers import adjustment, applied, compared, credit, customer, invoice, payment
from tieout import compare
from tieout.compare import Background
from tieout.compare.findings import invariants
from tieout.compare.findings.applied import make
from tieout.compare.inputs import tables
from tieout.mapping.invariants import Closing, broken, into_closed
from tieout.mapping.relation import application_rows
from tieout.model import AnyRecord, Credit, Document, Line, PostingState, TaxLine

REACHED: Counter[str] = Counter()
FAR = date(2027, 1, 1)
TWINS = ("I1", "I2", "I7", "I8", "I9", "I10", "I11")
DAYS = st.sampled_from(["2026-01-02", "2026-01-20", "2026-02-28"])
SINCE = ["2026-01-05T00:00:00.000000Z", "2026-02-05T00:00:00.000000Z", "2026-03-05T00:00:00.000000Z"]
AMOUNTS = st.sampled_from(["1.00", "2.50", "10.00"])
RATES = {"USD": (None, Decimal(1)), "EUR": (None, Decimal(1), Decimal("1.1"), Decimal("1.25"))}


@st.composite
def terms(draw: st.DrawFn) -> dict[str, Any]:
    """State, currency and rate of a document."""
    state = draw(st.sampled_from([*[PostingState.POSTED] * 4, PostingState.DRAFT, PostingState.VOIDED]))
    voided_on = draw(st.none() | DAYS) if state is PostingState.VOIDED else None
    currency = draw(st.sampled_from(["USD", "USD", "EUR"]))
    rate = draw(st.sampled_from(RATES[currency]))
    return {"state": state, "voided_on": voided_on, "currency": currency, "exchange_rate": rate}


@st.composite
def sums(draw: st.DrawFn, total: str) -> dict[str, Any]:
    """Subtotal, discount, tax, lines and tax lines that may or may not add up."""
    parts = st.sampled_from(["0", "0", "0.50", total])
    lines = [
        Line(
            **dict.fromkeys(("item", "description", "quantity", "unit_price", "tax_code", "tax", "revenue_account")),
            net=Decimal(net),
        )
        for net in draw(st.lists(st.sampled_from([total, "0.50", "-0.50"]), max_size=2))
    ]
    taxes = [TaxLine(code="T", rate=None, base=1, amount=Decimal(a)) for a in draw(st.lists(parts, max_size=1))]
    subtotal, discount, tax = Decimal(total), Decimal(draw(parts)), Decimal(draw(parts))
    if draw(st.booleans()):
        subtotal = Decimal(total) + discount - tax
    return {"subtotal": abs(subtotal), "discount": discount, "tax": tax, "lines": lines, "tax_lines": taxes}


@st.composite
def ledgers(draw: st.DrawFn) -> list[AnyRecord]:
    """A ledger in which anything may be wrong."""
    parents = st.sampled_from([None, None, "C1", "C2", "C3", "nobody"])
    records: list[AnyRecord] = [customer(f"C{n}", f"Name {n}", f"{n}", parent=draw(parents)) for n in (1, 2, 3)]
    who = st.sampled_from(["C1", "C2", "C3", "C9"])
    numbers = st.sampled_from([None, "7", "007", "8", "9"])
    reported = st.sampled_from([None, None, Decimal("1.00"), Decimal(0)])
    for n in range(draw(st.integers(1, 4))):
        total = draw(AMOUNTS)
        more = draw(terms()) | draw(sums(total)) | {"number": draw(numbers), "reported_open": draw(reported)}
        more["entity_code"] = draw(st.sampled_from([None, "10"]))
        records.append(invoice(f"I{n}", draw(who), total, draw(DAYS), **_no_tax(more)))
    for n in range(draw(st.integers(1, 4))):
        make, id = draw(st.sampled_from([(payment, "P"), (credit, "K")]))
        apps = [_application(draw) for _ in range(draw(st.integers(0, 2)))]
        more = draw(terms())
        if make is payment:
            more["reported_unapplied"] = draw(reported)
            if draw(st.integers(0, 4)) == 0:
                more["credits"] = (Credit(credit_memo=draw(st.sampled_from(["K0", "K1", "gone"])), amount="1.00"),)
        amount = "0" if more.get("credits") else draw(AMOUNTS)
        records.append(make(f"{id}{n}", draw(who), amount, draw(DAYS), apps=apps, **more))
    for n in range(draw(st.integers(0, 2))):
        kind = draw(st.sampled_from(["fx_realized", "write_off"]))
        more = draw(terms()) | {"side": draw(st.sampled_from(["debit", "credit"]))}
        if kind == "fx_realized" and draw(st.integers(0, 3)):
            more |= {"currency": "USD", "exchange_rate": None}
        document = draw(st.sampled_from(["I0", "I1", "I2", None]))
        records.append(adjustment(f"A{n}", draw(who), kind, draw(AMOUNTS), draw(DAYS), document=document, **more))
    return records


def _no_tax(more: dict[str, Any]) -> dict[str, Any]:
    """`invoice` takes its tax as text, to work out a subtotal that `more` states by itself."""
    return more | {"tax": str(more["tax"])}


def _application(draw: st.DrawFn) -> Any:
    target, on = draw(st.sampled_from(["I0", "I0", "I0", "I1", "gone"])), draw(DAYS)
    made = applied(
        target,
        draw(st.sampled_from(["1.00", "10.00"])),
        on,
        draw(st.sampled_from([None, None, "2026-02-01", "2026-12-01"])),
    )
    other = draw(st.sampled_from([made.amount, made.amount, Decimal("2.75")]))
    return made.model_copy(update={"amount_invoice": other})


@st.composite
def closings(draw: st.DrawFn) -> tuple[list[AnyRecord], tuple[Closing, ...], dict[tuple[str, str], str]]:
    """Documents, periods that were known to be closed since some instant, and when each document was first seen."""
    codes = st.sampled_from([None, "10"])
    states = st.sampled_from([PostingState.POSTED, PostingState.POSTED, PostingState.DRAFT])
    records: list[AnyRecord] = [
        invoice("I0", "C1", "1.00", draw(DAYS), entity_code=draw(codes), state=draw(states)),
        payment("P0", "C1", "1.00", draw(DAYS), entity_code=draw(codes), state=draw(states)),
        credit("K0", "C1", "1.00", draw(DAYS), entity_code=draw(codes), state=draw(states)),
        adjustment("A0", "C1", "write_off", "1.00", draw(DAYS), entity_code=draw(codes)),
    ]
    known = st.builds(Closing, DAYS.map(date.fromisoformat), since=st.sampled_from(SINCE), entity_code=codes)
    seen = {(str(r.entity), r.ref.id): at for r in records if (at := draw(st.sampled_from([*SINCE, *SINCE, None])))}
    return records, tuple(draw(st.lists(known, min_size=1, max_size=3))), seen


def by_sql(records: list[AnyRecord], as_of: date, ledger: Background) -> Counter[tuple[str, ...]]:
    con = tables.Shared()
    for side in ("left", "right"):
        compare.load_records(con, side, records if side == "left" else [])
    known = tables.parties(con)
    tables.documents(con, known, as_of=as_of)
    tables.every(con, known, as_of=as_of)
    make(con, ("left", "right"), as_of=as_of)
    invariants.breaches(con, known.stated, (ledger, Background("B")), as_of=as_of, numbers=frozenset({"left"}))
    found = con.execute("SELECT invariant, kind, id, field, expected FROM cmp_broken").fetchall()
    con.close()
    return Counter((*row[:4], _plain(row[4])) for row in found)


def of_balances(records: list[AnyRecord]) -> set[tuple[str, str]]:
    """The documents of a ledger of which the comparison says that they are over-applied, or reported otherwise."""
    found = compared(records, []).discrepancies
    codes = {"OVER_APPLIED", "BALANCE_MISMATCH_INTERNAL"}
    return {(d.kind, str(d.left)) for d in found if d.code in codes and d.kind != "customer"}


def _plain(text: str) -> str:
    try:
        return str(Decimal(text).normalize())
    except ArithmeticError:
        return text


@examples(10)
@given(ledgers(), st.sampled_from([FAR, FAR, FAR, date(2026, 1, 25)]))
def _the_same(records: list[AnyRecord], as_of: date) -> None:
    found = [b for b in broken(records, as_of, home_currency="USD") if b.invariant in TWINS]
    wanted = Counter((b.invariant, str(b.entity), b.id, b.field, _plain(b.expected)) for b in found)
    assert by_sql(records, as_of, Background("A", home="USD", whole=True)) == wanted
    REACHED.update(f"{b.invariant} {b.field}" for b in found)
    # A ledger that applies nothing is not asked; what a draft says of a credit memo is nothing.
    if as_of == FAR and any(isinstance(r, Document) and [*application_rows(r)] for r in records):
        balances = [b for b in broken(records, as_of) if b.invariant in ("I4", "I5", "I6")]
        assert of_balances(records) == {(str(b.entity), b.id) for b in balances}
        REACHED.update(b.invariant for b in balances)


@examples(8)
@given(closings())
def _as_late(known: tuple[list[Any], tuple[Closing, ...], dict[Any, str]]) -> None:
    records, shut, seen = known
    late = into_closed(records, shut, seen)
    wanted = Counter((b.invariant, str(b.entity), b.id, b.field, b.expected) for b in late)
    found = by_sql(records, FAR, Background("A", home=None, whole=True, closings=shut, entered=seen))
    assert Counter({row: n for row, n in found.items() if row[0] == "I12"}) == wanted
    REACHED.update(f"{kind} after a closing" for _, kind, *_ in wanted)
    REACHED["of several closings"] += bool(wanted) and len({c.through for c in shut}) > 1
    REACHED["in time"] += any(c.since >= at for c in shut for at in seen.values())


def test_sql_names_what_came_into_a_closed_period_as_the_pure_function_does() -> None:
    kinds = {f"{kind} after a closing" for kind in ("invoice", "payment", "credit_memo", "adjustment")}
    _until_reached(_as_late, kinds | {"of several closings", "in time"})


def test_sql_names_what_the_pure_functions_name() -> None:
    wanted = {
        *("I1 total", "I2 subtotal", "I2 tax", "I7 application", "I7 amount", "I7 customer", "I8 application"),
        *("I9 fx_realized", "I10 exchange_rate", "I11 number", "I4", "I5", "I6"),
    }
    _until_reached(_the_same, wanted)


def _until_reached(law: Callable[[], None], wanted: set[str]) -> None:
    """Ask it of cases until each of these occurred; what one round of them reaches is luck."""
    REACHED.clear()
    for round_ in range(18):
        seed(round_)(law)()
        if all(REACHED[name] for name in wanted):
            return
    raise AssertionError(f"never reached: {sorted(wanted - REACHED.keys())}")


def test_sql_tells_a_rate_from_what_is_none_as_the_pure_function_does() -> None:
    """Each rate in home currency and in another, on documents of every kind that has one."""
    rates = [None, *map(Decimal, ("-1", "0", "0.9", "1", "1.1"))]
    of = [(currency, rate) for currency in ("USD", "EUR") for rate in rates]
    records: list[AnyRecord] = [customer("C1", "Name", "1")]
    for n, (currency, rate) in enumerate(of):
        more = {"currency": currency, "exchange_rate": rate}
        records.append(invoice(f"I{n}", "C1", "1.00", "2026-01-02", **more))
        records.append(payment(f"P{n}", "C1", "1.00", "2026-01-02", **more))
    found = [b for b in broken(records, FAR, home_currency="USD") if b.invariant == "I10"]
    assert {of[int(b.id[1:])] for b in found} == {
        *(("USD", Decimal(r)) for r in ("-1", "0.9", "1.1")),
        *(("EUR", Decimal(r)) for r in ("-1", "0", "1")),
    }
    wanted = Counter((b.invariant, str(b.entity), b.id, b.field, b.expected) for b in found)
    told = by_sql(records, FAR, Background("A", home="USD", whole=True))
    assert Counter({row: n for row, n in told.items() if row[0] == "I10"}) == wanted
