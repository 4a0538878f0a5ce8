"""The canonical relation: four tables per side, the one shape in which two ledgers are compared.

A file is loaded into it by SQL, a store row by row; `compare` reads nothing else. Tables are named
`{side}_documents`, `{side}_customers`, `{side}_applications`, `{side}_details`, side being `left` or `right`.
The documents of a file are a view, of a table of the columns that the file fills; its `rowid` is a column.
Amounts are positive magnitudes in document currency; `sign` says which way a document moves receivables.
A NULL means that the source does not state it: an unknown is never compared, and never counted as zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from functools import lru_cache

from tieout.mapping.balances import ended, told
from tieout.mapping.keys import customer_number_key, name_key, number_key
from tieout.model import (
    ZERO,
    Adjustment,
    Application,
    CreditMemo,
    Customer,
    Document,
    Group,
    Invoice,
    Payment,
    PostingState,
    magnitude,
    sign,
)

Value = str | int | bool | Decimal | date | None
Row = tuple[Value, ...]
Columns = tuple[tuple[str, str], ...]

MONEY = "DECIMAL(24,6)"
SIDES = ("left", "right")
KINDS = ("invoice", "credit_memo", "payment", "adjustment")

# id            unique within (side, kind); the native id, or document key (and ordinal, if keys repeat) of a file
# kind          invoice | credit_memo | payment | adjustment
# subkind       kind of adjustment; NULL otherwise
# sign          +1 raises receivables, −1 lowers them
# customer      the customer's id in this ledger: a native id, or in a file its number, else its name
# customer_name, customer_name_key = keys.name_key(customer_name)
# customer_key  keys.customer_number_key of the customer's *number*; NULL if the source gives none
# number        as printed (a payment's reference); number_key = keys.number_key(number); '' becomes NULL in both
# marker        our reference, or the other ledger's number or id in a foreign-key column
# link          subject id if the sync knows the document, and customer_link for its customer; NULL otherwise
# issued        the document's date (a payment's receipt date) · posted: accounting date; equal if only one is stated
# rate          home units for one unit of currency
# net           before tax, after discount; net + tax = total where all are stated
# open          unsettled magnitude as the source reports it
# ar            signed effect on open receivables while the document counts: 0 for a draft, sign × open for an
#               open-items source (no payments in it), else sign × total. Dates and voids are applied by `compare`.
# state         draft | posted | voided · voided_on: first day without effect; NULL in a voided row: from its own date
# settled_on    settlement stated by the source; it counts as far as nothing that the ledger applies shows it
# concerns      id of the document this one is about (adjustments, credit memos; payments that are only stated)
# source        where the row was read: file:row, or connection:id
DOCUMENTS: Columns = (
    ("id", "VARCHAR"),
    ("kind", "VARCHAR"),
    ("subkind", "VARCHAR"),
    ("sign", "INTEGER"),
    ("customer", "VARCHAR"),
    ("customer_name", "VARCHAR"),
    ("customer_name_key", "VARCHAR"),
    ("customer_key", "VARCHAR"),
    ("number", "VARCHAR"),
    ("number_key", "VARCHAR"),
    ("marker", "VARCHAR"),
    ("link", "VARCHAR"),
    ("customer_link", "VARCHAR"),
    ("issued", "DATE"),
    ("posted", "DATE"),
    ("due", "DATE"),
    ("currency", "VARCHAR"),
    ("rate", "DECIMAL(24,12)"),
    ("net", MONEY),
    ("tax", MONEY),
    ("discount", MONEY),
    ("total", MONEY),
    ("open", MONEY),
    ("ar", MONEY),
    ("state", "VARCHAR"),
    ("voided_on", "DATE"),
    ("disputed", "BOOLEAN"),
    ("settled_on", "DATE"),
    ("entity_code", "VARCHAR"),
    ("concerns", "VARCHAR"),
    ("memo", "VARCHAR"),
    ("method", "VARCHAR"),
    ("source", "VARCHAR"),
)
# number and tax_id as printed; number_key = keys.customer_number_key(number); balance: as the source reports it
# parent: id of the customer above it; NULL if there is none, or the source has no such thing
CUSTOMERS: Columns = (
    ("id", "VARCHAR"),
    ("name", "VARCHAR"),
    ("name_key", "VARCHAR"),
    ("number", "VARCHAR"),
    ("number_key", "VARCHAR"),
    ("tax_id", "VARCHAR"),
    ("email", "VARCHAR"),
    ("terms", "VARCHAR"),
    ("link", "VARCHAR"),
    ("currency", "VARCHAR"),
    ("balance", MONEY),
    ("parent", "VARCHAR"),
)
# source_kind, source_id: the payment or credit memo (`documents.kind`, `.id`); `group:` before the kind where a group
#   of money and credits leaves open which paid which invoice · invoice: `documents.id`; NULL only in a group: there
#   rows with an invoice say what the group settled of it, rows without say what it used of the source
# amount: in the source document's currency · amount_invoice: in the invoice's
# applied_on: counts from then, inclusive · reversed_on: no longer counts from then; NULL if it stands
APPLICATIONS: Columns = (
    ("source_kind", "VARCHAR"),
    ("source_id", "VARCHAR"),
    ("invoice", "VARCHAR"),
    ("amount", MONEY),
    ("amount_invoice", MONEY),
    ("applied_on", "DATE"),
    ("reversed_on", "DATE"),
)
# What a document says beyond what it is matched by; a row only for a document that says any of it.
# kind, id: as in `documents` · subtotal: as stated, before discount and tax
# line_sum, tax_sum: what its lines and its tax lines add up to; NULL where it shows none
# ar_account: the control account that it stands on
# tax_codes: of its lines and tax lines, each once, in order, joined by a comma; NULL where it shows none
DETAILS: Columns = (
    ("kind", "VARCHAR"),
    ("id", "VARCHAR"),
    ("subtotal", MONEY),
    ("line_sum", MONEY),
    ("tax_sum", MONEY),
    ("ar_account", "VARCHAR"),
    ("tax_codes", "VARCHAR"),
)
TABLES: dict[str, Columns] = {
    "documents": DOCUMENTS,
    "customers": CUSTOMERS,
    "applications": APPLICATIONS,
    "details": DETAILS,
}


def names(columns: Columns) -> tuple[str, ...]:
    """The column names, in table order."""
    return tuple(name for name, _ in columns)


def create_table(side: str, table: str, *, temporary: bool = False) -> str:
    """SQL that makes one empty table of a side; `table` is a key of `TABLES`. temporary: for one connection alone"""
    columns = ", ".join(f'"{name}" {kind}' for name, kind in TABLES[table])
    return f"CREATE OR REPLACE {'TEMP ' if temporary else ''}TABLE {side}_{table} ({columns})"


def document_row(
    record: Document,
    *,
    customer: Customer | None = None,
    link: str | None = None,
    customer_link: str | None = None,
    open_items: bool = False,
    disputes: bool = True,
) -> Row:
    """One row of `documents`, in column order, from a record and its customer.

    open_items: it stands in a list of what is open, and counts for its open amount
    disputes: its system says whether an invoice is disputed
    """
    total = magnitude(record)
    way = sign(record)
    bill = record if isinstance(record, Invoice) else None
    billed = bill or (record if isinstance(record, CreditMemo) else None)
    cash = record if isinstance(record, Payment) else None
    other = record if isinstance(record, Adjustment) else None
    number = (cash.reference if cash else getattr(record, "number", None)) or None
    name, name_as_key, number_as_key = _party(customer) if customer else (None, None, None)
    counted = total - bill.deposit_applied if bill else total
    if open_items and billed and billed.reported_open is not None:
        counted = billed.reported_open
    return (
        record.ref.id,
        record.entity.value,
        other.kind.value if other else None,
        way,
        record.customer,
        name,
        name_as_key,
        number_as_key,
        number,
        number_key(number) or None if number else None,
        record.marker,
        link,
        customer_link,
        cash.received if cash else billed.issued if billed else record.posted,
        record.posted,
        bill.due if bill else None,
        record.currency,
        record.exchange_rate,
        total - billed.tax if billed else None,
        billed.tax if billed else None,
        billed.discount if billed else None,
        total,
        cash.reported_unapplied if cash else billed.reported_open if billed else None,
        ZERO if record.state is PostingState.DRAFT else way * counted,
        record.state.value,
        record.voided_on,
        bill.disputed if bill and disputes else None,
        bill.settled_on if bill else None,
        record.entity_code,
        _concerned(record),
        other.reason if other else getattr(record, "memo", None),
        cash.method.value if cash else None,
        f"{record.ref.connection}:{record.ref.id}",
    )


def _concerned(record: Document) -> str | None:
    match record:
        case Adjustment():
            return record.document
        case CreditMemo():
            return record.original_invoice
        case Payment() if record.stated_by_source and record.applications:
            return record.applications[0].invoice
        case _:
            return None


def _party(customer: Customer) -> tuple[str, str | None, str | None]:
    number = customer.number or customer.ref.number
    return customer.name, _name_key(customer.name), _customer_number_key(number) if number else None


@lru_cache(maxsize=1 << 16)
def _name_key(name: str) -> str | None:
    return name_key(name) or None


@lru_cache(maxsize=1 << 16)
def _customer_number_key(number: str) -> str | None:
    return customer_number_key(number) or None


def customer_row(record: Customer, *, link: str | None = None) -> Row:
    """One row of `customers`, in column order."""
    number = record.number or record.ref.number
    return (
        record.ref.id,
        record.name,
        _name_key(record.name),
        number,
        _customer_number_key(number) if number else None,
        record.tax_id,
        record.email,
        record.terms,
        link,
        record.currency,
        record.reported_balance,
        record.parent,
    )


def detail_rows(record: Document) -> Iterator[Row]:
    """The row of `details` of one record, if it says anything that belongs there."""
    billed = record if isinstance(record, Invoice | CreditMemo) else None
    lines, taxes = (billed.lines, billed.tax_lines) if billed else ((), ())
    uneven = billed is not None and billed.subtotal - billed.discount + billed.tax != billed.total
    if not (lines or taxes or record.ar_account or uneven):
        return
    yield (
        record.entity.value,
        record.ref.id,
        billed.subtotal if billed else None,
        sum((line.net for line in lines), ZERO) if lines else None,
        sum((t.amount for t in taxes), ZERO) if taxes else None,
        record.ar_account or None,
        tax_codes([*(line.tax_code for line in lines), *(t.code for t in taxes)]),
    )


def tax_codes(stated: Iterable[str | None]) -> str | None:
    """The codes as `details.tax_codes` has them."""
    return ", ".join(sorted({code for code in stated if code})) or None


def application_rows(record: Document) -> Iterator[Row]:
    """The rows of `applications` that one record states, in its own order; none for invoices and adjustments.

    A group of money and credits that leaves open which paid which invoice gives rows of source kind `group:payment`
    or `group:credit_memo`, with the invoices and without: their targets are not compared. What a payment says of a
    credit memo ends with the payment.
    """
    stated = told(record)
    if stated is not None:
        for s in stated:
            yield _application(s.source.value, s.source_id, s.application)
    elif isinstance(record, Payment):
        standing = [a for a in record.applications if a.reversed_on is None]
        for a in record.applications:
            yield _application("group:payment", record.ref.id, a)
        for c in record.credits if record.state is not PostingState.DRAFT else ():
            yield ("group:credit_memo", c.credit_memo, None, c.amount, None, record.posted, ended(record))
        own = sum((a.amount for a in standing), ZERO) - sum((c.amount for c in record.credits), ZERO)
        if own > 0:
            yield ("group:payment", record.ref.id, None, own, None, record.posted, None)
    if isinstance(record, Payment | CreditMemo):
        yield from group_rows(record.entity.value, record.ref.id, record.group)


def group_rows(kind: str, id: str, group: Group | None) -> list[Row]:
    """What a document's part in a settled group gives: its own amount, and the invoices that it states for all."""
    if group is None:
        return []
    source = f"group:{kind}", id
    shares = [(*source, s.invoice, s.amount, s.amount, group.settled_on, None) for s in group.invoices]
    return [(*source, None, group.amount, None, group.settled_on, None), *shares]


def _application(source_kind: str, source_id: str, a: Application) -> Row:
    return (source_kind, source_id, a.invoice, a.amount, a.amount_invoice, a.applied_on, a.reversed_on)
