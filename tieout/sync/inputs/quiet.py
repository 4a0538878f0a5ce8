"""What a run need not look at again: subjects of which nothing moved, and comparisons of which no input did.

A subject is quiet when the planner, looking at it, had nothing to do, to find or to adopt, while both records were
live, readable and referred only to subjects that both sides hold. What the planner says of it then depends on its two
records, its two bases and the pair's rules (policy, codes, what the connectors hold), and on nothing else. So the bases
keep the digest of either record and of the rules; who moves a base clears it. A link joins subjects of one side only,
to which no quiet record refers; what parts a subject from a record, or moves one that another pair knows, has
everything looked at again (`Tx.look_again`).

A comparison is taken again from the state if everything it would be made from has the same fingerprint.

Nothing is believed for longer than a day, and nothing in a sweep.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

import msgspec
import sqlalchemy as sa

from tieout import __version__, compare
from tieout.sync import schema
from tieout.sync.core.facts import LEFT, RIGHT, Which, digest, needs
from tieout.sync.core.operations import Draft, SubjectState
from tieout.sync.inputs.links import joined
from tieout.sync.inputs.sides import Sides
from tieout.sync.run import Run
from tieout.sync.state.book import ALIVE
from tieout.sync.store import Tx, batched, instant, stamp

BELIEVED = timedelta(hours=24)
_RESULT = msgspec.json.Decoder(compare.Result, float_hook=Decimal)
_WHICH: tuple[Which, Which] = (LEFT, RIGHT)

_BASE, _COMPARISON = schema.base.c, schema.comparison.c
_RESTING = sa.select(_BASE.subject, _BASE.connection, _BASE.quiet_hash).where(
    _BASE.pair == sa.bindparam("pair"),
    _BASE.quiet_rules == sa.bindparam("rules"),
    _BASE.quiet_at > sa.bindparam("since"),
)
_COMPARED = sa.select(schema.comparison).where(
    _COMPARISON.pair == sa.bindparam("pair"),
    _COMPARISON.purpose == sa.bindparam("purpose"),
    _COMPARISON.fingerprint == sa.bindparam("fingerprint"),
)


@dataclass(slots=True)
class Quiet:
    """What one run may leave alone: nothing, if it is a sweep.

    looked: the subjects that were looked at in this run · calm: those of them that may be quiet
    """

    run: Run
    sides: Sides
    looked: list[str] = field(default_factory=list)
    calm: set[str] = field(default_factory=set)

    # ── subjects ─────────────────────────────────────────────────────────────────────────────────────────────────

    def rules(self) -> str:
        """Digest of all that the planner's silence rests on beside records and bases."""
        connectors = [
            [
                *(type(c).__qualname__, c.name, c.capabilities.credits_by_payment),
                sorted((e.value, sorted(names)) for e, names in c.capabilities.fields.items()),
            ]
            for c in self.run.connectors.values()
        ]
        return digest([__version__, self.run.pair.config_hash, connectors])

    def restless(self) -> list[str]:
        """The subjects that the planner has to look at, in order."""
        subjects = self.sides.all()
        if self.run.sweep:
            return subjects
        since = stamp(self.run.store.clock() - BELIEVED)
        known: dict[str, dict[str, str]] = {name: {} for name in self.run.names.values()}
        asked = {"pair": self.run.pair.name, "rules": self.rules(), "since": since}
        for subject, connection, hash in self.run.store.stream(_RESTING, **asked):
            known[connection][subject] = hash
        left, right = (set(self._still(w, known[self.run.names[w]])) for w in _WHICH)
        quiet = left & right
        return [s for s in subjects if s not in quiet]

    def _still(self, which: Which, known: dict[str, str]) -> Iterator[str]:
        """The subjects whose record here is the one that was looked at."""
        book = self.sides.books[which]
        for key, subject in book.subjects.items():
            sight = book.held.sights.get(key)
            if (
                sight is not None
                and known.get(subject) == sight.hash is not None
                and sight.existence in ALIVE
                and sight.error is None
                and not sight.absences
                and key not in book.held.changed
            ):
                yield subject

    def watch(self, states: Iterable[SubjectState]) -> Iterator[SubjectState]:
        """The same states, noting of each whether it may be quiet."""
        for s in states:
            self.looked.append(s.id)
            if self._may_rest(s):
                self.calm.add(s.id)
            yield s

    def _may_rest(self, s: SubjectState) -> bool:
        if s.busy:
            return False
        for which in _WHICH:
            side, book = s.side(which), self.sides.books[which]
            if side is None or side.base is None or not side.readable or side.existence not in ALIVE:
                return False
            sight = book.held.sights.get((s.entity, side.id))
            if side.shared is None or sight is None or sight.absences or (s.entity, side.id) in book.held.changed:
                return False
            if not all(id in self.sides.books[w].natives for _, id in needs(s.entity, side.shared) for w in _WHICH):
                return False
        return True

    def remember(self, draft: Draft) -> None:
        """After planning: which of the subjects that were looked at are quiet from now on, and which are not."""
        spoken = {o.subject for o in draft.operations} | {f.subject for f in draft.findings} | draft.adopt.keys()
        quiet = [s for s in self.looked if s in self.calm and s not in spoken]
        settled = set(quiet)
        loud = [s for s in self.looked if s not in settled and s not in draft.adopt]
        b = schema.base
        for some in batched(loud, 500):
            with self.run.writing() as tx:
                where = b.c.pair == self.run.pair.name, b.c.subject.in_(some), b.c.quiet_hash.is_not(None)
                tx.db.execute(b.update().where(*where).values(quiet_hash=None))
        for some in batched(quiet, 5_000):
            with self.run.writing() as tx:
                self.rest(tx, some)
        self.looked, self.calm = [], set()

    def rest(self, tx: Tx, subjects: Sequence[str]) -> None:
        """Note subjects as quiet with the records that they have now."""
        b = schema.base
        rows = []
        for which in _WHICH:
            book = self.sides.books[which]
            for subject in subjects:
                key = book.key_of(subject)
                assert key is not None
                rows.append({"of": subject, "at": book.connection, "hash": book.held.sights[key].hash})
        if rows:
            where = (
                b.c.pair == self.run.pair.name,
                b.c.subject == sa.bindparam("of"),
                b.c.connection == sa.bindparam("at"),
            )
            now = {"quiet_hash": sa.bindparam("hash"), "quiet_rules": self.rules(), "quiet_at": tx.at}
            tx.db.execute(b.update().where(*where).values(now), rows)

    # ── comparisons ──────────────────────────────────────────────────────────────────────────────────────────────

    def fingerprint(self, asked: object) -> str | None:
        """Digest of both books and of what else is asked of a comparison; None if this run knows them otherwise."""
        books = [self.sides.books[w] for w in _WHICH]
        if any(book.held.edits for book in books):
            return None
        both = joined(self.sides.books)
        out = hashlib.sha256(repr((__version__, asked)).encode())
        for book in books:
            out.update(f"\x1d{book.connection}".encode())
            for key, sight in book.held.sights.items():
                subject = book.subjects.get(key, "")
                link = subject if subject in both else ""
                out.update(
                    f"\x1e{key[0]}\x1f{key[1]}\x1f{sight.hash}\x1f{sight.existence}\x1f{sight.dropped}\x1f{link}".encode()
                )
        return out.hexdigest()

    def compared(self, purpose: str, fingerprint: str | None) -> compare.Result | None:
        """The last comparison for a purpose, if it was made from the same and may be believed."""
        if self.run.sweep or fingerprint is None:
            return None
        asked = {"pair": self.run.pair.name, "purpose": purpose, "fingerprint": fingerprint}
        rows = self.run.store.rows(_COMPARED, **asked)
        if not rows or self.run.store.clock() - instant(rows[0]["compared_at"]) > BELIEVED:
            return None
        kept: compare.Result = _RESULT.decode(zlib.decompress(rows[0]["body"]))
        found = tuple(kept.discrepancies)
        return replace(kept, discrepancies=found, tally=compare.tallied(found))

    def keep(self, purpose: str, fingerprint: str | None, result: compare.Result) -> None:
        """Keep a comparison for the runs that follow."""
        if fingerprint is None:
            return
        with self.run.writing() as tx:
            tx.put(
                schema.comparison,
                {
                    "pair": self.run.pair.name,
                    "purpose": purpose,
                    "fingerprint": fingerprint,
                    "body": zlib.compress(msgspec.json.encode(result), 6),
                    "run": self.run.id,
                    "compared_at": tx.at,
                },
            )
