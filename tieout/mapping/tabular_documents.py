"""Rows of an exported file to documents: lines grouped, signs checked, applications told apart. Pure.

A `Doc` is what one document of a file says; `tabular_records` says what it becomes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import cast

from tieout.mapping import clearing
from tieout.mapping.tabular import LINE_COLUMNS, Profile
from tieout.mapping.tabular_rows import Binding, Problem, Row, Value, convert, is_null
from tieout.model import MOST_DIGITS, ZERO, Entity, Group

# What an adjustment does to receivables where only its kind is given. The others need a side.
NATURAL = {
    **dict.fromkeys(("discount", "write_off", "withholding", "deduction"), -1),
    **dict.fromkeys(("finance_charge", "debit_memo", "refund", "returned_payment", "chargeback"), 1),
}
_SIGN = {"invoice": 1, "credit_memo": -1, "payment": -1}


@dataclass(frozen=True, slots=True)
class Part:
    """What one row is of its document: positive where it adds to the document's amount, whichever way that goes.

    net: None where nothing says it · stated: whether the row has a column of it, rather than what is left of its total
    """

    net: Decimal | None
    tax: Decimal | None
    stated: bool


@dataclass(frozen=True, slots=True)
class Doc:
    """One document of a file. sign: +1 raises receivables · amounts are magnitudes; None = not stated

    rows: its rows in file order, with the part of each · applied: (reference as printed, amount, on, reversed on)
    group: a settlement in which its part is not known
    """

    id: str
    key: str
    kind: str
    subkind: str | None
    sign: int
    total: Decimal
    open: Decimal | None
    net: Decimal | None
    tax: Decimal | None
    discount: Decimal | None
    rows: tuple[Row, ...]
    parts: tuple[Part, ...]
    applied: tuple[tuple[str, Decimal, date | None, date | None], ...]
    concerns: str | None
    group: Group | None = None

    def get(self, column: str) -> Value:
        """The document's value of a header column: the first that a row states."""
        for row in self.rows:
            if (found := row.values.get(column)) is not None:
                return found
        return None

    def text(self, column: str) -> str | None:
        return cast("str | None", self.get(column))

    def day(self, column: str) -> date | None:
        return cast("date | None", self.get(column))

    @property
    def number(self) -> str | None:
        return self.text("number") or self.text("document")

    @property
    def customer(self) -> str:
        return self.text("customer") or self.text("customer_name") or ""

    @property
    def issued(self) -> date:
        return cast("date", self.day("issued") or self.day("posted"))

    @property
    def posted(self) -> date:
        return cast("date", self.day("posted") or self.day("issued"))


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row set aside. `key`: of the document it belongs to, None if that could not be read."""

    row: int
    problem: Problem
    key: str | None = None


def documents(
    profile: Profile, rows: Iterable[Row], broken_keys: Mapping[str, int]
) -> tuple[list[Doc], list[Rejected]]:
    """Every document the rows make, in file order, identified and with its references resolved; and the rows that
    make none. See `assemble`.
    """
    docs, rejected = assemble(profile, rows, broken_keys)
    docs, again = _identify(profile, docs)
    return _cleared(profile, resolve(profile, docs)), rejected + again


def assemble(profile: Profile, rows: Iterable[Row], broken_keys: Mapping[str, int]) -> tuple[list[Doc], list[Rejected]]:
    """Documents with their key for an id, and the rows that make none.

    broken_keys: keys of documents of which a row was rejected already, with that row: the rest of them goes too,
    for a document without one of its lines is another document.
    """
    docs: list[Doc] = []
    rejected: list[Rejected] = []
    for key, group in _groups(profile, rows):
        found: Doc | Problem
        if profile.rows == "lines" and key in broken_keys:
            found = Problem("row", key, f"row {broken_keys[key]} of the same document was rejected")
        else:
            found = document(profile, key, group)
        if isinstance(found, Doc):
            docs.append(found)
        else:
            rejected += [Rejected(row.number, found, key or None) for row in group]
    return docs, rejected


def _groups(profile: Profile, rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    if profile.rows == "documents":
        return [(row.key, [row]) for row in rows]
    by_key: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_key[row.key].append(row)
    return list(by_key.items())


def document(profile: Profile, key: str, rows: Sequence[Row]) -> Doc | Problem:
    """One document from its rows, or why they make none."""
    if disagreeing := _disagreement(profile, rows):
        return disagreeing
    total = _sum(profile, "total", [r.effect for r in rows])
    meaning = rows[0].values.get("kind") or ("payment" if profile.entity == "payments" else None)
    if meaning is None:
        return Problem("kind", "", "empty, but needed")
    sub = rows[0].values.get("subkind")
    signed = _signed_file(profile, rows[0])
    found = kind_of(str(meaning), str(sub) if sub else None, total, signed=signed)
    if isinstance(found, str):
        return Problem("kind" if "kind" in rows[0].values else "total", f"{meaning} {total}"[:80], found)
    kind, subkind, sign = found
    size = abs(total)
    if size and size.adjusted() >= MOST_DIGITS:
        return Problem("total", str(size), f"beyond 10^{MOST_DIGITS}")
    parts = _parts(profile, rows, total)
    if isinstance(parts, Problem):
        return parts
    net, tax, discount, opened = parts
    applied = _applications(profile, kind, rows)
    if isinstance(applied, Problem):
        return applied
    if sum((a for _, a, _, _ in applied), ZERO) > size:
        return Problem("applied", str(sum(a for _, a, _, _ in applied)), f"more is applied than the {size} there is")
    concerns = next((r.values.get("concerns") for r in rows if r.values.get("concerns")), None)
    if concerns is None and kind in ("credit_memo", "adjustment") and not applied:
        concerns = next((named(r.values) for r in rows if r.values.get("invoice")), None)
    made = Doc(
        id=key,
        key=key,
        kind=kind,
        subkind=subkind,
        sign=sign,
        total=size,
        open=opened,
        net=net,
        tax=tax,
        discount=discount,
        rows=tuple(rows),
        parts=_row_parts(profile, rows, total, (size - (tax or ZERO) + (discount or ZERO), tax)),
        applied=applied,
        concerns=str(concerns) if concerns else None,
    )
    return replace(made, applied=_until_void(made))


def _until_void(doc: Doc) -> tuple[tuple[str, Decimal, date | None, date | None], ...]:
    """Its applications; its void takes them back on its day, where the file states no other day for that.

    Of a void without a day nobody knows until when they counted: they stand, and break I8.
    """
    gone = doc.day("voided_on")
    if not doc.applied or gone is None or doc.text("state") != "voided":
        return doc.applied
    last = max(gone, doc.posted)
    return tuple((ref, amount, on, back or last) for ref, amount, on, back in doc.applied)


def _signed_file(profile: Profile, row: Row) -> bool:
    return profile.amounts.direction != "magnitude" or row.values.get("side") is not None


def _disagreement(profile: Profile, rows: Sequence[Row]) -> Problem | None:
    first = rows[0].values
    for name, column in profile.columns.items():
        if name in LINE_COLUMNS or per(profile, name) == "line" or column.value is not None:
            continue
        for row in rows[1:]:
            if row.values.get(name) != first.get(name):
                shown = f"{first.get(name)} / {row.values.get(name)}"[:80]
                return Problem(name, shown, f"rows {rows[0].number} and {row.number} of one document disagree")
    return None


def per(profile: Profile, name: str) -> str:
    """Whether a column states something of its line or of its whole document."""
    if profile.rows == "documents":
        return "document"
    if name not in ("total", "open", "net", "tax", "discount", "due"):
        return "line" if name in LINE_COLUMNS else "document"
    column = profile.columns.get(name)
    total = profile.columns.get("total")
    asked = (column.per if column else None) or (total.per if total else None)
    return asked or "line"


def _sum(profile: Profile, name: str, amounts: Sequence[Decimal]) -> Decimal:
    return amounts[0] if per(profile, name) == "document" else sum(amounts, ZERO)


def _parts(
    profile: Profile, rows: Sequence[Row], total: Decimal
) -> tuple[Decimal | None, Decimal | None, Decimal | None, Decimal | None] | Problem:
    """Net, tax, discount and open, as magnitudes; None where the file does not say."""
    found: dict[str, Decimal | None] = {}
    for name in ("net", "tax", "discount", "open"):
        plain = name in profile.columns and profile.columns[name].unsigned
        stated = [v for r in rows if (v := _as_total(profile, r, name, total)) is not None]
        found[name] = part = _sum(profile, name, stated) if stated else None
        if part and part < 0:
            shown = -part if total < 0 and not plain else part
            return Problem(name, str(shown), f"its sign is not that of the total of {total}")
    size = abs(total)
    net, tax, discount, opened = (found[n] for n in ("net", "tax", "discount", "open"))
    if net is None and tax is not None:
        net = size - tax
    elif tax is None and net is not None:
        tax = size - net
    if net is not None and tax is not None and (net + tax != size or net < 0 or tax < 0):
        return Problem("net", f"{net} + {tax}", f"net and tax do not make the total of {size}")
    if opened is not None and opened > size:
        return Problem("open", f"{opened}", f"more is open than the total of {size}")
    return net, tax, discount, opened


def _row_parts(
    profile: Profile, rows: Sequence[Row], total: Decimal, whole: tuple[Decimal, Decimal | None]
) -> tuple[Part, ...]:
    """The part of each row. whole: net, before any discount, and tax of the document, which its rows add up to"""
    if len(rows) == 1 and rows[0].values.get("line_net") is None:
        return (Part(*whole, stated=False),)
    parts = tuple(_row_part(profile, row, total) for row in rows)
    left_over = not any(p.stated for p in parts)
    if left_over and sum((p.net for p in parts if p.net is not None), ZERO) != whole[0]:
        return tuple(replace(p, net=None) for p in parts)
    return parts


def _row_part(profile: Profile, row: Row, total: Decimal) -> Part:
    """One row. What it does not state is left of its total, where that and all that it holds are its own."""
    line_net, line_tax, net, tax, taken_off = (
        _as_total(profile, row, name, total) for name in ("line_net", "line_tax", "net", "tax", "discount")
    )
    if line_net is not None or any(per(profile, n) == "document" for n in ("total", "net", "tax", "discount")):
        return Part(line_net, line_tax, stated=line_net is not None)
    own = -row.effect if total < 0 else row.effect
    taxed = next((t for t in (line_tax, tax, None if net is None else own - net) if t is not None), None)
    return Part(own - (taxed or ZERO) + (taken_off or ZERO), taxed, stated=False)


def _as_total(profile: Profile, row: Row, name: str, total: Decimal) -> Decimal | None:
    """An amount of a row, positive where it adds to its document's; None where the row states none."""
    found = row.values.get(name)
    if not isinstance(found, Decimal) or profile.columns[name].unsigned:
        return cast("Decimal | None", found)
    found = _turned(profile, row, found)
    return -found if total < 0 else found


def _turned(profile: Profile, row: Row, amount: Decimal) -> Decimal:
    """An amount of a row, signed by the row's side and the file's direction as the row's total is."""
    if row.values.get("side") == "credit":
        amount = -amount
    return -amount if profile.amounts.direction == "credit_positive" else amount


def kind_of(meaning: str, sub: str | None, amount: Decimal, *, signed: bool) -> tuple[str, str | None, int] | str:
    """(kind, kind of adjustment, sign) of a document with this effect, or why it has none.

    meaning: `kind`, or `kind|kind with the opposite sign` · signed: whether the amount carries its sign
    """
    way = 0 if not signed or not amount else (1 if amount > 0 else -1)
    if not signed and amount < 0:
        return "a negative amount where the kind carries the sign"
    for part in meaning.split("|"):
        kind, _, own = part.partition(":")
        subkind, _, side = own.partition(":")
        if kind == Entity.ADJUSTMENT:
            subkind = subkind or sub or ""
            if not subkind:
                return "an adjustment without its kind"
            natural = {"debit": 1, "credit": -1}.get(side) or NATURAL.get(subkind)
            sign = way or natural or (1 if signed and not amount else None)  # nothing moves, whichever side it has
            if sign is None:
                return f"a {subkind} needs a side: debit or credit"
            return kind, subkind, sign
        sign = _SIGN[kind]
        if way in (0, sign):
            return kind, None, sign
    return f"{meaning.replace('|', ' or ')} cannot have this sign"


def _applications(
    profile: Profile, kind: str, rows: Sequence[Row]
) -> tuple[tuple[str, Decimal, date | None, date | None], ...] | Problem:
    """What a payment or credit memo is set against; a row without an invoice is unapplied and yields none.

    Without an `applied` column a payment's row applies its own amount, and a credit memo's none, but for line items
    that are cleared: there its reference to an invoice is one, too, and a row of the other side is what it left open.
    """
    if kind not in ("payment", "credit_memo") or "invoice" not in profile.columns:
        return ()
    items = clearing.reads(profile)
    found: list[tuple[str, Decimal, date | None, date | None]] = []
    for row in rows:
        invoice = named(row.values)
        applied = row.values.get("applied")
        if applied is None and "applied" not in profile.columns and (kind == "payment" or items):
            applied = -row.effect if _signed_file(profile, row) else row.effect
        if invoice is None:
            continue
        if applied is None:
            if kind == "credit_memo":
                continue
            return Problem("applied", "", f"row {row.number} names invoice {row.values.get('invoice')} but no amount")
        amount = cast("Decimal", applied)
        if amount < 0 and items:
            found = _less(found, str(invoice), -amount)
            continue
        if amount < 0:
            return Problem("applied", str(amount), f"row {row.number} applies a negative amount")
        on, back = row.values.get("applied_on"), row.values.get("reversed_on")
        found.append((str(invoice), amount, cast("date | None", on), cast("date | None", back)))
    return tuple(found)


def _less(
    found: list[tuple[str, Decimal, date | None, date | None]], invoice: str, left: Decimal
) -> list[tuple[str, Decimal, date | None, date | None]]:
    """The applications without what a residual item left open of the invoice, as far as they go."""
    out = []
    for ref, amount, on, back in found:
        taken = min(left, amount) if ref == invoice else ZERO
        left -= taken
        if amount > taken:
            out.append((ref, amount - taken, on, back))
    return out


def items(docs: Iterable[Doc]) -> list[clearing.Item]:
    """The rows of posted documents as `clearing.settle` takes them, in the order of the documents."""
    found = []
    for doc in docs:
        if (doc.text("state") or "posted") != "posted":
            continue
        for row in doc.rows:
            v = row.values
            if doc.kind != "invoice" and not v.get("clearing") and not v.get("invoice"):
                continue
            found.append(
                clearing.Item(
                    kind=doc.kind,
                    id=doc.id,
                    entity_code=doc.text("entity_code"),
                    customer=doc.customer,
                    currency=str(doc.text("currency")),
                    effect=row.effect,
                    clearing=cast("str | None", v.get("clearing")),
                    cleared_on=cast("date | None", v.get("cleared_on")),
                    ref=named(v),
                )
            )
    return found


def _cleared(profile: Profile, docs: list[Doc]) -> list[Doc]:
    """The documents with what the file's clearings say of them."""
    if not clearing.reads(profile):
        return docs
    target = targets(_invoices(docs))
    said = clearing.settle(replace(i, ref=target(i.entity_code, i.ref)) if i.ref else i for i in items(docs))
    return [settled(d, said[d.kind, d.id]) if (d.kind, d.id) in said else d for d in docs]


def settled(doc: Doc, said: clearing.Outcome) -> Doc:
    """The document as its clearings leave it."""
    applied = tuple((invoice, amount, on, None) for invoice, amount, on in said.applied)
    return replace(doc, applied=applied, group=said.group, concerns=said.concerns or doc.concerns)


def _identify(profile: Profile, docs: list[Doc]) -> tuple[list[Doc], list[Rejected]]:
    """Give each document its id: its key, and from the second of one kind and key on an ordinal; or reject repeats."""
    counts = Counter((d.kind, d.key) for d in docs)
    first: dict[tuple[str, str], int] = {}
    seen: Counter[tuple[str, str]] = Counter()
    kept: list[Doc] = []
    rejected: list[Rejected] = []
    for doc in docs:
        identity = (doc.kind, doc.key)
        seen[identity] += 1
        row = doc.rows[0].number
        first.setdefault(identity, row)
        if profile.unique and counts[identity] > 1:
            why = repeated(counts[identity], first[identity])
            rejected += [Rejected(r.number, Problem("row", doc.key[:80], why), doc.key) for r in doc.rows]
        else:
            kept.append(replace(doc, id=doc_id(doc.key, seen[identity], row, unkeyed=not profile.key)))
    return kept, rejected


def repeated(count: int, first: int) -> str:
    """Why a document is rejected whose key the profile calls unique."""
    return f"one of {count} documents of this key, the first in row {first}"


def doc_id(key: str, ordinal: int, row: int, *, unkeyed: bool) -> str:
    """The id of the n-th document of one kind and key; without a key, its row."""
    if unkeyed or not key:
        return f"row-{row}"
    return key if ordinal == 1 else f"{key}#{ordinal}"


def resolve(profile: Profile, docs: list[Doc]) -> list[Doc]:
    """Turn references to invoices into ids: an id as it is, else the only invoice of that number and entity."""
    if not {"invoice", "concerns"} & set(profile.columns):
        return docs
    target = targets(_invoices(docs))

    def resolved(d: Doc) -> Doc:
        code = d.text("entity_code")
        applied = tuple((target(code, ref), amount, on, back) for ref, amount, on, back in d.applied)
        return replace(d, applied=applied, concerns=target(code, d.concerns) if d.concerns else None)

    return [resolved(d) if d.applied or d.concerns else d for d in docs]


_YEAR = "\x1f"  # between a reference and its year, until it is resolved: no file has it, for controls are refused


def named(values: Mapping[str, object]) -> str | None:
    """The reference of a row to an invoice, with the fiscal year that it names (REBZJ) where it names one."""
    ref, year = values.get("invoice"), str(values.get("invoice_year") or "").strip("0")
    if ref is None:
        return None
    return f"{ref}{_YEAR}{values['invoice_year']}" if year else str(ref)


Named = tuple[str | None, str | None, str | None, str | None, str]


def _invoices(docs: Iterable[Doc]) -> Iterator[Named]:
    said = ("entity_code", "document", "number", "fiscal_year")
    return ((*(d.text(name) for name in said), d.id) for d in docs if d.kind == "invoice")  # type: ignore[misc]


def targets(invoices: Iterable[Named]) -> Callable[[str | None, str], str]:
    """(entity code, reference) → the id of the invoice that it means, else the reference as it is printed.

    A reference that names a year means no invoice of another one.
    invoices: (entity code, document, number, fiscal year, id) of every invoice of the file
    """
    ids: set[str] = set()
    by_number: dict[tuple[str | None, str], dict[str, str | None]] = defaultdict(dict)
    for code, document_, number, year, id in invoices:
        ids.add(id)
        for printed in {document_, number} - {None}:
            by_number[(code, str(printed))][id] = year

    def target(entity_code: str | None, ref: str) -> str:
        ref, _, year = ref.partition(_YEAR)
        if ref in ids:
            return ref
        known = by_number.get((entity_code, ref), {})
        found = [id for id, of in known.items() if not year or of in (None, year)]
        return found[0] if len(found) == 1 else ref

    return target


def readable_key(binding: Binding, cells: Sequence[str]) -> str | None:
    """The key of a row that is rejected for another reason; None if any part of it cannot be read."""
    parts = []
    for name in binding.profile.key:
        column = binding.profile.columns[name]
        raw = column.value if column.value is not None else binding.cell(cells, name)
        if is_null(binding.profile, column, raw):
            if column.required or name == binding.profile.key[0]:
                return None
            continue
        try:
            parts.append(str(convert(binding, name, raw)))
        except ValueError:
            return None
    return "/".join(parts) or None


def customers(rows: Iterable[Row]) -> list[tuple[Row, Problem | None]]:
    """Rows of a customers file with the reason why one is set aside: a key that stands for two things."""
    by_key: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_key[row.key].append(row)
    found: list[tuple[Row, Problem | None]] = []
    for key, group in by_key.items():
        for row in group:
            others = [r.number for r in group if r is not row]
            why = f"row {others[0]} has the same key" if others else ""
            found.append((row, Problem("row", key[:80], why) if others else None))
    return sorted(found, key=lambda pair: pair[0].number)
