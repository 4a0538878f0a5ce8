"""Sub-programs that `run` calls: X3's own export and import services, and three of a site's making (Z…).

ZARDUD lists open items, ZARDELTA tells what changed, ZARMATCH matches: what projects write for themselves, since X3
has no change feed. Their parameters are this sandbox's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import exports, imports
from .faults import Refused
from .payload import Doc, Given, as_json, as_xml, read, shown
from .screens import CHAR, DATE, DECIMAL, FILE, INTEGER, Block, Field, Screen

if TYPE_CHECKING:
    from .books import Books

MOST = 5000


def _screen(name: str, *blocks: Block) -> Screen:
    return Screen(name, "", (), (), blocks)


def _text(name: str, length: int = 250, *, computed: bool = False) -> Field:
    return Field(name, CHAR, length, computed=computed)


def _number(name: str, *, computed: bool = False) -> Field:
    return Field(name, INTEGER, computed=computed)


_ITEM = (
    *(_text(n) for n in ("TYP", "NUM")),
    *(_number(n) for n in ("ACCNUM", "DUDLIG")),
    *(_text(n) for n in ("CPY", "FCY", "CUR", "SAC", "BPR")),
    Field("DUDDAT", DATE),
    _text("PAM"),
    _number("SNS"),
    *(Field(n, DECIMAL) for n in ("AMTCUR", "AMTLOC", "PAYCUR", "PAYLOC", "TMPCUR")),
    Field("FLGCLE", INTEGER, menu=6002),
    _text("UPDDATTIM"),
)
SCREENS = {
    screen.object: screen
    for screen in (
        _screen(
            "AOWSEXPORT",
            Block("GRP1", (_text("I_MODEXP", 10), _text("I_CHRONO", 10))),
            Block("GRP2", (_text("I_TCRITERE", 250),), dim=10, grid="criteria"),
            Block(
                "GRP3",
                (
                    _text("I_EXEC", 20),
                    _text("I_RECORDSEP", 5),
                    Field("O_FILE", FILE, computed=True),
                    _number("O_REQNUM", computed=True),
                    _number("O_STATUS", computed=True),
                    _text("O_MESSA", computed=True),
                ),
            ),
        ),
        _screen(
            "AOWSIMPORT",
            Block(
                "GRP1",
                (
                    _text("I_MODIMP", 10),
                    _text("I_AOWSTA", 10),
                    _text("I_EXEC", 20),
                    _text("I_RECORDSEP", 5),
                    Field("I_FILE", FILE, 10_000_000),
                    _number("O_REQNUM", computed=True),
                    _number("O_STATUS", computed=True),
                    _text("O_MESSA", computed=True),
                ),
            ),
        ),
        _screen(
            "AOWSBATGET",
            Block(
                "GRP1",
                (
                    _number("I_REQNUM"),
                    Field("O_FILE", FILE, computed=True),
                    _number("O_STATUS", computed=True),
                    _text("O_MESSA", computed=True),
                ),
            ),
        ),
        _screen(
            "ZARDUD",
            Block(
                "GRP1",
                (
                    _text("I_BPR", 15),
                    Field("I_OPEN", INTEGER, menu=1),
                    _text("I_SINCE", 14),
                    _text("I_AFTER", 60),
                    _number("I_SIZE"),
                    Field("O_MORE", INTEGER, menu=1, computed=True),
                    _text("O_LAST", 60, computed=True),
                ),
            ),
            Block("GRP2", _ITEM, dim=MOST, grid="items"),
        ),
        _screen(
            "ZARDELTA",
            Block(
                "GRP1",
                (
                    _text("I_OBJECT", 3),
                    _number("I_TICK"),
                    _number("I_SIZE"),
                    _number("O_TICK", computed=True),
                    Field("O_MORE", INTEGER, menu=1, computed=True),
                ),
            ),
            Block(
                "GRP2",
                (
                    _number("TICK"),
                    _text("OBJECT", 3),
                    _text("KEY", 60),
                    _text("ATTIM"),
                    Field("GONE", INTEGER, menu=1),
                ),
                dim=MOST,
                grid="changes",
            ),
        ),
        _screen(
            "ZARMATCH",
            Block("GRP1", (_text("I_BPR", 15), _number("O_STATUS", computed=True))),
            Block("GRP2", (_text("TYP", 5), _text("NUM", 20), Field("AMTCUR", DECIMAL)), dim=100, grid="items"),
        ),
    )
}


def signature(name: str) -> list[tuple[str, int, list[tuple[str, str]]]]:
    """Groups, their dimension, their parameters with types."""
    return [(b.id, b.dim, [(f.name, f.type) for f in b.fields]) for b in SCREENS[name].blocks]


def run(books: Books, name: str, text: str, *, as_json: bool, language: str) -> str:
    """Runs a sub-program; returns its parameters, those that came in and those that go out. Raises Refused."""
    screen = SCREENS[name]
    given = read(text, screen, books.switches)
    doc = {**given.fields, **{grid: [fields for _, fields in lines] for grid, lines in given.grids.items()}}
    with books.lock:
        done = {**doc, **_PROGRAMS[name](books, given)}
    return _json(screen, done, language) if as_json else as_xml(screen, done, language)


_json = as_json


def _size(given: Given) -> int:
    size = given.fields.get("I_SIZE", 0)
    return min(size, MOST) if size > 0 else MOST


def _open_items(books: Books, given: Given) -> Doc:
    fields, size = given.fields, _size(given)
    since, after = fields.get("I_SINCE", ""), tuple(fields.get("I_AFTER", "").split("~"))
    rows = sorted(books.open_items(fields.get("I_BPR", "")), key=_place)
    rows = [
        row
        for row in rows
        if (fields.get("I_OPEN", 0) != 2 or row["FLGCLE"] == 1)
        and (not since or shown(row["UPDDATTIM"]) >= since)
        and (after == ("",) or _place(row) > after)
    ]
    page = rows[:size]
    return {
        "items": [{**row, "UPDDATTIM": shown(row["UPDDATTIM"])} for row in page],
        "O_MORE": 2 if len(rows) > len(page) else 1,
        "O_LAST": "~".join(_place(page[-1])) if page else "",
    }


def _place(row: Doc) -> tuple[str, ...]:
    return (row["TYP"], row["NUM"], f"{row['DUDLIG']:04d}")


def _delta(books: Books, given: Given) -> Doc:
    fields, size = given.fields, _size(given)
    wanted = fields.get("I_OBJECT", "")
    start = fields.get("I_TICK", 0)
    found = [c for c in books.changes[max(start, 0) :] if wanted in {"", c.object}]
    page = found[:size]
    more = len(found) > len(page)
    last = page[-1].tick if more else len(books.changes)
    rows = [
        {
            "TICK": c.tick,
            "OBJECT": c.object,
            "KEY": "~".join(c.key),
            "ATTIM": shown(c.at),
            "GONE": 2 if c.gone else 1,
        }
        for c in page
    ]
    return {"changes": rows, "O_TICK": last, "O_MORE": 2 if more else 1}


def _match(books: Books, given: Given) -> Doc:
    parts = [(r.get("TYP", ""), r.get("NUM", ""), r.get("AMTCUR", 0)) for _, r in given.grids.get("items", [])]
    bpr = given.fields.get("I_BPR", "")
    if not bpr:
        raise Refused("missing", name="I_BPR")
    books.match(bpr, parts, by="api")
    return {"O_STATUS": 0}


_PROGRAMS: dict[str, Callable[[Books, Given], Doc]] = {
    "AOWSEXPORT": exports.run,
    "AOWSIMPORT": imports.run,
    "AOWSBATGET": exports.fetch,
    "ZARDUD": _open_items,
    "ZARDELTA": _delta,
    "ZARMATCH": _match,
}
