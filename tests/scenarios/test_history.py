"""What the state database keeps of the past: differences through their days, every write, and what changed later."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import sqlalchemy as sa

from tests.scenarios.world import DAY, World, customer, invoice, payment
from tieout.connectors.memory import Fault, FaultKind
from tieout.evidence.verify import log_breaks
from tieout.model import Entity, effects
from tieout.sync import schema
from tieout.sync.core.past import explained, standing, totals
from tieout.sync.review import decisions, differences, history

D = Decimal


def differing() -> tuple[World, str, str]:
    """A world whose one invoice was edited on the right; the mirror's id and the discrepancy's."""
    world = World()
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    reprice(world, mirror.ref.id, "98.00")
    [d] = differences.listed(world.store)
    return world, mirror.ref.id, d["id"]


def reprice(world: World, id: str, total: str) -> None:
    world.r.edit(Entity.INVOICE, id, total=D(total), subtotal=D(total))
    world.run(tick=3600)


def test_a_difference_is_told_as_it_stood_on_every_day() -> None:
    world, mirror, id = differing()
    marks = [world.clock()]
    reprice(world, mirror, "97.00")  # changed
    marks.append(world.clock())
    world.clock.tick(60)
    decisions.decide(world.store, id, action="assign", by="Grace", reason="", owner="Bob")
    end = "2026-02-03T23:59:59.999999Z"
    decisions.decide(world.store, id, action="accept", by="Bob", reason="agreed discount", until=end)
    marks.append(world.clock())
    world.clock.tick(2 * 86400)  # its acceptance ends, and nobody looked yet
    marks.append(world.clock())
    world.run()  # opens again
    marks.append(world.clock())
    reprice(world, mirror, "100.00")  # closed
    marks.append(world.clock())
    reprice(world, mirror, "98.00")  # there again
    marks.append(world.clock())
    [story] = history.stories(world.store, "books", until=world.clock())
    assert [s.happened for s in story.steps] == [
        "opened", "changed", "decided", "decided", "re-opened", "closed", "re-opened",
    ]  # fmt: skip
    at = [standing(story, moment) for moment in marks]
    assert [(s.state, s.delta, s.reopened, s.expired) for s in at if s] == [
        ("open", D("-2.00"), 0, False),
        ("open", D("-3.00"), 0, False),
        ("accepted", D("-3.00"), 0, False),
        ("accepted", D("-3.00"), 0, True),
        ("open", D("-3.00"), 1, False),
        ("closed", D("-3.00"), 1, False),
        ("open", D("-2.00"), 2, False),
    ]
    accepted, again = at[2], at[4]
    assert accepted and again
    assert (accepted.decided_by, accepted.reason, accepted.owner) == ("Bob", "agreed discount", "Bob")
    assert (again.decided_by, again.owner, again.opened) == (None, "Bob", at[0].opened if at[0] else None)
    assert "accepted until 2026-02-03" in story.steps[4].reason
    assert standing(story, marks[0] - timedelta(days=1)) is None
    assert totals([(story, accepted)]) == {"USD": D("-3.00")}
    # As known on an earlier day nothing later is told.
    [then] = history.stories(world.store, "books", until=marks[1])
    assert [s.happened for s in then.steps] == ["opened", "changed"]
    # The state that the list shows is the one that the events lead to.
    [row] = differences.listed(world.store)
    assert (row["state"], row["delta"]) == ("open", "-2.00")
    assert log_breaks(world.store) == []


def test_events_of_an_older_tieout_are_told_as_far_as_they_say() -> None:
    """They name neither currency nor values, and decisions no pair: what they say not is taken from the list."""
    world, _mirror, id = differing()
    decisions.decide(world.store, id, action="accept", by="Bob", reason="agreed")
    a = schema.audit_event
    with world.store.engine.begin() as db:
        for seq, action in db.execute(sa.select(a.c.seq, a.c.action).where(schema.ABOUT_DIFFERENCES)).all():
            old = {"opened": '{"code":"AMOUNT_NET","delta":"-2.00","pair":"books"}'}.get(
                action, '{"action":"accept","owner":null,"reason":"agreed","values":"x"}'
            )
            db.execute(a.update().where(a.c.seq == seq).values(payload=old))
    [story] = history.stories(world.store, "books", until=world.clock())
    now = standing(story, world.clock())
    assert now
    assert (now.state, now.delta, story.currency, now.decided_by) == ("accepted", D("-2.00"), "USD", "Bob")


def test_a_renamed_pair_keeps_its_history() -> None:
    world, _mirror, _id = differing()
    before = [s.happened for s in history.stories(world.store, "books", until=world.clock())[0].steps]
    world.pair = world.pair.__class__(**{
        **{f: getattr(world.pair, f) for f in world.pair.__dataclass_fields__}, "name": "ledgers", "was": "books",
    })  # fmt: skip
    world.run()
    [story] = history.stories(world.store, "ledgers", until=world.clock())
    assert [s.happened for s in story.steps] == before == ["opened"]
    assert history.stories(world.store, "books", until=world.clock()) == []


def test_every_write_of_a_period_is_told_once_with_its_approval_and_what_came_back() -> None:
    world = World(mode="propose", right_rules={"tax_rate": D("0.09975")})
    start = world.clock()
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "448.39", tax=D("40.66"), number="T-1"))
    report = world.run()
    world.approve(report)
    world.fail("right", Fault(FaultKind.LOSE_RESPONSE, op="create", entity=Entity.INVOICE))
    world.run()
    world.settle()
    log = history.interface(world.store, "books", since=start, until=world.clock())
    attempts = world.store.rows(sa.select(sa.func.count().label("n")).select_from(schema.intent_attempt))[0]["n"]
    assert len(log.sent) == log.sends == attempts
    assert log.wanted == len(world.intents()) == len({s.intent for s in log.sent})
    assert log.delta == {"USD": D("448.39")}, "a write that is sent twice moves the books once"
    one = next(s for s in log.sent if s.entity == "customer")
    assert (one.plan_hash, [a.by for a in one.approvals]) == (report.plan_hash, ["Grace"])
    assert (one.read_back, one.state, one.mode) == ((), "done", "propose")
    last = [s for s in log.sent if s.entity == "invoice"][-1]
    assert last.native_id
    assert last.read_back == ("tax", "total"), "the server booked another tax than it was sent"
    assert last.approvals[0].at <= last.sent_at
    asked = {r.request.key: f"m{n}" for n, r in enumerate(world.r.received, 1)}
    assert (one.reference, last.reference) == (asked[one.key], ""), "what the vendor answered, for it to look up"
    # Nothing of another period, and nothing of another pair.
    later = history.interface(
        world.store, "books", since=world.clock() + timedelta(seconds=1), until=world.clock() + timedelta(days=1)
    )
    assert (later.sent, later.sends, later.wanted, later.delta) == ((), 0, 0, {})
    assert history.interface(world.store, "other", since=start, until=world.clock()).sends == 0


def test_a_write_in_mode_auto_has_no_approval_and_says_its_mode() -> None:
    world = World()
    world.l.put(customer())
    world.run()
    [sent] = history.interface(world.store, "books", since=world.clock() - timedelta(days=1), until=world.clock()).sent
    assert (sent.mode, sent.approvals, sent.delta) == ("auto", (), D(0))


def test_what_changed_after_a_moment_is_told_with_what_stood_before() -> None:
    world = World(mode="observe")
    ada = world.l.put(customer())
    kept = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    gone = world.l.put(invoice(ada.ref.id, "20.00", number="L-2"))
    world.l.put(invoice(ada.ref.id, "1.00", number="L-3"))
    world.run()
    closed = world.clock()
    world.clock.tick(86400)
    world.l.edit(Entity.INVOICE, kept.ref.id, total=D("90.00"), subtotal=D("90.00"))
    world.l.delete(Entity.INVOICE, gone.ref.id)
    world.l.put(payment(ada.ref.id, "5.00", on=((kept.ref.id, "5.00"),), reference="late", when=DAY))
    world.run(sweep=True)
    first = history.first_read(world.store, "left")
    assert first[Entity.INVOICE] <= closed
    found = {(r.entity, r.id): r for r in history.revised(world.store, "left", since=closed, until=world.clock())}
    one = found[Entity.INVOICE, kept.ref.id]
    assert one.before
    assert one.before.record
    assert (one.before.record.total, one.after[-1].record.total) == (D("100.00"), D("90.00"))
    removed = found[Entity.INVOICE, gone.ref.id]
    assert removed.before
    assert removed.before.record
    assert removed.after[-1].record is None
    [late] = [r for (entity, _), r in found.items() if entity is Entity.PAYMENT]
    assert late.before is None
    assert sum(e.amount for e in effects(late.after[-1].record)) == D("-5.00")
    assert sorted(entity for entity, _ in found) == ["customer", "invoice", "invoice", "payment"], (
        "L-3 stayed as it was"
    )
    assert all(v.plan is None for r in found.values() for v in r.after)
    assert history.revised(world.store, "left", since=closed, until=closed) == []


def test_our_own_write_is_told_as_ours() -> None:
    world = World()
    before = world.clock()
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    report = world.run()
    found = history.revised(world.store, "right", since=before, until=world.clock())
    assert {r.after[0].plan for r in found} == {report.plan_id}


def test_what_the_last_run_knew_of_one_sided_documents_is_there_for_a_comparison() -> None:
    world = World(mode="propose")
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run(apply=False)
    [why] = explained(history.stories(world.store, "books", until=world.clock()), world.clock())
    assert (why.side, why.kind, why.id, why.code) == ("left", "invoice", inv.ref.id, "SYNC_IN_FLIGHT")


def test_runs_are_told_up_to_a_moment() -> None:
    world = World()
    world.run()
    first = world.clock()
    world.run()
    assert [len(history.runs(world.store, "books", until=t)) for t in (first, world.clock())] == [1, 2]
    assert history.runs(world.store, "books", until=first)[0].ended
    assert date(2026, 2, 2) == first.date()
