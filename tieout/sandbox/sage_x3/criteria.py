"""Selection criteria of an export: comparisons in X3's expression syntax, as far as clients need it.

    1=1 · UPDDATTIM>=[20261101] · BPCINV="C1" and INVATI<>0 · (STA=3 or STA=2) · pat(NUM,"INV*")

A field against a date is compared by its type: a time counts from midnight of the day.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from .faults import Refused
from .payload import Doc
from .switches import Switches

Test = Callable[[Doc], bool]
_TOKEN = re.compile(
    r"""\s*(?:(?P<date>\[[^\]]*\])|(?P<text>"[^"]*"|'[^']*')|(?P<number>-?\d+(?:\.\d+)?)"""
    r"""|(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<sign><>|<=|>=|=|<|>|\(|\)|,))"""
)
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MOST = 250


def compiled(text: str, known: frozenset[str], switches: Switches) -> Test:
    """A test of rows from a criterion; an empty one takes all. known: the fields there are. Raises Refused."""
    if not text.strip():
        return bool  # every row is something
    if len(text) > MOST:
        raise Refused("criterion", why=f"longer than {MOST} characters")
    reader = _Reader(text, known, switches)
    test = reader.either()
    if reader.next is not None:
        raise reader.wrong()
    return test


class _Reader:
    """Recursive descent; depth is bounded by the length of a criterion."""

    def __init__(self, text: str, known: frozenset[str], switches: Switches) -> None:
        self.text, self.place, self.known, self.switches = text, 0, known, switches
        self.next: tuple[str, str] | None = None
        self.advance()

    def advance(self) -> tuple[str, str] | None:
        now, rest = self.next, self.text[self.place :]
        found = _TOKEN.match(rest)
        if found is None:
            if rest.strip():
                raise self.wrong()
            self.next = None
        else:
            self.place += found.end()
            kind = str(found.lastgroup)
            self.next = (kind, found[kind])
        return now

    def wrong(self) -> Refused:
        return Refused("criterion", why=self.text[:80])

    def word(self, word: str) -> bool:
        """Takes the word if it comes next."""
        if self.next is not None and self.next[1].lower() == word and self.next[0] in {"name", "sign"}:
            self.advance()
            return True
        return False

    def either(self) -> Test:
        tests = [self.both()]
        while self.word("or"):
            tests.append(self.both())
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def both(self) -> Test:
        tests = [self.one()]
        while self.word("and"):
            tests.append(self.one())
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def one(self) -> Test:
        if self.word("("):
            inner = self.either()
            if not self.word(")"):
                raise self.wrong()
            return inner
        if self.next is not None and self.next[1].lower() == "pat":
            return self.pattern()
        left = self.operand()
        sign = self.advance()
        if sign is None or sign[1] not in _SIGNS:
            raise self.wrong()
        right, compare, why = self.operand(), _SIGNS[sign[1]], self.wrong()

        def test(row: Doc) -> bool:
            a, b = _alike(left(row), right(row))
            try:
                return compare(a, b)
            except TypeError as error:
                raise why from error

        return test

    def pattern(self) -> Test:
        self.advance()
        if not self.word("("):
            raise self.wrong()
        field = self.operand()
        if not self.word(",") or self.next is None or self.next[0] != "text":
            raise self.wrong()
        wanted = re.compile(".*".join(map(re.escape, self.next[1][1:-1].split("*"))), re.DOTALL)
        self.advance()
        if not self.word(")"):
            raise self.wrong()
        return lambda row: wanted.fullmatch(str(field(row))) is not None

    def operand(self) -> Callable[[Doc], Any]:
        kind, text = self.advance() or ("", "")
        if kind == "number":
            number = Decimal(text)
            return lambda _: number
        if kind == "text":
            return lambda _: text[1:-1]
        if kind == "date":
            day = self.date(text[1:-1].strip())
            return lambda _: day
        if kind == "name":
            name = text.upper()
            if name not in self.known:
                raise Refused("criterion", why=text[:40])
            return lambda row: row.get(name)
        raise self.wrong()

    def date(self, text: str) -> date:
        """A date literal in the form that the installation takes; fourteen digits are a time."""
        forms = {"yyyymmdd": ("%Y%m%d", "%Y%m%d%H%M%S"), "dd/mm/yyyy": ("%d/%m/%Y",)}
        taken = self.switches.export_dates
        for form in (*forms["yyyymmdd"], *forms["dd/mm/yyyy"]) if taken == "either" else forms[taken]:
            try:
                moment = datetime.strptime(text, form).replace(tzinfo=UTC)
            except ValueError:
                continue
            return moment if "%H" in form else moment.date()
        raise Refused("criterion", why=f"[{text[:40]}]")


def _alike(a: Any, b: Any) -> tuple[Any, Any]:
    """Both sides as things that compare: days and times, numbers, nothing as an empty text or the earliest day."""
    if isinstance(a, date) or isinstance(b, date):
        if isinstance(a, datetime) or isinstance(b, datetime):
            return _moment(a), _moment(b)
        return a or date.min, b or date.min
    if isinstance(a, (int, Decimal)) or isinstance(b, (int, Decimal)):
        return a if a is not None else Decimal(0), b if b is not None else Decimal(0)
    return a or "", b or ""


def _moment(value: Any) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value if value is not None else datetime.min.replace(tzinfo=UTC)
