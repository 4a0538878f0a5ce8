"""What changed in a period after it was closed or signed off: each change, when it was seen, and what it moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from tieout.mapping.balances import effect, open_receivables
from tieout.mapping.relation import SIDES
from tieout.model import ZERO, AnyRecord, Customer, Document, Entity, as_json, tidy
from tieout.reports import layout, ledger
from tieout.reports.books import Books
from tieout.reports.frame import Cell, Column, Proof, Report, Row, Table
from tieout.reports.reconciliation.past import moment
from tieout.sync.core.past import Revised, Version

_SHOWN = 100  # characters of one value
# What a reading may change without anybody having changed the record.
_NOT_FACTS = frozenset({"ref", "reported_open", "reported_unapplied", "marker"})


@dataclass(frozen=True, slots=True)
class After:
    """One system after its period was closed.

    then, now: its books as known when the period was closed, and at the end of what is asked
    revised: what was read otherwise in between
    first_read: when each kind of record was first read completely; what was seen later may have been there before
    """

    then: Books
    now: Books
    revised: Sequence[Revised]
    first_read: Mapping[Entity, datetime]


@dataclass(frozen=True, slots=True)
class Change:
    """One reading that differs from the one before, of a document of the period. moved: of receivables at its end."""

    key: tuple[Entity, str]
    seen: datetime
    kind: str
    before: Version | None
    after: Version
    currency: str
    moved: Decimal
    fields: str

    @property
    def document(self) -> Document:
        """The document as it is now, else as it was."""
        record = self.after.record or (self.before.record if self.before else None)
        assert record is not None
        assert not isinstance(record, Customer)
        return record


def build(sides: Sequence[After], *, through: date, closed_at: datetime) -> Report:
    """Changes to documents dated up to `through`, inclusive, that were seen after `closed_at` (UTC)."""
    found = [list(changes(side, through)) for side in sides]
    return Report(
        name="post-close",
        title=f"Changes to the period through {through} after it was closed",
        company="",
        as_of=through,
        known_on=None,
        tables=(
            _openings(sides, found, through),
            *(t for n, (s, own) in enumerate(zip(sides, found, strict=True)) for t in _tables(s, own, n, sides)),
        ),
        proofs=tuple(p for side, own in zip(sides, found, strict=True) for p in _proofs(side, own, through)),
        notes=tuple(note for side in sides for note in _notes(side, closed_at)),
        parameters={"period through": through.isoformat(), "closed at": f"{moment(closed_at)} UTC"},
    )


def changes(side: After, through: date) -> Iterator[Change]:
    """Each change to a document of the period, in the order of sight."""
    found: list[Change] = []
    for revised in side.revised:
        if revised.entity is not Entity.CUSTOMER:
            before = revised.before
            for after in revised.after:
                found += _change(revised, before, after, through)
                before = after
    yield from sorted(found, key=lambda c: (c.seen, c.key))


def _change(revised: Revised, before: Version | None, after: Version, through: date) -> Iterator[Change]:
    was, now = _counted(before), _counted(after)
    moved: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for record, way in ((was, -1), (now, 1)):
        if record is not None:
            moved[record.currency] += way * effect(record, through)
    fields = differing(was, now)
    within = any(r is not None and r.posted <= through for r in (was, now))
    kind = _kind(before, after)
    if not within or (kind == "changed" and not fields and not any(moved.values())):
        return
    steps = [(c, m) for c, m in sorted(moved.items()) if m] or [((now or was).currency, ZERO)]  # type: ignore[union-attr]
    for currency, amount in steps:
        yield Change((revised.entity, revised.id), after.seen_at, kind, before, after, currency, amount, fields)


def _counted(version: Version | None) -> Document | None:
    """The document as it is in figures: one that cannot be read is in none."""
    if version is None or not version.readable or version.record is None or isinstance(version.record, Customer):
        return None
    return version.record


def _kind(before: Version | None, after: Version) -> str:
    if not after.readable:
        return "cannot be read since"
    if after.record is None:
        return "no longer listed" if after.existence.value == "absent" else "deleted"
    if before is None:
        return "entered"
    if not before.readable:
        return "can be read again"
    return "there again" if before.record is None else "changed"


def differing(before: AnyRecord | None, after: AnyRecord | None) -> str:
    """The fields that differ, `name: before → after`, in the records' own words; "" unless both are there."""
    if before is None or after is None:
        return ""
    was, now = as_json(before), as_json(after)
    return "; ".join(
        f"{name.replace('_', ' ')}: {_both(was.get(name), now.get(name))}"
        for name in now
        if name not in _NOT_FACTS and was.get(name) != now.get(name)
    )


def _both(before: object, after: object) -> str:
    """Both values; of two lists what only one of them has, as two of one length would look alike."""
    if isinstance(before, list) or isinstance(after, list):
        was, now = (value if isinstance(value, list) else [] for value in (before, after))
        before = ", ".join(_part(p) for p in was if p not in now)
        after = ", ".join(_part(p) for p in now if p not in was)
        if before == after:
            before, after = f"{len(was)} of them", f"{len(now)} of them"
    return f"{_value(before)} → {_value(after)}"


def _part(part: object) -> str:
    """One element of a list: an application, a line, an instalment; what it does not state is left out."""
    if not isinstance(part, dict):
        return str(part)
    return " ".join(f"{k.replace('_', ' ')} {_part(v)}" for k, v in part.items() if v not in (None, "", []))


def _value(value: object) -> str:
    text = "nothing" if value in (None, "") else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _openings(sides: Sequence[After], found: Sequence[Sequence[Change]], through: date) -> Table:
    """What the period closed with, what moved it since, and what it would close with now."""
    columns = (
        Column("books", "books", width=20),
        layout.CURRENCY,
        Column("signed", "as it was closed", "money"),
        Column("moved", "changed since", "money"),
        Column("now", "as it is now", "money", adds=("signed", "moved")),
    )
    details: list[tuple[Cell, ...]] = []
    for side, own in zip(sides, found, strict=True):
        then, now = _totals(side.then, through), _totals(side.now, through)
        moved = _moved(own)
        details += [
            (side.now.name, c, tidy(then.get(c, ZERO)), tidy(moved.get(c, ZERO)), tidy(now.get(c, ZERO)))
            for c in sorted({*then, *now, *moved})
        ]
    title = f"Open receivables on {through}"
    # Each is a total already; two ledgers of the same receivables are not added up.
    return Table("openings", title, columns, tuple(map(Row, sorted(details, key=lambda d: str(d[1])))))


def _totals(books: Books, through: date) -> dict[str, Decimal]:
    return open_receivables(books.records, through)


def _moved(found: Sequence[Change]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for c in found:
        sums[c.currency] += c.moved
    return dict(sums)


_COLUMNS = (
    Column("seen", "seen (UTC)", width=19),
    Column("change", "what happened", width=18),
    Column("kind", "kind", width=14),
    Column("document", "document", width=18),
    Column("customer", "customer", width=26),
    Column("posted", "posted", "date"),
    layout.CURRENCY,
    Column("before", "counted before", "money"),
    Column("after", "counts now", "money"),
    Column("moved", "moves the opening by", "money", adds=("after", "-before")),
    Column("by", "by", width=20),
    Column("fields", "changed fields", width=60),
)


def _tables(side: After, found: Sequence[Change], number: int, sides: Sequence[After]) -> Iterator[Table]:
    books = ledger.Subledger(side.now)
    several = len(sides) > 1
    suffix, of = (f"_{SIDES[number]}", f": {side.now.name}") if several else ("", "")
    moving = [c for c in found if c.moved]
    rest = [c for c in found if not c.moved]
    for key, title, own in (
        (f"moving{suffix}", f"Changes that move the opening{of}", moving),
        (f"others{suffix}", f"Changes that leave it as it was{of}", rest),
    ):
        details = sorted((_cells(c, books) for c in own), key=lambda d: str(d[6]))
        yield Table(key, title, _COLUMNS, layout.totalled(_COLUMNS, details))


def _cells(c: Change, books: ledger.Subledger) -> tuple[Cell, ...]:
    document = c.document
    was, now = _counted(c.before), _counted(c.after)
    return (
        moment(c.seen),
        c.kind,
        ledger.kind_of(document),
        ledger.number_of(document),
        books.party(document.customer).name,
        document.posted,
        c.currency,
        _effect(was, c),
        _effect(now, c),
        tidy(c.moved),
        f"tieout, plan {c.after.plan}" if c.after.plan else "in the system",
        c.fields,
    )


def _effect(record: Document | None, c: Change) -> Decimal | None:
    """Its signed amount, without regard to dates; None where it is not there, or in another currency."""
    if record is None or record.currency != c.currency:
        return None
    return tidy(effect(record, date.max))


def _proofs(side: After, found: Sequence[Change], through: date) -> Iterator[Proof]:
    """The period's total now, by all documents, against what it was closed with and the listed changes."""
    then, now, moved = _totals(side.then, through), _totals(side.now, through), _moved(found)
    for c in sorted({*then, *now, *moved}):
        ours = tidy(then.get(c, ZERO) + moved.get(c, ZERO))
        theirs = tidy(now.get(c, ZERO))
        claim = f"{side.now.name}: what {through} was closed with in {c}, and the changes, give what it is now"
        yield Proof(claim, ours, theirs, ours == theirs, c)


def _notes(side: After, closed_at: datetime) -> Iterator[str]:
    late = sorted(e.value.replace("_", " ") for e, at in side.first_read.items() if at > closed_at)
    if late or not side.first_read:
        kinds = ", ".join(late) or "anything"
        yield (
            f"{side.now.name}: {kinds} was first read completely after the period was closed: what is listed as "
            "entered since may have been there before."
        )
    if side.now.open_only:
        yield f"{side.now.name} lists open items only: what dropped out was settled or corrected, at a time unknown."
    if side.now.unreadable or side.then.unreadable:
        yield f"{side.now.name}: what cannot be read is in no figure, and moves the opening from then on."
    yield (
        f"{side.now.name}: a change is told when tieout read it, which is at most one run after it was made; what was "
        "changed and changed back between two runs is not seen."
    )
