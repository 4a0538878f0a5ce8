"""The query language, read: text to Statement. Keywords ignore case."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .faults import Refused

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])|(?P<op><=|>=|!=|=|<|>)"
    r"|(?P<word>[A-Za-z_][\w.]*)|(?P<mark>[(),*]))",
)
_END = ("end", "", 0)
PAGE, MOST = 100, 1000


@dataclass(frozen=True, slots=True)
class Condition:
    """`property op values`: one value but for `in`. `quoted` is False where a number stood bare."""

    path: str
    op: str
    values: tuple[str, ...]
    quoted: bool = True


@dataclass(slots=True)
class Statement:
    """A parsed statement. `columns` None means all of them; `start` counts from 1."""

    entity: str
    columns: list[str] | None = None
    count: bool = False
    where: list[Condition] = field(default_factory=list)
    order: list[tuple[str, bool]] = field(default_factory=list)
    start: int = 1
    most: int = PAGE


def parse(text: str) -> Statement:
    return _Parser(text).statement()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        position = 0
        while position < len(text) and text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise parse_error(text[position:].strip()[:1], text, position)
            kind = match.lastgroup or ""
            self.tokens.append((kind, match[kind], match.start(kind)))
            position = match.end()
        self.at = 0

    def peek(self) -> tuple[str, str, int]:
        return self.tokens[self.at] if self.at < len(self.tokens) else _END

    def take(self) -> tuple[str, str, int]:
        token = self.peek()
        self.at += 1
        return token

    def word(self, *wanted: str) -> bool:
        """Takes one of the keywords if it comes next."""
        kind, text, _ = self.peek()
        if kind == "word" and text.lower() in wanted:
            self.at += 1
            return True
        return False

    def expect(self, kind: str, *texts: str) -> str:
        found, text, position = self.take()
        if found != kind or (texts and text.lower() not in texts):
            raise parse_error(text or "<EOF>", self.text, position)
        return text

    def statement(self) -> Statement:
        self.expect("word", "select")
        columns, count = self._columns()
        self.expect("word", "from")
        made = Statement(self.expect("word"), columns, count)
        if self.word("where"):
            made.where.append(self._condition())
            while self.word("and"):
                made.where.append(self._condition())
        self._tail(made)
        kind, text, position = self.peek()
        if kind != "end":
            raise parse_error(text, self.text, position)
        return made

    def _columns(self) -> tuple[list[str] | None, bool]:
        if self.word("count"):
            self.expect("mark", "(")
            self.expect("mark", "*")
            self.expect("mark", ")")
            return None, True
        columns: list[str] | None = []
        while True:
            kind, text, position = self.take()
            if kind == "mark" and text == "*":
                columns = None
            elif kind != "word" or text.lower() == "from":
                raise parse_error(text or "<EOF>", self.text, position)
            elif columns is not None:
                columns.append(text)
            if self.peek()[1] != ",":
                return columns, False
            self.at += 1

    def _condition(self) -> Condition:
        path = self.expect("word")
        if self.word("in"):
            self.expect("mark", "(")
            values = [self._value()]
            while self.peek()[1] == ",":
                self.at += 1
                values.append(self._value())
            self.expect("mark", ")")
            return Condition(path, "in", tuple(v for v, _ in values), all(q for _, q in values))
        if self.word("like"):
            return Condition(path, "like", (self._value()[0],))
        op = self.expect("op")
        value, quoted = self._value()
        return Condition(path, op, (value,), quoted)

    def _value(self) -> tuple[str, bool]:
        kind, text, position = self.take()
        if kind == "text":
            return re.sub(r"\\(.)", r"\1", text[1:-1]), True
        if kind == "number":
            return text, False
        if kind == "word" and text.lower() in {"true", "false"}:
            return text.lower(), True
        raise parse_error(text or "<EOF>", self.text, position)

    def _tail(self, made: Statement) -> None:
        while True:
            if self.word("orderby") or (self.peek()[1].lower() == "order" and self._order_by()):
                made.order.append(self._ordering())
                while self.peek()[1] == ",":
                    self.at += 1
                    made.order.append(self._ordering())
            elif self.word("startposition"):
                made.start = self._positive()
            elif self.word("maxresults"):
                made.most = min(self._positive(), MOST)
            else:
                return

    def _order_by(self) -> bool:
        self.at += 1
        self.expect("word", "by")
        return True

    def _ordering(self) -> tuple[str, bool]:
        path = self.expect("word")
        if self.word("desc"):
            return path, True
        self.word("asc")
        return path, False

    def _positive(self) -> int:
        kind, text, position = self.take()
        if kind not in {"number", "text"} or not text.strip("'").lstrip("-").isdecimal():
            raise parse_error(text or "<EOF>", self.text, position)
        number = int(text.strip("'"))
        if number < 1:
            raise invalid(f"value {number} is too small. Min allowed value is 1")
        return number


def parse_error(token: str, text: str, position: int) -> Refused:
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    return Refused(
        4000,
        f'QueryParserError: Encountered " <IDENTIFIER> "{token} "" at line {line}, column {column}.',
    )


def invalid(detail: str) -> Refused:
    return Refused(4001, f"QueryValidationError: {detail}")
