"""The accounting-task server: what is left to post and to match, when, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from . import exports, invoices, matching, payments, posting

if TYPE_CHECKING:
    from .books import Books


@dataclass(frozen=True, slots=True)
class Task:
    """kind: validate or post a document, pay, credit (match a memo), letter, batch (an export). what: its arguments."""

    seq: int
    due: datetime
    kind: str
    what: tuple[Any, ...]


class Queue:
    """Tasks in the order they fall due. `stopped`: no accounting is done. `failed`: what could not be done, and why."""

    def __init__(self) -> None:
        self.pending: list[Task] = []
        self.failed: list[tuple[Task, str]] = []
        self.stopped = False
        self._seq = 0

    def add(self, now: datetime, delay: int, kind: str, what: tuple[Any, ...]) -> Task:
        self._seq += 1
        task = Task(self._seq, now + timedelta(seconds=delay), kind, what)
        self.pending.append(task)
        self.pending.sort(key=lambda t: (t.due, t.seq))
        return task

    def due(self, now: datetime) -> Task | None:
        """Takes the next task that is due; batch requests run even when the accounting tasks are stopped."""
        for n, task in enumerate(self.pending):
            if task.due > now:
                break
            if not self.stopped or task.kind == "batch":
                return self.pending.pop(n)
        return None

    def mark(self) -> list[Task]:
        return list(self.pending)

    def back(self, mark: list[Task]) -> None:
        """Forgets the tasks that were added since."""
        self.pending = mark


def do(books: Books, task: Task) -> None:
    """Does a task. Raises Refused."""
    _DO[task.kind](books, task.what)


def _validate(books: Books, what: tuple[Any, ...]) -> None:
    row = books.store.get("SINVOICE", what[1])
    if row is not None and not row.get("VALIDATED"):
        invoices.post(books, row)


def _post(books: Books, what: tuple[Any, ...]) -> None:
    row = books.store.get("SINVOICE", what[1])
    if row is None or not row.get("VALIDATED") or "ACCNUM" in row:
        return
    posting.post_invoice(books, row)
    if row["SNS"] < 0 and row.get("INVNUM") and books.switches.credit_matching == "auto":
        books.tasks.add(books.now(), books.switches.matching_delay, "credit", (row["NUM"],))


def _pay(books: Books, what: tuple[Any, ...]) -> None:
    row = books.store.get("PAYMENTH", what[0])
    if row is not None and row["STA2"] == payments.ENTERED:
        payments.post(books, row)


def _credit(books: Books, what: tuple[Any, ...]) -> None:
    row = books.store.get("SINVOICE", what[0])
    if row is not None and "ACCNUM" in row:
        matching.credit(books, row)


def _letter(books: Books, what: tuple[Any, ...]) -> None:
    matching.letter(books, what)


_DO = {"validate": _validate, "post": _post, "pay": _pay, "credit": _credit, "letter": _letter, "batch": exports.batch}
