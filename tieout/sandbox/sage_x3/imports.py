"""AOWSIMPORT: documents by import template, each entered or refused on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .exports import DONE, FAILED, SEPARATOR
from .faults import Refused
from .payload import Doc, Given, converted
from .screens import SCREENS
from .templates import IMPORTS, Template, split

if TYPE_CHECKING:
    from .books import Books


def run(books: Books, given: Given) -> Doc:
    """Enters what the file holds; O_MESSA has a line for each document that was refused. Raises Refused."""
    name = given.fields.get("I_MODIMP", "").upper()
    template = IMPORTS.get(name)
    if template is None:
        raise Refused("no_template", name=name)
    separator = given.fields.get("I_RECORDSEP", "") or SEPARATOR
    problems = []
    for number, records in _documents(template, split(given.fields.get("I_FILE", ""), separator)):
        try:
            _enter(books, template, records)
        except Refused as refused:
            problems.append(f"{number}: {refused}")
    return {"O_STATUS": FAILED if problems else DONE, "O_MESSA": " / ".join(problems)}


def _documents(template: Template, records: list[list[str]]) -> list[tuple[int, list[list[str]]]]:
    """The records of each document, with the number of its first, from 1."""
    found: list[tuple[int, list[list[str]]]] = []
    for number, record in enumerate(records, 1):
        if record[0] == template.records[0].mark:
            found.append((number, [record]))
        elif found:
            found[-1][1].append(record)
        else:
            raise Refused("malformed", why=f"{number}: {record[0][:20]}")
    return found


def _enter(books: Books, template: Template, records: list[list[str]]) -> None:
    screen, kinds = SCREENS[template.object], {record.mark: record for record in template.records}
    given = Given()
    for values in records:
        kind = kinds.get(values[0])
        if kind is None or len(values) - 1 > len(kind.fields):
            raise Refused("malformed", why=";".join(values)[:60])
        known = screen.grids[kind.grid] if kind.grid else screen.heads
        row = {name: converted(known[name], text) for name, text in zip(kind.fields, values[1:], strict=False) if text}
        if kind.grid:
            given.grids.setdefault(kind.grid, []).append((0, row))
        else:
            given.fields = row
    key = tuple(str(given.fields.get(name, "")) for name in screen.keys)
    if template.object == "BPC" and books.read("BPC", *key) is not None:
        books.modify("BPC", key, given, by="api")
    else:
        books.save(template.object, given, by="api")
