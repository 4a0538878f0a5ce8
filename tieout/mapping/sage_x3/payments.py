"""Sage X3 payment (PAY) <-> canonical payment. Our reference stands in REF, the payer's own in CHQNUM.

A line of a payment has an attribute that says what it is. On an invoice or credit memo it is an allocation, with that
item's sign; the cash is the allocations and advances less what was taken off as discount or charge. Here those parts
that are not cash are adjustments of their own, so that a payment applies no more than it brought (`adjustments`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from tieout.mapping.lens import Unreadable, Unwritable
from tieout.mapping.sage_x3.documents import open_of
from tieout.mapping.sage_x3.native import (
    Books,
    Native,
    Row,
    amount,
    cell,
    cell_amount,
    cents,
    day,
    grid,
    made,
    one_line,
    required,
    site_for,
    stamped,
    text,
)
from tieout.model import (
    ZERO,
    Adjustment,
    AdjustmentKind,
    Application,
    Credit,
    Method,
    Payment,
    PostingState,
    Ref,
)

FIELDS = frozenset(
    {"reference", "customer", "received", "posted", "amount", "currency", "memo", "applications", "deposit_to"}
)
REFERENCE_LENGTH, MEMO_LENGTH, BANK_LENGTH = 20, 30, 10
APPLIED, UNAPPLIED = "application", "unapplied"


@dataclass(frozen=True, slots=True)
class _Parts:
    """A payment's lines taken apart. taken_off: (line number, kind, invoice, amount) of what is not cash."""

    gross: dict[str, Decimal]
    credits: dict[str, Decimal]
    taken_off: tuple[tuple[int, AdjustmentKind, str | None, Decimal], ...]

    def cash(self) -> dict[str, Decimal]:
        """What of the money itself, and of credits, went to each invoice."""
        net = dict(self.gross)
        for _, _, invoice, off in self.taken_off:
            if invoice is not None:
                net[invoice] -= off
        return net


def get(native: Native, books: Books) -> Payment:
    """The payment with what it pays. It counts from its entry: the items that it takes are no longer open then."""
    posted = _posted(native)
    currency = required(native, "CUR")
    parts = _parts(native, books)
    net = parts.cash()
    if low := next((i for i, left in net.items() if left < 0), None):
        raise Unreadable("lines.AMTLIN", low, "more is taken off than is allocated to it")
    applied = tuple(_applied(invoice, part, posted) for invoice, part in net.items() if part)
    later = tuple(
        _applied(cell(row, "NUM") or "", cell_amount(row, "AMTCUR", "applications") or ZERO, on or posted)
        for row in native.get("applications") or ()
        for on in [day(cell(row, "ON"), "applications.ON")]
    )
    voided = text(native, "STA2") in books.cancelled
    return Payment(
        ref=Ref(
            connection=books.connection,
            id=required(native, "NUM"),
            number=text(native, "NUM"),
            version=text(native, "WW_MODSTAMP"),
        ),
        customer=required(native, "BPR"),
        payer=None,
        entity_code=text(native, "FCY"),
        ar_account=text(native, "BPRSAC"),
        reference=text(native, "CHQNUM"),
        received=posted,
        posted=posted,
        method=Method.OTHER,
        amount=_money(native),
        currency=currency,
        exchange_rate=None if currency == (text(native, "CPYCUR") or books.home_currency) else _rate(native),
        applications=applied + later,
        credits=tuple(Credit(credit_memo=memo, amount=used) for memo, used in parts.credits.items()),
        reported_unapplied=_unapplied(native),
        deposit_to=text(native, "BAN"),
        memo=one_line(text(native, "DES"), MEMO_LENGTH),
        state=PostingState.VOIDED if voided else PostingState.POSTED,
        voided_on=None,
        marker=text(native, "REF"),
    )


def adjustments(native: Native, books: Books) -> Iterator[Adjustment]:
    """What a payment takes off beside the cash: discounts, charges, write-offs. Each lowers receivables.

    Their ids are the payment's with the line's number behind it.
    """
    posted = _posted(native)
    voided = text(native, "STA2") in books.cancelled
    number = required(native, "NUM")
    for line, kind, invoice, off in _parts(native, books).taken_off:
        yield Adjustment(
            ref=Ref(connection=books.connection, id=f"{number}/{line}", number=number, version=None),
            kind=kind,
            side="credit",
            customer=required(native, "BPR"),
            entity_code=text(native, "FCY"),
            ar_account=text(native, "BPRSAC"),
            number=number,
            amount=off,
            currency=required(native, "CUR"),
            exchange_rate=None,
            document=invoice,
            posted=posted,
            reason=None,
            approver=None,
            state=PostingState.VOIDED if voided else PostingState.POSTED,
            voided_on=None,
        )


def taken_by(native: Native, books: Books) -> Mapping[str, Decimal]:
    """What a standing payment's lines take of each document, without sign; nothing for one that was taken back."""
    if text(native, "STA2") in books.cancelled:
        return {}
    parts = _parts(native, books)
    return {**parts.gross, **parts.credits}


def _posted(native: Native) -> date:
    found = day(text(native, "ACCDAT"), "ACCDAT")
    if found is None:
        raise Unreadable("ACCDAT", "", "is missing")
    return found


def _money(native: Native) -> Decimal:
    found = amount(native, "AMTCUR")
    if found is None:
        raise Unreadable("AMTCUR", "", "is missing")
    if found < 0:
        raise Unreadable("AMTCUR", found, "money paid out: a refund is not read as a receipt")
    return found


def _rate(native: Native) -> Decimal | None:
    """Units of the company's currency for one of the payment's, from both amounts; None unless X3 states both."""
    local, own = amount(native, "TOTLOC"), amount(native, "AMTCUR")
    return None if local is None or not own else local / own


def _unapplied(native: Native) -> Decimal | None:
    rows = native.get("open_items")
    if rows:
        return sum((open_of(row) for row in rows), ZERO)
    told = amount(native, "RSTIMPUT")
    return told if told is not None and told >= 0 else None


def _applied(invoice: str, part: Decimal, on: date) -> Application:
    return Application(invoice=invoice, amount=part, amount_invoice=part, applied_on=on)


def _parts(native: Native, books: Books) -> _Parts:
    currency = text(native, "CUR")
    gross: dict[str, Decimal] = {}
    credits: dict[str, Decimal] = {}
    off: list[tuple[int, AdjustmentKind, str | None, Decimal]] = []
    for n, row in enumerate(grid(native, "DENCOD"), 1):
        kind, part, document = _kind(row, books, n), _amount(row, n), cell(row, "VCRNUM")
        if cell(row, "CURLIN") not in (None, currency):
            raise Unreadable(f"lines[{n}].CURLIN", cell(row, "CURLIN"), f"a line in another currency than {currency}")
        if kind == UNAPPLIED:
            continue
        if kind != APPLIED:
            off.append((n, AdjustmentKind(kind), document, part))
        elif document is None:
            raise Unreadable(f"lines[{n}].VCRNUM", "", "an allocation names no document")
        else:
            among = gross if part > 0 else credits
            among[document] = among.get(document, ZERO) + abs(part)
    return _Parts(gross, credits, tuple((n, k, _concerned(gross, d, n), a) for n, k, d, a in off))


def _kind(row: Row, books: Books, n: int) -> str:
    code = cell(row, "DENCOD") or ""
    kind = books.attributes.get(code)
    if kind is None:
        raise Unreadable(f"lines[{n}].DENCOD", code, "is not an attribute that `attributes` names")
    return kind


def _amount(row: Row, n: int) -> Decimal:
    found = cell_amount(row, "AMTLIN", f"lines[{n}]")
    if found is None:
        raise Unreadable(f"lines[{n}].AMTLIN", "", "is missing")
    return found


def _concerned(gross: dict[str, Decimal], document: str | None, n: int) -> str | None:
    """The invoice that a discount or charge was taken off: the one it names, else the only one paid."""
    if document is not None or not gross:
        return document if document in gross else None
    if len(gross) > 1:
        raise Unreadable(f"lines[{n}].VCRNUM", "", "a discount or charge names no invoice, and several are paid")
    return next(iter(gross))


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def represent(record: Payment, books: Books) -> Payment:
    """The payment as X3 would hold it: one date, a short reference and memo, the account of the configured bank."""
    return record.model_copy(
        update={
            "payer": None,
            "received": record.posted,
            "reference": one_line(record.reference, REFERENCE_LENGTH),
            "method": Method.OTHER,
            "deposit_to": one_line(record.deposit_to, BANK_LENGTH) or books.bank or None,
            "memo": one_line(record.memo, MEMO_LENGTH),
        }
    )


def create(record: Payment, books: Books) -> dict[str, Any]:
    """The object that enters the payment. Raises Unwritable for one without money: X3 matches credits otherwise."""
    held = represent(record, books)
    if not record.amount:
        raise Unwritable("a payment of nothing: match the credit memo with its invoices in X3")
    standing = [a for a in record.applications if a.reversed_on is None]
    if any(a.amount != a.amount_invoice for a in standing):
        raise Unwritable("an invoice in another currency than its payment")
    lines = [_line(books, a.invoice, a.amount, record.currency) for a in standing]
    lines += [_line(books, c.credit_memo, -c.amount, record.currency) for c in record.credits]
    fields = {
        "FCY": site_for(record.entity_code, books),
        "BPR": record.customer,
        "ACCDAT": stamped(record.posted),
        "REF": record.marker,
        "BAN": held.deposit_to,
        "CUR": record.currency,
        "AMTCUR": cents(record.amount, record.currency),
        "CHQNUM": held.reference,
        "DES": held.memo,
    }
    return made("PAY", fields, lines)


def _line(books: Books, document: str, part: Decimal, currency: str) -> dict[str, str]:
    return {"DENCOD": books.applied_as, "VCRNUM": document, "AMTLIN": cents(part, currency)}


def put(record: Payment, native: Native, books: Books) -> dict[str, Any]:
    """The payment brought to the canonical one; only texts move. Raises Unwritable for money, dates and allocations."""
    now, held = represent(get(native, books), books), represent(record, books)
    moved = {n for n in FIELDS if getattr(now, n) != getattr(held, n)} - {"memo", "reference"}
    if moved:
        raise Unwritable(f"{', '.join(sorted(moved))} of payment {now.ref.id}: cancel it in X3 and enter it again")
    fields = dict(native["fields"])
    for name, after, before in (("DES", held.memo, now.memo), ("CHQNUM", held.reference, now.reference)):
        if after != before:
            fields[name] = after or ""
    if record.marker and record.marker != now.marker:
        fields["REF"] = record.marker
    return {**native, "fields": fields}
