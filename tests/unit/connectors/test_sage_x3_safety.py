"""The Sage X3 connector in trouble: nothing is doubled, nothing is called gone that is not, nothing is guessed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.sage_x3_bench import SERVICES, TEMPLATES, bench
from tieout.errors import (
    ConfigError,
    DuplicateNumber,
    FatalError,
    NotProcessed,
    NotSent,
    NotServedError,
    RecordError,
    Rejected,
    RetriableError,
    TieoutError,
    UnknownOutcome,
)
from tieout.model import Entity, PostingState, effects
from tieout.sandbox.sage_x3.envelope import Result, fault, rendered
from tieout.sandbox.sage_x3.faults import Fault
from tieout.testing.samples import credit_memo, invoice, line, payment

D = Decimal
TECHNICAL = dict.fromkeys(
    [
        "busy",
        "changeLanguage",
        "changeUserId",
        "flushAdx",
        "loadWebsDuration",
        "nbDistributionCycle",
        "poolDistribDuration",
        "poolEntryIdx",
        "poolExecDuration",
        "poolRequestDuration",
        "poolWaitDuration",
        "processReport",
        "processReportSize",
        "reloadWebs",
        "resumitAfterDBOpen",
        "rowInDistribStack",
        "totalDuration",
        "traceRequest",
        "traceRequestSize",
    ]
)


@pytest.fixture
def x3():
    with bench() as made:
        yield made


@pytest.fixture
def connector(x3):
    made = x3.open()
    made.company()
    return made


def told(x3, result, **where):
    """X3 answers calls of a kind with a result of this form, having done nothing."""
    x3.live.faults.arm("answer", status=200, body=result.decode(), content_type="text/xml", **where)


def brook(x3, code="C0001"):
    given = {"BPCNUM": code, "BCGCOD": "US", "BPCNAM": "Brook & Brew", "BPRNAM": ["Brook & Brew"]}
    return x3.books.save("BPC", given | {"BPCSTA": "2", "CUR": "USD", "VACBPR": "DOM", "PTE": "NET30"})[0]


def sale(x3, code="C0001", price="100", **more):
    given = {"SALFCY": "HLS01", "SIVTYP": "INV", "BPCINV": code, "INVDAT": "20260115", "CUR": "USD"}
    lines = [{"ITMREF": "SERVICE", "QTY": "1", "GROPRI": price, "VACITM1": "EXO"}]
    return x3.posted("SIH", given | {"lines": lines} | more)


def receipt(x3, bill, code="C0001", amount="100", **more):
    given = {"FCY": "HLS01", "BPR": code, "ACCDAT": "20260120", "CUR": "USD", "AMTCUR": amount, "BAN": "BANK1"}
    return x3.books.save("PAY", given | {"lines": [{"DENCOD": "ALLOC", "VCRNUM": bill, "AMTLIN": amount}]} | more)[0]


def bill(who="C0001", n=1):
    record = invoice(n, customer=who, taxed=False)
    net = line(record.total, "Consulting", tax_code="EXO").model_copy(update={"item": "SERVICE"})
    return record.model_copy(update={"lines": (net,)})


def changed(x3, table, number, **fields):
    """What is in the database, changed behind X3's back."""
    books = x3.books
    with books.lock:
        books.store.put(table, (number,), {**books.store.get(table, number), **fields})
        books.store.keep()


# ── a write ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [7, -1])
def test_an_answer_that_says_neither_done_nor_refused_leaves_the_outcome_open(x3, connector, status):
    brook(x3)
    told(x3, rendered("save", Result(status, "<RESULT/>", (), TECHNICAL)), operation="save")
    with pytest.raises(UnknownOutcome, match=f"status {status}"):
        connector.create(bill(), key="K", marker="TM1")


def test_an_answer_without_a_status_leaves_the_outcome_open(x3, connector):
    brook(x3)
    body = rendered("save", Result(0, None, (("3", "refused"),), TECHNICAL))
    told(x3, body.replace(b'<status xsi:type="xsd:int">0</status>', b""), operation="save")
    with pytest.raises(UnknownOutcome):
        connector.create(bill(), key="K", marker="TM1")


REFERRING = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:wss="http://www.adonix.com/WSS">'
    '<soapenv:Body><wss:{0}Response><{0}Return><messages><messages href="#n0"/></messages><resultXml>x</resultXml>'
    "<status>0</status><technicalInfos/></{0}Return></wss:{0}Response>{1}</soapenv:Body></soapenv:Envelope>"
)
HOSTILE = {
    "a circle": '<multiRef id="n0"><type>3</type><message href="#n0"/></multiRef>',
    "a longer circle": '<multiRef id="n0"><x href="#n1"/></multiRef><multiRef id="n1"><x href="#n0"/></multiRef>',
    "a bomb": "".join(f'<multiRef id="n{n}">{f"""<x href="#n{n + 1}"/>""" * 10}</multiRef>' for n in range(12)),
    "a chain": "".join(f'<multiRef id="n{n}"><x href="#n{n + 1}"/></multiRef>' for n in range(3000)),
    "a depth": f'<multiRef id="n0">{"<x>" * 1500}{"</x>" * 1500}</multiRef>',
}
_DECOYS = "".join(f'<x id="n{n}"/>' for n in range(13))
HOSTILE["a bomb with decoys"] = f"{HOSTILE['a bomb']}<x>{_DECOYS}</x>"
HOSTILE["a bomb with decoys in a second body"] = f"{HOSTILE['a bomb']}</soapenv:Body><soapenv:Body>{_DECOYS}"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_references_without_an_end_end_neither_the_run_nor_the_memory(x3, connector, hostile):
    brook(x3)
    told(x3, REFERRING.format("save", HOSTILE[hostile]).encode(), operation="save")
    with pytest.raises(UnknownOutcome):
        connector.create(bill(), key="K", marker="TM1")
    told(x3, REFERRING.format("read", HOSTILE[hostile]).encode(), operation="read", times=0)
    with pytest.raises(RetriableError):
        connector.get(Entity.CUSTOMER, "C0001")


def test_messages_behind_references_of_references_are_read(x3, connector):
    brook(x3)
    nested = '<multiRef id="n0"><type href="#n1"/><message>no more</message></multiRef><multiRef id="n1">3</multiRef>'
    told(x3, REFERRING.format("save", nested).encode(), operation="save")
    with pytest.raises(Rejected, match="no more"):
        connector.create(bill(), key="K", marker="TM1")


def test_an_error_of_the_program_is_no_unknown_outcome(x3, connector):
    before = len(x3.live.faults.log)
    with pytest.raises(TypeError):
        connector._wire.write("save", publicName="WSSIH", objectXml="<PARAM/>", noSuchPart="x")
    assert len(x3.live.faults.log) == before


@pytest.mark.parametrize("words", ["being MODIFIED by another", "^Record C0001"])
def test_a_refusal_that_passes_by_itself_is_tried_again_where_its_words_are_known(x3, words):
    brook(x3)
    connector = x3.open(temporary=[words])
    connector.company()
    seen = connector.get(Entity.CUSTOMER, "C0001")
    moved = seen.record.model_copy(update={"phone": "555 1"})
    x3.live.faults.arm("quirk", form="locked", operation="modify", entity="WSBPC")
    with pytest.raises(NotProcessed):
        connector.update(moved, before=seen, key="U")
    connector.update(moved, before=seen, key="U")
    assert x3.books.read("BPC", "C0001")["addresses"][0]["TEL1"] == "555 1"


def test_a_refusal_in_other_words_is_one_for_good(x3, connector):
    brook(x3)
    seen = connector.get(Entity.CUSTOMER, "C0001")
    x3.live.faults.arm("quirk", form="locked", operation="modify", entity="WSBPC")
    with pytest.raises(Rejected, match="modified by another user"):
        connector.update(seen.record.model_copy(update={"phone": "555 1"}), before=seen, key="U")


def test_a_fault_is_no_effect_where_its_words_are_known_and_else_an_unknown_outcome(x3):
    brook(x3)
    connector = x3.open(temporary=["no free entry"])
    connector.company()
    connector.pull(Entity.INVOICE)
    for text, outcome in (("No free entry in pool X", NotProcessed), ("out of memory", UnknownOutcome)):
        told(x3, fault(Fault("Server", text)), operation="save")
        with pytest.raises(outcome, match=text):
            connector.create(bill(), key="K", marker="TM1")
    assert x3.books.rows("SIH") == []


@pytest.mark.parametrize(("seconds", "least"), [(120, 390), (600, 1830)])
def test_an_unknown_outcome_is_looked_for_only_when_the_call_can_no_longer_land(x3, seconds, least):
    assert x3.open(timeout_seconds=seconds).capabilities.settle >= least


def test_a_document_that_x3_dated_otherwise_is_found_by_our_reference(x3, connector):
    brook(x3)
    written = connector.create(bill(), key="K", marker="TM1")
    changed(x3, "SINVOICE", written.id, ACCDAT=bill().posted + timedelta(days=16))
    assert [o.id for o in connector.search(Entity.INVOICE, marker="TM1", like=bill())] == [written.id]


def test_a_document_that_cannot_be_read_is_found_by_our_reference_and_not_sent_again(x3, connector):
    brook(x3)
    written = connector.create(bill(), key="K", marker="TM1")
    changed(x3, "SINVOICE", written.id, ACCDAT=None)
    [found] = connector.search(Entity.INVOICE, marker="TM1", like=bill())
    assert found.id == written.id
    assert isinstance(found.record, RecordError)
    assert connector.search(Entity.INVOICE, marker="TM2", like=bill()) == []
    x3.live.faults.arm("quirk", form="locked", operation="save")
    with pytest.raises(UnknownOutcome, match="cannot be read"):
        connector.create(bill(), key="K", marker="TM1")


def test_a_document_that_x3_does_not_show_may_be_the_one_that_is_looked_for(x3, connector):
    brook(x3)
    written = connector.create(bill(), key="K", marker="TM1")
    x3.live.faults.arm("quirk", form="locked", operation="read", contains=written.id, times=0)
    assert [o.id for o in connector.search(Entity.INVOICE, marker="TM1", like=bill())] == [written.id]


def test_a_list_without_date_and_customer_hides_nothing(x3, connector):
    brook(x3)
    written = connector.create(bill(), key="K", marker="TM1")
    shown = f'<RESULT SIZE="1"><LIN NUM="1"><FLD NAME="NUM">{written.id}</FLD></LIN></RESULT>'
    told(x3, rendered("query", Result(1, shown, (), TECHNICAL)), operation="query")
    assert len(connector.search(Entity.INVOICE, marker="TM1", like=bill())) == 1
    shown = shown.replace("</LIN>", '<FLD NAME="INVDAT">15/01/26</FLD></LIN>')
    told(x3, rendered("query", Result(1, shown, (), TECHNICAL)), operation="query")
    assert len(connector.search(Entity.INVOICE, marker="TM1", like=bill())) == 1


def test_a_second_document_that_x3_refuses_names_the_first():
    with bench(duplicate_reference="reject") as x3:
        brook(x3)
        connector = x3.open()
        written = connector.create(bill(), key="K", marker="TM1")
        with pytest.raises(DuplicateNumber) as why:
            connector.create(bill(), key="K", marker="TM1")
        assert why.value.existing_id == written.id


def memo_on(origin):
    record = credit_memo(1, customer="C0001")
    net = line(record.total, "Returned", tax_code="EXO").model_copy(update={"item": "SERVICE"})
    return record.model_copy(update={"lines": (net,), "original_invoice": origin})


@pytest.mark.parametrize("entered", ["SIH", "BIC"])
def test_what_settles_an_invoice_that_is_not_posted_is_refused_for_now(x3, entered):
    brook(x3)
    connector = x3.open(post_action=None, enter_as=entered)
    record = bill().model_copy(
        update={"lines": tuple(one.model_copy(update={"revenue_account": "706000"}) for one in bill().lines)}
    )
    draft = connector.create(record, key="K", marker="TM1").id
    paid = payment(1, customer="C0001", invoice=draft).model_copy(update={"deposit_to": "BANK1"})
    with pytest.raises(NotProcessed, match=f"has not posted {draft} yet") as why:
        connector.create(paid, key="P", marker="TM2")
    assert why.value.alone
    x3.books.action(entered, "POST", (draft,))
    connector.create(paid, key="P", marker="TM2")
    assert len(x3.books.rows("PAY")) == 1


def test_a_credit_memo_on_a_draft_is_refused_for_now_and_one_on_nothing_for_good(x3):
    brook(x3)
    connector = x3.open(post_action=None)
    draft = connector.create(bill(), key="K", marker="TM1").id
    with pytest.raises(NotProcessed, match=f"has not posted {draft} yet"):
        connector.create(memo_on(draft), key="C", marker="TM2")
    with pytest.raises(Rejected):
        connector.create(memo_on("INV-26/99999"), key="C", marker="TM2")
    x3.live.faults.arm("answer", form="no-web-services", operation="run", nth=2, times=0)
    with pytest.raises(Rejected, match="not posted"):  # what X3 has could not be read: its word stands
        connector.create(memo_on(draft), key="C", marker="TM2")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_document_that_was_entered_and_not_posted_is_posted_once(x3, connector, when):
    brook(x3)
    x3.live.faults.arm("drop", when=when, operation="actionObjectKeys")
    written = connector.create(bill(), key="K", marker="TM1")
    assert connector.get(Entity.INVOICE, written.id).record.state == ("posted" if when == "after" else "draft")
    for _ in range(2):
        connector.finish(Entity.INVOICE, written.id)
        assert connector.get(Entity.INVOICE, written.id).record.state is PostingState.POSTED
    assert len([e for e in x3.books.effects if (e.object, e.op) == ("SIH", "post")]) <= 1
    connector.finish(Entity.PAYMENT, "PAY1")
    connector.finish(Entity.INVOICE, "NO-SUCH")


# ── a read ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["message", "fault"])
def test_a_pool_that_is_not_there_is_an_error_with_a_way_out(form):
    with bench(unknown_pool=form) as x3, pytest.raises(TieoutError, match="not found") as why:
        x3.open(pool="NOPE").company()
    assert isinstance(why.value, NotServedError if form == "message" else RetriableError)
    assert "`pool`" in why.value.hint


def test_an_address_without_web_service_is_not_asked_five_times(x3):
    connector = x3.open(url=x3.live.base_url + "/elsewhere")
    with pytest.raises(NotServedError, match="HTTP 404") as why:
        connector.company()
    assert why.value.exit_code == 2
    assert len(x3.live.faults.log) == 1


@pytest.mark.parametrize("strategy", ["key_sweep", "subprogram", "export_template"])
def test_nothing_is_missing_where_everything_is_published(x3, strategy):
    assert x3.open(strategy=strategy, services=SERVICES | {"BIC": "WSBIC"}).missing() == ()


@pytest.mark.parametrize("service", ["BPC", "SIH", "BIC", "PAY", "GAS", "open_items", "changes"])
def test_a_service_that_is_not_published_is_named(x3, service):
    [told] = x3.open(services=SERVICES | {service: "ZNOPE"}).missing()
    assert told.startswith(f"services.{service}: X3 refuses ZNOPE: ")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"template": "NOPE"}, "NOPE"), ({"changed": 1}, "no time of a change"), ({"field": "XTIM"}, "XTIM")],
)
@pytest.mark.parametrize("mode", ["REALTIME", "BATCH"])
def test_a_template_that_is_not_as_configured_is_named(x3, wrong, said, mode):
    brook(x3)
    sale(x3)
    exports = TEMPLATES | {"SIH": TEMPLATES["SIH"] | wrong}
    told = x3.open(strategy="export_template", exports=exports, export_mode=mode).missing()
    if mode == "REALTIME" or "changed" not in wrong:
        [one] = told
        assert one.startswith("exports.SIH: ")
        assert said in one
    else:  # the file of a batch request is not waited for
        assert told == ()


def test_what_x3_lists_and_does_not_show_is_set_aside(x3, connector):
    brook(x3)
    shown, hidden = sale(x3), sale(x3)
    x3.live.faults.arm("quirk", form="locked", operation="read", contains=hidden, times=0)
    for entity, readable in ((Entity.INVOICE, {shown}), (Entity.CREDIT_MEMO, set())):
        pull = connector.pull(entity)
        seen = {o.id: o.record for o in pull}
        assert pull.complete
        assert {id for id, r in seen.items() if not isinstance(r, RecordError)} == readable
        assert "does not show it" in seen[hidden].reason
        assert isinstance(connector.get(entity, hidden).record, RecordError)


@pytest.mark.parametrize("entity", [Entity.INVOICE, Entity.CREDIT_MEMO])
def test_a_document_of_a_kind_that_is_not_known_is_not_gone(x3, connector, entity):
    brook(x3)
    number = sale(x3)
    changed(x3, "SINVOICE", number, SIVTYP="ZZZ", INVTYP=None)
    assert isinstance(connector.get(entity, number).record, RecordError)
    assert [type(o.record) for o in connector.pull(entity)] == [RecordError]


def test_adjustments_of_a_payment_that_cannot_be_read_are_not_gone(x3):
    brook(x3)
    connector = x3.open(attributes={"ALLOC": "application", "DISCT": "discount"})
    connector.company()
    bill_ = sale(x3)
    lines = [{"DENCOD": "ALLOC", "VCRNUM": bill_, "AMTLIN": "100"}, {"DENCOD": "DISCT", "AMTLIN": "5"}]
    number = receipt(x3, bill_, amount="95", lines=lines)
    [off] = list(connector.pull(Entity.ADJUSTMENT))
    assert (off.record.amount, off.record.document) == (D(5), bill_)
    changed(x3, "PAYMENTH", number, ACCDAT=None)
    assert isinstance(connector.get(Entity.ADJUSTMENT, off.id).record, RecordError)
    assert [type(o.record) for o in connector.pull(Entity.ADJUSTMENT)] == [RecordError]
    assert [type(o.record) for o in connector.pull(Entity.PAYMENT)] == [RecordError]


def test_a_list_that_was_left_half_way_is_not_taken_for_the_whole(x3, connector):
    brook(x3)
    sale(x3)
    memo = sale(x3, SIVTYP="CRM")
    next(iter(connector.pull(Entity.INVOICE)))
    pull = connector.pull(Entity.CREDIT_MEMO)
    assert [o.id for o in pull] == [memo]
    assert pull.complete


@pytest.mark.parametrize("strategy", ["subprogram", "export_template"])
def test_a_change_between_two_lists_of_a_run_is_in_the_next_one(x3, strategy):
    brook(x3)
    sale(x3)
    memo = sale(x3, SIVTYP="CRM")
    connector = x3.open(strategy=strategy, overlap_seconds=0)
    connector.company()
    list(connector.pull(Entity.INVOICE))
    x3.time.sleep(60)
    changed_memo = {**x3.books.existing("SIH", (memo,)), "DES": ["changed meanwhile"]}
    with x3.books.changing("user"):
        x3.books.write("SIH", "modify", (memo,), changed_memo)
    pull = connector.pull(Entity.CREDIT_MEMO)
    list(pull)
    assert pull.cursor is not None
    connector.company()
    assert [o.record.memo for o in connector.pull(Entity.CREDIT_MEMO, pull.cursor)] == ["changed meanwhile"]


@pytest.mark.parametrize("strategy", ["subprogram", "export_template"])
@pytest.mark.parametrize(
    "cursor", ["", "null", "[]", "{}", '{"tick": "1"}', '{"tick": -1}', '{"at": "2026"}', '{"at": "20990101000000"}']
)
def test_a_watermark_that_is_lost_or_none_is_a_full_read(x3, strategy, cursor):
    brook(x3)
    number = sale(x3)
    connector = x3.open(strategy=strategy)
    connector.company()
    pull = connector.pull(Entity.INVOICE, cursor)
    assert [o.id for o in pull] == [number]
    assert (pull.full, pull.complete) == (True, True)
    assert pull.cursor is not None


def test_a_counter_that_runs_backwards_is_told_with_the_way_out(x3):
    connector = x3.open(strategy="subprogram")
    connector.company()
    with pytest.raises(FatalError, match="backwards") as why:
        list(connector.pull(Entity.INVOICE, '{"tick": 99999}'))
    assert "--full" in why.value.hint


def test_connections_are_no_more_than_the_pool_is_wide(x3, connector):
    brook(x3)
    for _ in range(3):
        sale(x3)
    for n in range(5):
        connector.search(Entity.INVOICE, marker=f"TM{n}", like=bill())
        list(connector.pull(Entity.INVOICE))
    assert len(connector._wire._workers) <= x3.settings["width"] + 1


def test_a_payment_that_was_taken_back_is_voided(x3, connector):
    brook(x3)
    number = receipt(x3, sale(x3))
    x3.books.work()
    assert connector.get(Entity.PAYMENT, number).record.state is PostingState.POSTED
    x3.books.action("PAY", "CANCEL", (number,))
    record = connector.get(Entity.PAYMENT, number).record
    assert record.state is PostingState.VOIDED
    assert sum(e.amount for e in effects(record)) == 0
    [listed] = connector.pull(Entity.PAYMENT)
    assert listed.record == record


@pytest.fixture
def by_hand():
    """Credit memos are matched by people, as in most X3s."""
    with bench(credit_matching="manual") as made:
        brook(made)
        yield made


def matched(x3, *parts):
    x3.books.match("C0001", [(entry, number, D(part)) for entry, number, part in parts])
    x3.books.work()


def applied(x3, memo):
    """What the connector says that a memo was applied to, asked for alone and in a pull of everything."""
    connector = x3.open()
    connector.company()
    alone = connector.get(Entity.CREDIT_MEMO, memo).record.applications
    [listed] = [o.record.applications for o in connector.pull(Entity.CREDIT_MEMO) if o.id == memo]
    assert listed == alone
    return {a.invoice: a.amount for a in alone}


def test_a_credit_memo_that_names_no_invoice_is_applied_where_it_was_matched_with_one(by_hand):
    one, two, memo = sale(by_hand), sale(by_hand), sale(by_hand, price="60", SIVTYP="CRM")
    receipt(by_hand, two, amount="30")
    assert applied(by_hand, memo) == {}
    matched(by_hand, ("INV", one, 40), ("CRM", memo, 40))
    assert applied(by_hand, memo) == {one: D(40)}


def test_a_credit_memo_matched_with_several_invoices_is_applied_to_none_of_them(by_hand):
    one, two = sale(by_hand), sale(by_hand, price="50")
    memo = sale(by_hand, price="60", SIVTYP="CRM", SIHORINUM=one)
    receipt(by_hand, one, amount="90")
    matched(by_hand, ("INV", one, 10), ("INV", two, 50), ("CRM", memo, 60))
    assert applied(by_hand, memo) == {}


def test_what_a_payment_takes_of_a_credit_memo_is_the_payments_to_say(by_hand):
    one, memo = sale(by_hand), sale(by_hand, price="20", SIVTYP="CRM")
    lines = [{"DENCOD": "ALLOC", "VCRNUM": one, "AMTLIN": "80"}, {"DENCOD": "ALLOC", "VCRNUM": memo, "AMTLIN": "-15"}]
    number = receipt(by_hand, one, amount="65", lines=lines)
    by_hand.books.work()
    assert applied(by_hand, memo) == {}
    matched(by_hand, ("INV", one, 5), ("CRM", memo, 5))
    assert applied(by_hand, memo) == {one: D(5)}
    by_hand.live.faults.arm("quirk", form="locked", operation="read", contains=number, times=0)
    assert applied(by_hand, memo) == {}  # what it took is not known


def test_a_credit_memo_matched_with_a_journal_by_hand_is_applied_to_no_invoice(by_hand):
    memo = sale(by_hand, price="60", SIVTYP="CRM")
    entry = by_hand.books.save("GAS", {
        "TYP": "OD", "FCY": "HLS01", "ACCDAT": "20260120", "CUR": "USD",
        "lines": [{"ACC": "411000", "BPR": "C0001", "SNS": 1, "AMTCUR": "60"},
                  {"ACC": "706000", "SNS": -1, "AMTCUR": "60"}],
    })  # fmt: skip
    matched(by_hand, (entry[0], entry[1], 60), ("CRM", memo, 60))
    assert applied(by_hand, memo) == {}


def test_payments_are_not_read_without_knowing_which_were_taken_back(x3):
    with pytest.raises(ConfigError, match="STA2"):
        x3.open(cancelled=[])


def test_open_items_without_a_column_are_not_taken_for_zero(x3, connector):
    brook(x3)
    number = sale(x3)
    row = '<FLD NAME="{}">{}</FLD>'
    shown = {"TYP": "INV", "NUM": number, "DUDLIG": "1", "CUR": "USD", "SNS": "1", "AMTCUR": "100", "PAYCUR": "0"}
    grid = "".join(row.format(*pair) for pair in shown.items())
    text = (
        '<RESULT><GRP ID="GRP1"><FLD NAME="O_MORE">1</FLD></GRP>'
        f'<TAB ID="GRP2"><LIN NUM="1">{grid}</LIN></TAB></RESULT>'
    )
    x3.live.faults.arm(
        "answer", status=200, body=rendered("run", Result(1, text, (), TECHNICAL)).decode(), content_type="text/xml",
        entity="ZARDUD", times=0,
    )  # fmt: skip
    [seen] = connector.pull(Entity.INVOICE)
    assert isinstance(seen.record, RecordError)
    assert "TMPCUR" in str(seen.record)
    with pytest.raises(FatalError, match="TMPCUR"):
        connector.control_balances(x3.time().date())


def answered(x3, operation, text, **where):
    """X3 answers calls with this resultXml, for as long as it is asked."""
    told(x3, rendered(operation, Result(1, text, (), TECHNICAL)), operation=operation, times=0, **where)


def test_a_left_list_that_does_not_show_the_key_is_not_empty(x3, connector):
    """What a left list shows is set up at each site; without the key every invoice would be taken for gone."""
    brook(x3)
    sale(x3)
    answered(x3, "query", '<RESULT DIM="30" SIZE="1"><LIN NUM="1"><FLD NAME="SALFCY">HLS01</FLD></LIN></RESULT>')
    pull = connector.pull(Entity.INVOICE)
    with pytest.raises(FatalError, match="shows a line without NUM"):
        list(pull)
    assert not pull.complete
    with pytest.raises((NotSent, UnknownOutcome), match="shows a line without NUM"):
        connector.create(bill(), key="K", marker="TM1")


def test_a_list_that_repeats_the_password_as_a_number_does_not_have_it_told(x3, connector):
    shown = f'<RESULT DIM="30" SIZE="1"><LIN NUM="1"><FLD NAME="NUM">{x3.live.password}</FLD></LIN></RESULT>'
    answered(x3, "query", shown)
    answered(x3, "read", "<RESULT/>")
    with pytest.raises(FatalError, match="asked for SIH") as told_of:
        list(connector.pull(Entity.INVOICE))
    assert x3.live.password not in f"{told_of.value} {told_of.value!r}"


@pytest.mark.parametrize(
    "answer",
    {
        "nothing": "<RESULT/>",
        "no word of more": '<RESULT><TAB ID="GRP2"/></RESULT>',
        "neither yes nor no": '<RESULT><GRP ID="GRP1"><FLD NAME="O_MORE"></FLD></GRP></RESULT>',
        "an item of no document": '<RESULT><GRP ID="GRP1"><FLD NAME="O_MORE">1</FLD></GRP><TAB ID="GRP2"><LIN NUM="1">'
        '<FLD NAME="TYP">INV</FLD><FLD NAME="AMTCUR">5</FLD></LIN></TAB></RESULT>',
    }.items(),
    ids=lambda case: case[0],
)
def test_open_items_that_do_not_say_whether_they_are_all_are_not_none(x3, connector, answer):
    """Without items an invoice counts as settled."""
    brook(x3)
    sale(x3)
    answered(x3, "run", answer[1], entity="ZARDUD")
    with pytest.raises(FatalError, match="ZARDUD"):
        list(connector.pull(Entity.INVOICE))


@pytest.mark.parametrize(
    "lines",
    [
        '<LIN NUM="1"><FLD NAME="KEY">C0001</FLD><FLD NAME="GONE">1</FLD></LIN>',
        '<LIN NUM="1"><FLD NAME="OBJECT">BPC</FLD><FLD NAME="GONE">1</FLD></LIN>',
        '<LIN NUM="1"><FLD NAME="OBJECT">BPC</FLD><FLD NAME="KEY">C0001</FLD></LIN>',
    ],
)
def test_a_change_that_does_not_say_of_what_is_not_passed_over(x3, lines):
    connector = x3.open(strategy="subprogram", services=SERVICES)
    connector.company()
    brook(x3)
    pull = connector.pull(Entity.CUSTOMER)
    list(pull)
    answered(
        x3,
        "run",
        '<RESULT><GRP ID="GRP1"><FLD NAME="O_TICK">99</FLD><FLD NAME="O_MORE">1</FLD></GRP>'
        f'<TAB ID="GRP2">{lines}</TAB></RESULT>',
        entity="ZARDELTA",
    )
    delta = connector.pull(Entity.CUSTOMER, pull.cursor)
    with pytest.raises(FatalError, match="ZARDELTA"):
        list(delta)
    assert not delta.complete


@pytest.mark.parametrize("wrong", [{"mark": "X"}, {"key": 41}, {"changed": 41}])
def test_a_template_that_is_set_up_wrongly_does_not_hide_what_changed(x3, wrong):
    """A record of another indicator was passed over, and one without a key was nobody's."""
    brook(x3)
    good = x3.open(strategy="export_template")
    good.company()
    pull = good.pull(Entity.CUSTOMER)
    list(pull)
    x3.time.sleep(3600)
    brook(x3, "C0002")
    connector = x3.open(strategy="export_template", exports=TEMPLATES | {"BPC": TEMPLATES["BPC"] | wrong})
    connector.company()
    delta = connector.pull(Entity.CUSTOMER, pull.cursor)
    with pytest.raises(FatalError, match=TEMPLATES["BPC"]["template"]):
        list(delta)
    assert not delta.complete


def test_a_template_whose_place_of_the_key_is_empty_names_it(x3):
    """Everything it shows would be nobody's."""
    brook(x3)
    connector = x3.open(strategy="export_template")
    connector.company()
    pull = connector.pull(Entity.CUSTOMER)
    list(pull)
    values = [TEMPLATES["BPC"]["mark"]] + [""] * 60
    values[TEMPLATES["BPC"]["changed"]] = "20260202090000"
    text = "|".join(";".join(f'"{v}"' for v in values[:61]) for _ in range(2)) + "|END|"
    answered(
        x3,
        "run",
        f'<RESULT><GRP ID="GRP3"><FLD NAME="O_FILE">{text}</FLD></GRP></RESULT>',
        contains=TEMPLATES["BPC"]["template"],
    )
    delta = connector.pull(Entity.CUSTOMER, pull.cursor)
    with pytest.raises(FatalError, match="no key in place"):
        list(delta)


# ── several companies in one folder ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def shared(x3):
    """Documents of three sites and two companies; the customer is everybody's."""
    brook(x3)
    numbers = {}
    for site, currency in (("HLS01", "USD"), ("HLS02", "USD"), ("TWN01", "GBP")):
        numbers[site] = sale(x3, SALFCY=site, CUR=currency)
        receipt(x3, numbers[site], FCY=site, CUR=currency, amount="40")
    return numbers


def test_documents_belong_to_a_site_and_customers_to_all(x3, shared):
    for sites, home in ((["HLS01"], "USD"), (["HLS01", "HLS02"], "USD"), (["TWN01"], "GBP")):
        connector = x3.open(site=sites[0], sites=sites, currency=home)
        assert connector.company().entity_codes == tuple(sites)
        assert {o.id for o in connector.pull(Entity.INVOICE)} == {shared[s] for s in sites}
        payments = [o.record for o in connector.pull(Entity.PAYMENT)]
        assert sorted(p.entity_code for p in payments) == sites
        assert [o.id for o in connector.pull(Entity.CUSTOMER)] == ["C0001"]
        [balance] = connector.control_balances(x3.time().date())
        assert (balance.amount, balance.currency) == (D(60) * len(sites), home)


def test_a_document_of_another_company_is_neither_ours_nor_gone(x3, connector, shared):
    seen = connector.get(Entity.INVOICE, shared["TWN01"])
    assert isinstance(seen.record, RecordError)
    assert seen.record.value == "TWN01"


def test_a_folder_of_two_companies_needs_its_sites_named(x3, shared):
    connector = x3.open(site="", sites=[])
    connector.company()
    with pytest.raises(ConfigError, match="HLS, TWN"):
        connector.control_balances(x3.time().date())
    with pytest.raises(ConfigError, match="HLS, TWN"):
        list(connector.pull(Entity.INVOICE))


def test_a_document_of_an_entity_that_is_no_site_of_ours_is_not_sent(x3, connector):
    brook(x3)
    with pytest.raises(Rejected, match="TWN01 is none of the sites"):
        connector.create(bill().model_copy(update={"entity_code": "TWN01"}), key="K", marker="TM1")
    assert x3.books.rows("SIH") == []


def test_a_document_goes_to_the_site_of_its_entity(x3):
    brook(x3)
    connector = x3.open(sites=["HLS02"])
    written = connector.create(bill().model_copy(update={"entity_code": "HLS02"}), key="K", marker="TM1")
    assert x3.books.read("SIH", written.id)["SALFCY"] == "HLS02"
    assert connector.get(Entity.INVOICE, written.id).record.entity_code == "HLS02"


# ── the licence's volume ─────────────────────────────────────────────────────────────────────────────────────────


def counted(connector):
    """Bytes that a look at the customer sends and gets."""
    volume = connector._wire.volume
    sent, received = volume.sent, volume.received
    connector.get(Entity.CUSTOMER, "C0001")
    return volume.sent - sent, volume.received - received


def test_every_byte_that_went_over_the_line_is_counted(x3, connector):
    brook(x3)
    sent, received = counted(connector)
    assert sent > len("<Envelope/>")
    assert received > sent
    x3.live.faults.arm("drop", when="after", operation="read")
    assert counted(connector)[0] == 2 * sent


def test_what_never_left_is_not_counted(x3):
    connector = x3.open(url="http://127.0.0.1:1/x3")
    with pytest.raises(RetriableError):
        connector.company()
    assert (connector._wire.volume.sent, connector._wire.volume.received) == (0, 0)


def test_a_currency_that_is_not_the_companys_is_named_once_for_the_connection(x3):
    """Every document says it: nothing of them is kept, and the check says the same."""
    brook(x3)
    sale(x3)
    connector = x3.open(currency="EUR")
    said = "X3 keeps the company of these documents in USD (CPYCUR), `currency` of the connection says EUR"
    assert connector.missing() == (said,)
    with pytest.raises(ConfigError) as why:
        list(connector.pull(Entity.INVOICE))
    assert why.value.message == f"x3: {said}"
    assert 'set currency = "USD" in [connection.x3]' in why.value.hint


def test_a_document_of_another_company_of_the_folder_is_named_and_stops_no_other(x3):
    brook(x3)
    sale(x3)
    sale(x3, SALFCY="TWN01")
    connector = x3.open(site="", sites=[], services={kind: SERVICES[kind] for kind in ("BPC", "SIH")})
    here, there = sorted(connector.pull(Entity.INVOICE), key=lambda o: isinstance(o.record, RecordError))
    assert here.record.total == Decimal(100)
    assert (there.record.path, there.record.value) == ("CPYCUR", "GBP")
