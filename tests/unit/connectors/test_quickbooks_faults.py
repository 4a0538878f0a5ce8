"""What goes wrong between the connector and QuickBooks, and what each failure is called."""

from __future__ import annotations

import json
import logging

import pytest

from tests.quickbooks_bench import bench, customer, invoice, payment
from tieout.connectors.http import Again, Answer
from tieout.connectors.quickbooks.wire import decode, fault_of, read_error, write_error
from tieout.errors import (
    AuthError,
    DuplicateNumber,
    FatalError,
    NotFoundError,
    NotProcessed,
    NotSent,
    PeriodClosed,
    RecordError,
    RefusedError,
    Rejected,
    RetriableError,
    SignInRequired,
    StaleWrite,
    UnknownOutcome,
)
from tieout.model import Entity

TID = {"intuit_tid": "1-5f732f5f"}


def fault(code, message="", detail="", element="", status=400):
    error = {"Message": message, "Detail": detail, "code": code, "element": element}
    return Answer(status, TID, json.dumps({"Fault": {"Error": [error], "type": "ValidationFault"}}).encode())


def gateway(code, status):
    error = {"message": f"errorCode=00{code}; statusCode={status}", "detail": None, "code": code, "element": None}
    return Answer(status, {"Intuit-Tid": "1-5f732f5f"}, json.dumps({"fault": {"error": [error]}}).encode())


def xml(code, status):
    text = (
        f'<?xml version="1.0"?>\n<IntuitResponse time="2016-12-07T15:27:09.527-08:00" '
        f'xmlns="http://schema.intuit.com/finance/v3"><Fault type="SERVICE"><Error code="{code}">'
        f"<Message>message=Throttle; statusCode={status}</Message><Detail>Try again later</Detail></Error></Fault>"
        "</IntuitResponse>"
    )
    return Answer(status, TID, text.encode())


def found(answer):
    try:
        parsed = decode(answer.body)
    except ValueError:
        parsed = None
    return fault_of(answer, parsed)


PERIOD = "Account Period Closed, Cannot Update Through Services API : The account period has closed"
WRITES = [
    (fault("3001", "ThrottleExceeded", status=429), NotProcessed),
    (gateway("3001", 429), NotProcessed),
    (xml("3001", 429), NotProcessed),
    (xml("3001", 403), NotProcessed),
    (Answer(429, {}, b"<html>slow down</html>"), NotProcessed),
    (Answer(429, {}, b""), NotProcessed),
    (gateway("3200", 401), NotProcessed),
    (gateway("3100", 403), NotProcessed),
    (fault("5010", "Stale Object Error", "You and Casey were working on this"), StaleWrite),
    (fault("5010", "Stale Object Error", PERIOD), PeriodClosed),
    (fault("6200", "Account Period Closed"), PeriodClosed),
    (fault("6210", "Account Period Closed"), PeriodClosed),
    (fault("6210", "Duplicate Document Number Error"), DuplicateNumber),
    (fault("6140", "Numéro en double", "TxnType=Invoice with TxnId=17984"), DuplicateNumber),
    (fault("6240", "Duplicate Name Exists Error"), DuplicateNumber),
    (fault("610", "Object Not Found"), Rejected),
    (fault("2050", "String length", element="DocNumber"), Rejected),
    (fault("6070", "Amount calculation incorrect"), Rejected),
    (fault("6000", "A business validation error"), Rejected),
    (fault("5020", "Permission Denied Error"), Rejected),
    (fault("5020", "Permission Denied Error", status=403), Rejected),
    (gateway("5020", 403), Rejected),
    (fault("5020", "Permission Denied Error", status=500), UnknownOutcome),
    (fault("6220", "Delete Entity Has Balance Error"), Rejected),
    (fault("6250", "InvalidSalesCustomer"), Rejected),
    (fault("6430", "Invalid account type used"), Rejected),
    (fault("6440", "Transaction Detail Information Required"), Rejected),
    (fault("6450", "Attempt to Void Transaction failed"), Rejected),
    (fault("6480", "Matched Transaction Delete Error"), Rejected),
    (fault("6540", "Deposited Transaction cannot be changed"), Rejected),
    (fault("600", "Duplicate Request ID"), UnknownOutcome),
    (fault("10000", "An application error"), UnknownOutcome),
    (fault("10000", "An application error", status=500), UnknownOutcome),
    (fault("6240", "Duplicate Name Exists Error", status=500), UnknownOutcome),
    (xml("6002", 504), UnknownOutcome),
    (Answer(502, {}, b"<html><body>Bad Gateway</body></html>"), UnknownOutcome),
    (Answer(503, {}, b""), UnknownOutcome),
    (Answer(400, {}, b"<html>Bad Request</html>"), UnknownOutcome),
    (Answer(404, {}, b"not here"), UnknownOutcome),
    (Answer(302, {"Location": "https://evil.example"}, b""), UnknownOutcome),
    (fault("", "no code at all"), UnknownOutcome),
    (fault("6140", "in a good status", status=200), DuplicateNumber),
]
READS = [
    (fault("3001", status=429), Again),
    (xml("3001", 403), Again),
    (fault("10000"), Again),
    (Answer(503, {}, b"<html>"), Again),
    (Answer(500, {}, b"\xff\xfe garbage"), Again),
    (xml("6002", 504), Again),
    (fault("610", "Object Not Found"), NotFoundError),
    (Answer(404, {}, b"no such page"), FatalError),
    (fault("610", status=404), FatalError),
    (fault("4001", "Invalid query"), FatalError),
    (fault("6190", "Invalid Company Status"), RefusedError),
    (gateway("3100", 403), AuthError),
    (fault("5020", "Permission Denied Error"), AuthError),
    (gateway("5020", 403), AuthError),
]


@pytest.mark.parametrize(("answer", "kind"), WRITES, ids=[f"{k.__name__}-{n}" for n, (_, k) in enumerate(WRITES)])
def test_each_failed_write_has_its_class(answer, kind):
    error = write_error(found(answer))
    assert type(error) is kind
    if answer.headers:
        assert error.request_id in ("1-5f732f5f", "")


@pytest.mark.parametrize(("answer", "kind"), READS, ids=[f"{k.__name__}-{n}" for n, (_, k) in enumerate(READS)])
def test_each_failed_read_has_its_class(answer, kind):
    assert type(read_error(found(answer))) is kind


def test_a_good_answer_is_no_fault_and_a_bad_status_always_is():
    assert found(Answer(200, {}, b'{"Invoice":{"Id":"1"}}')) is None
    assert found(Answer(500, {}, b'{"Invoice":{"Id":"1"}}')).status == 500


def test_a_duplicate_tells_who_holds_the_number():
    assert write_error(found(WRITES[13][0])).existing_id == "17984"


def test_a_throttled_write_tells_how_long_to_wait():
    assert write_error(found(xml("3001", 429))).retry_after == 60
    told = Answer(429, {"Retry-After": "7"}, b"")
    assert write_error(found(told)).retry_after == 7


def test_numbers_are_exact_and_keep_their_spelling():
    parsed = decode(b'{"a":100.00,"b":0,"c":22.5,"d":1234567890123.123456}')
    assert {k: str(v) for k, v in parsed.items()} == {"a": "100.00", "b": "0", "c": "22.5", "d": "1234567890123.123456"}
    with pytest.raises(ValueError, match="JSON"):
        decode(b'{"a":100.0')
    with pytest.raises(ValueError, match="JSON"):
        decode(b"[" * 100_000)


# ---- on the wire


@pytest.fixture
def qb(tmp_path):
    with bench(tmp_path, auto_apply_credit=False) as held:
        yield held


@pytest.fixture
def connector(qb):
    held = qb.open()
    held.company()
    held.represent(customer())
    yield held
    held.close()


def names(qb):
    return [c["DisplayName"] for c in qb.books.all("Customer")]


@pytest.mark.parametrize(
    ("how", "kind", "stored"),
    [
        ({"kind": "drop", "when": "before"}, UnknownOutcome, False),
        ({"kind": "drop", "when": "after"}, UnknownOutcome, True),
        ({"kind": "truncate"}, UnknownOutcome, True),
        ({"kind": "answer", "when": "after", "form": "html"}, UnknownOutcome, True),
        ({"kind": "answer", "when": "after", "form": "system"}, UnknownOutcome, True),
        ({"kind": "answer", "when": "after", "form": "gateway-timeout"}, UnknownOutcome, True),
        ({"kind": "answer", "when": "after", "status": 200, "body": "<html>"}, UnknownOutcome, True),
        ({"kind": "answer", "when": "after", "status": 200, "body": "{}"}, UnknownOutcome, True),
        ({"kind": "answer", "when": "before", "form": "throttle"}, NotProcessed, False),
        ({"kind": "answer", "when": "before", "form": "forbidden"}, NotProcessed, False),
        ({"kind": "latency", "when": "after", "seconds": 1.0}, UnknownOutcome, True),
    ],
)
def test_a_write_that_goes_wrong_is_sent_once_and_named(qb, how, kind, stored):
    from tieout.connectors.http import Transport

    connector = qb.open(transport=Transport(read_seconds=0.3))
    connector.represent(customer())
    how = dict(how)
    qb.live.faults.arm(how.pop("kind"), entity="Customer", operation="write", **how)
    before = len(qb.live.faults.log)
    with pytest.raises(kind):
        connector.create(customer("Once Ltd"), key="k1", marker="m1")
    assert sum(c.entity == "Customer" for c in qb.live.faults.log[before:]) == 1
    assert (names(qb).count("Once Ltd")) == stored
    # the same key later makes one, whatever happened before
    connector.create(customer("Once Ltd"), key="k1", marker="m1")
    assert names(qb).count("Once Ltd") == 1
    connector.close()


def test_a_token_refused_at_the_gate_is_renewed_and_the_write_sent_again_with_its_key(qb, connector):
    qb.live.authority.expire_access()
    written = connector.create(customer("After renewal"), key="k2", marker="m2")
    assert connector.get(Entity.CUSTOMER, written.id).record.name == "After renewal"
    tried = [c for c in qb.live.faults.log if c.entity == "Customer" and c.operation == "write"]
    assert [c.status for c in tried] == [401, 200]
    assert {c.requestid for c in tried} == {"k2"}


def test_a_revoked_sign_in_asks_for_a_person(qb, connector):
    qb.live.authority.revoke_all()
    with pytest.raises(SignInRequired, match="signed out") as caught:
        connector.create(customer("Never"), key="k3", marker="m3")
    assert "tieout connect qbo" in str(caught.value)
    with pytest.raises(SignInRequired):
        connector.get(Entity.CUSTOMER, "1")
    assert "Never" not in names(qb)


def test_nobody_listens(qb, connector):
    settings = {**qb.settings, "api_base": "http://127.0.0.1:9"}
    lonely = qb.open(settings=settings)
    with pytest.raises(RetriableError):
        lonely.company()
    lonely._books = connector._books
    with pytest.raises(NotSent):
        lonely.create(customer(), key="k", marker="m")


def test_a_refusal_of_a_repeated_request_may_be_untrue(qb, connector):
    """Code 6000 after the first answer was lost: the document is there, so the outcome is unknown, not refused."""
    body = fault("6000", "A business validation error").body.decode()
    refuse = {"status": 400, "body": body, "content_type": "application/json", "entity": "Customer"}
    qb.live.faults.arm("answer", when="after", operation="write", **refuse)
    with pytest.raises(UnknownOutcome, match="may have been carried out"):
        connector.create(customer("Twice Ltd"), key="k4", marker="m4")
    qb.live.faults.arm("answer", when="before", operation="write", **refuse)
    with pytest.raises(Rejected):
        connector.create(customer("Never Ltd"), key="k5", marker="m5")


def test_a_name_in_use_tells_whose_it_is(connector):
    first = connector.create(customer("Twin Ltd"), key="k6", marker="m6")
    with pytest.raises(DuplicateNumber) as caught:
        connector.create(customer("twin ltd"), key="k7", marker="m7")
    assert caught.value.existing_id == first.id


def test_a_number_in_use_tells_whose_it_is(tmp_path):
    with bench(tmp_path, custom_txn_numbers=True) as qb:
        connector = qb.open()
        who = connector.create(customer(), key="k8", marker="m8").id
        first = connector.create(invoice(who), key="k9", marker="m9")
        with pytest.raises(DuplicateNumber) as caught:
            connector.create(invoice(who), key="k10", marker="m10")
        assert caught.value.existing_id == first.id
        connector.close()


@pytest.mark.parametrize("code", ["6200", "6210"])
def test_a_closed_period_is_named(tmp_path, code):
    from datetime import date

    with bench(tmp_path, seed="empty", book_close_date=date(2026, 1, 31), book_close_code=code) as qb:
        connector = qb.open()
        who = connector.create(customer(), key="k", marker="m").id
        with pytest.raises(PeriodClosed) as caught:
            connector.create(invoice(who), key="k2", marker="m2")
        assert caught.value.code == code
        connector.close()


def test_a_customer_with_a_balance_is_not_made_inactive(tmp_path):
    with bench(tmp_path, inactivate_with_balance="reject") as qb:
        connector = qb.open()
        who = connector.create(customer("Owing Ltd"), key="k11", marker="m11").id
        connector.create(invoice(who), key="k12", marker="m12")
        seen = connector.get(Entity.CUSTOMER, who)
        with pytest.raises(Rejected, match=r"6220.*settle the customer's balance") as caught:
            connector.update(seen.record.model_copy(update={"active": False}), before=seen, key="k13")
        assert caught.value.code == "6220"
        assert qb.books.find("Customer", who)["Active"] is True
        connector.close()


@pytest.mark.parametrize(("setting", "code"), [("2500", "610"), ("6250", "6250")])
def test_a_document_for_an_inactive_customer_is_refused(tmp_path, setting, code):
    with bench(tmp_path, unusable_customer=setting) as qb:
        connector = qb.open()
        who = connector.create(customer("Gone Ltd"), key="k14", marker="m14").id
        seen = connector.get(Entity.CUSTOMER, who)
        connector.update(seen.record.model_copy(update={"active": False}), before=seen, key="k15")
        for n, record in enumerate((invoice(who), payment(who, "5.00"))):
            with pytest.raises(Rejected) as caught:
                connector.create(record, key=f"k16{n}", marker=f"m16{n}")
            assert caught.value.code == code
        assert qb.books.all("Invoice") == [i for i in qb.books.all("Invoice") if i["CustomerRef"]["value"] != who]
        connector.close()


def test_a_payment_that_is_matched_in_the_bank_feed_is_not_voided(qb, connector):
    who = connector.create(customer("Matched Ltd"), key="k17", marker="m17").id
    bill = connector.create(invoice(who), key="k18", marker="m18").id
    paid = connector.create(payment(who, "5.00", (bill, "5.00")), key="k19", marker="m19").id
    qb.books.match("Payment", paid)
    seen = connector.get(Entity.PAYMENT, paid)
    with pytest.raises(Rejected, match=r"6480.*banking page"):
        connector.void(seen, key="k20")
    with pytest.raises(Rejected, match="6480"):
        connector.delete(seen, key="k21")
    assert connector.get(Entity.PAYMENT, paid).version == seen.version


def test_a_payment_that_is_paid_out_is_not_voided_and_says_what_to_do(qb, connector):
    who = connector.create(customer("Carded Ltd"), key="k26", marker="m26").id
    bill = connector.create(invoice(who), key="k27", marker="m27").id
    paid = connector.create(payment(who, "5.00", (bill, "5.00")), key="k28", marker="m28").id
    qb.books.pay_out(paid)
    seen = connector.get(Entity.PAYMENT, paid)
    with pytest.raises(Rejected, match=r"6450.*refund"):
        connector.void(seen, key="k29")
    assert connector.get(Entity.PAYMENT, paid).version == seen.version


def test_money_for_an_account_that_holds_none_is_refused_before_anything_is_booked(qb, connector):
    who = connector.create(customer("Astray Ltd"), key="k30", marker="m30").id
    astray = payment(who, "5.00").model_copy(update={"deposit_to": "1"})
    with pytest.raises(Rejected, match=r"6430.*another type of account"):
        connector.create(astray, key="k31", marker="m31")
    assert [p for p in qb.books.all("Payment") if p["CustomerRef"]["value"] == who] == []


def test_every_line_of_ours_names_its_item(tmp_path):
    with bench(tmp_path, line_without_item="6440") as qb:
        connector = qb.open()
        who = connector.create(customer("Itemised Ltd"), key="k32", marker="m32").id
        assert connector.create(invoice(who), key="k33", marker="m33").id
        connector.close()


def test_whoever_may_not_use_payments_is_told_so(tmp_path):
    with bench(tmp_path, user="no_payments") as qb:
        connector = qb.open()
        who = connector.create(customer("Limited Ltd"), key="k22", marker="m22").id
        bill = connector.create(invoice(who), key="k23", marker="m23").id
        with pytest.raises(Rejected, match=r"5020.*administrator"):
            connector.create(payment(who, "5.00", (bill, "5.00")), key="k24", marker="m24")
        with pytest.raises(AuthError, match="5020") as caught:
            list(connector.pull(Entity.PAYMENT))
        assert caught.value.exit_code == 2
        assert "administrator" in caught.value.hint
        assert len(list(connector.pull(Entity.INVOICE))) == len(qb.books.all("Invoice"))
        connector.close()


def test_whoever_may_only_look_writes_nothing(tmp_path):
    with bench(tmp_path, user="view_only") as qb:
        connector = qb.open()
        before = len(qb.books.effects)
        with pytest.raises(Rejected, match="5020"):
            connector.create(customer("Nobody Ltd"), key="k25", marker="m25")
        assert len(qb.books.effects) == before
        assert len(list(connector.pull(Entity.CUSTOMER))) == len(qb.books.all("Customer"))
        connector.close()


# ---- reads


@pytest.mark.parametrize("form", ["xml-429", "json-429", "lower-json-429", "html-503"])
@pytest.mark.parametrize("told", ["none", "60"])
def test_throttled_reads_wait_and_go_on(tmp_path, form, told):
    with bench(tmp_path, throttle_format=form, retry_after=told) as qb:
        connector = qb.open()
        qb.live.faults.arm("answer", form="throttle", path="companyinfo", times=2)
        assert connector.company().home_currency == "USD"
        waits = [s for s in qb.time.slept if s >= 1]
        assert len(waits) == 2
        if form != "html-503" or told == "60":
            assert waits == [60, 60]
        connector.close()


@pytest.mark.parametrize(
    "how",
    [
        {"kind": "drop"},
        {"kind": "truncate"},
        {"kind": "answer", "form": "html"},
        {"kind": "answer", "form": "system"},
        {"kind": "answer", "status": 200, "body": "<html>maintenance</html>"},
    ],
)
def test_reads_are_repeated_but_not_for_ever(qb, connector, how):
    how, id = dict(how), qb.books.all("Customer")[0]["Id"]
    rule = qb.live.faults.arm(how.pop("kind"), path=f"/customer/{id}$", times=2, **how)
    assert connector.get(Entity.CUSTOMER, id).id == id
    qb.live.faults.disarm(rule.id)
    before = connector.requests
    qb.live.faults.arm("answer", form="html", path=f"/customer/{id}$", times=0)
    with pytest.raises(RetriableError, match="5 attempts"):
        connector.get(Entity.CUSTOMER, id)
    assert connector.requests - before == 5


def test_errors_and_logs_carry_the_trace_id_and_no_token(qb, caplog):
    caplog.set_level(logging.DEBUG)
    connector = qb.open()
    with pytest.raises(NotFoundError, match="intuit_tid 1-"):
        connector.get(Entity.CUSTOMER, "999999")
    assert "tid 1-" in caplog.text
    for secret in (qb.live.client_secret, qb.live.refresh_token, connector._wire._token(None)):
        assert secret not in caplog.text
    connector.close()


def test_one_unreadable_record_hides_no_other(qb, connector):
    ids = [r["Id"] for r in qb.books.all("Invoice")]
    qb.books.row("Invoice", ids[0]).doc["GlobalTaxCalculation"] = "TaxInclusive"
    qb.books.stale("Invoice", ids[0])
    seen = {o.id: o.record for o in connector.pull(Entity.INVOICE)}
    bad = seen.pop(ids[0])
    assert isinstance(bad, RecordError)
    assert (bad.path, bad.value, bad.ref) == ("GlobalTaxCalculation", "TaxInclusive", ids[0])
    assert sorted(seen) == sorted(ids[1:])
    assert not any(isinstance(r, RecordError) for r in seen.values())
