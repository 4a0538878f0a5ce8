"""AOWSEXPORT and AOWSBATGET: rows by export template, at once or as a batch request that is asked for later.

A file is records behind one another, a record its indicator and the template's fields with `;` between them; the last
record is END.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from .criteria import compiled
from .faults import Refused
from .payload import Doc, Given, shown
from .screens import DATE, SCREENS
from .templates import END, EXPORTS, Template, quoted

if TYPE_CHECKING:
    from .books import Books

DONE, PENDING, FAILED = 0, 1, 2
REALTIME, SEPARATOR = "REALTIME", "|"
_DATES = {f.name for screen in SCREENS.values() for f in screen.heads.values() if f.type == DATE}


def run(books: Books, given: Given) -> Doc:
    """Exports at once, or books a request whose file AOWSBATGET gives when it is done. Raises Refused."""
    name = given.fields.get("I_MODEXP", "").upper()
    template = EXPORTS.get(name)
    if template is None:
        raise Refused("no_template", name=name)
    known = frozenset(template.records[0].fields)
    texts = [row.get("I_TCRITERE", "") for _, row in given.grids.get("criteria", [])]
    for text in texts:
        compiled(text, known, books.switches)
    separator = given.fields.get("I_RECORDSEP", "") or SEPARATOR
    if given.fields.get("I_EXEC", "").upper() == REALTIME:
        return {"O_FILE": file(books, template, texts, separator), "O_STATUS": DONE}
    number = books.requests.add()
    books.tasks.add(books.now(), books.switches.batch_delay, "batch", (number, name, tuple(texts), separator))
    return {"O_REQNUM": number, "O_STATUS": DONE}


def fetch(books: Books, given: Given) -> Doc:
    """The file of a batch request, once it is done."""
    number = given.fields.get("I_REQNUM", 0)
    if number not in books.requests.files:
        raise Refused("no_request", number=number)
    text = books.requests.files[number]
    return {"O_STATUS": PENDING} if text is None else {"O_STATUS": DONE, "O_FILE": text}


def batch(books: Books, what: tuple[Any, ...]) -> None:
    """The batch server's part."""
    number, name, texts, separator = what
    books.requests.files[number] = file(books, EXPORTS[name], list(texts), separator)


class Requests:
    """Batch requests by number: their file, None until they are done."""

    def __init__(self) -> None:
        self.files: dict[int, str | None] = {}

    def add(self) -> int:
        number = len(self.files) + 1
        self.files[number] = None
        return number


def file(books: Books, template: Template, texts: list[str], separator: str) -> str:
    """The export file. Raises Refused for a criterion that compares what cannot be compared."""
    known = frozenset(template.records[0].fields)
    tests = [compiled(text, known, books.switches) for text in texts if text.strip()]
    docs = books.open_items() if template.object == "DUD" else books.rows(template.object)
    by_day = books.switches.update_time == "day"
    out = []
    for doc in docs:
        if by_day:
            doc = {**doc, "UPDDATTIM": _day(doc["UPDDATTIM"]), "CREDATTIM": _day(doc["CREDATTIM"])}
        if not all(test(doc) for test in tests):
            continue
        for record in template.records:
            for row in doc[record.grid] if record.grid else (doc,):
                values = [_value(books, row.get(name, None if name in _DATES else "")) for name in record.fields]
                out.append(";".join((record.mark, *(quoted(value, separator) for value in values))))
    return separator.join((*out, END))


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0)


def _value(books: Books, value: Any) -> str:
    if value is None and books.switches.null_dates != "empty":
        return books.switches.null_dates
    if isinstance(value, (list, tuple)):
        return " ".join(filter(None, map(str, value)))
    return shown(value)
