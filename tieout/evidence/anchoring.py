"""Writing anchors: after a commit, never inside a transaction; what cannot be anchored is said, and undoes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from tieout.errors import RefusedError, TieoutError
from tieout.evidence.anchors import RESTORED, Anchor, Head, begin, following, journal, newest, probe, refused
from tieout.evidence.keys import Signer
from tieout.sync import schema
from tieout.sync.state.rewound import Anchored, older
from tieout.sync.store import GENESIS, Store


@dataclass(frozen=True, slots=True)
class Anchors:
    """Where anchors go. paths: journals, at least one · log: is told each line as well, None for nobody"""

    signer: Signer
    paths: tuple[Path, ...]
    log: Callable[[str], None] | None = None

    def probe(self) -> None:
        """Prove that every journal could be written to; none is made. Raises ConfigError."""
        for path in self.paths:
            probe(path)

    def newest(self) -> Anchored | None:
        """The newest anchor of all journals; None if there is none. Raises ConfigError for a journal not readable."""
        found = [a for path in self.paths if (a := newest(path, self.signer.public)) is not None and a.seq]
        last = max(found, key=lambda a: (a.at, a.seq), default=None)
        return last.as_anchored() if last is not None else None


def head_of(store: Store) -> Head:
    """Where the audit log stands now; of an empty one event 0."""
    a = schema.audit_event
    with store.reading() as db:
        first = db.execute(sa.select(a.c.hash).order_by(a.c.seq).limit(1)).scalar()
        last = db.execute(sa.select(a).order_by(a.c.seq.desc()).limit(1)).first()
    if last is None:
        return Head("", 0, GENESIS, None)
    ended = (last.object_type, last.action) == ("run", "ended")
    return Head(first or "", last.seq, last.hash, last.object_id if ended else None)


def anchor(store: Store, anchors: Anchors) -> list[TieoutError]:
    """Anchor the audit log as it stands now, in every journal. Returns what went wrong, a journal each.

    Nothing is written where nothing happened since, nor where the state does not hold the last anchor.
    """
    wrong: list[TieoutError] = []
    for path in anchors.paths:
        try:
            _anchor(store, anchors, path)
        except TieoutError as error:
            wrong.append(error)
    return wrong


def _anchor(store: Store, anchors: Anchors, path: Path) -> None:
    with journal(path, anchors.signer.public) as file:
        gone: list[str] = []
        if file.last is None:
            file.append(begin(anchors.signer, store.now()))
            gone = _missing(store, anchors)
        last = file.last
        assert last is not None
        if last.n == 0:
            _tell_begun(store, last)
        if older(store, last.as_anchored()):
            raise refused(path)
        head = head_of(store)
        if (head.seq, head.hash) == (last.seq, last.hash):
            return
        now = following(last, head, anchors.signer, at=store.now())
        file.append(now)
    if anchors.log is not None:
        anchors.log(now.line)
    if gone:
        raise RefusedError(
            f"{path} was begun anew, for anchors that were there before are gone: "
            + ", ".join(f"journal {id}" for id in gone),
            hint="put the file back, or name it in [evidence] anchors beside this one; without it, nothing of before "
            "can be held against it",
        )


def _missing(store: Store, anchors: Anchors) -> list[str]:
    """Journals that the audit log says were begun, and of which no file is there."""
    a = schema.audit_event
    begun = store.rows(sa.select(a.c.object_id).where(a.c.object_type == "journal").order_by(a.c.seq))
    found = [newest(path, anchors.signer.public) for path in anchors.paths]
    there = {one.journal for one in found if one is not None}
    return [row["object_id"] for row in begun if row["object_id"] not in there]


def _tell_begun(store: Store, first: Anchor) -> None:
    """Let the audit log say that there is such a journal, so that one that is taken away is missed."""
    a = schema.audit_event
    known = sa.select(a.c.seq).where(a.c.object_type == "journal", a.c.object_id == first.journal)
    with store.writing(None) as tx:
        if tx.one(known) is None:
            tx.audit("begun", "journal", first.journal, {"key": first.key, "line": first.digest})


def confirm(store: Store, anchors: Anchors, *, agrees: Sequence[int], by: str, reason: str) -> list[Anchor]:
    """Take a restored state for the true one, in a person's name: journals go on from where it stands now.

    agrees: per journal the last anchored event that the state still holds, 0 for none
    Raises RefusedError without a name and a reason, or where no journal is ahead of the state.
    """
    if not by.strip() or not reason.strip():
        raise RefusedError(
            "that a state was restored is confirmed with a name and a reason", hint="add --by NAME --reason TEXT"
        )
    behind = [
        (path, known)
        for path, known in zip(anchors.paths, agrees, strict=True)
        if (last := newest(path, anchors.signer.public)) is not None and older(store, last.as_anchored())
    ]
    if not behind:
        raise RefusedError(
            "the state holds everything that was anchored: there is nothing to confirm", hint="tieout evidence verify"
        )
    lost = anchors.newest()
    with store.writing(None, actor=by.strip()) as tx:
        told = {"reason": reason.strip(), "anchored": lost.seq if lost else 0, "hash": lost.hash if lost else ""}
        tx.audit("confirmed_older", "state", lost.line if lost else "", told)
    written = []
    for path, known in behind:
        with journal(path, anchors.signer.public) as file:
            assert file.last is not None
            line = following(
                file.last,
                head_of(store),
                anchors.signer,
                at=store.now(),
                kind=RESTORED,
                by=by.strip(),
                reason=reason.strip(),
                agrees=known,
            )
            file.append(line)
        written.append(line)
        if anchors.log is not None:
            anchors.log(line.line)
    return written
