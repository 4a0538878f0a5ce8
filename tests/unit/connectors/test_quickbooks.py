"""The QuickBooks connector against the sandbox: what it reads, what it writes, and what is on the wire."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import count

import pytest

from tests.quickbooks_bench import bench, credit_memo, customer, invoice, line, payment
from tieout.connectors import Op
from tieout.connectors.quickbooks.wire import encode
from tieout.errors import NotFoundError, ReadOnlyError, RecordError, Rejected, StaleWrite
from tieout.model import Credit, Entity, Existence, Method, PostingState


@pytest.fixture
def qb(tmp_path):
    with bench(tmp_path, auto_apply_credit=False) as held:
        yield held


@pytest.fixture
def connector(qb):
    held = qb.open()
    yield held
    held.close()


_numbers = count(1)


def made(connector, record):
    n = next(_numbers)
    written = connector.create(record, key=f"key{n:04}", marker=f"m{n:04}")
    return connector.get(record.entity, written.id)


def facts(connector, record):
    return {f: getattr(record, f) for f in connector.capabilities.fields[record.entity]}


def alike(connector, observed, wanted, *skip):
    """The observed record holds what was asked for, in every declared field but those QuickBooks fills in."""
    wanted = facts(connector, connector.represent(wanted))
    got = facts(connector, observed.record)
    for name in skip:
        wanted.pop(name), got.pop(name)
    assert got == wanted


def test_the_company_and_its_closed_books(qb, connector):
    company = connector.company()
    assert (company.id, company.home_currency, company.closed) == (qb.live.realm, "USD", ())
    prefs = qb.books.find("Preferences", "1")
    closing = {"Id": "1", "SyncToken": prefs["SyncToken"], "sparse": True}
    closing["AccountingInfoPrefs"] = {**prefs["AccountingInfoPrefs"], "BookCloseDate": "2025-12-31"}
    qb.books.apply("Preferences", "update", closing)
    assert connector.company().closed_through() == date(2025, 12, 31)


@pytest.mark.parametrize("entity", [Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT])
def test_every_record_of_the_books_is_read_once(qb, connector, entity):
    pull = connector.pull(entity)
    seen = list(pull)
    native = {"customer": "Customer", "invoice": "Invoice", "credit_memo": "CreditMemo", "payment": "Payment"}[entity]
    assert sorted(o.id for o in seen) == sorted(r["Id"] for r in qb.books.all(native))
    assert len(seen) > 0
    assert pull.complete
    assert pull.full
    assert pull.cursor
    for o in seen:
        assert not isinstance(o.record, RecordError), o.record
        assert connector.get(entity, o.id).record == o.record


def test_a_customer_is_created_changed_and_deactivated(connector):
    wanted = customer("O'Brien: Söhne & Co", number="C-17")
    seen = made(connector, wanted)
    alike(connector, seen, wanted)
    assert seen.record.name == "O'Brien- Söhne & Co"
    assert seen.record.marker
    renamed = seen.record.model_copy(update={"name": "O'Brien & Co", "email": None, "active": False})
    connector.update(renamed, before=seen, key="u1")
    after = connector.get(Entity.CUSTOMER, seen.id)
    alike(connector, after, renamed)
    assert after.existence is Existence.INACTIVE
    assert after.record.marker == seen.record.marker


def test_an_invoice_with_discount_tax_and_text(connector):
    who = made(connector, customer()).id
    wanted = invoice(
        who,
        lines=(
            line("100.00", quantity=Decimal(4), unit_price=Decimal(25), tax_code="2"),
            line("50.00", item="2", tax_code="NON"),
            line("0", item=None, description="Delivered by hand"),
        ),
        discount=Decimal("10.00"),
        memo="order 7",
    )
    wanted = wanted.model_copy(update={"tax": Decimal("8.00"), "total": Decimal("148.00")})
    seen = made(connector, wanted)
    alike(connector, seen, wanted)
    assert seen.record.reported_open == Decimal("148.00")
    assert seen.raw["PrivateNote"].startswith("order 7\ntieout:m")


def test_an_update_sends_what_differs_and_nothing_else(qb, connector):
    who = made(connector, customer()).id
    seen = made(connector, invoice(who, memo="first"))
    qb.books.apply(
        "Invoice",
        "update",
        {"Id": seen.id, "SyncToken": seen.version, "sparse": True, "CustomerMemo": {"value": "theirs"}},
    )
    seen = connector.get(Entity.INVOICE, seen.id)
    before = dict(qb.books.find("Invoice", seen.id))
    qb.time.sleep(5)
    connector.update(seen.record.model_copy(update={"memo": "second"}), before=seen, key="u2")
    after = dict(qb.books.find("Invoice", seen.id))
    moved = {k for k in before | after if before.get(k) != after.get(k)}
    assert moved == {"PrivateNote", "SyncToken", "MetaData"}
    assert connector.get(Entity.INVOICE, seen.id).record.memo == "second"


def test_an_update_without_a_difference_sends_nothing(qb, connector):
    who = made(connector, customer()).id
    seen = made(connector, invoice(who))
    sent = connector.requests
    connector.update(seen.record, before=seen, key="u3")
    assert connector.requests == sent


def test_an_update_of_an_old_version_is_refused(qb, connector):
    who = made(connector, customer()).id
    seen = made(connector, invoice(who))
    connector.update(seen.record.model_copy(update={"memo": "a"}), before=seen, key="u4")
    with pytest.raises(StaleWrite) as caught:
        connector.update(seen.record.model_copy(update={"memo": "b"}), before=seen, key="u5")
    assert caught.value.request_id
    assert connector.get(Entity.INVOICE, seen.id).record.memo == "a"


def test_a_payment_is_applied_moved_and_taken_off(connector):
    who = made(connector, customer()).id
    one, two = made(connector, invoice(who, "60.00")), made(connector, invoice(who, "80.00", number="S1002"))
    wanted = payment(who, "100.00", (one.id, "60.00"), (two.id, "30.00"))
    seen = made(connector, wanted)
    alike(connector, seen, wanted, "deposit_to")
    assert seen.record.reported_unapplied == Decimal("10.00")
    assert connector.get(Entity.INVOICE, two.id).record.reported_open == Decimal("50.00")

    moved = payment(who, "100.00", (two.id, "80.00")).model_copy(update={"deposit_to": seen.record.deposit_to})
    connector.update(moved, before=seen, key="u6")
    after = connector.get(Entity.PAYMENT, seen.id)
    alike(connector, after, moved)
    assert after.record.reported_unapplied == Decimal("20.00")
    assert connector.get(Entity.INVOICE, one.id).record.reported_open == Decimal("60.00")

    off = moved.model_copy(update={"applications": ()})
    connector.update(off, before=after, key="u7")
    after = connector.get(Entity.PAYMENT, seen.id)
    assert after.record.applications == ()
    assert after.record.method is Method.CHECK
    assert after.record.marker == seen.record.marker


def test_a_credit_memo_pays_an_invoice_through_a_payment_of_zero(connector):
    who = made(connector, customer()).id
    bill, credit = made(connector, invoice(who, "60.00")), made(connector, credit_memo(who, "40.00"))
    wanted = payment(who, "0", (bill.id, "40.00")).model_copy(
        update={"credits": (Credit(credit_memo=credit.id, amount=Decimal("40.00")),)}
    )
    seen = made(connector, wanted)
    alike(connector, seen, wanted, "deposit_to")
    assert connector.get(Entity.CREDIT_MEMO, credit.id).record.reported_open == 0
    assert connector.get(Entity.INVOICE, bill.id).record.reported_open == Decimal("20.00")


def test_voids_keep_the_number_and_give_the_invoice_back(connector):
    who = made(connector, customer()).id
    bill = made(connector, invoice(who, "60.00", memo="keep me"))
    paid = made(connector, payment(who, "60.00", (bill.id, "60.00")))
    connector.void(paid, key="v1")
    gone = connector.get(Entity.PAYMENT, paid.id)
    assert (gone.record.state, gone.record.amount) == (PostingState.VOIDED, 0)
    assert gone.record.marker == paid.record.marker
    bill = connector.get(Entity.INVOICE, bill.id)
    assert bill.record.reported_open == Decimal("60.00")
    connector.void(bill, key="v2")
    gone = connector.get(Entity.INVOICE, bill.id)
    assert (gone.record.state, gone.record.total, gone.record.number) == (PostingState.VOIDED, 0, "S1001")
    assert (gone.record.memo, gone.record.marker) == ("keep me", bill.record.marker)
    assert gone.record.voided_on == gone.record.posted


def test_a_deleted_document_is_not_found_and_a_tombstone_in_the_delta(connector, qb):
    who = made(connector, customer()).id
    credit = made(connector, credit_memo(who))
    pull = connector.pull(Entity.CREDIT_MEMO)
    list(pull)
    connector.delete(credit, key="d1")
    with pytest.raises(NotFoundError):
        connector.get(Entity.CREDIT_MEMO, credit.id)
    delta = connector.pull(Entity.CREDIT_MEMO, pull.cursor)
    stones = {o.id: o for o in delta if o.existence is Existence.DELETED}
    assert stones[credit.id].record is None
    assert delta.complete
    assert not delta.full


def test_what_quickbooks_cannot_do_is_refused_before_it_is_sent(connector):
    who = made(connector, customer()).id
    credit = made(connector, credit_memo(who))
    sent = connector.requests
    with pytest.raises(ReadOnlyError):
        connector.void(credit, key="v")
    with pytest.raises(Rejected, match="names no item"):
        connector.create(invoice(who, lines=(line("5.00", item=None),)), key="k", marker="m")
    with pytest.raises(Rejected, match="finer"):
        connector.create(payment(who, "1.005"), key="k", marker="m")
    assert connector.requests == sent
    assert not connector.capabilities.can(Entity.CREDIT_MEMO, Op.VOID)


def test_a_marker_is_found_again(connector):
    who = made(connector, customer())
    bill = made(connector, invoice(who.id))
    for like in (None, invoice(who.id)):
        found = connector.search(Entity.INVOICE, marker=bill.record.marker, like=like)
        assert bill.id in [o.id for o in found]
    assert [o.id for o in connector.search(Entity.CUSTOMER, marker=who.record.marker)] == [who.id]
    assert connector.search(Entity.INVOICE, marker="nowhere") == []
    near = invoice(who.id).model_copy(update={"posted": date(2026, 1, 16)})
    assert [o.id for o in connector.search(Entity.INVOICE, like=near)] == [bill.id]
    far = invoice(who.id).model_copy(update={"posted": date(2026, 1, 17)})
    assert connector.search(Entity.INVOICE, like=far) == []


def test_the_same_key_makes_one_document(qb, connector):
    who = made(connector, customer()).id
    one = connector.create(invoice(who), key="same", marker="mm")
    two = connector.create(invoice(who), key="same", marker="mm")
    assert one.id == two.id
    assert len([r for r in qb.books.all("Invoice") if r["CustomerRef"]["value"] == who]) == 1


def test_the_control_balances_are_those_of_the_books(qb, connector):
    found = {c.report: c for c in connector.control_balances(date(2026, 2, 2))}
    account = next(a for a in qb.books.all("Account") if a["AccountType"] == "Accounts Receivable")
    assert found["Account.CurrentBalance"].amount == Decimal(str(account["CurrentBalance"]))
    assert found["AgedReceivables"].amount == found["Account.CurrentBalance"].amount
    assert found["AgedReceivables"].as_of == date(2026, 2, 2)


def test_a_payload_that_was_stored_in_between_is_written_the_same(qb, connector, monkeypatch):
    """The engine keeps payloads as JSON with amounts as text; on the wire they are numbers in their own spelling."""
    who = made(connector, customer()).id
    bills = [made(connector, invoice(who, "60.00", number=f"T{n}")) for n in range(2)]
    paid = made(connector, payment(who, "100.00", (bills[0].id, "60.00")))
    stored = replace(paid, raw=json.loads(json.dumps(paid.raw, default=str)))
    sent = []
    real = connector._wire.write

    def write(path, body, **more):
        sent.append(encode(body).decode())
        return real(path, body, **more)

    monkeypatch.setattr(connector._wire, "write", write)
    more = payment(who, "100.00", (bills[0].id, "60.00"), (bills[1].id, "40.00"))
    wanted = more.model_copy(update={"deposit_to": paid.record.deposit_to})
    connector.update(wanted, before=stored, key="s1")
    alike(connector, connector.get(Entity.PAYMENT, paid.id), wanted)
    assert '"Amount":60.00' in sent[0]
    assert '"TotalAmt":100.00' in sent[0]
    assert "LineEx" not in sent[0]
