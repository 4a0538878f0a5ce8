"""BPC, customers: what must be there, what is filled in, what keeps one from going."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .faults import Refused
from .grids import merged
from .payload import Doc, Given

if TYPE_CHECKING:
    from .books import Books
    from .store import Key

ACTIVE, INACTIVE = 2, 1
DEFAULT = 2  # the vendor's own payloads change "line 1" and mean the default address, however it was entered
_GRID = "addresses"


def create(books: Books, given: Given) -> Key:
    row: Doc = {"BPCSTA": ACTIVE, **given.fields}
    category = row.get("BCGCOD", "")
    _known("BCGCOD", category, books.company.categories)
    if not row.get("BPCNUM"):
        row["BPCNUM"] = f"C{books.next_number('BPC'):06d}"
    key = (row["BPCNUM"],)
    if books.store.get("BPCUSTOMER", *key):
        raise Refused("exists", object="BPC", key=row["BPCNUM"])
    row[_GRID] = merged([], given.grids.get(_GRID, []))
    books.write("BPC", "create", key, _complete(books, row))
    return key


def modify(books: Books, row: Doc, given: Given) -> None:
    if given.fields.get("BPCNUM", row["BPCNUM"]) != row["BPCNUM"]:
        raise Refused("fixed", name="BPCNUM")
    done = {**row, **given.fields}
    done[_GRID] = merged(row[_GRID], given.grids.get(_GRID, []))
    books.write("BPC", "modify", (row["BPCNUM"],), _complete(books, done))


def delete(books: Books, row: Doc) -> None:
    bpr = row["BPCNUM"]
    if any(books.store.by(table, "BPR", bpr) for table in ("SINVOICE", "PAYMENTH", "GACCDUDATE")):
        raise Refused("in_use", key=bpr)
    books.write("BPC", "delete", (bpr,), None)


def _complete(books: Books, row: Doc) -> Doc:
    company = books.company
    names = [*row.get("BPRNAM", ["", ""]), "", ""][:2]
    if not row.get("BPCNAM") and not names[0]:
        raise Refused("missing", name="BPCNAM")
    row["BPCNAM"] = row.get("BPCNAM") or names[0]
    row["BPRNAM"] = [names[0] or row["BPCNAM"], names[1]]
    row.setdefault("CUR", next(iter(company.home.values())))
    row.setdefault("LAN", "ENG")
    row.setdefault("VACBPR", "DOM")
    row.setdefault("PTE", "NET30")
    for name in ("BPRFBDMAG", "LEGETT"):
        row[name] = row.get(name) or 1
    row["BPCSTA"] = row.get("BPCSTA") or INACTIVE
    _known("BCGCOD", row.get("BCGCOD", ""), company.categories)
    _known("CUR", row["CUR"], company.currencies)
    _known("VACBPR", row["VACBPR"], company.rules)
    _known("PTE", row["PTE"], company.terms)
    if row.get("CRY"):
        _known("CRY", row["CRY"], company.countries)
    for line in row[_GRID]:
        if not line.get("CODADR"):
            raise Refused("missing", name="CODADR")
        if line.get("BPACRY"):
            _known("BPACRY", line["BPACRY"], company.countries)
    row[_GRID] = sorted(row[_GRID], key=lambda line: line.get("BPAADDFLG") != DEFAULT)
    codes = [line["CODADR"] for line in row[_GRID]]
    if len(set(codes)) != len(codes):
        raise Refused("exists", object="CODADR", key=next(c for c in codes if codes.count(c) > 1))
    return row


def _known(name: str, value: str, among: object) -> None:
    if not value:
        raise Refused("missing", name=name)
    if value not in among:  # type: ignore[operator]
        raise Refused("unknown_value", name=name, value=value)


def active(books: Books, bpr: str) -> Doc:
    """The customer's row. Raises Refused when there is none, or he is not active."""
    if not bpr:
        raise Refused("missing", name="BPR")
    row = books.store.get("BPCUSTOMER", bpr)
    if row is None:
        raise Refused("unknown_value", name="BPR", value=bpr)
    if row["BPCSTA"] != ACTIVE:
        raise Refused("inactive", bpr=bpr)
    return row


def view(books: Books, row: Doc) -> Doc:
    company = books.company
    titles = company.titles
    return {
        **row,
        "ZBCGCOD": titles.get(row["BCGCOD"], ""),
        "ZCRY": company.countries.get(row.get("CRY", ""), ""),
        "ZLAN": titles.get(row["LAN"], ""),
        "ZCUR": company.currencies[row["CUR"]][0],
        "ZVACBPR": titles.get(row["VACBPR"], ""),
        "ZPTE": titles.get(row["PTE"], ""),
        _GRID: [{**a, "CRYNAM": company.countries.get(a.get("BPACRY", ""), "")} for a in row[_GRID]],
    }
