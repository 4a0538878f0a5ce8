"""The memory books behave as the real ones do, on request."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.connectors import Connector, Op, opener
from tieout.connectors.memory import (
    PROFILES,
    Fault,
    FaultKind,
    Faults,
    ManualClock,
    MemoryConnector,
    SimulatedCrash,
    open_books,
    open_memory,
)
from tieout.errors import (
    AuthError,
    ConfigError,
    DuplicateNumber,
    NotFoundError,
    NotProcessed,
    NotSent,
    PeriodClosed,
    ReadOnlyError,
    RecordError,
    Rejected,
    RetriableError,
    SignInRequired,
    StaleWrite,
    UnknownOutcome,
)
from tieout.model import (
    Adjustment,
    AdjustmentKind,
    Application,
    Credit,
    CreditMemo,
    Customer,
    Entity,
    Existence,
    Invoice,
    Method,
    Payment,
    PostingState,
    Ref,
)

D = Decimal
NOWHERE = Ref(connection="", id="", number=None, version=None)


def customer(name="Ada", **kw):
    blank = dict.fromkeys(("number", "email", "phone", "billing_address", "terms", "tax_id", "parent"))
    return Customer(
        **{**blank, "ref": NOWHERE, "name": name, "currency": "USD", "active": True, "reported_balance": None, **kw}
    )


def _doc(total, **kw):
    blank = dict.fromkeys(
        ("payer", "entity_code", "ar_account", "number", "exchange_rate", "memo", "voided_on", "reported_open")
    )
    total = D(total)
    return {
        **blank, "ref": NOWHERE, "customer": "CUS-1", "issued": date(2026, 1, 5), "posted": date(2026, 1, 5), "currency": "USD",
        "lines": (), "tax_lines": (), "subtotal": total, "discount": D(0), "tax": D(0), "total": total, "state": PostingState.POSTED, **kw,
    }  # fmt: skip


def invoice(total="100.00", **kw):
    return Invoice(
        **_doc(total, **{"due": date(2026, 2, 4), "deposit_applied": D(0), "po_number": None, "disputed": False, **kw})
    )


def credit(total="30.00", **kw):
    return CreditMemo(**_doc(total, **{"original_invoice": None, "reason": None, "applications": (), **kw}))


def applied(invoice_id, amount, on=date(2026, 1, 20)):
    return Application(invoice=invoice_id, amount=D(amount), amount_invoice=D(amount), applied_on=on)


def payment(amount="40.00", *applications, **kw):
    blank = dict.fromkeys(
        (
            "payer",
            "entity_code",
            "ar_account",
            "reference",
            "exchange_rate",
            "reported_unapplied",
            "deposit_to",
            "memo",
            "voided_on",
        )
    )
    return Payment(**{
        **blank, "ref": NOWHERE, "customer": "CUS-1", "received": date(2026, 1, 20), "posted": date(2026, 1, 20), "method": Method.CHECK,
        "amount": D(amount), "currency": "USD", "applications": applications, "state": PostingState.POSTED, **kw,
    })  # fmt: skip


def write_off(amount, document):
    blank = dict.fromkeys(("entity_code", "ar_account", "number", "exchange_rate", "reason", "approver", "voided_on"))
    return Adjustment(**{
        **blank, "ref": NOWHERE, "kind": AdjustmentKind.WRITE_OFF, "side": "credit", "customer": "CUS-1", "amount": D(amount),
        "currency": "USD", "document": document, "posted": date(2026, 1, 25), "state": PostingState.POSTED,
    })  # fmt: skip


def opened(profile="idempotency_key", **kw) -> MemoryConnector:
    c = open_books("b", profile, **kw)
    c.books.put(customer())
    return c


def test_it_is_a_connector_and_opens_by_kind():
    c = opener("memory")("b", settings={"profile": "file", "company": "ACME"}, secrets={}, clock=ManualClock())
    assert isinstance(c, Connector)
    assert c.company().id == "ACME"
    with pytest.raises(ConfigError) as error:
        open_memory("b", settings={"profile": "nosuch", "colour": "red"})
    assert len(error.value.problems) == 2


def test_ids_are_the_servers_and_versions_count():
    b = opened().books
    first, second = b.put(invoice()), b.put(invoice())
    assert (first.ref.id, second.ref.id) == ("INV-1", "INV-2")
    assert b.stored(Entity.INVOICE, "INV-1").version == 0
    b.edit(Entity.INVOICE, "INV-1", memo="late")
    assert b.stored(Entity.INVOICE, "INV-1").version == 1
    with pytest.raises(ValueError, match="float"):
        b.edit(Entity.INVOICE, "INV-1", total=1.5)


@pytest.mark.parametrize("bumps", [True, False])
def test_applying_money_bumps_the_invoice_where_the_system_does(bumps):
    b = opened(rules={"apply_bumps_invoice": bumps}).books
    b.put(invoice())
    b.put(payment("40.00"))
    b.apply("PAY-1", "INV-1", D("25.00"))
    assert b.stored(Entity.INVOICE, "INV-1").version == int(bumps)
    assert b.stored(Entity.PAYMENT, "PAY-1").version == 1
    b.unapply("PAY-1", "INV-1")
    assert b.stored(Entity.INVOICE, "INV-1").version == 2 * bumps


def test_balances_are_derived():
    c = opened()
    b = c.books
    b.put(invoice("100.00"))
    b.put(payment("40.00", applied("INV-1", "25.00")))
    b.put(credit("30.00"))
    b.put(write_off("5.00", "INV-1"))
    assert c.get(Entity.INVOICE, "INV-1").record.reported_open == D("70.00")
    assert c.get(Entity.PAYMENT, "PAY-1").record.reported_unapplied == D("15.00")
    assert c.get(Entity.CREDIT_MEMO, "CRM-1").record.reported_open == D("30.00")
    assert c.get(Entity.CUSTOMER, "CUS-1").record.reported_balance == D("25.00")
    assert c.control_balances(date(2026, 1, 5))[0].amount == D("70.00")  # invoice and credit memo, both of that day
    b.void(Entity.INVOICE, "INV-1", on=date(2026, 2, 1))
    assert c.get(Entity.INVOICE, "INV-1").record.reported_open == 0
    assert c.get(Entity.PAYMENT, "PAY-1").record.reported_unapplied == D("40.00")


def test_a_payment_uses_up_credit_memos():
    c = opened()
    b = c.books
    b.put(invoice("100.00"))
    b.put(credit("30.00"))
    group = payment("70.00", applied("INV-1", "100.00"), credits=(Credit(credit_memo="CRM-1", amount=D("30.00")),))
    with pytest.raises(Rejected):
        c.create(
            group.model_copy(update={"credits": (Credit(credit_memo="CRM-1", amount=D("30.01")),)}), key="a", marker="a"
        )
    with pytest.raises(Rejected):
        c.create(group.model_copy(update={"credits": ()}), key="b", marker="b")
    c.create(group, key="c", marker="c")
    assert c.get(Entity.INVOICE, "INV-1").record.reported_open == 0
    assert c.get(Entity.CREDIT_MEMO, "CRM-1").record.reported_open == 0
    assert c.get(Entity.PAYMENT, "PAY-1").record.reported_unapplied == 0
    assert b.stored(Entity.CREDIT_MEMO, "CRM-1").version == 1
    b.void(Entity.CREDIT_MEMO, "CRM-1")
    assert b.get(Entity.PAYMENT, "PAY-1").credits == ()
    b.void(Entity.PAYMENT, "PAY-1")
    assert c.get(Entity.INVOICE, "INV-1").record.reported_open == D("100.00")


def test_a_reversed_application_is_kept_or_gone():
    b = opened().books
    b.put(invoice())
    b.put(payment("40.00", applied("INV-1", "40.00")))
    held = b.unapply("PAY-1", "INV-1", on=date(2026, 1, 30))
    assert held.applications[0].reversed_on == date(2026, 1, 30)
    assert held.reported_unapplied == D("40.00")


def test_the_log_is_the_ground_truth():
    c = opened()
    c.create(invoice(), key="k1", marker="m1")
    c.books.edit(Entity.INVOICE, "INV-1", memo="x")
    kept = [(e.seq, e.by, e.op, e.id, e.key, e.marker) for e in c.books.log]
    assert kept == [
        (1, "person", "create", "CUS-1", "", ""),
        (2, "connector", "create", "INV-1", "k1", "m1"),
        (3, "person", "update", "INV-1", "", ""),
    ]
    assert c.books.log[2].before.memo is None and c.books.log[2].after.memo == "x"


def test_a_key_replays_its_first_answer_even_after_deletion_but_not_for_ever():
    c = opened()
    first = c.create(invoice(), key="k", marker="m")
    assert c.create(invoice("7.00"), key="k", marker="m").id == first.id
    c.books.delete(Entity.INVOICE, first.id)
    assert c.create(invoice(), key="k", marker="m").id == first.id
    with pytest.raises(NotFoundError):
        c.get(Entity.INVOICE, first.id)
    c.books.tick(3601)
    assert c.create(invoice(), key="k", marker="m").id != first.id


def test_a_target_without_keys_writes_twice():
    c = opened("searchable_marker")
    c.create(invoice(), key="k", marker="m")
    c.create(invoice(), key="k", marker="m")
    assert [o.id for o in c.search(Entity.INVOICE, marker="m")] == ["INV-1", "INV-2"]


def test_unique_numbers_name_the_holder():
    c = opened("unique_number")
    c.create(invoice(number="7"), key="k", marker="m")
    for marker, number in (("m", None), ("n", "7")):
        with pytest.raises(DuplicateNumber) as error:
            c.create(invoice(number=number), key="k", marker=marker)
        assert error.value.existing_id == "INV-1"
    with pytest.raises(DuplicateNumber):
        c.create(customer(), key="k2", marker="m2")
    assert len(c.books.all(Entity.INVOICE)) == 1


def test_refusals_change_nothing():
    c = opened()
    b = c.books
    b.put(invoice("100.00"))
    before = b.fingerprint()
    for record, why in (
        (invoice(customer="CUS-9"), Rejected),
        (payment("40.00", applied("INV-9", "1.00")), Rejected),
        (payment("400.00", applied("INV-1", "100.01")), Rejected),
        (payment("10.00", applied("INV-1", "10.01")), Rejected),
        (invoice("1.005"), Rejected),
        (customer("Ada"), DuplicateNumber),
        (invoice(state=PostingState.VOIDED, voided_on=date(2026, 1, 6)), Rejected),
    ):
        with pytest.raises(why):
            c.create(record, key=f"k{record}", marker="m")
    assert b.fingerprint() == before
    assert len(b.received) == 6 and all(r.outcome != "done" for r in b.received)


def test_an_over_application_may_be_dropped_instead():
    c = opened(rules={"over_application": "drop"})
    c.books.put(invoice("100.00"))
    written = c.create(payment("400.00", applied("INV-1", "100.01")), key="k", marker="m")
    assert c.get(Entity.PAYMENT, written.id).record.applications == ()


def test_closed_periods():
    c = opened()
    c.books.put(invoice())
    c.books.closed_through = date(2026, 1, 31)
    assert c.company().closed_through() == date(2026, 1, 31)
    seen = c.get(Entity.INVOICE, "INV-1")
    for attempt in (
        lambda: c.create(invoice(), key="a", marker="m"),
        lambda: c.update(seen.record.model_copy(update={"posted": date(2026, 2, 1)}), before=seen, key="b"),
        lambda: c.void(seen, key="c"),
        lambda: c.delete(seen, key="d"),
    ):
        with pytest.raises(PeriodClosed):
            attempt()
    c.create(invoice(posted=date(2026, 2, 1)), key="e", marker="m")
    assert opened("searchable_marker").company().closed == ()


def test_a_stale_version_is_refused_and_nothing_changed():
    c = opened()
    c.books.put(invoice())
    seen = c.get(Entity.INVOICE, "INV-1")
    c.books.edit(Entity.INVOICE, "INV-1", memo="theirs")
    for attempt in (
        lambda: c.update(seen.record.model_copy(update={"memo": "ours"}), before=seen, key="k"),
        lambda: c.void(seen, key="v"),
    ):
        with pytest.raises(StaleWrite):
            attempt()
    assert c.books.get(Entity.INVOICE, "INV-1").memo == "theirs"


def test_an_update_moves_only_what_differs():
    c = opened("searchable_marker")
    c.books.put(invoice(), colour="green")
    seen = c.get(Entity.INVOICE, "INV-1")
    c.books.edit(Entity.INVOICE, "INV-1", po_number="P1")
    c.update(seen.record.model_copy(update={"memo": "ours"}), before=seen, key="k")
    now = c.get(Entity.INVOICE, "INV-1")
    assert (now.record.memo, now.record.po_number, now.raw["colour"]) == ("ours", "P1", "green")
    assert c.books.received[-1].request.changes == {"memo": "ours"}


def test_texts_are_cut_and_dropped_as_represent_says():
    fields = {
        **PROFILES["idempotency_key"].capabilities.fields,
        Entity.INVOICE: frozenset({"number", "memo", "customer", "total"}),
    }
    c = opened(rules={"number_limit": 4, "memo_limit": 3}, fields=fields)
    wanted = invoice(number="123456", memo="ab cdef", po_number="P1", disputed=True)
    shown = c.represent(wanted)
    assert (shown.number, shown.memo, shown.po_number, shown.disputed) == ("1234", "ab", None, False)
    assert c.represent(shown) == shown
    held = c.get(Entity.INVOICE, c.create(wanted, key="k", marker="m").id).record
    assert (held.number, held.memo, held.po_number, held.marker) == ("1234", "ab", None, "m")


def test_the_marker_is_in_the_native_note_and_nowhere_in_the_memo():
    c = opened()
    c.create(invoice(memo="for March"), key="k", marker="m1")
    seen = c.get(Entity.INVOICE, "INV-1")
    assert seen.raw["note"] == "for March\n[tieout m1]"
    assert (seen.record.memo, seen.record.marker) == ("for March", "m1")


def test_the_server_may_compute_tax_itself():
    c = opened(rules={"tax_rate": D("0.0825")})
    written = c.create(invoice(subtotal=D("100.00"), tax=D("8.00"), total=D("108.00")), key="k", marker="m")
    held = c.get(Entity.INVOICE, written.id).record
    assert (held.tax, held.total) == (D("8.25"), D("108.25"))


def test_the_server_may_apply_credits_by_itself():
    c = opened(rules={"auto_apply_credits": True})
    c.books.put(credit("30.00"))
    c.books.put(payment("100.00"))
    c.create(invoice("100.00"), key="k", marker="m")
    assert c.get(Entity.INVOICE, "INV-1").record.reported_open == 0
    assert c.get(Entity.PAYMENT, "PAY-1").record.reported_unapplied == D("30.00")
    assert {e.by for e in c.books.log[-2:]} == {"server"}


def test_delta_sees_every_change_of_its_second_and_tombstones():
    clock = ManualClock(datetime(2026, 2, 2, 9, 0, 0, 300000, tzinfo=UTC))
    c = opened(clock=clock)
    c.books.put(invoice())
    pull = c.pull(Entity.INVOICE)
    first = [o.id for o in pull]
    assert (first, pull.full, pull.complete) == (["INV-1"], True, True)
    c.books.put(invoice())  # in the very second of the cursor
    clock.tick(60)
    c.books.delete(Entity.INVOICE, "INV-1")
    delta = c.pull(Entity.INVOICE, pull.cursor)
    seen = {o.id: o.existence for o in delta}
    assert seen == {"INV-1": Existence.DELETED, "INV-2": Existence.LIVE}
    assert not delta.full
    clock.tick(60)
    later = c.pull(Entity.INVOICE, delta.cursor)
    assert [o.id for o in later] == ["INV-1"]  # deleted in the second of that cursor: seen again, not missed
    assert list(c.pull(Entity.INVOICE, later.cursor)) == []
    clock.tick(31 * 86400)
    assert c.pull(Entity.INVOICE, delta.cursor).full


def test_voids_keep_the_number_and_happen_once():
    c = opened()
    c.books.put(invoice(number="7"))
    c.void(c.get(Entity.INVOICE, "INV-1"), key="v1")
    c.void(c.get(Entity.INVOICE, "INV-1"), key="v2")
    held = c.get(Entity.INVOICE, "INV-1").record
    assert (held.number, held.state, held.voided_on) == ("7", PostingState.VOIDED, date(2026, 2, 2))
    assert [e.op for e in c.books.log].count("void") == 1
    r = opened(rules={"void_applied": "reject"})
    r.books.put(invoice())
    r.books.put(payment("40.00", applied("INV-1", "40.00")))
    with pytest.raises(Rejected):
        r.void(r.get(Entity.INVOICE, "INV-1"), key="v")


def test_a_file_is_pending_until_it_was_loaded():
    c = opened("file")
    assert c.create(invoice(), key="k", marker="m").pending
    c.create(invoice(customer="CUS-9"), key="k2", marker="m2")
    assert c.books.all(Entity.INVOICE) == []
    (path,) = c.flush(run="r1")
    assert c.flush(run="r1") == []
    assert c.books.all(Entity.INVOICE) == []
    refused = c.books.import_outbox()
    assert [(q.marker, type(e)) for q, e in refused] == [("m2", Rejected)]
    assert [r.marker for r in c.books.all(Entity.INVOICE)] == ["m"]
    assert c.books.import_outbox() == [] and list(c.books.outbox) == [path]
    with pytest.raises(ReadOnlyError):
        c.get(Entity.INVOICE, "INV-1")


def test_read_only_and_wrong_books():
    c = open_memory("b", settings={"read_only": True})
    with pytest.raises(ReadOnlyError):
        c.create(customer(), key="k", marker="m")
    assert c.books.received == []
    c = open_memory("b", settings={"company": "ACME", "books": opened().books})
    with pytest.raises(AuthError):
        c.company()
    c = open_memory("b", settings={"books": opened().books}, secrets={"token": "hunter2-canary"})
    with pytest.raises(AuthError) as error:
        list(c.pull(Entity.INVOICE))
    assert "canary" not in repr(c) + str(error.value)


# --- faults


@pytest.mark.parametrize(
    ("kind", "error", "effects_now", "effects_later"),
    [
        (FaultKind.NOT_SENT, NotSent, 0, 0),
        (FaultKind.LOSE_REQUEST, UnknownOutcome, 0, 0),
        (FaultKind.LOSE_RESPONSE, UnknownOutcome, 1, 1),
        (FaultKind.LATE, UnknownOutcome, 0, 1),
        (FaultKind.THROTTLE, NotProcessed, 0, 0),
        (FaultKind.SIGNED_OUT, NotProcessed, 0, 0),
        (FaultKind.CRASH_BEFORE, SimulatedCrash, 0, 0),
        (FaultKind.CRASH_AFTER, SimulatedCrash, 1, 1),
    ],
)
def test_write_faults(kind, error, effects_now, effects_later):
    c = opened()
    c.faults.arm(Fault(kind, nth=2, seconds=30))
    c.create(invoice(), key="k0", marker="m0")
    with pytest.raises(error):
        c.create(invoice(), key="k1", marker="m1")
    assert len(c.search(Entity.INVOICE, marker="m1")) == effects_now
    c.books.tick(29)
    assert len(c.search(Entity.INVOICE, marker="m1")) == effects_now
    c.books.tick(1)
    assert len(c.search(Entity.INVOICE, marker="m1")) == effects_later
    assert c.faults.armed == [] and len(c.faults.struck) == 1
    c.create(invoice(), key="k1", marker="m1")
    assert len(c.search(Entity.INVOICE, marker="m1")) == 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.LOSE_REQUEST, RetriableError),
        (FaultKind.THROTTLE, RetriableError),
        (FaultKind.SIGNED_OUT, SignInRequired),
        (FaultKind.CRASH_BEFORE, SimulatedCrash),
        (FaultKind.CRASH_AFTER, SimulatedCrash),
        (FaultKind.TRUNCATE, RetriableError),
    ],
)
@pytest.mark.parametrize("records", [0, 3])
def test_read_faults_raise(kind, error, records):
    c = opened()
    for _ in range(records):
        c.books.put(invoice())
    c.faults.arm(Fault(kind, op="pull", entity=Entity.INVOICE))
    assert list(c.pull(Entity.CUSTOMER))
    with pytest.raises(error):
        list(c.pull(Entity.INVOICE))
    assert len(list(c.pull(Entity.INVOICE))) == records


def test_read_faults_that_lie():
    c = opened()
    for _ in range(3):
        c.books.put(invoice())
    c.books.edit(Entity.INVOICE, "INV-3", memo="new")
    for kind in (FaultKind.EMPTY, FaultKind.BAD_RECORD, FaultKind.TOMBSTONE_LIE, FaultKind.STALE_LIST):
        c.faults.arm(
            Fault(kind, op="pull", id="INV-2" if kind in (FaultKind.BAD_RECORD, FaultKind.TOMBSTONE_LIE) else "")
        )
    empty = c.pull(Entity.INVOICE)
    assert list(empty) == [] and not empty.complete
    bad = list(c.pull(Entity.INVOICE))
    assert [isinstance(o.record, RecordError) for o in bad] == [False, True, False]
    assert bad[1].record.ref == "INV-2"
    lie = list(c.pull(Entity.INVOICE))
    assert [o.existence for o in lie] == [Existence.LIVE, Existence.DELETED, Existence.LIVE]
    assert c.get(Entity.INVOICE, "INV-2").existence is Existence.LIVE
    stale = list(c.pull(Entity.INVOICE))
    assert (stale[2].version, stale[2].record.memo) == ("0", None)
    assert c.get(Entity.INVOICE, "INV-3").record.memo == "new"
    assert [o.version for o in c.pull(Entity.INVOICE)] == ["0", "0", "1"]


def test_an_unreadable_record_is_neither_gone_nor_writable():
    c = opened()
    c.books.put(invoice())
    c.books.corrupt(Entity.INVOICE, "INV-1")
    (seen,) = c.pull(Entity.INVOICE)
    assert isinstance(seen.record, RecordError) and seen.existence is Existence.LIVE
    with pytest.raises(NotSent):
        c.update(invoice(), before=seen, key="k")
    c.books.edit(Entity.INVOICE, "INV-1", memo="mended")
    assert not isinstance(c.get(Entity.INVOICE, "INV-1").record, RecordError)


def test_search_lags_and_looks_for_likenesses():
    c = opened(rules={"search_lag": 60})
    c.create(invoice("12.00"), key="k", marker="m")
    assert c.search(Entity.INVOICE, marker="m") == []
    c.books.tick(60)
    assert [o.id for o in c.search(Entity.INVOICE, marker="m")] == ["INV-1"]
    near = invoice("12.00", issued=date(2026, 1, 6), posted=date(2026, 1, 6))
    assert [o.id for o in c.search(Entity.INVOICE, like=near)] == ["INV-1"]
    assert c.search(Entity.INVOICE, like=near.model_copy(update={"issued": date(2026, 1, 7)})) == []
    assert c.search(Entity.INVOICE, like=invoice("12.01")) == []


def test_merged_customers():
    b = opened().books
    b.put(customer("Bob"))
    b.put(invoice(customer="CUS-2"))
    b.merge("CUS-2", "CUS-1")
    assert b.get(Entity.INVOICE, "INV-1").customer == "CUS-1"
    assert b.stored(Entity.CUSTOMER, "CUS-2").existence is Existence.DELETED


def test_operations_outside_the_capabilities_are_not_sent():
    c = opened(writes={Entity.INVOICE: frozenset({Op.CREATE})})
    c.create(invoice(), key="k", marker="m")
    with pytest.raises(ReadOnlyError):
        c.void(c.get(Entity.INVOICE, "INV-1"), key="v")
    assert len(c.books.received) == 1
    with pytest.raises(ReadOnlyError):
        MemoryConnector("b", c.books, capabilities=replace(c.capabilities, reads=frozenset())).pull(Entity.INVOICE)


# --- laws


_ACTS = st.lists(
    st.tuples(
        st.sampled_from(("invoice", "credit", "payment", "write_off", "apply", "unapply", "use_credit", "void", "delete", "edit", "create", "tick")),
        st.integers(0, 7),
        st.integers(1, 20000),
    ),
    min_size=8,
    max_size=30,
)  # fmt: skip


def _act(c, kind, n, cents):
    b, amount = c.books, D(cents) / 100
    ids = {e: [r.ref.id for r in b.all(e)] for e in Entity}
    of = lambda e: ids[e][n % len(ids[e])]  # noqa: E731
    match kind:
        case "invoice":
            b.put(invoice(str(amount)))
        case "credit":
            b.put(credit(str(amount)))
        case "payment":
            b.put(payment(str(amount)))
        case "write_off" if ids[Entity.INVOICE]:
            b.put(write_off(str(amount), of(Entity.INVOICE)))
        case "apply" if ids[Entity.INVOICE] and ids[Entity.PAYMENT]:
            part = min(b.open(Entity.INVOICE, of(Entity.INVOICE)), b.open(Entity.PAYMENT, of(Entity.PAYMENT)), amount)
            if part > 0:
                b.apply(of(Entity.PAYMENT), of(Entity.INVOICE), part)
        case "unapply" if ids[Entity.INVOICE] and ids[Entity.PAYMENT]:
            b.unapply(of(Entity.PAYMENT), of(Entity.INVOICE), on=date(2026, 2, 1) if cents % 2 else None)
        case "use_credit" if ids[Entity.CREDIT_MEMO] and ids[Entity.PAYMENT]:
            left = b.open(Entity.CREDIT_MEMO, of(Entity.CREDIT_MEMO))
            if left > 0 and not b.get(Entity.PAYMENT, of(Entity.PAYMENT)).credits:
                b.edit(
                    Entity.PAYMENT,
                    of(Entity.PAYMENT),
                    credits=(Credit(credit_memo=of(Entity.CREDIT_MEMO), amount=left),),
                )
        case "void" | "delete" | "edit":
            entity = (Entity.INVOICE, Entity.PAYMENT, Entity.CREDIT_MEMO, Entity.ADJUSTMENT)[cents % 4]
            if ids[entity] and kind == "edit" and entity is not Entity.ADJUSTMENT:
                b.edit(entity, of(entity), memo=str(cents))
            elif ids[entity] and kind != "edit":
                getattr(b, kind)(entity, of(entity))
        case "create":
            c.create(invoice(str(amount)), key=f"k{n}", marker=f"m{n}")
        case "tick":
            b.tick(cents)


@given(_ACTS)
def test_open_items_add_up_and_the_log_explains_the_books(acts):
    c = opened(rules={"auto_apply_credits": True})
    b = c.books
    for record in (invoice("500.00"), invoice("20.00"), credit("60.00"), payment("300.00")):
        b.put(record)
    versions = {}
    for act in acts:
        _act(c, *act)
        signs = {Entity.INVOICE: 1, Entity.PAYMENT: -1, Entity.CREDIT_MEMO: -1, Entity.ADJUSTMENT: -1}
        items = sum((sign * b.open(e, r.ref.id) for e, sign in signs.items() for r in b.all(e)), D(0))
        assert items == b.receivables(date.max).get("USD", D(0)) == b.balance("CUS-1")
        for e in Entity:
            for stored in b.rows(e):
                id = e, stored.record.ref.id
                assert stored.version >= versions.get(id, 0)
                versions[id] = stored.version
    for e in Entity:
        for stored in b.rows(e):
            last = [x for x in b.log if (x.entity, x.id) == (e, stored.record.ref.id)][-1]
            gone = stored.existence is Existence.DELETED
            assert (last.after is None) is gone
            assert gone or last.after.model_copy(update={"ref": NOWHERE}) == stored.record.model_copy(
                update={"ref": NOWHERE}
            )
        assert {o.id for o in c.pull(e)} == {r.ref.id for r in b.all(e)}


def test_a_late_write_lands_at_its_own_time_and_its_key_still_holds() -> None:
    """The repeat came first, hours pass before anybody looks: the late request finds its key answered, not expired."""
    clock = ManualClock()
    connector = open_books("books", "idempotency_key", clock=clock, faults=Faults(Fault(FaultKind.LATE, seconds=30)))
    connector.books.put(customer())
    with pytest.raises(UnknownOutcome):
        connector.create(invoice(), key="k", marker="T1")
    clock.tick(1)
    made = connector.create(invoice(), key="k", marker="T1")
    clock.tick(90_000)
    connector.get(Entity.INVOICE, made.id)
    assert len(connector.books.all(Entity.INVOICE)) == 1
