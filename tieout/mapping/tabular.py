"""Profiles of exported files: which columns mean what, and exactly how their text is to be read.

A profile is a TOML file and is the whole connector of an ERP that exports files. It is strict: a setting it does
not know, a column it does not find and text it does not declare are errors that name their place.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Set as AbstractSet
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tieout.errors import ProfileError
from tieout.mapping import fields, toml
from tieout.model import AdjustmentKind, Entity, Method

ASK = "# ASK: "  # begins a setting that a proposal leaves to a person
Type = Literal["id", "text", "decimal", "date", "currency", "choice", "flag"]

_DOCUMENT: dict[str, Type] = {
    **dict.fromkeys(
        (
            "document", "number", "fiscal_year", "entity_code", "customer", "payer", "po_number", "tax_code", "item",
            "revenue_account", "ar_account", "deposit_to", "concerns", "invoice", "invoice_year", "marker", "line",
            "clearing",
        ),
        "id",
    ),
    **dict.fromkeys(("customer_name", "memo", "reason", "description", "approver"), "text"),
    **dict.fromkeys(("issued", "posted", "due", "settled_on", "cleared_on"), "date"),
    **dict.fromkeys(("voided_on", "applied_on", "reversed_on"), "date"),
    **dict.fromkeys(
        (
            "total", "debit", "credit", "open", "net", "tax", "discount", "rate", "quantity", "unit_price", "applied",
            "line_net", "line_tax",
        ),
        "decimal",
    ),
    "currency": "currency",
    **dict.fromkeys(("kind", "subkind", "side", "state", "method"), "choice"),
    "disputed": "flag",
}  # fmt: skip
_CUSTOMER: dict[str, Type] = {
    **dict.fromkeys(("customer", "number", "parent", "terms", "tax_id", "marker", "postal_code"), "id"),
    **dict.fromkeys(("name", "email", "phone", "address1", "address2", "address3", "city", "region"), "text"),
    "country": "text",
    "currency": "currency",
    "active": "flag",
    "balance": "decimal",
}  # fmt: skip
COLUMNS: dict[str, dict[str, Type]] = {
    "customers": _CUSTOMER,
    "documents": _DOCUMENT,
    "payments": _DOCUMENT,
    "open_items": _DOCUMENT,
}
# Decimal places of what is no amount of money.
PLACES = {"rate": 12, "quantity": 6, "unit_price": 6}
# What a column of codes may come to mean.
MEANINGS: dict[str, frozenset[str]] = {
    "side": frozenset({"debit", "credit"}),
    "state": frozenset({"draft", "posted", "voided"}),
    "method": frozenset(Method),
    "subkind": frozenset(AdjustmentKind),
}
# What states a row's amount, the first of them that a profile has.
AMOUNT_COLUMNS = (("total",), ("debit", "credit"), ("net", "tax"), ("quantity", "unit_price"))


def adds_up(columns: AbstractSet[str]) -> bool:
    """Whether a row's amount is its net and its tax together."""
    return {"net", "tax"} <= columns and not columns & {"total", "debit", "credit"}


# Columns that belong to one line of a document where `rows = "lines"`; all others must agree on every row of it.
# Of those that a document has but once (memo, marker, method …), the first that a row states counts.
LINE_COLUMNS = frozenset(
    {
        "line", "item", "description", "quantity", "unit_price", "line_net", "line_tax", "tax_code", "revenue_account",
        "invoice", "invoice_year", "applied", "applied_on", "reversed_on", "side", "debit", "credit", "memo", "marker",
        "clearing", "cleared_on", "method",
    }
)  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False)


class Column(_Strict):
    """One canonical column.

    names: its headings in the file, any of them; upper and lower case and spaces do not matter
    value: a constant, for what the file does not say · optional: the file may lack the column
    group: it stands alone in a row, above the rows that it is of (`[file] grouped`)
    fill_down: it is printed in the first row of a group alone: where all such columns are empty, they say what they
    said in the row above
    required: no cell may be empty · format: of a date · null: texts that mean "nothing", beside the file's own
    empty: what an empty cell stands for, stated by whoever knows the file
    values: what each code means, or which currency (`EUR`) a name stands for
    left_out: of `kind`, codes of rows that are no receivables, such as bills of suppliers; such a row is skipped
    per: whether an amount stands for its row or repeats its document's
    unsigned: an amount printed without the sign of its total, where the total carries one
    """

    names: tuple[str, ...] = ()
    value: str | None = None
    group: bool = False
    fill_down: bool = False
    type: Type | None = None
    optional: bool = False
    required: bool = False
    empty: str | None = None
    format: str | None = None
    null: tuple[str, ...] = ()
    values: dict[str, str] = Field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    per: Literal["line", "document"] | None = None
    unsigned: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if [bool(self.names), self.value is not None, self.group].count(True) != 1:
            raise ValueError("give either `names` (headings in the file), `value` (a constant), or `group = true`")
        return self

    @field_validator("format")
    @classmethod
    def _readable(cls, fmt: str | None) -> str | None:
        return _date_format(fmt)


def _date_format(fmt: str | None) -> str | None:
    if fmt is not None and fmt not in ("excel", "excel1904"):
        fields.date_pattern(fmt)
    return fmt


class FileShape(_Strict):
    """How the file is cut into cells.

    encoding: the code page of files that are neither marked nor UTF-8 · delimiter: one character, `tab` or `auto`
    (the one that finds the headings) · quote: `"` or empty for none · header_rows: 2 merges a heading with the one
    below it · max_preamble: rows before the headings · min_headers: known headings that make a header row
    sheet: name of the worksheet, None for the only one
    null: texts that mean "nothing" in any column · subtotal: first-cell mark of subtotal rows
    grouped: rows stand below a row that says in one cell what they have in common, such as a customer; a row
    `Total for` it may follow, and is checked
    """

    format: Literal["auto", "csv", "xlsx", "sap-list"] = "auto"
    encoding: str | None = None
    delimiter: str = "auto"
    quote: Literal['"', ""] = '"'
    header_rows: Literal[1, 2] = 1
    max_preamble: int = Field(default=40, ge=0, le=1000)
    min_headers: int | None = Field(default=None, ge=1)
    sheet: str | None = None
    null: tuple[str, ...] = ()
    subtotal: str | None = None
    grouped: bool = False

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                b"a".decode(name)
            except UnicodeDecodeError:
                return name
            except LookupError:
                raise ValueError(f"there is no encoding {name!r}") from None
        return name

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, text: str) -> str:
        named = {"tab": "\t", "auto": "auto", "\\t": "\t"}.get(text, text)
        if named != "auto" and (len(named) != 1 or named in '"\r\n\0' or not named.isascii()):
            raise ValueError("one character, `tab` or `auto`")
        return named


class Amounts(_Strict):
    """How amounts are printed.

    direction: `magnitude` (positive, the kind carries the sign), `debit_positive` (what raises receivables is
    positive) or `credit_positive` (inverse)
    """

    decimal: Literal[".", ","] = "."
    group: Literal["", ",", ".", " ", "'"] = ""
    signs: tuple[Literal["leading", "trailing", "parentheses", "crdr", "hs"], ...] = (
        "leading",
        "trailing",
        "parentheses",
    )
    symbols: tuple[str, ...] = ()
    direction: Literal["magnitude", "debit_positive", "credit_positive"] = "magnitude"

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.decimal == self.group:
            raise ValueError("the decimal and the group separator are the same")
        return self


class Dates(_Strict):
    format: str | None = None

    @field_validator("format")
    @classmethod
    def _readable(cls, fmt: str | None) -> str | None:
        return _date_format(fmt)


class Profile(_Strict):
    """How one exported layout is read.

    key: canonical columns that make a document's id, joined by `/`; empty parts are left out
    unique: the file has no two documents of one key (repeats are rejected); False keeps and counts them (`#2`)
    rows: one row a document, or lines of documents grouped by key
    scope: what the file holds: `all`, `open` items only, or a `period`
    footer: columns that are empty in a total row; a row is one only if its amount also equals the sum so far
    """

    name: str
    description: str = ""
    entity: Literal["customers", "documents", "payments", "open_items"]
    rows: Literal["documents", "lines"] = "documents"
    scope: Literal["all", "open", "period"] = "all"
    key: tuple[str, ...] = ()
    unique: bool = False
    footer: tuple[str, ...] = ()
    file: FileShape = FileShape()
    amounts: Amounts = Amounts()
    dates: Dates = Dates()
    columns: dict[str, Column]

    @cached_property
    def identified(self) -> str:
        """Its name, and the hash of its settings: what tells whether two files were read in the same way."""
        return f"{self.name} sha256:{hashlib.sha256(self.model_dump_json().encode()).hexdigest()}"

    @model_validator(mode="after")
    def _sound(self) -> Self:
        problems = [*self._unknown_columns(), *self._unreadable(), *self._missing(), *self._clashes()]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _unknown_columns(self) -> list[str]:
        known = COLUMNS[self.entity]
        found = [
            f"[columns.{c}]: {self.entity} have no such column; known: {', '.join(sorted(known))}"
            for c in self.columns
            if c not in known
        ]
        found += [
            f"[columns.{c}] type: {c} is always read as {known[c]}"
            for c, column in self.columns.items()
            if c in known and column.type not in (None, known[c])
        ]
        found += [f"key: {c!r} is not a column of this profile" for c in self.key if c not in self.columns]
        found += [f"key: {c!r} is an amount" for c in self.key if known.get(c) in ("decimal", "flag")]
        return found + [f"footer: {c!r} is not a column of this profile" for c in self.footer if c not in self.columns]

    def _unreadable(self) -> list[str]:
        found = []
        for name, column in self.columns.items():
            type_ = COLUMNS[self.entity].get(name)
            if type_ == "date" and not (column.format or self.dates.format):
                found.append(f"[columns.{name}] format: a date needs one, here or in [dates]")
            if name == "kind":
                meanings = [*column.values.values(), *([column.value] if column.value else [])]
                found += [f"[columns.kind]: {m!r}: {why}" for m in meanings if (why := _kind_problem(m))]
            if type_ is not None and (why := self._constant_problem(name, type_, column)):
                found.append(f"[columns.{name}] {why}")
            found += self._left_out_problems(name, column)
            if column.group and not self.file.grouped:
                found.append(f"[columns.{name}] group: needs `grouped = true` in [file]")
            if column.fill_down and type_ and (why := self._not_filled(name, type_, column)):
                found.append(f"[columns.{name}] fill_down: {why}")
            if column.values and type_ is not None and not has_codes(type_, column):
                found.append(
                    f"[columns.{name}] values: {type_} is read as it stands; only codes and currencies have meanings"
                )
            if type_ == "currency" and (bad := sorted(m for m in column.values.values() if not _is_code(m))):
                found.append(f"[columns.{name}] values: {', '.join(bad)}: not a currency code of three letters")
            if name in MEANINGS and (bad := sorted(set(column.values.values()) - MEANINGS[name])):
                found.append(
                    f"[columns.{name}] values: {', '.join(bad)}: not one of {', '.join(sorted(MEANINGS[name]))}"
                )
        return found

    def _left_out_problems(self, name: str, column: Column) -> list[str]:
        """What speaks against leaving rows out: of a document in several rows, some alone could be left out."""
        if not column.left_out:
            return []
        if name != "kind" or column.value is not None or self.rows == "lines":
            return [f"[columns.{name}] left_out: only of a column `kind`, where each row is a document"]
        meant = {fields.strip(code).casefold() for code in meanings(name, column)}
        nothing = {"", *self.file.null, *column.null}
        both = [code for code in column.left_out if fields.strip(code).casefold() in meant]
        empty = [code for code in column.left_out if fields.strip(code) in nothing]
        return [f"[columns.kind] left_out: {code!r} has a meaning, too" for code in both] + [
            f"[columns.kind] left_out: {code!r} is an empty cell" for code in empty
        ]

    def _not_filled(self, name: str, type_: Type, column: Column) -> str | None:
        """Why an empty cell of a column cannot stand for the one above it."""
        if not column.names:
            return "only of a column of the file"
        if type_ in ("decimal", "flag"):
            return f"{name} is of its row alone"
        if column.empty is not None:
            return "an empty cell has a meaning already, by `empty`"
        if self.file.grouped:
            return "not beside `grouped`"
        filled = {c for c, column in self.columns.items() if column.fill_down}
        if filled.issuperset(c for c in footer_columns(self) if c in self.columns):
            return "a row has to say its own number or day, or a total could not be told from it"
        if self.rows == "documents" and self.key and filled.issuperset(self.key):
            return "each row is a document, and has to say its own key"
        return None

    def _constant_problem(self, name: str, type_: Type, column: Column) -> str | None:
        for place, text in (("value", column.value), ("empty", column.empty)):
            if text is None:
                continue
            try:
                parse(self, name, type_, text)
            except ValueError as error:
                return f"{place}: {text!r}: {error}"
        return None

    def _missing(self) -> list[str]:
        has = set(self.columns)
        if self.entity == "customers":
            return [] if has & {"customer", "number", "name"} else ["[columns]: a customer needs a number or a name"]
        found = []
        if not has & {"customer", "customer_name"}:
            found.append("[columns]: `customer` or `customer_name` is needed")
        if not has & {"issued", "posted"}:
            found.append("[columns]: `issued` or `posted` is needed")
        if "currency" not in has:
            found.append('[columns.currency] is needed; for a file of one currency: value = "USD"')
        if not any(has.issuperset(way) for way in AMOUNT_COLUMNS):
            ways = ", or ".join(" and ".join(f"`{name}`" for name in way) for way in AMOUNT_COLUMNS)
            found.append(f"[columns]: {ways} are needed")
        if adds_up(has) and any(self.columns[n].unsigned or self.columns[n].per for n in ("net", "tax")):
            found.append("[columns]: `net` and `tax` make the total row by row, with its sign: no `unsigned`, no `per`")
        per = {name: column.per for name, column in self.columns.items()}
        if self.rows == "lines" and (per.get("due"), per.get("total")) == ("line", "document"):
            found.append("[columns.due]: a day for each line needs an amount of each, but `total` is the document's")
        if self.entity != "payments" and "kind" not in has:
            found.append('[columns.kind] is needed; where the sign decides: value = "invoice|credit_memo"')
        if self.rows == "lines" and not self.key:
            found.append('key: `rows = "lines"` needs the columns that make a document')
        if self.entity == "open_items" and "open" not in has:
            found.append("[columns.open]: open items need it; where the amount is what is open, name it twice")
        return found

    def _clashes(self) -> list[str]:
        seen: dict[str, str] = {}
        found = []
        for name, column in self.columns.items():
            for heading in column.names:
                other = seen.setdefault(heading_key(heading), name)
                shared = {other, name} in ({"total", "open"}, {"document", "number"}, {"issued", "posted"})
                if other != name and not (shared or {other, name} <= {"marker", "number", "memo", "po_number"}):
                    found.append(f"[columns.{name}] names: {heading!r} already stands for {other}")
        return found

    def date_format(self, column: str) -> str:
        """The declared format of a date column."""
        fmt = self.columns[column].format or self.dates.format
        if fmt is None:
            raise ProfileError(
                f"profile {self.name}: [columns.{column}] has no date format", hint='such as format = "%d.%m.%Y"'
            )
        return fmt

    def type_of(self, column: str) -> Type:
        return COLUMNS[self.entity][column]


def footer_columns(profile: Profile) -> tuple[str, ...]:
    """Columns that are empty in a total row: those the profile names, else what identifies and dates a row."""
    if profile.footer:
        return profile.footer
    told = [c for c in ("issued", "posted", *profile.key) if c in profile.columns and profile.columns[c].names]
    return tuple(dict.fromkeys(told))


def parse(profile: Profile, name: str, type_: Type, raw: str) -> str | Decimal | date | bool:
    """The typed value of one cell of a column. Raises ValueError with the reason."""
    match type_:
        case "id":
            return fields.identifier(raw)
        case "text":
            return fields.text(raw)
        case "decimal":
            a = profile.amounts
            places = PLACES.get(name, 6)
            return fields.decimal(
                raw, decimal_sep=a.decimal, group_sep=a.group, sign=a.signs, drop=a.symbols, places=places
            )
        case "date":
            return fields.day(raw, profile.date_format(name))
        case "currency":
            column = profile.columns[name]
            return fields.choice(raw, column.values) if column.values else fields.currency(raw)
        case "flag":
            return fields.flag(raw)
        case "choice":
            return fields.choice(raw, meanings(name, profile.columns[name]))


def has_codes(type_: Type, column: Column) -> bool:
    """Whether cells of a column stand for what the profile says: those of a currency only where it says so."""
    return type_ == "choice" or (type_ == "currency" and bool(column.values))


def _is_code(currency: str) -> bool:
    return re.fullmatch("[A-Z]{3}", currency) is not None


def meanings(name: str, column: Column) -> dict[str, str]:
    """What the codes of a column of codes mean: as declared, else our own words for themselves."""
    if column.value is not None:
        return {column.value: column.value}
    if column.values:
        return dict(column.values)
    known = ("invoice", "credit_memo", "payment", "adjustment") if name == "kind" else sorted(MEANINGS[name])
    return {str(m): str(m) for m in known}


def heading_key(text: str) -> str:
    """What makes two headings one: NFKC, case and spacing aside."""
    from unicodedata import normalize  # noqa: PLC0415  # read once a heading, not once a cell

    return re.sub(r"[\s_\u200b\ufeff]+", " ", normalize("NFKC", text)).strip().casefold()


def _kind_problem(meaning: str) -> str | None:
    parts = meaning.split("|")
    if len(parts) > 2:
        return "at most two kinds: as booked | with the opposite sign"
    for part in parts:
        kind, _, sub = part.partition(":")
        if kind == Entity.ADJUSTMENT:
            if sub and sub.split(":")[0] not in set(AdjustmentKind):
                return f"no kind of adjustment is called {sub}"
        elif kind not in (Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT) or sub:
            return "a kind is invoice, credit_memo, payment or adjustment:<kind>"
    return None


def list_profiles() -> list[str]:
    """The names of the profiles that ship with tieout, sorted."""
    return sorted(p.name.removesuffix(".toml") for p in _shipped().iterdir() if p.name.endswith(".toml"))


def _shipped() -> Any:
    return files("tieout.mapping") / "profiles"


def shipped_text(name: str) -> str:
    """The file of a profile that ships with tieout, to copy from."""
    return str((_shipped() / f"{name}.toml").read_text("utf-8"))


def load_profile(name_or_path: str | Path) -> Profile:
    """A shipped profile by name, or a TOML file by path.

    Raises ProfileError listing every problem with its place.
    """
    given = str(name_or_path)
    if isinstance(name_or_path, str) and re.fullmatch(r"[a-z0-9][a-z0-9-]*", given) and given in list_profiles():
        return parse_profile((_shipped() / f"{given}.toml").read_text("utf-8"), source=f"{given}.toml", name=given)
    path = Path(name_or_path)
    if not path.is_file():
        near = get_close_matches(given, list_profiles(), n=1)
        raise ProfileError(
            f"there is no profile {given!r}" + (f" (did you mean {near[0]}?)" if near else ""),
            hint=f"give a path to a .toml file, or one of: {', '.join(list_profiles())}",
        )
    try:
        written = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror}", hint="check its permissions") from None
    except UnicodeDecodeError as error:
        raise ProfileError(f"{path} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8") from None
    return parse_profile(written, source=str(path), name=path.stem)


def parse_profile(written: str, *, source: str, name: str) -> Profile:
    """A profile from TOML text. `name` serves where the text names none. One with open questions is refused."""
    asked = [(n, line) for n, line in enumerate(written.splitlines(), start=1) if line.startswith(ASK)]
    if asked:
        raise ProfileError(
            f"{source}: the profile still asks",
            problems=tuple(f"line {n}: {line.removeprefix(ASK)}" for n, line in asked),
            hint=f"answer each: write what is right, without {ASK.strip()!r}; delete the lines that do not apply",
        )
    try:
        data = toml.loads(written)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{source}: not TOML: {error}", hint="text stands in double quotes") from None
    data.setdefault("name", name)
    try:
        return Profile.model_validate(data)
    except ValidationError as error:
        raise ProfileError(f"{source}: the profile is wrong", problems=_problems(error)) from None


def _problems(error: ValidationError) -> tuple[str, ...]:
    found: list[str] = []
    for e in error.errors():
        place = ".".join(str(part) for part in e["loc"])
        message = str(e["msg"]).removeprefix("Value error, ")
        found += [f"{place}: {line}" if place else line for line in message.split("\n")]
    return tuple(found)
