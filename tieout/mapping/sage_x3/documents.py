"""Sage X3 invoices and credit memos (SIH on items, BIC on accounts) <-> canonical documents.

X3 gives documents their NUM, totals and taxes itself. The number that a document had elsewhere stands in ORIDOCNUM of
SIH, our reference in INVREF; BIC has one field for both, the source document (BPRVCR): `number ~reference`.
Only what is validated counts: before that a document is a draft.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tieout.mapping.lens import Unreadable, Unwritable
from tieout.mapping.sage_x3.native import (
    CREDITS,
    NO,
    PRO_FORMA,
    YES,
    Books,
    Native,
    Row,
    amount,
    cell,
    cell_amount,
    cents,
    day,
    grid,
    joined,
    made,
    one_line,
    printed,
    required,
    site_for,
    stamped,
    text,
    texts,
    wrapped,
)
from tieout.model import (
    ZERO,
    Application,
    CreditMemo,
    Instalment,
    Invoice,
    Line,
    PostingState,
    Ref,
    TaxLine,
    exponent,
)

Document = Invoice | CreditMemo
FIELDS = frozenset(
    {
        *("customer", "issued", "posted", "currency", "lines", "subtotal", "discount", "tax", "total", "memo"),
    }
)
MEMO_WIDTH, MEMO_LINES = 30, 5
ITEM_TEXT, ACCOUNT_TEXT = 80, 30
POSTED = "3"
BOTH_REFERENCES, _BESIDE = 30, " ~"


@dataclass(frozen=True, slots=True)
class _Names:
    """What the two objects call the same things."""

    customer: str
    site: str
    issued: str
    posted: str
    reference: str
    origin: str
    net: str
    total: str
    tax_code: str
    tax_rate: str
    tax_base: str
    tax_amount: str


_NAMES = {
    "SIH": _Names(
        *("BPCINV", "SALFCY", "INVDAT", "INVDAT", "INVREF", "SIHORINUM"),
        *("INVNOT", "INVATI", "XVTAX", "XVRAT", "XVNOT", "XVAMT"),
    ),
    "BIC": _Names(
        *("BPR", "FCY", "BPRDAT", "ACCDAT", "BPRVCR", "INVNUM"),
        *("AMTNOT", "AMTATI", "TAX", "RATTAX", "BASTAX", "AMTTAX"),
    ),
}


def is_credit(native: Native, books: Books) -> bool:
    """Whether a document lowers receivables. Raises Unreadable where its category is neither shown nor configured."""
    return _category(native, books) in CREDITS


def is_accounted(native: Native, books: Books) -> bool:
    """Whether a document belongs to receivables at all: a pro-forma invoice does not."""
    return _category(native, books) != PRO_FORMA


def _category(native: Native, books: Books) -> str:
    found = text(native, "INVTYP") or books.types.get(text(native, "SIVTYP") or "")
    if found is None:
        raise Unreadable("SIVTYP", text(native, "SIVTYP") or "", "is not a type of invoice that `types` names")
    return found


def state(native: Native) -> PostingState:
    """Posted once the document is validated: from then on it can no longer be changed, its journal only follows."""
    told = text(native, "SIHCFMFLG"), text(native, "STA")
    if told == (None, None):
        raise Unreadable("STA", "", "is missing")
    return PostingState.POSTED if told[0] == YES or told[1] == POSTED else PostingState.DRAFT


def is_unposted(native: Native) -> bool:
    """Whether a document says that its journal is not there yet; one that does not say it is not called so."""
    return text(native, "STA") not in (None, POSTED) or text(native, "SIHCFMFLG") == NO


def get_invoice(native: Native, books: Books) -> Invoice:
    """The invoice; its due dates and open balance are those of its open items, which it has once it is posted."""
    shared = _shared(native, books)
    dues = [
        (day(cell(row, "DUDDAT"), "DUDDAT"), cell_amount(row, "AMTCUR", "open_items"))
        for row in native.get("open_items") or ()
    ]
    parts = [(on, due) for on, due in dues if on is not None and due is not None]
    return Invoice(
        **shared,
        due=parts[0][0] if len(parts) == 1 else None,
        instalments=tuple(Instalment(due=on, amount=due) for on, due in parts) if len(parts) > 1 else (),
        deposit_applied=ZERO,
        po_number=None,
        disputed=False,
        reported_open=_open(native),
    )


def get_credit_memo(native: Native, books: Books) -> CreditMemo:
    """The credit memo, with the invoices that it was matched with so far."""
    return CreditMemo(
        **_shared(native, books),
        original_invoice=text(native, _NAMES[native["object"]].origin),
        reason=None,
        applications=tuple(_application(row) for row in native.get("applications") or ()),
        reported_open=_open(native),
    )


def _application(row: Row) -> Application:
    on, paid = day(cell(row, "ON"), "applications.ON"), cell_amount(row, "AMTCUR", "applications")
    invoice = cell(row, "NUM")
    if on is None or paid is None or invoice is None:
        raise Unreadable("applications", dict(row), "needs NUM, AMTCUR and ON")
    return Application(invoice=invoice, amount=paid, amount_invoice=paid, applied_on=on)


def _open(native: Native) -> Decimal | None:
    """What is still open, without sign, payments that are only entered taken off; None if its items were not read."""
    rows = native.get("open_items")
    if rows is None:
        return None
    return sum((open_of(row) for row in rows), ZERO)


def open_of(row: Row) -> Decimal:
    """(AMTCUR − PAYCUR − TMPCUR) of a row of GACCDUDATE. Raises Unreadable where a column is not shown."""
    parts = []
    for name in ("AMTCUR", "PAYCUR", "TMPCUR"):
        if name not in row:
            raise Unreadable(f"open_items.{name}", "", "is not shown: what is open is not known without it")
        parts.append(cell_amount(row, name, "open_items") or ZERO)
    return parts[0] - parts[1] - parts[2]


def owed_of(row: Row) -> Decimal:
    """What of a row of GACCDUDATE the customer owes: its open part by its sense, SNS. Raises Unreadable."""
    sense = cell(row, "SNS")
    if sense not in ("1", "-1"):
        raise Unreadable("open_items.SNS", sense or "", "should be 1 or -1")
    return open_of(row) if sense == "1" else -open_of(row)


def paid_of(row: Row) -> Decimal:
    """What of a row of GACCDUDATE is settled for good (PAYCUR)."""
    return cell_amount(row, "PAYCUR", "open_items") or ZERO


def origin_of(native: Native) -> str | None:
    """The invoice that a credit memo says it takes back; None for other documents."""
    credit = text(native, "INVTYP") in CREDITS
    return text(native, _NAMES[native["object"]].origin) if credit and native["object"] in _NAMES else None


def _shared(native: Native, books: Books) -> dict[str, Any]:
    names = _NAMES[native["object"]]
    posted = day(text(native, names.posted), names.posted)
    if posted is None:
        raise Unreadable(names.posted, "", "is missing")
    currency = required(native, "CUR")
    net, total = (_stated(native, name) for name in (names.net, names.total))
    home = text(native, "CPYCUR") or books.home_currency
    number, marker = _references(native)
    return {
        "ref": Ref(
            connection=books.connection,
            id=required(native, "NUM"),
            number=text(native, "NUM"),
            version=text(native, "WW_MODSTAMP"),
        ),
        "customer": required(native, names.customer),
        "payer": None,
        "entity_code": text(native, names.site),
        "ar_account": None,
        "number": text(native, "ORIDOCNUM") or number or text(native, "NUM"),
        "issued": day(text(native, names.issued), names.issued) or posted,
        "posted": posted,
        "currency": currency,
        "exchange_rate": None if currency == home else _rate(native),
        "lines": _lines(native, currency),
        "tax_lines": _tax_lines(native, names),
        "subtotal": net,
        "discount": ZERO,
        "tax": total - net,
        "total": total,
        "memo": joined(texts(native, "DES")),
        "state": state(native),
        "voided_on": None,
        "marker": marker,
    }


def _references(native: Native) -> tuple[str | None, str | None]:
    """(number elsewhere, our reference) as they stand in the field of the reference."""
    told = text(native, _NAMES[native["object"]].reference)
    number, behind, marker = (told or "").rpartition(_BESIDE)
    if native["object"] != "BIC" or not behind or not number.strip() or not marker or " " in marker:
        return None, told
    return number.strip(), marker


def _reference(kind: str, number: str | None, marker: str | None) -> str | None:
    """What is written there: both where BIC has room for both, else our reference alone."""
    number = one_line(number, BOTH_REFERENCES)
    both = f"{number}{_BESIDE}{marker}"
    fits = kind == "BIC" and number and marker and _BESIDE not in number and len(both) <= BOTH_REFERENCES
    return both if fits else marker


def _stated(native: Native, name: str) -> Decimal:
    found = amount(native, name)
    if found is None:
        raise Unreadable(name, "", "is missing")
    if found < 0:
        raise Unreadable(name, found, "a document's amounts are positive; its type carries the sign")
    return found


def _rate(native: Native) -> Decimal | None:
    """Units of the company's currency for one of the document's."""
    up, down = amount(native, "RATMLT"), amount(native, "RATDIV")
    return None if up is None else up / (down or Decimal(1))


def _lines(native: Native, currency: str) -> tuple[Line, ...]:
    read: Callable[[Row, str], Line]
    if native["object"] == "BIC":
        rows, read = grid(native, "ACC"), _account_line
    else:
        rows, read = grid(native, "ITMREF"), _item_line
    return tuple(read(row, currency) for row in rows)


def _item_line(row: Row, currency: str) -> Line:
    quantity, price = cell_amount(row, "QTY", "lines"), cell_amount(row, "NETPRI", "lines")
    net, gross = cell_amount(row, "AMTNOTLIN", "lines"), cell_amount(row, "AMTATILIN", "lines")
    if net is None and quantity is not None and price is not None:
        net = round(quantity * price, exponent(currency))
    if net is None:
        raise Unreadable("lines.AMTNOTLIN", "", "is missing, and so is a quantity or price to tell it from")
    return Line(
        item=cell(row, "ITMREF"),
        description=joined(told for name in ("ITMDES", "ITMDES1") if (told := cell(row, name))),
        quantity=quantity,
        unit_price=price,
        net=net,
        tax_code=cell(row, "VACITM1"),
        tax=None if gross is None else gross - net,
        revenue_account=None,
    )


def _account_line(row: Row, currency: str) -> Line:
    del currency
    net = cell_amount(row, "AMTNOTLIN", "lines")
    if net is None:
        raise Unreadable("lines.AMTNOTLIN", "", "is missing")
    return Line(
        item=None,
        description=cell(row, "DES"),
        quantity=None,
        unit_price=None,
        net=net,
        tax_code=cell(row, "VAT"),
        tax=cell_amount(row, "AMTVAT", "lines"),
        revenue_account=cell(row, "ACC"),
    )


def _tax_lines(native: Native, names: _Names) -> tuple[TaxLine, ...]:
    found = []
    for row in grid(native, names.tax_code):
        code = cell(row, names.tax_code)
        if code is None:
            continue
        rate = cell_amount(row, names.tax_rate, "taxes")
        found.append(
            TaxLine(
                code=code,
                rate=None if rate is None else rate / 100,
                base=cell_amount(row, names.tax_base, "taxes") or ZERO,
                amount=cell_amount(row, names.tax_amount, "taxes") or ZERO,
            )
        )
    return tuple(found)


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def represent(record: Document, books: Books) -> Document:
    """The document as X3 would hold it: lines on items or on accounts, a memo of five lines, one date in SIH.

    Its number and, unless `due_term` is configured, its due date are X3's own.
    """
    lines = (
        _held_account_line(line, books) if books.ledger_invoices else _held_item_line(line) for line in record.lines
    )
    update: dict[str, Any] = {
        "payer": None,
        "issued": record.issued if books.ledger_invoices else record.posted,
        "lines": tuple(lines),
        "memo": joined(wrapped(record.memo, MEMO_WIDTH, MEMO_LINES)),
    }
    if isinstance(record, Invoice):
        update |= {"po_number": None, "disputed": False, "settled_on": None}
        due = record.due or max((part.due for part in record.instalments), default=None)
        update |= {"due": due if books.due_term else None, "instalments": ()}
    return record.model_copy(update=update)


def _held_item_line(line: Line) -> Line:
    return line.model_copy(update={"description": one_line(line.description, ITEM_TEXT), "revenue_account": None})


def _held_account_line(line: Line, books: Books) -> Line:
    """The line on its account. One that has none keeps its item, which alone tells why it cannot be written."""
    account = _account(line, books)
    told = {
        "item": None if account else line.item,
        "revenue_account": account,
        "quantity": None,
        "unit_price": None,
        "description": one_line(line.description, ACCOUNT_TEXT),
    }
    return line.model_copy(update=told)


def _account(line: Line, books: Books) -> str | None:
    """The account that the line states, else the one that stands for its item."""
    return line.revenue_account or books.revenue_accounts.get(line.item or "")


def create(record: Document, books: Books) -> dict[str, Any]:
    """The object that creates the document. Raises Unwritable rather than change what it means.

    X3 computes totals and taxes; what it made of them is read back and compared by the caller.
    """
    kind = "BIC" if books.ledger_invoices else "SIH"
    names = _NAMES[kind]
    if record.discount:
        raise Unwritable("a discount on the whole document has no place in X3: state it in the lines")
    if not record.lines:
        raise Unwritable("a document without lines")
    for part in (record.total, *(line.net for line in record.lines)):
        cents(part, record.currency)
    credit = isinstance(record, CreditMemo)
    type_ = books.credit_type if credit else books.invoice_type
    fields: dict[str, Any] = {
        names.site: site_for(record.entity_code, books),
        "SIVTYP": type_,
        names.customer: record.customer,
        names.issued: stamped(record.issued),
        names.posted: stamped(record.posted),
        "CUR": record.currency,
        names.reference: _reference(kind, record.number, record.marker),
        "DES": wrapped(record.memo, MEMO_WIDTH, MEMO_LINES),
    }
    if isinstance(record, CreditMemo):
        fields[names.origin] = record.original_invoice
    else:
        fields |= _terms(record, books)
    if kind == "SIH" and record.number:
        fields["ORIDOCNUM"] = one_line(record.number, 20)
    if kind == "BIC":
        return made(kind, fields, [_written_account_line(line, record.currency, books) for line in record.lines])
    return made(kind, fields, [_written_item_line(line, record.currency) for line in record.lines])


def _terms(record: Invoice, books: Books) -> dict[str, str]:
    due = record.due or max((part.due for part in record.instalments), default=None)
    if len(record.instalments) > 1:
        raise Unwritable("an invoice in several instalments: X3 splits due dates by its own payment terms")
    if books.due_term is None or due is None:
        return {}
    return {"PTE": books.due_term, "STRDUDDAT": stamped(due)}


def _written_item_line(line: Line, currency: str) -> dict[str, str]:
    if not line.item:
        raise Unwritable("a line without an item; map one in codes.items, or enter documents as BIC")
    quantity, price = line.quantity or Decimal(1), line.unit_price
    if price is None or round(quantity * price, exponent(currency)) != line.net:
        quantity, price = Decimal(1), line.net
    told = {
        "ITMREF": line.item,
        "ITMDES": one_line(line.description, ITEM_TEXT),
        "QTY": printed(quantity),
        "GROPRI": printed(price),
        "VACITM1": line.tax_code,
    }
    return {name: value for name, value in told.items() if value}


def _written_account_line(line: Line, currency: str, books: Books) -> dict[str, str]:
    account = _account(line, books)
    if not account:
        of = f"for item {line.item}" if line.item else 'under ""'
        raise Unwritable(f"a line without a revenue account; name one {of} in `revenue_accounts` of the connection")
    told = {
        "ACC": account,
        "DES": one_line(line.description, ACCOUNT_TEXT),
        "AMTNOTLIN": cents(line.net, currency),
        "VAT": line.tax_code,
    }
    return {name: value for name, value in told.items() if value}


def put(record: Document, native: Native, books: Books) -> dict[str, Any]:
    """The native document brought to the canonical one. Raises Unwritable for what is posted, or not ours to change.

    Only the memo and our reference of a draft move: amounts and lines of a draft are X3's until it is validated.
    """
    read = get_credit_memo if isinstance(record, CreditMemo) else get_invoice
    now, held = represent(read(native, books), books), represent(record, books)
    moved = {n for n in FIELDS if getattr(now, n) != getattr(held, n)} - {"memo"}
    if now.state is PostingState.POSTED:
        raise Unwritable(f"{now.number} is validated: X3 changes it no more, a credit memo takes it back")
    if moved:
        raise Unwritable(f"{', '.join(sorted(moved))} of {now.number}: enter the change in X3")
    fields = dict(native["fields"])
    if held.memo != now.memo:
        fields["DES"] = [*wrapped(held.memo, MEMO_WIDTH, MEMO_LINES), *[""] * MEMO_LINES][:MEMO_LINES]
    if record.marker and record.marker != now.marker:
        number = _references(native)[0]
        fields[_NAMES[native["object"]].reference] = _reference(native["object"], number, record.marker)
    return {**native, "fields": fields}
