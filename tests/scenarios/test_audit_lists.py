"""The lists of an auditor, made of what the state database kept: history, unadjusted, interface log, post-close."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from tests.scenarios.world import DAY, World, customer, invoice, payment
from tieout.compare.ledgers import Compared, Ledger, compare_ledgers
from tieout.connectors.memory import Fault, FaultKind
from tieout.evidence.verify import log_breaks
from tieout.model import Entity
from tieout.reports import Books, Report, Table
from tieout.reports.reconciliation import differences, unadjusted
from tieout.reports.reconciliation.past import Past
from tieout.reports.review import audit, interface, post_close
from tieout.sync.review import decisions, history
from tieout.sync.review import differences as listed
from tieout.sync.review.as_known import as_known

D = Decimal


def past(world: World, at: datetime | None = None) -> Past:
    until = at or world.clock()
    return Past(
        pair="books",
        left="left",
        right="right",
        at=until,
        stories=history.stories(world.store, "books", until=until, books=("left", "right")),
        runs=history.runs(world.store, "books", until=until),
        listed=None if at else history.listed(world.store, "books"),
        breaks=log_breaks(world.store),
        events=history.events(world.store),
    )


def compared(world: World, as_of: date) -> Compared:
    """Both ledgers as they are now, compared as of a day, beside the sync."""
    sides = [
        Ledger(name, [r for entity in Entity for r in end.all(entity)])
        for name, end in (("left", world.l), ("right", world.r))
    ]
    return compare_ledgers(*sides, as_of=as_of)


def table(report: Report, key: str) -> Table:
    [found] = [t for t in report.tables if t.key == key]
    return found


def rows(report: Report, key: str, *keys: str, style: str = "detail") -> list[tuple]:
    held = table(report, key)
    at = [next(n for n, c in enumerate(held.columns) if c.key == k) for k in keys]
    return [tuple(r.cells[n] for n in at) for r in held.rows if r.style == style]


def counts(report: Report) -> dict[str, int]:
    return {r.cells[0]: r.cells[1] for r in table(report, "summary").rows}


def broken(report: Report) -> list[str]:
    return [p.claim for p in report.proofs if p.held is False]


def office() -> tuple[World, list[str]]:
    """Three invoices on both sides; the mirrors' ids. The first run was on 2026-02-02."""
    world = World()
    ada = world.l.put(customer())
    for n, total in enumerate(("100.00", "200.00", "300.00"), start=1):
        world.l.put(invoice(ada.ref.id, total, number=f"L-{n}"))
    world.run()
    by_number = {i.number: i.ref.id for i in world.r.all(Entity.INVOICE)}
    return world, [by_number[f"L-{n}"] for n in (1, 2, 3)]


def reprice(world: World, id: str, total: str) -> None:
    world.r.edit(Entity.INVOICE, id, total=D(total), subtotal=D(total))


def test_the_history_tells_what_is_new_resolved_and_there_again() -> None:
    world, [one, two, three] = office()
    reprice(world, one, "98.00")
    reprice(world, two, "190.00")
    world.run()
    first = world.clock()
    world.clock.tick(86400)
    reprice(world, one, "100.00")
    reprice(world, three, "301.00")
    world.run()
    world.clock.tick(86400)
    reprice(world, one, "97.00")
    world.run()
    [d] = [d for d in listed.listed(world.store) if d["left_label"] == "L-2"]
    decisions.decide(
        world.store, d["id"], action="accept", by="Grace", reason="rebate agreed", until="2026-02-28T23:59:59.999999Z"
    )
    today = world.clock().date()
    report = differences.build(past(world), as_of=today, since=today, aged_after=1)
    assert broken(report) == []
    assert {what: n for what, n in counts(report).items() if n} == {
        "unresolved before": 2, "there again after they were resolved": 1, "unresolved now": 3,
        "of these open": 2, "of these accepted": 1,
    }  # fmt: skip
    assert rows(report, "unresolved", "left", "delta", "state", "days_open", "aged", "reopened") == [
        ("L-2", D("-10.00"), "accepted", 2, "AGED_RECON_ITEM", None),
        ("L-1", D("-3.00"), "open", 0, "", 1),
        ("L-3", D("1.00"), "open", 1, "", None),
    ]
    assert rows(report, "decisions", "by", "action", "reason", "until", "delta") == [
        ("Grace", "accept", "rebate agreed", date(2026, 2, 28), D("-10.00"))
    ]
    assert rows(report, "accepted", "by", "until", "state") == [("Grace", date(2026, 2, 28), "accepted")]
    whole = differences.build(past(world), as_of=today, since=date(2026, 2, 1), by_run=True)
    assert counts(whole)["new"] == 3
    assert rows(whole, "trend", "new", "reopened", "resolved", "unresolved") == [
        (0, 0, 0, 0), (2, 0, 0, 2), (1, 0, 1, 2), (0, 1, 0, 3),
    ]  # fmt: skip
    # Whose each is and what the document comes to stands in every list; no total adds documents up.
    who = ("customer", "amount", "amount_currency")
    assert rows(report, "unresolved", "left", *who) == [
        ("L-2", "Ada Ltd", D("200.00"), "USD"),
        ("L-1", "Ada Ltd", D("100.00"), "USD"),
        ("L-3", "Ada Ltd", D("300.00"), "USD"),
    ]
    assert rows(report, "unresolved", "amount", "delta", style="total") == [(None, D("-12.00"))]
    for key in ("accepted", "decisions"):
        assert rows(report, key, "left", *who) == [("L-2", "Ada Ltd", D("200.00"), "USD")]
    assert {row[:2] for row in rows(whole, "events", "customer", "amount_currency")} == {("Ada Ltd", "USD")}
    [chart] = whole.charts
    assert [b.amount for b in chart.bars] == [D(0), D("12.00"), D("11.00"), D("14.00")]
    # As known at the end of the first day: two, open, and nothing of what came later.
    then = differences.build(past(world, first), as_of=first.date(), since=first.date())
    assert [left for (left,) in rows(then, "unresolved", "left")] == ["L-2", "L-1"]
    assert rows(then, "decisions", "by") == []


def test_what_a_first_sync_carries_over_is_counted_apart_from_what_differs() -> None:
    """Two books meet: one document differs from the start, the others are put on their way and arrive."""
    world = World(mode="propose")
    ada = world.l.put(customer())
    other = world.r.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-0"))
    world.r.put(invoice(other.ref.id, "90.00", number="L-0"))
    for n in range(1, 6):
        world.l.put(invoice(ada.ref.id, f"{n}.00", number=f"L-{n}"))
    world.run(as_of=DAY)  # looks and lists nothing
    world.approve(world.run())
    waiting = differences.build(past(world), as_of=DAY, since=DAY)
    world.run(tick=60)
    reprice(world, next(i.ref.id for i in world.r.all(Entity.INVOICE) if i.number == "L-3"), "4.00")
    world.run(tick=60)
    made = {key: differences.build(past(world), as_of=DAY, since=DAY, in_flight=key) for key in (False, True)}
    put, gone = "documents put on their way to the other side", "of these arrived, held up or given up"
    assert (counts(waiting)["new"], counts(waiting)[put], counts(waiting)[gone]) == (1, 5, 0)
    assert counts(waiting)["of these on their way to the other side"] == len(rows(waiting, "unresolved", "left")) - 1
    found = {what: n for what, n in counts(made[False]).items() if n}
    assert found == {
        "new": 2, put: 5, gone: -5, "unresolved now": 2, "of these open": 2, "of the new, on the first list of all": 1,
    }  # fmt: skip
    assert [len(rows(made[key], "resolved", "id")) for key in (False, True)] == [0, 5]
    assert {c for (c,) in rows(made[True], "events", "code")} - {c for (c,) in rows(made[False], "events", "code")} == {
        "SYNC_IN_FLIGHT"
    }
    assert any("--in-flight" in note for note in made[False].notes)


def test_a_list_that_the_events_do_not_give_is_found() -> None:
    world, [one, *_] = office()
    reprice(world, one, "98.00")
    world.run()
    with world.store.engine.begin() as db:
        db.exec_driver_sql("UPDATE discrepancy SET state = 'closed'")
    report = differences.build(past(world), as_of=world.clock().date(), since=date(2026, 2, 1))
    assert broken(report) == ["the log of events gives the list as it stands"]
    with world.store.engine.begin() as db:
        db.exec_driver_sql("UPDATE audit_event SET actor = 'Mallory' WHERE seq = 3")
    assert any("audit log" in claim for claim in broken(differences.build(past(world), as_of=DAY, since=DAY)))


def test_unadjusted_differences_are_held_gross_against_the_threshold() -> None:
    world, [one, two, three] = office()
    reprice(world, one, "90.00")
    reprice(world, two, "209.00")
    world.r.edit(Entity.INVOICE, three, due=date(2026, 5, 1))
    world.run()
    [d] = [d for d in listed.listed(world.store) if d["left_label"] == "L-2"]
    decisions.decide(world.store, d["id"], action="accept", by="Grace", reason="surcharge, to be billed")
    today = world.clock().date()
    report = unadjusted.build(past(world), compared(world, today), as_of=today, thresholds={"USD": D("15")})
    assert rows(report, "sums", "state", "count", "net", "gross") == [
        ("not accepted", 1, D("-10.00"), D("10.00")), ("accepted", 1, D("9.00"), D("9.00")),
    ]  # fmt: skip
    assert rows(report, "sums", "net", "gross", style="total") == [(D("-1.00"), D("19.00"))]
    [claim] = broken(report)
    assert "gross, within the threshold" in claim, "that they nearly cancel each other makes them no smaller"
    assert rows(report, "amounts", "left", "by", "reason") == [
        ("L-1", None, ""), ("L-2", "Grace", "surcharge, to be billed"),
    ]  # fmt: skip
    assert rows(report, "amounts", "left", "customer", "amount", "amount_currency") == [
        ("L-1", "Ada Ltd", D("100.00"), "USD"), ("L-2", "Ada Ltd", D("200.00"), "USD"),
    ]  # fmt: skip
    assert rows(report, "others", "code", "customer", "amount") == [("DUE_DATE_DIFF", "Ada Ltd", D("300.00"))]
    assert broken(unadjusted.build(past(world), compared(world, today), as_of=today, thresholds={"USD": D("19")})) == []


def test_what_was_found_after_the_day_was_unadjusted_on_it() -> None:
    """A month end is reconciled in the days after it: its list is not empty because nothing ran on the day itself."""
    world, [one, two, _] = office()
    reprice(world, one, "90.00")
    reprice(world, two, "209.00")
    world.run()
    day = date(2026, 1, 31)
    report = unadjusted.build(past(world), compared(world, day), as_of=day, thresholds={})
    assert rows(report, "amounts", "left", "delta", "state") == [
        ("L-1", D("-10.00"), "open"), ("L-2", D("9.00"), "open"),
    ]  # fmt: skip
    [net] = [p for p in report.proofs if "net" in p.claim]
    assert (net.ours, net.theirs, net.held) == (D("-1.00"), D("-1.00"), True)
    # What a run has not seen is listed, and said to be new to the list; what it settled since stood on the day.
    reprice(world, two, "200.00")
    world.run()
    reprice(world, one, "95.00")
    reprice(world, two, "201.00")
    report = unadjusted.build(past(world), compared(world, day), as_of=day, thresholds={})
    assert rows(report, "amounts", "left", "delta", "state") == [
        ("L-1", D("-5.00"), "open"), ("L-2", D("1.00"), "resolved after the day"),
    ]  # fmt: skip
    assert rows(report, "sums", "state", "net") == [
        ("not accepted", D("-5.00")), ("accepted", D("0.00")), ("resolved after the day", D("1.00")),
    ]  # fmt: skip
    # An acceptance that has ended is none.
    [d] = [d for d in listed.listed(world.store) if d["left_label"] == "L-1"]
    decisions.decide(
        world.store, d["id"], action="accept", by="Grace", reason="rebate", until="2026-02-03T23:59:59.999999Z"
    )
    world.clock.tick(10 * 86400)
    report = unadjusted.build(past(world), compared(world, day), as_of=day, thresholds={})
    assert rows(report, "sums", "state", "net")[:2] == [("not accepted", D("-5.00")), ("accepted", D("0.00"))]
    early = past(world, world.clock() - timedelta(days=300))
    report = unadjusted.build(early, compared(world, day), as_of=day, thresholds={})
    assert {state for (state,) in rows(report, "amounts", "state")} == {"not listed"}
    assert any("No run of books" in note for note in report.notes)


def test_the_interface_log_leaves_nothing_out_and_names_what_is_to_be_looked_at() -> None:
    world = World(mode="propose", right_rules={"tax_rate": D("0.09975")})
    start = world.clock().date()
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "448.39", tax=D("40.66"), number="T-1"))
    world.approve(world.run())
    world.fail("right", Fault(FaultKind.LOSE_RESPONSE, op="create", entity=Entity.INVOICE))
    world.run()
    world.settle()
    until = world.clock()
    log = history.interface(world.store, "books", since=datetime.combine(start, time.min, UTC), until=until)
    report = interface.build(log, pair="books", as_of=until.date())
    assert broken(report) == []
    told = rows(report, "log", "entity", "amount", "approved_by", "state", "read_back")
    assert ("customer", None, "Grace", "done and read back", "equal") in told
    assert told[-1] == ("invoice", D("448.39"), "Grace", "done and read back", "otherwise: tax, total")
    assert "read back otherwise: tax, total" in [why for (why,) in rows(report, "exceptions", "why")]
    assert rows(report, "outcomes", "to", "amount", style="total")[-1] == ("right", D("448.39"))
    # A send that the report did not tell would not pass.
    less = interface.build(log.__class__(**{**_fields(log), "sent": log.sent[1:]}), pair="books", as_of=start)
    assert len(broken(less)) >= 2


def _fields(log) -> dict:
    return {name: getattr(log, name) for name in log.__dataclass_fields__}


def test_a_write_that_waits_is_in_the_log_although_it_was_not_sent() -> None:
    world = World()
    ada = world.l.put(customer())
    world.run()
    start = world.clock() + timedelta(seconds=1)
    world.fail("right", Fault(FaultKind.THROTTLE, op="create", entity=Entity.INVOICE))
    world.l.put(invoice(ada.ref.id, "5.00", number="L-1"))
    world.run()
    log = history.interface(world.store, "books", since=start, until=world.clock())
    report = interface.build(log, pair="books", as_of=DAY)
    assert broken(report) == []
    assert [state for (state,) in rows(report, "log", "state")] == ["wanted, not sent"]
    assert log.delta == {"USD": D("5.00")}


def after(world: World, name: str, closed_at: datetime) -> post_close.After:
    def books_at(at: datetime) -> Books:
        was = as_known(world.store, name, at)
        return Books(name, was.records, {}, unreadable=was.unreadable)

    until = world.clock()
    return post_close.After(
        then=books_at(closed_at),
        now=books_at(until),
        revised=history.revised(world.store, name, since=closed_at, until=until),
        first_read=history.first_read(world.store, name),
    )


@pytest.fixture
def closed() -> tuple[World, datetime]:
    """January was closed on 2026-02-02, and then it changed."""
    world = World(mode="observe")
    ada = world.l.put(customer())
    bills = {n: world.l.put(invoice(ada.ref.id, f"{n}00.00", number=f"L-{n}")) for n in range(1, 8)}
    world.run()
    at = world.clock()
    for id, change in {
        1: {"total": D("90.00"), "subtotal": D("90.00")},
        2: {"posted": date(2026, 2, 3)},
        3: {"due": date(2026, 4, 1)},
        4: {"currency": "EUR"},
    }.items():
        world.l.edit(Entity.INVOICE, bills[id].ref.id, **change)
    world.l.delete(Entity.INVOICE, bills[5].ref.id)
    world.l.void(Entity.INVOICE, bills[6].ref.id, date(2026, 2, 3))
    world.l.put(payment(ada.ref.id, "7.00", when=date(2026, 1, 31), reference="late"))
    world.l.put(invoice(ada.ref.id, "1000.00", number="F-1", posted=date(2026, 2, 5)))
    world.run(tick=86400, sweep=True)
    return world, at


def test_what_changed_after_the_close_leads_from_the_signed_opening_to_the_one_of_now(closed) -> None:
    world, at = closed
    report = post_close.build([after(world, "left", at)], through=date(2026, 1, 31), closed_at=at)
    assert broken(report) == []
    assert rows(report, "openings", "currency", "signed", "moved", "now") == [
        ("EUR", D("0.00"), D("400.00"), D("400.00")),
        ("USD", D("2800.00"), D("-1117.00"), D("1683.00")),
    ]
    moved = {(x, c): (what, m) for x, c, what, m in rows(report, "moving", "document", "currency", "change", "moved")}
    assert moved == {
        ("L-1", "USD"): ("changed", D("-10.00")),
        ("L-2", "USD"): ("changed", D("-200.00")),
        ("L-4", "EUR"): ("changed", D("400.00")),
        ("L-4", "USD"): ("changed", D("-400.00")),
        ("L-5", "USD"): ("deleted", D("-500.00")),
        ("late", "USD"): ("entered", D("-7.00")),
    }
    others = dict(rows(report, "others", "document", "fields"))
    assert "due: 2026-02-14 → 2026-04-01" in others["L-3"]
    assert "state: posted → voided" in others["L-6"], "a void of February leaves January as it was"
    assert "L-7" not in others
    assert "F-1" not in others
    assert {by for (by,) in rows(report, "moving", "by")} == {"in the system"}


def test_two_ledgers_of_the_same_receivables_are_not_added_up_after_the_close(closed) -> None:
    world, at = closed
    side = after(world, "left", at)
    report = post_close.build([side, side], through=date(2026, 1, 31), closed_at=at)
    assert rows(report, "openings", "now") == [(D("400.00"),), (D("400.00"),), (D("1683.00"),), (D("1683.00"),)]
    assert rows(report, "openings", "now", style="total") == []


def test_an_application_of_another_day_is_told_with_both_days() -> None:
    paid = payment("C1", "7.00", when=date(2026, 1, 31), on=(("I-1", "7.00"),))
    [one] = paid.applications
    later = paid.model_copy(update={"applications": (one.model_copy(update={"applied_on": date(2026, 2, 3)}),)})
    told = post_close.differing(paid, later)
    before, _, now = told.partition(" → ")
    assert "I-1" in before
    assert "2026-01-31" in before
    assert "2026-02-03" in now


def test_a_record_that_cannot_be_read_any_more_is_named_and_the_openings_still_agree(closed) -> None:
    world, at = closed
    [seventh] = [i for i in world.l.all(Entity.INVOICE) if i.number == "L-7"]
    world.l.corrupt(Entity.INVOICE, seventh.ref.id, "no amount")
    world.run(tick=60, sweep=True)
    report = post_close.build([after(world, "left", at)], through=date(2026, 1, 31), closed_at=at)
    assert broken(report) == []
    assert ("L-7", "cannot be read since", D("-700.00")) in rows(report, "moving", "document", "change", "moved")


def test_what_tieout_wrote_itself_is_told_as_its_own_and_a_change_left_out_breaks_the_proof() -> None:
    world = World()
    ada = world.l.put(customer())
    world.run()
    at = world.clock()
    world.clock.tick(60)
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    plan = world.run().plan_id
    side = after(world, "right", at)
    report = post_close.build([side], through=date(2026, 1, 31), closed_at=at)
    assert rows(report, "moving", "change", "moved", "by") == [("entered", D("100.00"), f"tieout, plan {plan}")]
    less = post_close.After(side.then, side.now, (), side.first_read)
    assert len(broken(post_close.build([less], through=date(2026, 1, 31), closed_at=at))) == 1


def test_what_was_first_read_after_the_close_is_not_called_back_dated() -> None:
    world = World()
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    before = world.clock()
    world.run()
    side = after(world, "left", world.clock())
    side = post_close.After(
        side.then, side.now, history.revised(world.store, "left", since=before, until=world.clock()), side.first_read
    )
    report = post_close.build([side], through=date(2026, 1, 31), closed_at=before)
    assert any("may have been there before" in note for note in report.notes)


def test_the_binder_holds_every_list_with_what_it_proves() -> None:
    world, [one, *_] = office()
    reprice(world, one, "90.00")
    world.run()
    today = world.clock().date()
    parts = [
        differences.build(past(world), as_of=today, since=today),
        unadjusted.build(past(world), compared(world, today), as_of=today, thresholds={"USD": D("1")}),
    ]
    bound = audit.bind(parts, title="Audit lists", as_of=today)
    assert [t.key for t in bound.tables] == ["contents", *(f"{r.name}.{t.key}" for r in parts for t in r.tables)]
    assert len({t.key for t in bound.tables}) == len(bound.tables)
    assert rows(bound, "contents", "report", "broken") == [("discrepancy-history", 0), ("unadjusted", 1)]
    assert [p.claim for p in bound.proofs if p.held is False] == [
        "unadjusted: unadjusted differences in USD, gross, within the threshold"
    ]
    assert len(bound.notes) == len(set(bound.notes))
    assert {name for n in bound.notes for name in n.partition(": ")[0].split(", ")} <= {r.name for r in parts}
