"""The lines of a QuickBooks invoice or credit memo <-> canonical lines, the discount apart.

A native line carries no, one or (a group) several canonical lines. Sub-totals carry none; discount lines are the
document's `discount`. Writing changed lines keeps every native line that still carries what it did, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from typing import Any

from tieout.mapping.lens import Unreadable, Unwritable
from tieout.mapping.quickbooks.native import (
    DESCRIPTION_LENGTH,
    Native,
    child,
    items,
    maker,
    paragraphs,
    ref,
    same_product,
    text,
    tidied,
)
from tieout.mapping.quickbooks.native import amount as number
from tieout.model import ZERO, Line, finer_than_currency

TAXED, UNTAXED = "TAX", "NON"
SALES, TEXT, GROUP = "SalesItemLineDetail", "DescriptionOnly", "GroupLineDetail"
DISCOUNT, SUBTOTAL = "DiscountLineDetail", "SubTotalLineDetail"
_made = maker(Line)


@dataclass(frozen=True, slots=True)
class TaxRead:
    """code: what lines marked TAX are taxed with, None if not said · unmarked: how a line without a mark is read"""

    code: str | None
    unmarked: str


@dataclass(frozen=True, slots=True)
class Block:
    """One native line and the canonical lines it carries."""

    native: Native
    carries: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Body:
    """All native lines of a document in order, with its discount (positive)."""

    blocks: tuple[Block, ...]
    discount: Decimal

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(line for block in self.blocks for line in block.carries)


def read(native: Native, tax: TaxRead, currency: str) -> Body:
    """The lines of a document."""
    blocks, discount = [], ZERO
    for n, line in enumerate(items(native, "Line", "")):
        path = f"Line[{n}]."
        kind = text(line, "DetailType", path)
        if kind == DISCOUNT:
            discount += _net(line, path)
            carries: tuple[Line, ...] = ()
        elif kind == SUBTOTAL:
            carries = ()
        elif kind == GROUP:
            group = child(line, GROUP, path) or {}
            inner = items(group, "Line", f"{path}{GROUP}.")
            carries = tuple(_line(x, f"{path}{GROUP}.Line[{m}].", tax, currency) for m, x in enumerate(inner))
        else:
            carried = _line(line, path, tax, currency)
            carries = () if is_text(carried) and carried.description is None else (carried,)
        blocks.append(Block(line, carries))
    return Body(tuple(blocks), discount)


def _net(line: Native, path: str) -> Decimal:
    net = number(line, "Amount", path)
    if net is None:
        raise Unreadable(f"{path}Amount", line.get("Amount"), "is missing")
    return net


def _line(line: Native, path: str, tax: TaxRead, currency: str) -> Line:
    description = paragraphs(text(line, "Description", path), DESCRIPTION_LENGTH)
    if line.get("DetailType") == TEXT:
        if number(line, "Amount", path):
            raise Unreadable(f"{path}Amount", line["Amount"], "a line of text has an amount")
        return _described(description)
    detail = child(line, SALES, path) or {}
    inner = f"{path}{SALES}."
    if number(detail, "TaxInclusiveAmt", inner) is not None:
        raise Unreadable(f"{inner}TaxInclusiveAmt", detail["TaxInclusiveAmt"], "amounts that include tax are not read")
    net = _net(line, path)
    item = ref(detail, "ItemRef", inner)
    quantity, price = _count(number(detail, "Qty", inner), number(detail, "UnitPrice", inner), net, currency)
    if item is None and not net and quantity is None and price is None:
        return _described(description)
    mark = ref(detail, "TaxCodeRef", inner) or tax.unmarked
    return _made(
        {
            "item": item,
            "description": description,
            "quantity": quantity,
            "unit_price": price,
            "net": tidied(net, f"{path}Amount"),
            "tax_code": tax.code if mark == TAXED and tax.code else mark,
            "tax": None,
            "revenue_account": None,
        },
    )


def _count(
    quantity: Decimal | None, price: Decimal | None, net: Decimal, currency: str
) -> tuple[Decimal | None, Decimal | None]:
    """Quantity and unit price, or neither where they do not make the amount."""
    if quantity is None or price is None or same_product(quantity, price, net, currency):
        return quantity, price
    return None, None


def _described(description: str | None) -> Line:
    return Line(
        item=None,
        description=description,
        quantity=None,
        unit_price=None,
        net=ZERO,
        tax_code=None,
        tax=None,
        revenue_account=None,
    )


def is_text(line: Line) -> bool:
    """Whether the line only says something: no item, nothing to pay."""
    return line.item is None and not line.net and line.quantity is None and line.unit_price is None


def is_taxed(line: Line) -> bool:
    return line.tax_code not in (None, UNTAXED)


def represent(line: Line, code: str | None, currency: str, *, taxed: bool) -> Line:
    """The line as QuickBooks would hold it. taxed: what a line is that does not say so itself."""
    described = paragraphs(line.description, DESCRIPTION_LENGTH)
    if is_text(line):
        return _described(described)
    own = line.tax_code if line.tax_code is not None else (TAXED if taxed or line.tax else UNTAXED)
    quantity, price = _count(line.quantity, line.unit_price, line.net, currency)
    return line.model_copy(
        update={
            "description": described,
            "quantity": quantity,
            "unit_price": price,
            "tax_code": own if own == UNTAXED else (code or own),
            "tax": None,
            "revenue_account": None,
        }
    )


def create(line: Line, currency: str, *, new: bool = True) -> dict[str, Any]:
    """A native line. Raises Unwritable for new money without an item: QuickBooks would choose one."""
    described = {"Description": line.description} if line.description else {}
    if is_text(line):
        return {"DetailType": TEXT, "DescriptionLineDetail": {}, **described}
    if line.item is None and new:
        raise Unwritable(f"a line of {line.net} names no item; map one")
    if finer_than_currency(line.net, currency):
        raise Unwritable(f"a line of {line.net} is finer than {currency} is counted")
    detail: dict[str, Any] = {"ItemRef": {"value": line.item}} if line.item is not None else {}
    if line.quantity is not None:
        detail["Qty"] = line.quantity
    if line.unit_price is not None:
        detail["UnitPrice"] = line.unit_price
    detail["TaxCodeRef"] = {"value": TAXED if is_taxed(line) else UNTAXED}
    return {"DetailType": SALES, "Amount": line.net, SALES: detail, **described}


def create_discount(discount: Decimal) -> dict[str, Any]:
    return {"DetailType": DISCOUNT, "Amount": discount, DISCOUNT: {"PercentBased": False}}


def put(wanted: Sequence[Line], discount: Decimal, body: Body, currency: str) -> list[Native]:
    """The native lines that say what is wanted, made from those there are. Discount lines come last.

    Sub-totals that QuickBooks adds itself (no Id) are left out; those of a person stay behind the line they followed.
    """
    if tuple(wanted) == body.lines:
        out = [b.native for b in body.blocks if b.native.get("DetailType") != DISCOUNT]
    else:
        out = list(_aligned(wanted, body, currency))
    held = [b.native for b in body.blocks if b.native.get("DetailType") == DISCOUNT]
    if not discount:
        return out
    if discount == body.discount and not any((b.get(DISCOUNT) or {}).get("PercentBased") for b in held):
        return [*out, *held]
    if not held:
        return [*out, create_discount(discount)]
    detail = {k: v for k, v in (held[0].get(DISCOUNT) or {}).items() if k != "DiscountPercent"}
    return [*out, {**held[0], "Amount": discount, DISCOUNT: {**detail, "PercentBased": False}}]


def _aligned(wanted: Sequence[Line], body: Body, currency: str) -> Iterator[Native]:
    """Native lines for the wanted ones: equal ones as they are, changed ones edited in place, others made."""
    old = [(line, n) for n, block in enumerate(body.blocks) for line in block.carries]
    kept, edited = _steps([line for line, _ in old], wanted)
    same = {j: i for i, j in kept.items()}
    whole = {n for n, b in enumerate(body.blocks) if _is_group(b) and b.carries and _stands(n, old, kept)}
    owner = [old[at][1] if (at := same.get(j, edited.get(j))) is not None else None for j in range(len(wanted))]
    last = {n: j for j, n in enumerate(owner) if n is not None}
    placed: set[int] = set()
    yield from _followers(body, -1, placed)
    for j, line in enumerate(wanted):
        n = owner[j]
        if n is None:
            yield create(line, currency)
            continue
        at = same.get(j, edited.get(j, -1))
        if n in whole:
            if last[n] == j:
                yield body.blocks[n].native
        elif j in same:
            yield _alone(body.blocks[n], at, old)
        else:
            yield _edited(line, old[at][0], _alone(body.blocks[n], at, old), currency)
        if last[n] == j:
            yield from _followers(body, n, placed)
    for n in range(len(body.blocks)):
        yield from _followers(body, n, placed)


def _steps(old: Sequence[Line], new: Sequence[Line]) -> tuple[dict[int, int], dict[int, int]]:
    """(old place → new place of lines that stay, new place → old place of lines that change)."""
    head = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    most = min(len(old), len(new)) - head
    tail = next((n for n in range(most) if old[-1 - n] != new[-1 - n]), most)
    kept = {n: n for n in range(head)} | {len(old) - 1 - n: len(new) - 1 - n for n in range(tail)}
    edited: dict[int, int] = {}
    middle = SequenceMatcher(None, old[head : len(old) - tail], new[head : len(new) - tail], autojunk=False)
    for step, i1, i2, j1, j2 in middle.get_opcodes():
        olds, news = range(head + i1, head + i2), range(head + j1, head + j2)
        if step == "equal":
            kept.update(zip(olds, news, strict=True))
        elif step == "replace":
            edited.update(zip(news, olds, strict=False))
    return kept, edited


def _is_group(block: Block) -> bool:
    return block.native.get("DetailType") == GROUP


def _stands(block: int, old: Sequence[tuple[Line, int]], kept: dict[int, int]) -> bool:
    """Whether all lines of a group are kept, side by side."""
    places = [kept.get(i, -1) for i, (_, owner) in enumerate(old) if owner == block]
    return places[0] >= 0 and places == list(range(places[0], places[0] + len(places)))


def _alone(block: Block, at: int, old: Sequence[tuple[Line, int]]) -> Native:
    """The native line behind one canonical line; out of a group it stands for itself, without the group's line id."""
    if not _is_group(block):
        return block.native
    first = next(i for i, (_, owner) in enumerate(old) if owner == old[at][1])
    inner: Native = block.native[GROUP]["Line"][at - first]
    return {k: v for k, v in inner.items() if k not in ("Id", "LineNum")}


def _followers(body: Body, block: int, placed: set[int]) -> Iterator[Native]:
    """The lines that carry nothing and stand behind a block, up to the next that carries something; each once."""
    for n, after in enumerate(body.blocks[block + 1 :], block + 1):
        if after.carries:
            return
        if n not in placed and after.native.get("DetailType") != DISCOUNT and after.native.get("Id"):
            placed.add(n)
            yield after.native


def _edited(line: Line, was: Line, native: Native, currency: str) -> Native:
    """The native line brought from one canonical line to another; what is not mapped stays."""
    moved = {name for name in Line.model_fields if getattr(line, name) != getattr(was, name)}
    if is_text(line) != is_text(was) or (SALES not in native and not moved <= {"description", "net"}):
        return create(line, currency)
    fresh = create(line, currency, new="item" in moved)
    out = dict(native)
    if "description" in moved:
        out.pop("Description", None)
        out |= {k: v for k, v in fresh.items() if k == "Description"}
    if "net" in moved:
        out["Amount"] = line.net
    if SALES not in native:
        return out
    detail = dict(native[SALES])
    for name, key in (("item", "ItemRef"), ("tax_code", "TaxCodeRef")):
        if name in moved:
            detail = _replaced(detail, key, fresh)
    for wanted, key in ((line.quantity, "Qty"), (line.unit_price, "UnitPrice")):
        if number(detail, key) != wanted:
            detail = _replaced(detail, key, fresh)
    out[SALES] = detail
    return out


def _replaced(detail: dict[str, Any], key: str, fresh: Native) -> dict[str, Any]:
    """The detail with one key as a fresh line has it, or without it."""
    told = {key: fresh[SALES][key]} if key in fresh[SALES] else {}
    return {**{k: v for k, v in detail.items() if k != key or told}, **told}


def marked(native: Native, unmarked: str) -> list[Native]:
    """The native lines, each sales line without a tax mark now marked as it was read."""

    def mark(line: Native) -> Native:
        if line.get("DetailType") == GROUP:
            group = line.get(GROUP) or {}
            return {**line, GROUP: {**group, "Line": [mark(x) for x in items(group, "Line", "")]}}
        detail = line.get(SALES)
        if detail is None or ref(detail, "TaxCodeRef") is not None:
            return line
        return {**line, SALES: {**detail, "TaxCodeRef": {"value": unmarked}}}

    return [mark(line) for line in items(native, "Line", "")]
