"""What of a record is compared between two systems, in terms that both share.

A record in *shared form* is its JSON with every reference (customer, invoice, …) replaced by the id of the subject it
stands for, so that the same fact reads the same on either side. *Facts* are the compared fields of that form.
Everything here is pure; what a system can hold is said by its `Capabilities.fields` and its `represent`.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from tieout.model import AnyRecord, Entity, as_json, tidy, type_of

Shared = dict[str, Any]
Facts = dict[str, Any]
Which = Literal["left", "right"]
Resolve = Callable[[Entity, str], str | None]

LEFT: Which = "left"
RIGHT: Which = "right"

COMPARED: Mapping[Entity, tuple[str, ...]] = {
    Entity.CUSTOMER: ("name", "email", "phone", "currency", "terms", "tax_id", "parent", "active"),
    Entity.INVOICE: (
        *("number", "customer", "issued", "posted", "due", "currency", "subtotal", "discount", "tax", "total"),
        *("lines", "po_number", "memo", "state"),
    ),
    Entity.CREDIT_MEMO: (
        *("number", "customer", "issued", "posted", "currency", "subtotal", "discount", "tax", "total"),
        *("lines", "memo", "state", "applications"),
    ),
    Entity.PAYMENT: (
        *("reference", "customer", "received", "posted", "method", "amount", "currency", "memo", "state"),
        "applications",
    ),
    Entity.ADJUSTMENT: ("kind", "side", "customer", "amount", "currency", "document", "posted", "state"),
}
# Fields that carry money, dates, the customer or tax: one owner or none, never two.
GUARDED_FIELDS = frozenset(
    {
        *("customer", "issued", "posted", "due", "received", "currency", "subtotal", "discount", "tax", "total"),
        *("lines", "amount", "applications", "state", "kind", "side", "document", "number"),
    }
)
# What people word: no code, no money, and nothing that a system computes.
FREE_TEXT = frozenset({"name", "email", "phone", "po_number", "memo", "reference"})
_REFERENCES: Mapping[Entity, Mapping[str, Entity]] = {
    Entity.CUSTOMER: {"parent": Entity.CUSTOMER},
    Entity.INVOICE: {"customer": Entity.CUSTOMER, "payer": Entity.CUSTOMER},
    Entity.CREDIT_MEMO: {
        "customer": Entity.CUSTOMER,
        "payer": Entity.CUSTOMER,
        "original_invoice": Entity.INVOICE,
        "applications": Entity.INVOICE,
    },
    Entity.PAYMENT: {
        "customer": Entity.CUSTOMER,
        "payer": Entity.CUSTOMER,
        "applications": Entity.INVOICE,
        "credits": Entity.CREDIT_MEMO,
    },
    Entity.ADJUSTMENT: {"customer": Entity.CUSTOMER, "document": Entity.INVOICE},
}
_INNER = {"applications": "invoice", "credits": "credit_memo"}
_ALWAYS = frozenset({"state", "active"})
_NOT_SHARED = ("marker", "ref", "reported_balance", "reported_open", "reported_unapplied")
# Of a payment that the source only states, these are no facts.
_UNSTATED = frozenset({"method", "reference", "memo"})


UNMAPPED = "has no entry in codes."


class UnknownReferenceError(LookupError):
    """A record refers to one that is not known on that side: it waits, it is not guessed."""

    def __init__(self, entity: Entity, id: str) -> None:
        super().__init__(f"{entity} {id!r} is not known")
        self.entity = entity
        self.id = id


class UnmappedCodeError(LookupError):
    """Codes (item, tax, account, terms) without a counterpart in the pair's `codes`. missing: table and code of each"""

    def __init__(self, *missing: tuple[str, str]) -> None:
        said = (f"{value or 'a record without one'!r} {UNMAPPED}{table}" for table, value in missing)
        super().__init__("; ".join(said))
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Codes:
    """Left code → right code, per table. A table that is None says that both systems use the same codes.

    entities: legal entities or sites; one that is not named becomes the target's own, which its connection knows
    """

    items: Mapping[str, str] | None = field(default_factory=dict)
    taxes: Mapping[str, str] | None = field(default_factory=dict)
    accounts: Mapping[str, str] | None = field(default_factory=dict)
    terms: Mapping[str, str] | None = field(default_factory=dict)
    methods: Mapping[str, str] | None = None
    entities: Mapping[str, str] | None = field(default_factory=dict)

    @classmethod
    def same(cls) -> Codes:
        """Both systems use the same codes throughout."""
        return cls(None, None, None, None, None, None)

    def translate(self, table: str, value: str | None, to: Which) -> str | None:
        """The counterpart of a code on the `to` side. Raises UnmappedCodeError; a missing code maps from `""` only."""
        mapping: Mapping[str, str] | None = getattr(self, table)
        if mapping is None:
            return value
        if to == RIGHT:
            if (value or "") in mapping:
                return mapping[value or ""] or None
        else:
            sources = [k for k, v in mapping.items() if v == (value or "")]
            if len(sources) == 1:
                return sources[0] or None
            named = [k for k in sources if k]
            if len(named) == 1:
                return named[0]
        if not value:
            return None
        raise UnmappedCodeError((table, value))

    def entity(self, value: str | None, to: Which) -> str | None:
        """The counterpart of a legal entity on the `to` side; None where none is named."""
        if self.entities is None or value is None:
            return value
        if to == RIGHT:
            return self.entities.get(value)
        sources = [left for left, right in self.entities.items() if right == value]
        return sources[0] if len(sources) == 1 else None

    def require_blank(self, table: str, to: Which) -> None:
        """Raises UnmappedCodeError unless the table says what becomes of a record without a code."""
        mapping: Mapping[str, str] | None = getattr(self, table)
        if mapping is not None and "" not in (mapping.keys() if to == RIGHT else mapping.values()):
            raise UnmappedCodeError((table, ""))


def canonical(value: object) -> str:
    """JSON in one spelling: sorted keys, no spaces; Decimals as text; floats are refused."""

    def default(item: object) -> object:
        if isinstance(item, Decimal):
            return str(item)
        if isinstance(item, Mapping):
            return dict(item)
        raise TypeError(f"{type(item).__name__} has no canonical JSON")

    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=default)


def digest(value: object) -> str:
    """sha256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def share(record: AnyRecord, resolve: Resolve) -> Shared:
    """The record in shared form. Raises UnknownReferenceError for a reference that `resolve` does not know."""
    data = as_json(record)
    shared = _refer(record.entity, data, resolve)
    for name in _NOT_SHARED:
        shared.pop(name, None)
    if shared.get("group") is not None:
        shared["group"] = {k: v for k, v in shared["group"].items() if k != "invoices"}
    if not shared.get("stated_by_source"):
        shared.pop("stated_by_source", None)
    return shared


def realise(entity: Entity, shared: Shared, resolve: Resolve, *, ref: Mapping[str, Any]) -> AnyRecord:
    """The record of one connection that a shared form describes. `resolve` maps subjects to native ids there.

    A settled group stays where it is: it says nothing that could be written elsewhere.
    """
    data = _refer(entity, {k: v for k, v in shared.items() if k != "group"}, resolve)
    kind = type_of[entity]
    data["ref"] = dict(ref)
    for name, info in kind.model_fields.items():
        if name not in data and info.is_required():
            data[name] = None
    return kind.model_validate(data)  # type: ignore[return-value]


def _refer(entity: Entity, data: Shared, resolve: Resolve) -> Shared:
    out = dict(data)
    for name, target in _REFERENCES[entity].items():
        value = out.get(name)
        if not value:
            continue
        if name in _INNER:
            inner = _INNER[name]
            out[name] = [{**part, inner: _resolved(resolve, target, part[inner])} for part in value]
        else:
            out[name] = _resolved(resolve, target, value)
    return out


def _resolved(resolve: Resolve, entity: Entity, id: str) -> str:
    found = resolve(entity, id)
    if found is None:
        raise UnknownReferenceError(entity, id)
    return found


def needs(entity: Entity, shared: Shared) -> list[tuple[Entity, str]]:
    """The subjects that a record in shared form refers to, each once, in field order."""
    found: dict[tuple[Entity, str], None] = {}
    for name, target in _REFERENCES[entity].items():
        value = shared.get(name)
        if not value:
            continue
        parts = [p[_INNER[name]] for p in value] if name in _INNER else [value]
        for part in parts:
            found[(target, part)] = None
    return list(found)


def recode(entity: Entity, shared: Shared, codes: Codes, to: Which, held: frozenset[str]) -> Shared:
    """The shared form with its codes as the `to` side spells them; codes that side does not hold are dropped.

    A document without lines, for a side that keeps lines, becomes one line under the code that `items` has for "".
    held: the target's `Capabilities.fields` of the entity. Raises UnmappedCodeError, which names all that are missing.
    """
    out = dict(shared)
    missing: dict[tuple[str, str], None] = {}
    if "lines" in held and out.get("lines") == [] and Decimal(out.get("subtotal", "0")):
        out["lines"] = [_whole(out)]

    def translated(table: str, value: str | None, *, blank: bool = False) -> str | None:
        try:
            if blank:
                codes.require_blank(table, to)
            return codes.translate(table, value, to)
        except UnmappedCodeError as error:
            missing.update(dict.fromkeys(error.missing))
            return None

    def code(table: str, value: str | None, *names: str, blank: bool = False) -> str | None:
        return translated(table, value, blank=blank) if held.intersection(names) else None

    def item(line: Mapping[str, Any]) -> str | None:
        blank = not line["item"] and bool(Decimal(line["net"]))
        return code("items", line["item"], "lines", "lines.item", blank=blank)

    if "lines" in out:
        out["lines"] = [
            {
                **line,
                "item": item(line),
                "tax_code": code("taxes", line["tax_code"], "lines", "lines.tax_code", "tax_lines"),
                "revenue_account": code(
                    "accounts", line["revenue_account"], "lines.revenue_account", "revenue_account"
                ),
            }
            for line in out["lines"]
        ]
        out["tax_lines"] = [
            {**part, "code": code("taxes", part["code"], "lines", "lines.tax_code", "tax_lines") or ""}
            for part in out["tax_lines"]
            if held.intersection(("lines", "lines.tax_code", "tax_lines"))
        ]
    for name, table in (("terms", "terms"), ("deposit_to", "accounts"), ("ar_account", "accounts")):
        if name in out:
            out[name] = code(table, out[name], name)
    if "entity_code" in out:
        out["entity_code"] = codes.entity(out["entity_code"], to)
    if entity is Entity.PAYMENT and codes.methods is not None and not out.get("stated_by_source"):
        out["method"] = translated("methods", out["method"])
    if missing:
        raise UnmappedCodeError(*missing)
    return out


def _whole(shared: Shared) -> dict[str, Any]:
    """One line that says no more than the document itself."""
    codes = [part["code"] for part in shared["tax_lines"]]
    return {
        "item": None,
        "description": None,
        "quantity": None,
        "unit_price": None,
        "net": shared["subtotal"],
        "tax_code": codes[0] if len(codes) == 1 else None,
        "tax": shared["tax"],
        "revenue_account": None,
    }


def facts(entity: Entity, shared: Shared, fields: frozenset[str]) -> Facts:
    """The compared fields of a shared form that are in `fields` (and its state), each in one normal spelling.

    Applications become {invoice subject: amount} of those that stand; lines become tuples in order.
    """
    held = fields | _ALWAYS
    if shared.get("stated_by_source"):
        held -= _UNSTATED
    return {name: _normal(name, shared.get(name)) for name in COMPARED[entity] if name in held}


def _normal(name: str, value: Any) -> Any:
    if name == "applications":
        return applications(value or [])
    if name == "lines":
        return [
            [part["item"], _text(part["description"]), part["tax_code"], str(tidy(Decimal(part["net"])))]
            for part in value or []
        ]
    if isinstance(value, str):
        return _text(value)
    return value


def _text(value: str | None) -> str | None:
    if value is None:
        return None
    return " ".join(unicodedata.normalize("NFC", value).split()) or None


def applications(parts: list[dict[str, Any]]) -> dict[str, str]:
    """{invoice: amount as text} of the applications that stand; several on one invoice add up."""
    sums: dict[str, Decimal] = {}
    for part in parts:
        if part["reversed_on"] is None:
            sums[part["invoice"]] = sums.get(part["invoice"], Decimal(0)) + Decimal(part["amount"])
    return {k: str(tidy(v)) for k, v in sorted(sums.items()) if v}


def same_lines(left: list[list[Any]], right: list[list[Any]]) -> bool:
    """Whether two documents' lines say the same: equal, a missing description aside, which says nothing; or equal
    amounts where a side keeps no more than that.
    """
    if left == right:
        return True
    if len(left) == len(right) and all(map(_same_line, left, right)):
        return True
    bare = any(all(part[0] is None for part in lines) for lines in (left, right))
    return bare and sorted(part[3] for part in left) == sorted(part[3] for part in right)


def _same_line(left: list[Any], right: list[Any]) -> bool:
    item, said, tax, net = 0, 1, 2, 3
    told = left[said] is None or right[said] is None or left[said] == right[said]
    return told and all(left[n] == right[n] for n in (item, tax, net))
