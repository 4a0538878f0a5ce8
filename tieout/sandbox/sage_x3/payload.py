"""The payload inside a call: PARAM and RESULT as XML or JSON, read against a screen and written from a document.

A document is a dict of field names to str, int, Decimal, date, None (an empty date) or a list (a dimensioned field),
with its grids as lists of such dicts under the grids' names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from lxml import etree

from .faults import WARNING, Note, Refused, note
from .screens import CHAR, DATE, DECIMAL, FILE, INTEGER, Block, Field, Screen
from .switches import Switches
from .texts import label
from .xml import Unreadable, attribute, cdata, escaped, local, parse

Doc = dict[str, Any]
Line = tuple[int, dict[str, Any]]  # line number from 1, 0 for a line to add; its fields
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")
_EXTRA_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])')


@dataclass(slots=True)
class Given:
    """What a payload says, by field name and typed; grids by name. Nothing is filled in."""

    fields: Doc = field(default_factory=dict)
    grids: dict[str, list[Line]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


# ---- reading


def read(text: str, screen: Screen, switches: Switches) -> Given:
    """The payload, XML or JSON, against the screen. Raises Refused."""
    text = text.strip()
    given = Given()
    if not text:
        return given
    reader = _Reader(screen, switches, given)
    if text[0] in "{[":
        reader.json(text)
    else:
        reader.xml(text)
    return given


class _Reader:
    def __init__(self, screen: Screen, switches: Switches, given: Given) -> None:
        self.screen, self.switches, self.given = screen, switches, given

    def xml(self, text: str) -> None:
        try:
            root = parse(re.sub(r"^<\?xml[^>]*\?>", "", text).encode())
        except Unreadable as error:
            raise Refused("malformed", why=error) from error
        if local(root) not in {"PARAM", "RESULT"}:
            raise Refused("malformed", why=f"PARAM expected, {local(root)[:40]} found")
        for child in root:
            match local(child):
                case "GRP" | "TAB":
                    self.group(child)
                case "FLD" | "LST":
                    self.loose(child)
                case other:
                    raise Refused("malformed", why=f"unexpected {other[:40]}")

    def group(self, element: etree._Element) -> None:
        id = element.get("ID")
        if id is None:
            raise Refused("no_id")
        block = self.screen.block(id)
        if block is None:
            if self.switches.unknown_field == "reject":
                raise Refused("unknown_group", id=id)
            return
        if block.dim == 1:
            lines = [e for e in element if local(e) == "LIN"]
            for child in (c for e in lines for c in e) if lines else element:
                self.put(block, self.given.fields, self.name(child), _value(child))
            return
        if local(element) == "GRP" and len(element):
            raise Refused("not_a_group", id=id)
        rows = self.given.grids.setdefault(block.grid, [])
        for n, line in enumerate((e for e in element if local(e) == "LIN"), 1):
            number = line.get("NUM", "")
            row: Doc = {}
            for child in line:
                self.put(block, row, self.name(child), _value(child))
            rows.append((int(number) if number.isdecimal() else n, row))

    def loose(self, element: etree._Element) -> None:
        """A field directly under the root is found by its name."""
        name = self.name(element)
        block = next((b for b in self.screen.blocks if b.dim == 1 and any(f.name == name for f in b.fields)), None)
        if block is None:
            raise Refused("unknown_field_root", name=name)
        self.put(block, self.given.fields, name, _value(element))

    def name(self, element: etree._Element) -> str:
        name = element.get("NAME")
        if name is None and element.get("NAM") is not None:
            self.given.notes.append(note(WARNING, "attribute_form"))
            name = element.get("NAM")
        return name or ""

    def json(self, text: str) -> None:
        try:
            loaded = json.loads(_EXTRA_COMMA.sub(lambda m: m[1] or "", text), parse_float=str, parse_int=str)
        except (ValueError, RecursionError) as error:
            raise Refused("malformed", why=error) from error
        if not isinstance(loaded, dict):
            raise Refused("malformed", why="an object of groups expected")
        for id, content in loaded.items():
            block = self.screen.block(id)
            if block is None and not isinstance(content, (dict, list)) and id in self.screen.heads:
                self.given.fields[id] = self.typed(self.screen.heads[id], content)
            elif block is None:
                if self.switches.unknown_field == "reject":
                    raise Refused("unknown_group", id=id)
            elif block.dim == 1:
                self.members(block, self.given.fields, content)
            else:
                rows = self.given.grids.setdefault(block.grid, [])
                for n, line in enumerate(content if isinstance(content, list) else [content], 1):
                    row: Doc = {}
                    self.members(block, row, line)
                    rows.append((n, row))

    def members(self, block: Block, into: Doc, content: Any) -> None:
        if not isinstance(content, dict):
            raise Refused("malformed", why=f"an object expected in {block.id}")
        for name, value in content.items():
            if not name.endswith("_LBL"):
                self.put(block, into, name, value)

    def put(self, block: Block, into: Doc, name: str, value: Any) -> None:
        known = next((f for f in block.fields if f.name == name), None)
        if known is None:
            if self.switches.unknown_field == "reject":
                raise Refused("unknown_field", name=name, id=block.id)
        elif not known.computed:
            into[name] = self.typed(known, value)

    def typed(self, known: Field, value: Any) -> Any:
        if known.size > 1:
            values = value if isinstance(value, list) else [value]
            return [self.one(known, v) for v in values][: known.size]
        return self.one(known, value[0] if isinstance(value, list) and value else value)

    def one(self, known: Field, value: Any) -> Any:
        try:
            return converted(known, value)
        except Refused:
            parts = str(value).strip().split("/")
            if known.type == DATE and self.switches.input_dates == "both" and len(parts) == 3:
                done = converted(known, "".join(reversed(parts)))
                self.given.notes.append(note(WARNING, "date_form", name=known.name, value=value))
                return done
            raise


def _value(element: etree._Element) -> Any:
    if local(element) == "LST":
        return ["".join(item.itertext()) for item in element]
    return "".join(element.itertext())


def converted(known: Field, value: Any) -> Any:
    """A value of the field's type from a text or a value of that type. Raises Refused.

    Dates are YYYYMMDD, or empty: None. Numbers are plain decimals; an empty one is 0.
    """
    if known.type == DATE:
        return _date(known.name, value)
    if known.type == DECIMAL:
        return _number(known.name, value)
    if known.type == INTEGER:
        number = _number(known.name, value)
        if number != number.to_integral_value():
            raise Refused("not_a_number", name=known.name, value=value)
        if known.menu and number and not label(known.menu, int(number), "ENG"):
            raise Refused("not_in_menu", name=known.name, value=value, menu=known.menu)
        return int(number)
    text = ("" if value is None else str(value)).strip()
    if len(text) > known.length:
        raise Refused("too_long", name=known.name, limit=known.length)
    return text


def _date(name: str, value: Any) -> date | None:
    if value is None or isinstance(value, date):
        return value
    text = str(value).strip()
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{8}", text):
        raise Refused("not_a_date", name=name, value=text)
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError as error:
        raise Refused("not_a_date", name=name, value=text) from error


def _number(name: str, value: Any) -> Decimal:
    if isinstance(value, (int, Decimal)):
        return Decimal(value)
    text = str(value).strip()
    if not text:
        return Decimal(0)
    if not _NUMBER.fullmatch(text) or len(text) > 28:
        raise Refused("not_a_number", name=name, value=text)
    return Decimal(text)


# ---- writing


def shown(value: Any) -> str:
    """A value as X3 writes it: dates YYYYMMDD, decimals without trailing zeros or exponent."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y%m%d%H%M%S")
    if isinstance(value, date):
        return value.strftime("%Y%m%d")
    if isinstance(value, Decimal):
        text = f"{value:f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text in {"", "-0", "-"} else text
    return str(value)


def empty(known: Field) -> Any:
    """What a field holds that nobody filled; a local menu its first value."""
    one = 1 if known.menu else {CHAR: "", FILE: "", INTEGER: 0, DECIMAL: Decimal(0), DATE: None}[known.type]
    return [one] * known.size if known.size > 1 else one


def as_xml(screen: Screen, doc: Doc, language: str, *, pretty: bool = False) -> str:
    """A RESULT of the whole object; menus carry their labels."""
    out = []
    for block in screen.blocks:
        if block.dim == 1:
            out.append(f'<GRP ID="{block.id}">')
            out += _fields(block.fields, doc, language)
            out.append("</GRP>")
        else:
            lines = doc.get(block.grid, ())
            out.append(f'<TAB DIM="{block.dim}" ID="{block.id}" SIZE="{len(lines)}">')
            for n, line in enumerate(lines, 1):
                out.append(f'<LIN NUM="{n}">')
                out += _fields(block.fields, line, language)
                out.append("</LIN>")
            out.append("</TAB>")
    return result(out, pretty=pretty)


def result(parts: Iterable[str], attributes: str = "", *, pretty: bool = False) -> str:
    """The parts in a RESULT, each on a line of its own when pretty."""
    gap = "\n" if pretty else ""
    return gap.join(('<?xml version="1.0" encoding="UTF-8"?>', f"<RESULT{attributes}>", *parts, "</RESULT>"))


def list_xml(fields: Iterable[Field], rows: list[Doc], language: str, *, sizes: bool, pretty: bool = False) -> str:
    """A left list: lines directly under RESULT."""
    columns = tuple(fields)
    out = []
    for n, row in enumerate(rows, 1):
        out.append(f'<LIN NUM="{n}">' + "".join(_fields(columns, row, language)) + "</LIN>")
    size = f' DIM="{len(rows)}" SIZE="{len(rows)}"' if sizes else ""
    return result(out, size, pretty=pretty)


def list_json(fields: Iterable[Field], rows: list[Doc], language: str) -> str:
    columns = tuple(fields)
    return json.dumps([_members(columns, row, language) for row in rows], ensure_ascii=False)


def as_json(screen: Screen, doc: Doc, language: str) -> str:
    """The same as an object of blocks; every scalar is a string."""
    told: Doc = {}
    for block in screen.blocks:
        if block.dim == 1:
            told[block.id] = _members(block.fields, doc, language)
        else:
            told[block.id] = [_members(block.fields, line, language) for line in doc.get(block.grid, ())]
    return json.dumps(told, ensure_ascii=False)


def _members(fields: Iterable[Field], doc: Doc, language: str) -> Doc:
    out: Doc = {}
    for known in fields:
        value = doc.get(known.name, empty(known))
        out[known.name] = [shown(v) for v in value] if isinstance(value, list) else shown(value)
        if known.menu:
            out[f"{known.name}_LBL"] = label(known.menu, int(value or 0), language)
    return out


def _fields(fields: Iterable[Field], doc: Doc, language: str) -> list[str]:
    return [_field(f, doc[f.name], language) if f.name in doc else _blank(f, language) for f in fields]


@cache
def _blank(known: Field, language: str) -> str:
    return _field(known, empty(known), language)


def _field(known: Field, value: Any, language: str) -> str:
    if isinstance(value, list):
        items = "".join(f"<ITM>{escaped(shown(v))}</ITM>" if shown(v) else "<ITM/>" for v in value)
        return f'<LST NAME="{known.name}" SIZE="{len(value)}" TYPE="{known.type}">{items}</LST>'
    menu = ""
    if known.menu:
        menu = f'MENULAB="{attribute(label(known.menu, int(value or 0), language))}" MENULOCAL="{known.menu}" '
    text = cdata(value) if known.type == FILE and value else escaped(shown(value))
    head = f'<FLD {menu}NAME="{known.name}" TYPE="{known.type}"'
    return f"{head}>{text}</FLD>" if text else f"{head}/>"
