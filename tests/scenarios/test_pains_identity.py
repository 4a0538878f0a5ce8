"""What users of other syncs suffer from: who is who, which document is which, and what people decided about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.scenarios.world import DAY, World, customer, invoice, payment
from tieout.errors import AuthError, RefusedError
from tieout.evidence.verify import log_breaks
from tieout.model import Entity
from tieout.sync.review import decisions, differences
from tieout.sync.review.history import stories
from tieout.sync.store import open_store

D = Decimal
NAMES = (
    *('O\'Brien & Söhne "Sons"', "Trailing ", "Parent:Child", "=1+1", "<b>&amp;</b>", "😀 Ltd", "--drop"),
    "A" * 120,
    "\u202eRTL",
)


def quiet(world: World) -> None:
    before = world.l.fingerprint(), world.r.fingerprint()
    report = world.run()
    assert report.operations == []
    assert (report.changes.opened, report.changes.closed) == (0, 0)
    assert (world.l.fingerprint(), world.r.fingerprint()) == before


def test_tricky_names_are_carried_or_explained_and_never_doubled() -> None:
    """Quotes, colons, blanks, 120 characters, markup; the target cuts names at 100."""
    world = World(right_rules={"name_limit": 100})
    for name in NAMES:
        world.l.put(customer(name))
    world.run()
    assert world.counts(Entity.CUSTOMER) == (len(NAMES), len(NAMES))
    quiet(world)


def test_an_inactive_twin_is_not_made_again() -> None:
    """The name is taken by an inactive customer over there: linked or explained, one record."""
    world = World()
    world.r.put(customer("Ada Ltd", active=False))
    ada = world.l.put(customer("Ada Ltd"))
    world.l.put(invoice(ada.ref.id, "10.00", number="L-1"))
    report = world.run()
    assert world.counts(Entity.CUSTOMER) == (1, 1)
    assert report.discrepancies
    quiet(world)


def about(world: World, code: str) -> tuple[str, str]:
    """Customer and amount of the one difference of a code, as its list tells them."""
    books = world.l.name, world.r.name
    [told] = [s for s in stories(world.store, "books", until=world.clock(), books=books) if s.code == code]
    return told.about.customer, told.about.amount


def test_two_that_only_look_alike_are_never_linked() -> None:
    """Similar names, and the same name twice: suggested at most, never joined by the machine."""
    world = World(mode="propose")
    for books, names in ((world.l, ("Smith & Co", "Twin", "Twin")), (world.r, ("Smyth and Company", "Twin"))):
        for n, name in enumerate(names):
            books.rules = replace(books.rules, unique_names=False)
            who = books.put(customer(name))
            books.put(invoice(who.ref.id, f"{10 + n}.00", number=f"{name}-{n}-{books.name}"))
    report = world.run()
    assert report.linked == 0
    assert world.counts(Entity.CUSTOMER) == (3, 2)


def test_documents_with_several_candidates_are_left_to_a_person() -> None:
    """Equal numbers and several totals: named ambiguous, nothing linked, nothing made."""
    world = World()
    for books, totals in ((world.l, ("100.00", "110.00")), (world.r, ("120.00", "130.00"))):
        who = books.put(customer("Ada Ltd"))
        for total in totals:
            books.put(invoice(who.ref.id, total, number="INV-1"))
    report = world.run()
    assert report.linked == 1
    assert [o for o in report.operations if o.entity is Entity.INVOICE] == []
    assert world.counts(Entity.INVOICE) == (2, 2)
    assert "AMBIGUOUS_MATCH" in world.codes(report)
    assert about(world, "AMBIGUOUS_MATCH") == ("Ada Ltd", ""), "all are hers, and no two of one amount"
    assert report.comparison.as_json()["bridge"]["USD"]["remainder"] == "0.00"


def test_a_customer_that_could_be_two_over_there_is_made_in_neither_book() -> None:
    """16 and 23: a third customer of the name would only make it worse, and documents would go to the wrong one."""
    world = World()
    world.l.put(customer("Ann Ltd"))
    for name in ("Ann Ltd", "ANN LTD."):
        world.r.put(customer(name))
    report = world.run()
    assert (report.operations, report.linked) == ([], 0)
    assert world.counts(Entity.CUSTOMER) == (1, 2)
    assert [(d.code, d.left, d.right) for d in report.discrepancies] == [
        ("CUSTOMER_DUPLICATE", "CUS-1", "CUS-1"),
        ("CUSTOMER_DUPLICATE", "CUS-1", "CUS-2"),
    ]
    quiet(world)


def test_a_document_held_in_parts_is_not_made_again() -> None:
    """One invoice here, two of the same day and the same total there: to make either again would double the debt."""
    world = World()
    for books, parts in ((world.l, {"INV-1": "100.10"}), (world.r, {"A7": "60.05", "A8": "40.05"})):
        who = books.put(customer("Ada Ltd"))
        for number, total in parts.items():
            books.put(invoice(who.ref.id, total, number=number))
    report = world.run()
    assert world.counts(Entity.INVOICE) == (1, 2)
    assert [(d.code, d.delta, d.customer, d.amount) for d in report.discrepancies] == [
        ("SPLIT_OR_MERGED", 0, "Ada Ltd", D("100.10"))
    ]
    assert about(world, "SPLIT_OR_MERGED") == ("Ada Ltd", "100.10")
    quiet(world)


def test_one_number_with_two_totals_is_neither_linked_nor_made() -> None:
    """16 and 23: a number that means different things on both sides."""
    world = World()
    for books, total in ((world.l, "100.00"), (world.r, "175.00")):
        who = books.put(customer("Ada Ltd"))
        books.put(invoice(who.ref.id, total, number="INV-1", posted=DAY))
    report = world.run()
    assert world.counts(Entity.INVOICE) == (1, 1)
    assert [o for o in report.operations if o.entity is Entity.INVOICE] == []
    assert [d.delta for d in report.discrepancies if d.delta] == [D("75.00")]
    quiet(world)


def test_merged_customers_stay_merged() -> None:
    """Merged on the left, the documents follow once; merged on the right, nothing is moved back."""
    world = World()
    ada, twin = (world.l.put(customer(n)) for n in ("Ada Ltd", "Ada Limited"))
    for n, who in enumerate((ada, twin)):
        world.l.put(invoice(who.ref.id, "10.00", number=f"L-{n}"))
    world.run()
    world.l.merge(twin.ref.id, ada.ref.id)
    world.run()
    assert len({i.customer for i in world.r.all(Entity.INVOICE)}) == 1
    assert world.counts(Entity.CUSTOMER) == (1, 2)
    quiet(world)

    world = World()
    ada, twin = (world.l.put(customer(n)) for n in ("Ada Ltd", "Ada Limited"))
    world.l.put(invoice(twin.ref.id, "10.00", number="L-1"))
    world.run()
    names = {c.name: c.ref.id for c in world.r.all(Entity.CUSTOMER)}
    world.r.merge(names["Ada Limited"], names["Ada Ltd"])
    report = world.run()
    assert report.operations == []
    assert {i.customer for i in world.r.all(Entity.INVOICE)} == {names["Ada Ltd"]}
    assert [d for d in report.discrepancies if "non_owner_change" in d.cause]
    quiet(world)


def test_years_of_overlapping_history_are_linked_not_created() -> None:
    """Two systems kept by hand for years; what matches is linked, the old rest is listed, the new flows."""
    world = World(cutover=date(2026, 1, 1))
    for books, only, cents in ((world.l, "left", 10), (world.r, "right", 20)):
        people = [books.put(customer(f"Customer {n}", number=f"{n:05}")) for n in range(5)]
        for n in range(60):
            day = date(2021, 1, 15) + timedelta(days=29 * n)
            inv = books.put(invoice(people[n % 5].ref.id, f"{100 + n}.00", number=f"INV-{n:04}", posted=day))
            if n % 3:
                on = ((inv.ref.id, f"{100 + n}.00"),)
                books.put(payment(people[n % 5].ref.id, f"{100 + n}.00", on=on, when=day, reference=f"chk {n}"))
        books.put(invoice(people[0].ref.id, f"7.{cents}", number=f"old-{only}", posted=date(2023, 5, 5)))
        books.put(invoice(people[0].ref.id, f"9.{cents}", number=f"new-{only}", posted=date(2026, 1, 10)))
    report = world.run()
    assert report.linked == 5 + 60 + 40
    assert [o.label for o in report.operations] == ["new-right", "new-left"]
    assert world.counts(Entity.INVOICE) == (63, 63)
    old = [d for d in differences.listed(world.store) if d["delta"] != "0.00"]
    assert sorted(d["delta"] for d in old) == ["-7.10", "7.20"]
    assert all("historic_unmatched" in d["cause"] for d in old)
    # Linked history has no owner: a change of it is named, on whichever side, and never carried over.
    world.l.edit(Entity.INVOICE, "INV-1", memo="changed in the left books")
    report = world.run()
    assert report.operations == []
    writes = len(world.l.received) + len(world.r.received)
    # The links are lost with the state: they are found again, nothing is made.
    world.store = open_store("sqlite://", clock=world.clock)
    report = world.run()
    assert (report.linked, report.operations) == (5 + 62 + 40, [])
    assert len(world.l.received) + len(world.r.received) == writes


def test_other_books_under_the_same_name_are_refused() -> None:
    """Reconnected to the same company it goes on; to another company, or another currency, it does not."""
    world = World()
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "10.00", number="L-1"))
    world.run()
    before = world.r.fingerprint()
    world.right._company_id = None
    world.r.company_id = "SANDBOX"
    with pytest.raises(AuthError, match="SANDBOX"):
        world.run()
    world.r.company_id = "RIGHT"
    world.r.home_currency = "EUR"
    with pytest.raises(AuthError, match="EUR"):
        world.run()
    world.r.home_currency = "USD"
    assert world.r.fingerprint() == before
    quiet(world)


def test_a_decision_holds_until_a_side_changes_and_leaves_its_trace() -> None:
    """Stable id, first and last seen, owner, reason, values; accepted until either side moves."""
    world = World()
    ada = world.l.put(customer())
    inv = world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.edit(Entity.INVOICE, mirror.ref.id, total=D("98.00"), subtotal=D("98.00"))
    world.run()
    [d] = differences.listed(world.store)
    assert (d["delta"], d["left_value"], d["right_value"]) == ("-2.00", "100.00", "98.00")
    with pytest.raises(RefusedError):
        decisions.decide(world.store, d["id"], action="accept", by="Grace", reason=" ")
    decisions.decide(world.store, d["id"], action="assign", by="Grace", reason="", owner="Bob")
    decisions.decide(world.store, d["id"], action="accept", by="Bob", reason="agreed discount")
    report = world.run()
    assert report.changes.as_json() == {"opened": 0, "open": 0, "closed": 0}
    [kept] = differences.listed(world.store)
    assert (kept["id"], kept["state"], kept["owner"], kept["reason"]) == (d["id"], "accepted", "Bob", "agreed discount")
    assert kept["first_seen_at"] == d["first_seen_at"] < kept["last_seen_at"]
    quiet(world)
    world.r.edit(Entity.INVOICE, mirror.ref.id, total=D("97.00"), subtotal=D("97.00"))
    report = world.run()
    assert (report.changes.opened, report.changes.open) == (1, 1)
    assert differences.listed(world.store)[0]["id"] == d["id"]
    world.r.edit(Entity.INVOICE, mirror.ref.id, total=D("100.00"), subtotal=D("100.00"))
    assert world.run().changes.as_json() == {"opened": 0, "open": 0, "closed": 1}
    with world.store.reading() as db:
        trail = [
            row.action
            for row in db.exec_driver_sql(
                "SELECT action FROM audit_event WHERE object_type = 'discrepancy' ORDER BY seq"
            )
        ]
    assert trail == ["opened", "decided", "decided", "re-opened", "closed"]
    assert log_breaks(world.store) == []
    assert world.l.get(Entity.INVOICE, inv.ref.id).total == D("100.00")


def test_identical_documents_are_each_their_own() -> None:
    """Two equal invoices without a number are two, on both sides, in every run."""
    world = World()
    ada = world.l.put(customer())
    for _ in range(2):
        world.l.put(invoice(ada.ref.id, "10.00", number=None))
    world.run()
    assert world.counts(Entity.INVOICE) == (2, 2)
    assert world.r.receivables(date(2026, 12, 31)) == {"USD": D("20.00")}
    quiet(world)
    world.store = open_store("sqlite://", clock=world.clock)
    world.run()
    assert world.counts(Entity.INVOICE) == (2, 2)


def test_a_copy_of_what_tieout_wrote_is_named_and_not_carried_back() -> None:
    world = World(right="searchable_marker")
    ada = world.l.put(customer("Ada Ltd"))
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1"))
    world.run()
    [mirror] = world.r.all(Entity.INVOICE)
    world.r.put(mirror.model_copy(update={"number": None}))
    report = world.run()
    assert world.counts(Entity.INVOICE) == (1, 2)
    assert report.operations == []
    assert "DUPLICATE_WITHIN_LEDGER" in {code for d in report.discrepancies for code in (d.code, *d.secondary)}
