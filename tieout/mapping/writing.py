"""Record or change → rows of an import file, by an import profile. Pure: what leaves is checked, never altered.

An import profile (`profiles/imports/*.toml`) names the columns, where each value comes from, and how it is printed.
Text that a spreadsheet would run, that the code page lacks, or that is too long is refused, with the field and value.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tieout.errors import ProfileError, Rejected
from tieout.mapping import fields, toml
from tieout.model import (
    ZERO,
    Adjustment,
    AnyRecord,
    CreditMemo,
    Customer,
    Entity,
    Invoice,
    Payment,
    exponent,
    finer_than_currency,
    magnitude,
    sign,
    type_of,
)

FORMULA = frozenset("=+-@\u2212")
_IDENTIFYING = frozenset(
    {
        "marker",
        "number",
        "reference",
        "customer",
        "payer",
        "entity_code",
        "ar_account",
        "po_number",
        "tax_code",
        "terms",
    }
    | {"tax_id", "parent", "postal_code", "deposit_to", "applied_to", "original_invoice"}
)
_PHONE = re.compile(r"\+?[0-9][0-9 ()./-]*")
_DOCUMENT = ("customer", "payer", "entity_code", "ar_account", "posted", "due", "currency", "exchange_rate", "memo")
_OTHER = ("name", "reference", "email", "phone", "terms", "tax_id", "parent", "number", "issued", "tax", "po_number")
_MORE = ("reason", "original_invoice", "method", "deposit_to")
# Where a value may come from, and the canonical fields that it carries.
SOURCES: Mapping[str, tuple[str, ...]] = {
    "marker": (),
    "entity": (),
    "constant": (),
    **{name: (name,) for name in (*_DOCUMENT, *_OTHER, *_MORE)},
    **dict.fromkeys(("street", "city", "region", "postal_code", "country"), ("billing_address",)),
    "net": ("total", "subtotal"),
    "total": ("total", "subtotal"),
    "tax_code": ("tax_lines",),
    "applied_to": ("applications",),
    "applied_amount": ("total", "subtotal"),
    # Of a change: what is done, to which record of the ERP, in which of this file's columns.
    **dict.fromkeys(("operation", "id", "changed", "void_date", "move", "moved_on"), ()),
    "moved_amount": (),
}
# A payment's own names for what documents call otherwise.
_OF_PAYMENTS = {"issued": "received", "number": "reference", "total": "amount"}
Kind = Literal["text", "phone", "code", "amount", "date", "rate"]
# What an ERP's import can do with a row; `apply` changes only what a payment or credit memo is set against.
Operation = Literal["create", "update", "apply", "void"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Model):
    """One column. `source` is a key of `SOURCES`; `codes` names the table that translates the value.

    max: characters · required: an empty value is refused · signed: the amount carries the sign of its AR effect
    part: nth piece (from 0) of an id that `separator` splits, as exports join company code, number and year
    """

    name: str
    source: str
    kind: Kind = "text"
    max: int | None = Field(default=None, gt=0)
    required: bool = False
    signed: bool = False
    codes: str | None = None
    constant: str = ""
    part: int | None = None
    separator: str = "/"

    @field_validator("source")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in SOURCES:
            raise ValueError(f"unknown source {value!r}; use one of: {', '.join(sorted(SOURCES))}")
        return value


class FileFormat(_Model):
    """How the file is written. Control characters and line breaks never occur in it but as separators."""

    encoding: str = "utf-8"
    bom: bool = False
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    decimal: Literal[".", ","] = "."
    date: str = "%Y-%m-%d"
    line_end: Literal["\r\n", "\n"] = "\r\n"

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str) -> str:
        "".encode(value)
        return value

    @model_validator(mode="after")
    def _distinct(self) -> FileFormat:
        if self.decimal == self.delimiter:
            raise ValueError("the decimal separator cannot be the delimiter")
        return self


class ImportProfile(_Model):
    """One layout of import files.

    operations: what the ERP's import does with its rows; what no profile takes stays a person's work
    rows: one per record · `applications`: one per application and one for what is unapplied · `moves`: one per amount
    that an `apply` takes back or sets against an invoice
    """

    name: str = ""
    description: str = ""
    entities: tuple[Entity, ...]
    operations: tuple[Operation, ...] = Field(default=("create",), min_length=1)
    rows: Literal["records", "applications", "moves"] = "records"
    file: FileFormat = FileFormat()
    columns: tuple[Column, ...] = Field(min_length=1)
    codes: dict[str, dict[str, str]] = {}

    @model_validator(mode="after")
    def _sound(self) -> ImportProfile:
        names = [c.name for c in self.columns]
        if len(set(names)) != len(names):
            raise ValueError("a column name occurs twice")
        if not any(c.source == "marker" for c in self.columns):
            raise ValueError(
                'one column must carry our reference (source = "marker"): it is how a record is known again'
            )
        missing = [c.codes for c in self.columns if c.codes and c.codes not in self.codes]
        if missing:
            raise ValueError(f"no code table {missing[0]!r}")
        sources = {c.source for c in self.columns}
        amount = {"applications": "applied_amount", "moves": "moved_amount"}.get(self.rows)
        if amount and amount not in sources:
            raise ValueError(f'rows = "{self.rows}" needs a column with source = "{amount}"')
        if (self.rows == "moves") is not (set(self.operations) == {"apply"}):
            raise ValueError('rows = "moves" is for operations = ["apply"], and these need it')
        needed = {"id"} if set(self.operations) != {"create"} else set()
        needed |= {"operation"} if len(set(self.operations)) > 1 else set()
        needed |= {"changed"} if "update" in self.operations else set()
        if missed := sorted(needed - sources):
            raise ValueError(f"changes of records need a column with source = {', '.join(missed)}")
        return self

    def carries(self, entity: Entity) -> frozenset[str]:
        """Canonical fields of the entity that some column carries."""
        found = {f for c in self.columns for f in SOURCES[c.source]}
        if entity is Entity.PAYMENT:
            found = {_OF_PAYMENTS.get(f, f) for f in found}
        return frozenset(found & type_of[entity].model_fields.keys())


def list_import_profiles() -> list[str]:
    """The names of the import profiles that ship with tieout, sorted."""
    return sorted(p.name.removesuffix(".toml") for p in _shipped().iterdir() if p.name.endswith(".toml"))


def _shipped() -> Any:
    return resources.files("tieout.mapping") / "profiles" / "imports"


def shipped_import_text(name: str) -> str:
    """The file of an import profile that ships with tieout, to copy from."""
    return str((_shipped() / f"{name}.toml").read_text("utf-8"))


def load_import_profile(name: str | Path) -> ImportProfile:
    """A shipped import profile by name, or one from a `.toml` path. Raises ProfileError with every problem."""
    path = Path(name)
    try:
        if path.suffix == ".toml":
            text, stem = path.read_text("utf-8"), path.stem
        else:
            text = (_shipped() / f"{name}.toml").read_text("utf-8")
            stem = str(name)
    except OSError as error:
        raise ProfileError(
            f"import profile {str(name)!r}: {error.strerror or error}",
            hint=f"give a path to a .toml file, or one of: {', '.join(list_import_profiles())}",
        ) from error
    except UnicodeDecodeError as error:
        raise ProfileError(
            f"import profile {str(name)!r} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8"
        ) from None
    try:
        return ImportProfile.model_validate({"name": stem} | toml.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(
            f"import profile {str(name)!r}: not TOML: {error}", hint="text stands in double quotes"
        ) from error
    except ValidationError as error:
        found = tuple(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ProfileError(f"import profile {str(name)!r} is wrong", problems=found) from error


@dataclass(frozen=True, slots=True)
class Rows:
    """One record or change, ready for the file.

    effect: what the manifest's control total counts: the signed effect on receivables of a record as its rows state
    it, the opposite of one that is voided, and of moves what is set against invoices less what is taken back
    """

    cells: tuple[tuple[str, ...], ...]
    currency: str
    effect: Decimal


# An application, the unapplied rest (invoice ""), or None where rows are records.
Share = tuple[str, Decimal] | None


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to a record that the ERP holds. id: the ERP's own · before: the record as an export showed it

    fields: canonical fields that differ, empty for a void
    """

    operation: Operation
    id: str
    before: AnyRecord
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Row:
    """What the cells of one row are made of. share: its part of the applications, or of the moves"""

    profile: ImportProfile
    record: AnyRecord
    marker: str
    share: Share
    change: Change | None
    on: date | None = None


def rows(profile: ImportProfile, record: AnyRecord, *, marker: str, change: Change | None = None) -> Rows:
    """The rows of one record, in order of its applications, the unapplied rest last with an empty invoice.

    change: None for a new record; `marker` is then its reference, else that of the change
    Raises Rejected, naming column and value, for anything that the file could not carry exactly.
    """
    operation = change.operation if change else "create"
    if record.entity not in profile.entities or operation not in profile.operations:
        raise Rejected(f"import profile {profile.name} carries no {record.entity.value} to {operation}")
    if isinstance(record, Adjustment):
        raise Rejected("adjustments are not written to import files")
    if isinstance(record, Payment) and record.credits:
        raise Rejected("credits: a payment that settles with credit memos does not fit an import file")
    if profile.rows == "moves" and change is not None:
        return _moves(profile, record, marker, change)
    shares = _shares(record) if profile.rows == "applications" else [None]
    bare = profile.rows == "records" and operation != "void"
    if bare and isinstance(record, CreditMemo | Payment) and record.applications:
        raise Rejected(f"import profile {profile.name} has no place for applications")
    cells = tuple(_cells(_Row(profile, record, marker, share, change)) for share in shares)
    if isinstance(record, Customer):
        return Rows(cells, "", ZERO)
    effect = sign(record) * magnitude(record)
    return Rows(cells, record.currency, -effect if operation == "void" else effect)


def _moves(profile: ImportProfile, record: AnyRecord, marker: str, change: Change) -> Rows:
    """One row per invoice for what is taken back, then one for each that is set against: only what differs."""
    if not isinstance(record, CreditMemo | Payment) or not isinstance(change.before, CreditMemo | Payment):
        raise Rejected(f"a {record.entity.value} has no applications to change")
    _shares(record)
    was, now = standing(change.before), standing(record)
    days = {a.invoice: a.applied_on for a in sorted(record.applications, key=lambda a: a.applied_on)}
    # An amount that changes is taken back whole and set anew: an ERP that clears items knows no other way.
    back = [(i, -v, None) for i, v in was.items() if now.get(i) != v]
    onto = [(i, v, max(days[i], record.posted)) for i, v in now.items() if was.get(i) != v]
    moves = [*back, *onto]
    cells = tuple(_cells(_Row(profile, record, marker, (invoice, amount), change, on)) for invoice, amount, on in moves)
    return Rows(cells, record.currency, sum((amount for _, amount, _ in moves), ZERO))


def _cells(row: _Row) -> tuple[str, ...]:
    return tuple(_cell(row, column) for column in row.profile.columns)


def encode(profile: ImportProfile, records: Iterable[Sequence[Sequence[str]]]) -> bytes:
    """The whole file: a header row, then the rows of each record."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=profile.file.delimiter, lineterminator=profile.file.line_end)
    writer.writerow([c.name for c in profile.columns])
    for cells in records:
        writer.writerows(cells)
    text = out.getvalue().encode(profile.file.encoding)
    return b"\xef\xbb\xbf" + text if profile.file.bom and profile.file.encoding.lower() in {"utf-8", "utf8"} else text


def standing(record: CreditMemo | Payment) -> dict[str, Decimal]:
    """What stands applied, by invoice, in the record's order."""
    found: dict[str, Decimal] = {}
    for a in record.applications:
        if a.reversed_on is None:
            found[a.invoice] = found.get(a.invoice, ZERO) + a.amount
    return found


def _shares(record: AnyRecord) -> list[Share]:
    if isinstance(record, Customer):
        return [None]
    applied: dict[str, Decimal] = {}
    if isinstance(record, CreditMemo | Payment):
        if any(a.amount != a.amount_invoice for a in record.applications):
            raise Rejected("an application in another currency than its invoice's does not fit an import file")
        applied = standing(record)
    rest = magnitude(record) - sum(applied.values(), ZERO)
    if rest < 0:
        raise Rejected(f"applications exceed the amount by {-rest}")
    shares: list[Share] = list(applied.items())
    return [*shares, ("", rest)] if rest or not shares else shares


def _cell(row: _Row, column: Column) -> str:
    profile = row.profile
    value = _value(column, row)
    if column.codes is not None and value not in (None, ""):
        table = profile.codes[column.codes]
        if str(value) not in table:
            raise _refused(column, value, f"is not in the code table [codes.{column.codes}]")
        value = table[str(value)]
    if value is None or value == "":
        if column.required:
            raise _refused(column, "", "is missing, and the column needs one")
        return ""
    if isinstance(value, date):
        return value.strftime(profile.file.date)
    if isinstance(value, Decimal):
        return _number(profile, column, value, row.record)
    return _text(profile, column, str(value))


def _value(column: Column, row: _Row) -> Any:
    record, share = row.record, row.share
    match column.source:
        case "marker":
            return row.marker
        case "entity":
            return record.entity.value
        case "constant":
            return column.constant
        case "operation" | "id" | "changed" | "void_date" | "move" | "moved_on" | "moved_amount":
            return _of_change(column, row)
        case "applied_to":
            return _piece(column, share[0]) if share else None
        case "applied_amount":
            amount = share[1] if share else None
        case "net" if isinstance(record, Invoice | CreditMemo):
            amount = record.total - record.tax
        case "total" if not isinstance(record, Customer):
            amount = magnitude(record)
        case "tax" if isinstance(record, Invoice | CreditMemo):
            amount = record.tax
        case _:
            return _attribute(column, record)
    if amount is not None and column.signed and not isinstance(record, Customer):
        way = -1 if row.change is not None and row.change.operation == "void" else 1
        return way * sign(record) * amount
    return amount


def _of_change(column: Column, row: _Row) -> Any:
    """The cell that says what is done to which record; empty, but for the operation, where one is created."""
    change, share = row.change, row.share
    match column.source:
        case "operation":
            return change.operation if change else "create"
        case "moved_amount" if share is not None:
            return share[1]
        case "move" if share is not None:
            return "reset" if share[1] < 0 else "apply"
        case "moved_on":
            return row.on
        case "id" if change is not None:
            return _piece(column, change.id)
        case "changed" if change is not None:
            of = _OF_PAYMENTS if isinstance(row.record, Payment) else {}
            named = [c.name for c in row.profile.columns if {of.get(f, f) for f in SOURCES[c.source]} & change.fields]
            return " ".join(named)
        case "void_date" if change is not None and not isinstance(row.record, Customer):
            return row.record.posted if change.operation == "void" else None
    return None


def _attribute(column: Column, record: AnyRecord) -> Any:
    match record, column.source:
        case Customer(billing_address=address), "street" | "city" | "region" | "postal_code" | "country":
            if address is None:
                return None
            return ", ".join(address.lines) if column.source == "street" else getattr(address, column.source)
        case Payment(), "issued":
            return record.received
        case Payment(), "number":
            return record.reference
        case ((Invoice() | CreditMemo()), "tax_code"):
            return _one_tax_code(record)
    value = getattr(record, column.source, None)
    return _piece(column, value) if isinstance(value, str) else value


def _one_tax_code(record: Invoice | CreditMemo) -> str | None:
    codes = {t.code for t in record.tax_lines} or {line.tax_code for line in record.lines if line.tax_code}
    if len(codes) > 1:
        found = ", ".join(sorted(map(str, codes)))
        raise Rejected(f"tax_code: {found}: the import file has room for one tax code per document")
    return next(iter(codes), None)


def _piece(column: Column, id: str) -> str:
    if column.part is None or not id:
        return id
    pieces = id.split(column.separator)
    if column.part >= len(pieces):
        raise _refused(column, id, f"has no part {column.part} split by {column.separator!r}")
    return pieces[column.part]


def _number(profile: ImportProfile, column: Column, value: Decimal, record: AnyRecord) -> str:
    if column.kind == "rate":
        text = f"{value.normalize():f}"
    else:
        currency = str(getattr(record, "currency", "") or "")
        if finer_than_currency(value, currency):
            raise _refused(column, value, f"is finer than {currency or 'the currency'} allows")
        text = f"{value:.{exponent(currency)}f}"
    return text.replace(".", profile.file.decimal)


def _text(profile: ImportProfile, column: Column, value: str) -> str:
    """The text as it is, or Rejected: never a changed one, nor one that an export could not bring back."""
    stripped = fields.strip(value)
    first = unicodedata.normalize("NFKC", stripped[:1])
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in value):
        raise _refused(column, value, "has a line break or control character")
    if first in FORMULA and not (column.kind == "phone" and _PHONE.fullmatch(stripped)):
        raise _refused(column, value, "begins like a spreadsheet formula")
    if column.max is not None and len(value) > column.max:
        raise _refused(column, value, f"is longer than {column.max} characters")
    try:
        value.encode(profile.file.encoding)
    except UnicodeEncodeError as error:
        raise _refused(column, value, f"has {value[error.start]!r}, which {profile.file.encoding} lacks") from error
    try:
        back = fields.identifier(value) if column.source in _IDENTIFYING else fields.text(value)
    except ValueError as error:
        raise _refused(column, value, f"could not be read back: {error}") from error
    if back != stripped:
        raise _refused(column, value, f"would be read back as {back!r}")
    return value


def _refused(column: Column, value: object, reason: str) -> Rejected:
    shown = str(value) if len(str(value)) <= 60 else str(value)[:57] + "…"
    return Rejected(f"{column.source} (column {column.name}): {shown!r} {reason}", code="import")
