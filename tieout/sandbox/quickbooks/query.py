"""QuickBooks' query language: `SELECT … FROM … WHERE … ORDERBY … STARTPOSITION … MAXRESULTS …`.

Keywords, entities, properties and text comparison ignore case. Raises Refused 4000 (cannot be read) or 4001 (names
something that is not there).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from . import guards, others, schema
from .encode import Doc, dumps, parse_time
from .statement import Condition, Statement, invalid, parse, parse_error

if TYPE_CHECKING:
    from .books import Books, Row

_UNFILTERED = frozenset(("line", "txntaxdetail", "linkedtxn", "customfield", "lineex", "salestaxratelist"))
_EVERYWHERE = schema.words(f"{schema.BASE} {schema.TXN} {schema.FORM} {schema.PERSON} {schema.PAYMENT} Type Name")


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement finds. `rows` are encoded objects of the page; `matched` counts all pages."""

    key: str
    rows: list[bytes]
    start: int
    matched: int
    count: bool


def run(books: Books, text: str) -> Result:
    """Runs a statement over the books."""
    statement = parse(text)
    spec = schema.find(statement.entity)
    if spec is None:
        raise invalid(f"invalid context declaration: {statement.entity}")
    guards.permitted(books, spec, writes=False)
    with books.lock:
        names = _names(books, spec)
        rows = _filtered(books, spec, statement, names)
        pseudo = _pseudo_codes(books, spec)
        if statement.count:
            return Result(schema.key(spec), [], 1, len(rows) + len(pseudo), count=True)
        orders = [(_canonical(spec, names, path), down) for path, down in statement.order] or [spec.order]
        rows = _sorted(books, spec, rows, orders)
        page = rows[statement.start - 1 : statement.start - 1 + statement.most]
        shown = [_shown(books, spec, row, statement, names) for row in page]
        return Result(schema.key(spec), pseudo + shown, statement.start, len(rows) + len(pseudo), count=False)


def answer(books: Books, text: str) -> bytes:
    """The `QueryResponse` object as JSON."""
    result = run(books, text)
    if result.count:
        return b'{"totalCount":%d}' % result.matched
    if not result.rows:
        return b"{}"
    total = b',"totalCount":%d' % result.matched if books.switches.total_count_on_rows else b""
    head = b'{"' + result.key.encode() + b'":['
    tail = b'],"startPosition":%d,"maxResults":%d' % (result.start, len(result.rows))
    return head + b",".join(result.rows) + tail + total + b"}"


def _names(books: Books, spec: schema.Entity) -> dict[str, str]:
    known = set(spec.properties or _EVERYWHERE)
    if spec.properties is None:
        for row in books.tables[spec.name].values():
            known.update(row.doc)
    return {name.lower(): name for name in known}


def _canonical(spec: schema.Entity, names: dict[str, str], path: str) -> str:
    head, _, rest = path.partition(".")
    name = names.get(head.lower())
    if name is None or head.lower() in _UNFILTERED:
        raise invalid(f"Property {path} not found for Entity {spec.name}")
    return f"{name}.{rest}" if rest else name


def _filtered(books: Books, spec: schema.Entity, statement: Statement, names: dict[str, str]) -> list[Row]:
    table = books.tables[spec.name]
    where = [(c, _canonical(spec, names, c.path)) for c in statement.where]
    tests = [_test(books, spec, condition, path) for condition, path in where]
    if spec.kind == "list" and not any(path == "Active" for _, path in where):
        tests.append(lambda row: row.doc.get("Active", True) is not False)
    candidates = list(table.values())
    for condition, path in where:
        if path == "Id" and condition.op in {"=", "in"}:
            candidates = [table[id] for id in dict.fromkeys(condition.values) if id in table]
            break
    for test in tests:
        candidates = [row for row in candidates if test(row)]
    return candidates


def _test(books: Books, spec: schema.Entity, condition: Condition, path: str) -> Callable[[Row], bool]:
    if path == "Id" and condition.op not in {"=", "in"}:
        raise invalid("Property Id can only be compared with = and IN")
    if path == "PrivateNote" and books.switches.filter_private_note == "4001":
        raise invalid(f"Property {path} not found for Entity {spec.name}")
    if not condition.quoted and books.switches.numeric_filter_unquoted == "4000":
        raise parse_error(condition.values[0], condition.values[0], 0)
    get = getter(books, spec, path)
    if condition.op == "like":
        pattern = re.compile(_like(condition.values[0]), re.IGNORECASE | re.DOTALL)
        return lambda row: isinstance(value := get(row), str) and pattern.fullmatch(value) is not None
    if condition.op in {"=", "in", "!="}:
        wanted = {_like_type(path, v) for v in condition.values}
        positive = condition.op != "!="
        return lambda row: (_comparable(path, get(row)) in wanted) is positive
    limit = _like_type(path, condition.values[0])
    compare = _COMPARE[condition.op]

    def ordered(row: Row) -> bool:
        value = _comparable(path, get(row))
        if value is None or value == "":
            return False
        if type(value) is not type(limit):
            return bool(compare(str(value), str(limit)))
        return bool(compare(value, limit))

    return ordered


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def _like(pattern: str) -> str:
    return ".*".join(re.escape(part) for part in pattern.split("%"))


def getter(books: Books, spec: schema.Entity, path: str) -> Callable[[Row], Any]:
    """Reads a property of a row; a reference yields its value, a list of objects nothing."""
    if spec.name == "RecurringTransaction" and path == "Type":
        return lambda row: others.template(row.doc)
    if path == "Active":
        return lambda row: row.doc.get("Active", True)
    if path == "MetaData.LastUpdatedTime":
        return lambda row: row.updated
    parts = path.split(".")
    derived = spec.name in {"Customer", "Account", "Vendor"} and "balance" in parts[0].lower()

    def get(row: Row) -> Any:
        value: Any = books.view(spec.name, row) if derived else row.doc
        for part in parts:
            if isinstance(value, list):
                value = value[0] if value else None
            value = _member(value, part)
        return value.get("value") if isinstance(value, dict) else value

    return get


def _member(value: Any, name: str) -> Any:
    if not isinstance(value, dict):
        return None
    if name in value:
        return value[name]
    return next((v for k, v in value.items() if k.lower() == name.lower()), None)


def _numeric(path: str) -> bool:
    leaf = path.rsplit(".", 1)[-1]
    return leaf in schema.MONEY or leaf in schema.NUMBERS


def _like_type(path: str, text: str) -> Any:
    """A value of the statement brought to the type the property compares as."""
    if _numeric(path):
        try:
            return Decimal(text)
        except InvalidOperation as error:
            raise invalid(f"value {text} is not a number") from error
    if path.startswith("MetaData."):
        moment = parse_time(text)
        if moment is None:
            raise invalid(f"value {text} is not a date-time")
        return moment
    if path in schema.DATES:
        return text[:10]
    return text.lower()


def _comparable(path: str, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if _numeric(path):
        return Decimal(value)
    if path.startswith("MetaData."):
        return parse_time(str(value))
    return str(value).lower()


def _sorted(books: Books, spec: schema.Entity, rows: list[Row], orders: list[tuple[str, bool]]) -> list[Row]:
    """Sorted by each property, ties by Id ascending; text as ASCII, absent values first."""
    rows = sorted(rows, key=lambda row: _id(row.doc), reverse=orders[0] == ("Id", True))
    for path, down in reversed(orders):
        if path == "Id" and len(orders) == 1:
            continue
        if path == "Id":
            rows.sort(key=lambda row: _id(row.doc), reverse=down)
            continue
        get = getter(books, spec, path)
        keys = {id(row): _sort_key(path, get(row)) for row in rows}
        rows.sort(key=lambda row, keys=keys: keys[id(row)], reverse=down)  # type: ignore[misc]  # a bound default
    return rows


def _sort_key(path: str, value: Any) -> tuple[bool, Any]:
    if value is None:
        return (False, "")
    if isinstance(value, str):
        return (True, value if not _numeric(path) else Decimal(value))
    return (True, _comparable(path, value))


def _id(doc: Doc) -> tuple[int, str]:
    id = doc["Id"]
    return (int(id), "") if id.isdecimal() else (0, id)


def _shown(books: Books, spec: schema.Entity, row: Row, statement: Statement, names: dict[str, str]) -> bytes:
    if statement.columns is None:
        return books.text(spec.name, row)
    doc = books.view(spec.name, row)
    wanted = {
        _canonical(spec, names | {"line": "Line"}, c.split(".")[0]) for c in statement.columns if c.lower() != "line"
    }
    wanted |= {"Line"} if any(c.lower().split(".")[0] == "line" for c in statement.columns) else set()
    return dumps({k: v for k, v in doc.items() if k in wanted or k in {"Id", "domain", "sparse"}})


def _pseudo_codes(books: Books, spec: schema.Entity) -> list[bytes]:
    """A US company's TaxCode query begins with three codes that are no objects (a known defect)."""
    if spec.name != "TaxCode" or books.switches.country != "US":
        return []
    times = {"CreateTime": "2012-05-10T00:15:18-07:00", "LastUpdatedTime": "2012-05-10T00:15:18-07:00"}
    return [
        dumps(
            {
                "Name": name,
                "Description": name,
                "Active": True,
                "Taxable": name != "NON",
                "TaxGroup": name == "CustomSalesTax",
                "Id": name,
                "MetaData": times,
            }
        )
        for name in ("TAX", "NON", "CustomSalesTax")
    ]
