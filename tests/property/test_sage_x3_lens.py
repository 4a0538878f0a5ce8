"""The lens laws of the Sage X3 mapping, over generated objects and canonical records."""

from __future__ import annotations

import dataclasses
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.mapping import sage_x3 as x3
from tieout.mapping.sage_x3.native import CREDITS, joined, wrapped
from tieout.model import (
    Application,
    Credit,
    CreditMemo,
    Customer,
    Entity,
    Invoice,
    Line,
    Method,
    Payment,
    PostingState,
    Ref,
)

D = Decimal
ATTRIBUTES = {"ALLOC": "application", "ADVAN": "unapplied", "DISCT": "discount", "CHARG": "deduction"}
BOOKS = x3.Books(
    "x3", "EUR", site="HLS01", category="DOMC", tax_rule="DOM", terms="NET30", invoice_type="INV", credit_type="CRM",
    attributes=ATTRIBUTES, applied_as="ALLOC", bank="BANK1", cancelled=frozenset({"5"}),
)  # fmt: skip
LEDGER = x3.Books(
    **{n: getattr(BOOKS, n) for n in x3.Books.__slots__}
    | {"ledger_invoices": True, "due_term": "CASH", "revenue_accounts": {"SERVICE": "706100"}}
)
BOTH = pytest.mark.parametrize("books", [BOOKS, LEDGER], ids=["items", "accounts"])

texts = st.text(
    alphabet=st.one_of(st.characters(codec="utf-8", exclude_categories=("Cs",)), st.sampled_from(" \t\n:'é\u0301漢-")),
    max_size=60,
)
days = st.dates(date(2000, 1, 1), date(2099, 12, 31))
cents = st.integers(0, 10**9).map(lambda n: D(n).scaleb(-2))
positive = st.integers(1, 10**8).map(lambda n: D(n).scaleb(-2))
signed = st.integers(-(10**7), 10**7).map(lambda n: D(n).scaleb(-2))
codes = st.from_regex(r"[A-Z]{1,5}", fullmatch=True)
numbers = st.from_regex(r"[A-Z]{3}-2[0-9]/[0-9]{5}", fullmatch=True)
foreign = st.dictionaries(st.sampled_from(["ZCUR", "STOMVTFLG", "CCE1", "YOWN", "XSPEC"]), texts, max_size=4)


def maybe(strategy):
    return st.one_of(st.none(), strategy)


def printed(value):
    told = f"{value:f}"
    return told.rstrip("0").rstrip(".") if "." in told else told


def compact(fields):
    return {k: v for k, v in fields.items() if v is not None}


# ---- native objects ------------------------------------------------------------------------------------------------


@st.composite
def customers(draw):
    fields = {
        **draw(foreign),
        "BPCNUM": draw(codes),
        "BPCNAM": "A name",
        "BPRNAM": draw(maybe(st.lists(texts, max_size=2))),
        "BPCSTA": draw(st.sampled_from("12")),
        "CUR": "EUR",
        "PTE": draw(maybe(st.just("NET60"))),
        "EECNUM": draw(maybe(st.just("FR12345678901"))),
        "BPCREM": draw(maybe(st.one_of(texts, st.just("call first tieout:TABC")))),
        "WW_MODSTAMP": "20260101120000",
    }
    addresses = draw(
        st.lists(
            st.fixed_dictionaries(
                {"CODADR": codes, "BPAADDFLG": st.sampled_from("12"), "TEL1": texts, "WEB1": texts, "CTY": texts}
            ),
            max_size=3,
        )
    )
    return {"object": "BPC", "fields": compact(fields), "grids": [addresses, [{"YGRID": "kept"}]]}


@st.composite
def documents(draw):
    sales = draw(st.booleans())
    lines = draw(st.lists(st.tuples(codes, positive, texts, cents), min_size=1, max_size=4))
    net, tax = sum((n for _, n, _, _ in lines), D(0)), sum((t for *_, t in lines), D(0))
    category = draw(st.sampled_from("1234"))
    common = {
        **draw(foreign),
        "NUM": draw(numbers),
        "SIVTYP": "INV",
        "INVTYP": category,
        "CUR": "EUR",
        "CPYCUR": "EUR",
        "STA": draw(st.sampled_from("123")),
        "DES": draw(st.lists(texts, max_size=5)),
        "PTE": "NET30",
        "WW_MODSTAMP": "20260102030405",
    }
    day, mark = (
        f"{draw(days):%Y%m%d}",
        draw(maybe(st.sampled_from(["TABCDEFGHIJKL", "PO 4711", "L-1 ~TABCDEFGHIJKL", ""]))),
    )
    if sales:
        fields = common | {"BPCINV": "C1", "SALFCY": "S", "INVDAT": day, "INVREF": mark}
        fields |= {
            "INVNOT": printed(net),
            "INVATI": printed(net + tax),
            "SIHCFMFLG": draw(maybe(st.sampled_from("12"))),
        }
        grid = [
            {"ITMREF": c, "ITMDES": d, "QTY": "1", "NETPRI": printed(n), "AMTNOTLIN": printed(n),
             "AMTATILIN": printed(n + t), "VACITM1": "NOR"} for c, n, d, t in lines
        ]  # fmt: skip
        taxes = [{"XVTAX": "NOR", "XVRAT": "20", "XVNOT": printed(net), "XVAMT": printed(tax)}]
    else:
        fields = common | {"BPR": "C1", "FCY": "S", "ACCDAT": day, "BPRDAT": draw(maybe(st.just("20260101")))}
        fields |= {"BPRVCR": mark, "AMTNOT": printed(net), "AMTATI": printed(net + tax)}
        grid = [
            {"ACC": c, "DES": d, "AMTNOTLIN": printed(n), "VAT": "NOR", "AMTVAT": printed(t)} for c, n, d, t in lines
        ]
        taxes = [{"TAX": "NOR", "RATTAX": "20", "BASTAX": printed(net), "AMTTAX": printed(tax)}]
    native = {"object": "SIH" if sales else "BIC", "fields": compact(fields), "grids": [[{"Y": "1"}], grid, taxes]}
    if draw(st.booleans()):
        due = f"{draw(days):%Y%m%d}"
        native["open_items"] = [{"DUDDAT": due, "AMTCUR": printed(net + tax), "PAYCUR": "0", "TMPCUR": "0"}]
    return native


@st.composite
def payments(draw):
    invoices = draw(st.lists(numbers, unique=True, max_size=3))
    parts = {i: draw(positive) for i in invoices}
    off = draw(st.booleans()) and len(parts) == 1
    discount = min(parts.values()) / 2 if off else D(0)
    discount = discount.quantize(D("0.01"))
    memo = draw(maybe(st.tuples(st.just("CRM-26/00009"), positive)))
    lines = [{"DENCOD": "ALLOC", "VCRNUM": i, "AMTLIN": printed(a)} for i, a in parts.items()]
    if discount:
        lines.append({"DENCOD": "DISCT", "AMTLIN": printed(discount)})
    if memo:
        lines.append({"DENCOD": "ALLOC", "VCRNUM": memo[0], "AMTLIN": printed(-memo[1])})
    extra = draw(cents)
    if extra:
        lines.append({"DENCOD": "ADVAN", "AMTLIN": printed(extra)})
    amount = max(sum(parts.values(), D(0)) - discount - (memo[1] if memo else 0), D(0)) + extra
    fields = {
        **draw(foreign),
        "NUM": draw(codes),
        "BPR": "C1",
        "FCY": "S",
        "ACCDAT": f"{draw(days):%Y%m%d}",
        "CUR": "EUR",
        "CPYCUR": "EUR",
        "AMTCUR": printed(amount),
        "RSTIMPUT": printed(extra),
        "REF": draw(maybe(st.just("TABCDEFGHIJKL"))),
        "CHQNUM": draw(maybe(texts)),
        "DES": draw(maybe(texts)),
        "BAN": draw(maybe(st.just("BANK1"))),
        "STA2": draw(st.sampled_from("145")),
    }
    return {"object": "PAY", "fields": compact(fields), "grids": [lines]}


def entity_of(native):
    if native["object"] in ("SIH", "BIC"):
        return Entity.CREDIT_MEMO if native["fields"]["INVTYP"] in CREDITS else Entity.INVOICE
    return {"BPC": Entity.CUSTOMER, "PAY": Entity.PAYMENT}[native["object"]]


natives = st.one_of(customers(), documents(), payments())

# ---- canonical records ---------------------------------------------------------------------------------------------

REF = Ref(connection="other", id="9", number=None, version=None)


@st.composite
def records(draw):
    kind = draw(st.sampled_from([Customer, Invoice, CreditMemo, Payment]))
    if kind is Customer:
        return Customer(
            ref=REF, name=draw(texts) or "n", number=None, email=draw(maybe(texts)), phone=draw(maybe(texts)),
            billing_address=None, currency=draw(maybe(st.just("EUR"))), terms=draw(maybe(codes)),
            tax_id=draw(maybe(texts)), parent=None, active=draw(st.booleans()), reported_balance=None, marker="TABC",
        )  # fmt: skip
    posted = draw(days)
    if kind is Payment:
        parts = draw(st.lists(st.tuples(numbers, positive), unique_by=lambda p: p[0], max_size=3))
        return Payment(
            ref=REF, customer="C1", payer=None, entity_code=None, ar_account=None, reference=draw(maybe(texts)),
            received=draw(days), posted=posted, method=draw(st.sampled_from(Method)),
            amount=sum((a for _, a in parts), draw(positive)), currency="EUR", exchange_rate=None,
            applications=tuple(
                Application(invoice=i, amount=a, amount_invoice=a, applied_on=posted) for i, a in parts
            ),
            credits=draw(st.sampled_from([(), (Credit(credit_memo="CRM-26/00001", amount=D(5)),)])),
            reported_unapplied=None, deposit_to=draw(maybe(codes)), memo=draw(maybe(texts)),
            state=PostingState.POSTED, voided_on=None, marker="TABC",
        )  # fmt: skip
    nets = draw(st.lists(positive, min_size=1, max_size=4))
    lines = tuple(
        Line(
            item="SERVICE", description=draw(maybe(texts)), quantity=draw(maybe(st.sampled_from([D(1), D(3)]))),
            unit_price=draw(maybe(st.just(net))), net=net, tax_code="EXO", tax=D(0),
            revenue_account=draw(st.sampled_from(["706000", None])),
        )
        for net in nets
    )  # fmt: skip
    total = sum(nets, D(0))
    shared = {
        "ref": REF, "customer": "C1", "payer": None, "entity_code": None, "ar_account": None,
        "number": draw(maybe(texts)), "issued": draw(days), "posted": posted, "currency": "EUR",
        "exchange_rate": None, "lines": lines, "tax_lines": (), "subtotal": total, "discount": D(0), "tax": D(0),
        "total": total, "memo": draw(maybe(texts)), "state": PostingState.POSTED, "voided_on": None, "marker": "TABC",
        "reported_open": None,
    }  # fmt: skip
    if kind is CreditMemo:
        return CreditMemo(**shared, original_invoice=None, reason=None, applications=())
    return Invoice(**shared, due=draw(maybe(days)), deposit_applied=D(0), po_number=None, disputed=False)


def booked(native, books):
    """What X3 shows of an object that it was given: its number, amounts and status are its own doing."""
    fields, grids = dict(native["fields"]), [[dict(row) for row in rows] for rows in native["grids"]]
    if native["object"] == "BPC":
        fields["BPCNUM"] = "NEW01"
        return {"object": "BPC", "fields": fields, "grids": grids}
    fields |= {"NUM": "NEW-26/00001", "CPYCUR": "EUR"}
    if native["object"] == "PAY":
        return {"object": "PAY", "fields": fields | {"STA2": "1"}, "grids": grids}
    sales = native["object"] == "SIH"
    total = D(0)
    for row in grids[0]:
        net = D(row["AMTNOTLIN"]) if not sales else round(D(row["QTY"]) * D(row["GROPRI"]), 2)
        row |= {"AMTNOTLIN": printed(net), "AMTVAT": "0"} if not sales else {
            "AMTNOTLIN": printed(net), "AMTATILIN": printed(net), "NETPRI": row["GROPRI"],
        }  # fmt: skip
        total += net
    fields |= {"INVTYP": "2" if fields["SIVTYP"] == "CRM" else "1", "STA": "3"}
    fields |= dict.fromkeys(("INVNOT", "INVATI") if sales else ("AMTNOT", "AMTATI"), printed(total))
    made = {"object": native["object"], "fields": fields, "grids": grids}
    if "STRDUDDAT" in fields:
        made["open_items"] = [{"DUDDAT": fields["STRDUDDAT"], "AMTCUR": printed(total), "PAYCUR": "0", "TMPCUR": "0"}]
    return made


def over(record, books):
    """The compared fields of a record; of lines, what either kind of document says of them."""
    fields = {n: getattr(record, n) for n in x3.fields_of(record.entity, books)}
    if "lines" in fields:
        told = ["item", "description", "net", "tax_code", *["revenue_account"] * books.ledger_invoices]
        fields["lines"] = [tuple(getattr(line, name) for name in told) for line in fields["lines"]]
    if "applications" in fields:
        fields["applications"] = [(a.invoice, a.amount) for a in fields["applications"]]
    return fields


# ---- laws ----------------------------------------------------------------------------------------------------------


@BOTH
@given(native=natives)
def test_writing_what_was_read_changes_no_byte(books, native):
    record = x3.get(entity_of(native), native, books)
    assert x3.put(record, native, books) == native


@BOTH
@given(record=records())
def test_representing_twice_changes_nothing_more(books, record):
    once = x3.represent(record, books)
    assert x3.represent(once, books) == once


@BOTH
@given(record=records())
def test_a_created_record_reads_as_it_is_represented(books, record):
    try:
        native = x3.create(record, books)
    except x3.Unwritable:
        assert isinstance(record, Customer)
        assert joined(wrapped(record.name, 35, 2)) is None
        return
    read = x3.get(record.entity, booked(native, books), books)
    assert over(read, books) == over(x3.represent(record, books), books)
    assert read.marker == record.marker


@given(native=customers(), record=records().filter(lambda r: isinstance(r, Customer)))
def test_an_updated_customer_reads_as_it_is_represented_and_keeps_the_rest(native, record):
    try:
        after = x3.put(record, native, BOOKS)
    except x3.Unwritable as why:
        assert "name" in str(why) or "BPCREM" in str(why)
        return
    assert over(x3.get(Entity.CUSTOMER, after, BOOKS), BOOKS) == over(x3.represent(record, BOOKS), BOOKS)
    mapped = {"BPCNAM", "BPRNAM", "BPCSTA", "PTE", "EECNUM", "BPCREM"}
    assert {k: v for k, v in after["fields"].items() if k not in mapped} == {
        k: v for k, v in native["fields"].items() if k not in mapped
    }
    assert [{"YGRID": "kept"}] in after["grids"]


@given(native=payments())
def test_a_payment_and_what_it_takes_off_move_receivables_by_what_its_lines_say(native):
    payment = x3.get(Entity.PAYMENT, native, BOOKS)
    off = sum((a.amount for a in x3.adjustments(native, BOOKS)), D(0))
    gross = sum((D(r["AMTLIN"]) for r in native["grids"][0] if r["DENCOD"] == "ALLOC" and D(r["AMTLIN"]) > 0), D(0))
    assert sum((a.amount for a in payment.applications), D(0)) + off == gross
    assert (payment.state is PostingState.VOIDED) == (native["fields"]["STA2"] == "5")


@given(native=documents())
def test_a_posted_document_is_never_written_again(native):
    entity = entity_of(native)
    record = x3.get(entity, native, BOOKS)
    if record.state is not PostingState.POSTED:
        return
    changed = record.model_copy(update={"memo": "another memo"})
    if x3.represent(changed, BOOKS).memo != record.memo:
        with pytest.raises(x3.Unwritable, match="validated"):
            x3.put(changed, native, BOOKS)


# ---- what cannot be read -------------------------------------------------------------------------------------------

BAD = {
    "a date of another style": ("ACCDAT", "31/01/2026", "YYYYMMDD"),
    "a day that is none": ("ACCDAT", "20260231", "YYYYMMDD"),
    "no date": ("ACCDAT", "", "is missing"),
    "a comma": ("AMTCUR", "12,50", "decimal point"),
    "an exponent": ("AMTCUR", "1E3", "decimal point"),
    "money paid out": ("AMTCUR", "-5", "refund"),
    "no customer": ("BPR", " ", "is missing"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_named(case):
    name, value, reason = BAD[case]
    fields = {"NUM": "P1", "BPR": "C1", "ACCDAT": "20260131", "CUR": "EUR", "AMTCUR": "5", "STA2": "1"}
    found = x3.read(Entity.PAYMENT, {"object": "PAY", "fields": fields | {name: value}, "grids": []}, BOOKS)
    assert (found.path, found.ref, found.entity) == (name, "P1", "payment")
    assert reason in found.reason


def test_a_discount_that_names_no_invoice_among_several_is_not_guessed():
    lines = [{"DENCOD": "ALLOC", "VCRNUM": n, "AMTLIN": "50"} for n in ("A", "B")] + [
        {"DENCOD": "DISCT", "AMTLIN": "2"}
    ]
    fields = {"NUM": "P1", "BPR": "C1", "ACCDAT": "20260131", "CUR": "EUR", "AMTCUR": "98", "STA2": "1"}
    found = x3.read(Entity.PAYMENT, {"object": "PAY", "fields": fields, "grids": [lines]}, BOOKS)
    assert "names no invoice" in found.reason


def test_an_attribute_that_nobody_named_is_not_guessed():
    lines = [{"DENCOD": "XXX", "AMTLIN": "2"}]
    fields = {"NUM": "P1", "BPR": "C1", "ACCDAT": "20260131", "CUR": "EUR", "AMTCUR": "2", "STA2": "1"}
    found = x3.read(Entity.PAYMENT, {"object": "PAY", "fields": fields, "grids": [lines]}, BOOKS)
    assert found.path == "lines[1].DENCOD"


@pytest.mark.parametrize(("item", "named"), [("SERVICE", "item SERVICE"), (None, '""')])
def test_a_line_without_an_account_is_not_entered_on_a_guess(item, named):
    line = Line(
        item=item, description=None, quantity=None, unit_price=None, net=D(5), tax_code=None, tax=None,
        revenue_account=None,
    )  # fmt: skip
    record = Invoice(
        ref=REF, customer="C1", payer=None, entity_code=None, ar_account=None, number="1", issued=date(2026, 1, 1),
        posted=date(2026, 1, 1), currency="EUR", exchange_rate=None, lines=(line,), tax_lines=(), subtotal=D(5),
        discount=D(0), tax=D(0), total=D(5), memo=None, state=PostingState.POSTED, voided_on=None, marker="TABC",
        reported_open=None, due=None, deposit_applied=D(0), po_number=None, disputed=False,
    )  # fmt: skip
    for accounts in ({}, {"OTHER": "706000"}):
        books = dataclasses.replace(LEDGER, revenue_accounts=accounts)
        with pytest.raises(x3.Unwritable, match=named):
            x3.create(record, books)
        assert x3.represent(record, books).lines[0].item == item
    books = dataclasses.replace(LEDGER, revenue_accounts={item or "": "706000"})
    assert x3.create(record, books)["grids"] == [[{"ACC": "706000", "AMTNOTLIN": "5"}]]


@given(records().filter(lambda record: isinstance(record, Invoice | CreditMemo)))
def test_on_accounts_the_number_stands_beside_our_reference_where_there_is_room(record):
    native = booked(x3.create(record, LEDGER), LEDGER)
    read = x3.get(record.entity, native, LEDGER)
    number = joined([record.number or ""])
    room = number is not None and len(f"{number} ~TABC") <= 30 and " ~" not in number
    assert (read.number, read.marker) == (number if room else "NEW-26/00001", "TABC")
    moved = read.model_copy(update={"marker": "TXYZ", "state": PostingState.DRAFT})
    draft = {**native, "fields": native["fields"] | {"STA": "1"}}
    assert x3.put(moved, draft, LEDGER)["fields"]["BPRVCR"] == (f"{number} ~TXYZ" if room else "TXYZ")


@pytest.mark.parametrize("told", ["PO 17", "~", "~X", "PO ~", "PO ~17 b", "TACABCG2TFMIU"])
@pytest.mark.parametrize("kind", ["SIH", "BIC"])
@given(documents())
def test_what_is_no_number_beside_a_reference_is_all_reference(kind, told, native):
    native["fields"] |= {"INVREF": f"A ~{told}" if kind == "SIH" else "", "BPRVCR": told}
    if native["object"] != kind:
        return
    found = x3.get(Entity.INVOICE, native, BOOKS)
    assert found.marker == (f"A ~{told}" if kind == "SIH" else told)
    assert found.number in (native["fields"].get("ORIDOCNUM"), native["fields"]["NUM"])
