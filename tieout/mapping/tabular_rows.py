"""One row of an exported file to typed values, by its profile. Pure; the bulk reader in SQL is held to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache

from tieout.errors import ProfileError
from tieout.mapping import fields
from tieout.mapping.tabular import Column, Profile, adds_up, has_codes, heading_key, meanings, parse

Value = str | Decimal | date | bool | None
MOST_COLUMNS = 16_384  # as many as a spreadsheet has
SHOWN = 80


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row is rejected: its canonical column (or `row`), the raw text shortened, the reason."""

    column: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Skip:
    """A row that holds nothing to read: blank, subtotal, footer, the heading of a group."""

    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """One accepted row. number: 1-based in the file, headings counted · key: of its document

    amount: what the row says, with the file's own sign · effect: the same as it moves receivables
    """

    number: int
    key: str
    amount: Decimal
    effect: Decimal
    values: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Binding:
    """Where each canonical column of a profile stands in one file. width: cells that a row must have.

    profile: without the optional columns that the file lacks
    grouped: the last of these cells is no cell of the file, but what stands above the row
    """

    profile: Profile
    headings: tuple[str, ...]
    index: dict[str, int]
    width: int
    warnings: tuple[str, ...] = ()
    choices: dict[str, dict[str, str]] = field(default_factory=dict)
    grouped: bool = False

    @property
    def read(self) -> int:
        """Cells that a row of the file must have."""
        return self.width - self.grouped

    @property
    def filled(self) -> bool:
        """Whether cells may stand for what a row above says."""
        return any(c.fill_down for c in self.profile.columns.values())

    def cell(self, cells: Sequence[str], column: str) -> str:
        at = self.index.get(column)
        return cells[at] if at is not None and at < len(cells) else ""


_named = lru_cache(maxsize=1024)(heading_key)  # what profiles name is looked for in every file


def headers_found(profile: Profile, cells: Sequence[str]) -> int:
    """How many of the profile's columns find a heading in these cells."""
    have = {heading_key(c) for c in cells}
    return sum(1 for c in profile.columns.values() if any(_named(h) in have for h in c.names))


def headers_needed(profile: Profile) -> int:
    """Known headings that make a header row: what the profile says, else most of the columns that must be there."""
    if profile.file.min_headers is not None:
        return profile.file.min_headers
    must = sum(1 for c in profile.columns.values() if c.names and not c.optional)
    return max(1, min(must, 3))


def bind(profile: Profile, headings: Sequence[str], named: object = "the file") -> Binding:
    """Match a profile's columns to the headings of a file; wholly empty trailing headings are not counted.

    Raises ProfileError naming every column that is missing or stands twice.
    """
    keys = [heading_key(h) for h in headings]
    width = max((i + 1 for i, k in enumerate(keys) if k), default=0)
    if width > MOST_COLUMNS:
        raise ProfileError(
            f"{named} has {width:,} columns, more than the {MOST_COLUMNS:,} that a table can have",
            hint="does the profile name the right delimiter?",
        )
    at: dict[str, list[int]] = {}
    for i, k in enumerate(keys[:width]):
        at.setdefault(k, []).append(i)
    index: dict[str, int] = {}
    problems: list[str] = []
    for name, column in profile.columns.items():
        if not column.names:
            continue
        found = [i for h in column.names for i in at.get(_named(h), ())]
        if not found:
            if not column.optional:
                problems.append(f"[columns.{name}]: no heading {' or '.join(map(repr, column.names))}")
        elif len(at[keys[found[0]]]) > 1:
            problems.append(f"[columns.{name}]: the heading {headings[found[0]]!r} stands twice")
        else:
            index[name] = found[0]
    if problems:
        shown = ", ".join(repr(fields.strip(h)[:40]) for h in headings[:30])
        raise ProfileError(
            f"{named} does not fit profile {profile.name}",
            problems=tuple(problems),
            hint=f"headings in the file: {shown}",
        )
    above = [name for name, column in profile.columns.items() if column.group]
    index.update(dict.fromkeys(above, width))
    profile = _present(profile, index)
    choices = {n: meanings(n, c) for n, c in profile.columns.items() if has_codes(profile.type_of(n), c)}
    named = (*headings[:width], *(["(above)"] if above else []))
    return Binding(profile, named, index, len(named), choices=choices, grouped=bool(above))


def _present(profile: Profile, index: Mapping[str, int]) -> Profile:
    """The profile without the optional columns that this file lacks."""
    columns = {n: c for n, c in profile.columns.items() if n in index or c.value is not None}
    update = {
        "columns": columns,
        "key": tuple(k for k in profile.key if k in columns),
        "footer": tuple(k for k in profile.footer if k in columns),
    }
    return profile.model_copy(update=update)


def read_row(binding: Binding, number: int, cells: Sequence[str]) -> Row | Problem:
    """The typed values of one row, or the first problem in it."""
    profile = binding.profile
    values: dict[str, Value] = {}
    for name, column in profile.columns.items():
        raw = column.value if column.value is not None else binding.cell(cells, name)
        if column.value is None and is_null(profile, column, raw):
            raw = column.empty or ""
            if not raw:
                if column.required or name in profile.key[:1]:
                    return Problem(name, "", "empty, but needed")
                values[name] = None
                continue
        try:
            values[name] = convert(binding, name, raw)
        except ValueError as error:
            return Problem(name, raw[:SHOWN], str(error))
    return _finish(profile, number, values)


def left_out(binding: Binding, cells: Sequence[str]) -> str | None:
    """Why the profile leaves a row out; None where it does not."""
    column = binding.profile.columns.get("kind")
    if column is None or not column.left_out:
        return None
    code = fields.strip(binding.cell(cells, "kind"))
    out = {fields.strip(c).casefold() for c in column.left_out}
    return f"left out: the profile says so of {code}" if code.casefold() in out else None


def is_null(profile: Profile, column: Column, raw: str) -> bool:
    """Whether the text means "nothing": empty, or declared so."""
    bare = fields.strip(raw)
    return not bare or bare in profile.file.null or bare in column.null


def readable_amount(binding: Binding, cells: Sequence[str]) -> Decimal | None:
    """The amount of a row that is no document by itself, debits less credits; None if it has none that can be read."""
    columns = binding.profile.columns
    if binding.profile.entity == "customers":
        return _readable(binding, cells, "balance")
    if "total" in columns:
        return _readable(binding, cells, "total")
    two, sign = (("net", "tax"), 1) if adds_up(columns.keys()) else (("debit", "credit"), -1)
    first, second = (_readable(binding, cells, c) for c in two)
    return None if first is None and second is None else (first or Decimal(0)) + sign * (second or Decimal(0))


def _readable(binding: Binding, cells: Sequence[str], column: str) -> Decimal | None:
    profile = binding.profile
    spec = profile.columns.get(column)
    raw = binding.cell(cells, column)
    if spec is None or is_null(profile, spec, raw):
        return None
    a = profile.amounts
    try:
        return fields.decimal(raw, decimal_sep=a.decimal, group_sep=a.group, sign=a.signs, drop=a.symbols)
    except ValueError:
        return None


def convert(binding: Binding, name: str, raw: str) -> Value:
    """The typed value of one cell. Raises ValueError with the reason."""
    if name in binding.choices:
        return fields.choice(raw, binding.choices[name])
    return parse(binding.profile, name, binding.profile.type_of(name), raw)


def _finish(profile: Profile, number: int, values: dict[str, Value]) -> Row | Problem:
    """Check what one row must say for itself, and work out its amount."""
    key = "/".join(str(values[k]) for k in profile.key if values.get(k) is not None)
    if profile.entity == "customers":
        if not any(values.get(k) for k in ("customer", "number", "name")):
            return Problem("customer", "", "neither number nor name")
        balance = values.get("balance")
        amount = balance if isinstance(balance, Decimal) else Decimal(0)
        return Row(
            number, key or str(values.get("customer") or values.get("number") or values["name"]), amount, amount, values
        )
    for needed, or_else in (("customer", "customer_name"), ("issued", "posted"), ("currency", "currency")):
        if values.get(needed) is None and values.get(or_else) is None:
            return Problem(needed if needed in profile.columns else or_else, "", "empty, but needed")
    found = _amount(values)
    if isinstance(found, Problem):
        return found
    return Row(number, key, found, _effect(profile, values, found), values)


def _amount(values: dict[str, Value]) -> Decimal | Problem:
    total, debit, credit = values.get("total"), values.get("debit"), values.get("credit")
    quantity, price = values.get("quantity"), values.get("unit_price")
    if isinstance(total, Decimal):
        return total
    if "total" in values:
        return Problem("total", "", "empty, but needed")
    if "debit" in values or "credit" in values:
        if isinstance(debit, Decimal) and isinstance(credit, Decimal) and debit and credit:
            return Problem("debit", f"{debit} / {credit}", "both a debit and a credit")
        if not isinstance(debit, Decimal) and not isinstance(credit, Decimal):
            return Problem("debit", "", "neither a debit nor a credit")
        return (debit if isinstance(debit, Decimal) else Decimal(0)) - (
            credit if isinstance(credit, Decimal) else Decimal(0)
        )
    if adds_up(values.keys()):
        net, tax = values["net"], values["tax"]
        if isinstance(net, Decimal) and isinstance(tax, Decimal):
            return net + tax
        return Problem("net" if net is None else "tax", "", "empty, but needed")
    if isinstance(quantity, Decimal) and isinstance(price, Decimal):
        product = quantity * price
        if product != round(product, 6):
            return Problem("unit_price", f"{quantity} × {price}", "more than 6 decimal places")
        return product
    return Problem("quantity" if quantity is None else "unit_price", "", "empty, but needed")


def _effect(profile: Profile, values: dict[str, Value], amount: Decimal) -> Decimal:
    """The row's amount as the profile's direction and a debit/credit column sign it; a bare magnitude stays one."""
    if values.get("side") == "credit":
        amount = -amount
    return -amount if profile.amounts.direction == "credit_positive" else amount
