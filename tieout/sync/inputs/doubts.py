"""What a run alone can know of what it read: a source that is old or cut short, much gone at once, a change missed.

Each is one discrepancy for a connection or a kind of record, however many records it is about. None moves a total.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta

from tieout.compare import Discrepancy
from tieout.model import Entity
from tieout.sync.core.facts import Which
from tieout.sync.inputs.fetch import Fetched
from tieout.sync.review.differences import id_of, noted
from tieout.sync.state.saving import Doubt

FEW = 5  # ids that a cause names
_AS_OF, _ROWS, _ABSENT, _CHANGES = "as_of", "rows", "absent", "changes"  # fields, of which ids are made


def of_reads(
    reads: Mapping[Which, Sequence[Fetched]], *, today: date, stale_after: timedelta | None
) -> list[Discrepancy]:
    """What is to be doubted of the reads of one run.

    stale_after: how old a dated export may be; None for any age
    """
    out: list[Discrepancy] = []
    for which, read in reads.items():
        out += _stale(which, read, today, stale_after)
        out += _cut_short(which, read)
        doubts = [(f"{one.connection}/{one.entity}", one, one.doubt) for one in read if one.doubt is not None]
        out += [_lost(which, about, one.entity, doubt) for about, one, doubt in doubts if doubt.code]
        out += [_missed(which, one, doubt) for _, one, doubt in doubts if doubt.missed]
    return out


def unlooked(
    names: Mapping[Which, str], entities: Mapping[Which, Sequence[Entity]], reads: Mapping[Which, Sequence[Fetched]]
) -> frozenset[str]:
    """The ids of what `of_reads` would say of reads that did not happen: it was not looked for, and stands as it did.

    entities: what is read of each side
    """
    kept: set[str] = set()
    for which, name in names.items():
        known = {one.entity for one in reads.get(which, ()) if one.doubt is not None}
        if not {one.entity for one in reads.get(which, ())} >= set(entities[which]):
            kept |= {id_of("STALE_SNAPSHOT", name, _AS_OF), id_of("TRUNCATED_EXTRACT", name, _ROWS)}
        for about in (f"{name}/{entity}" for entity in entities[which] if entity not in known):
            kept |= {id_of(code, about, _ABSENT) for code in ("FALSE_DELETE_SUSPECTED", "TRUNCATED_EXTRACT")}
            kept.add(id_of("MISSED_CHANGE", about, _CHANGES))
    return frozenset(kept)


def _stale(which: Which, read: Sequence[Fetched], today: date, after: timedelta | None) -> Iterable[Discrepancy]:
    dated = [date.fromisoformat(one.as_of) for one in read if one.as_of]
    if after is None or not dated or today - max(dated) <= after:
        return []
    newest, name = max(dated), read[0].connection
    cause = (
        f"the newest export of {name} is of {newest}, {(today - newest).days} days ago: nothing later is known of it"
    )
    return [noted("STALE_SNAPSHOT", name, which=which, kind="ledger", field=_AS_OF, value=str(newest), cause=cause)]


def _cut_short(which: Which, read: Sequence[Fetched]) -> Iterable[Discrepancy]:
    doubts = dict.fromkeys(d for one in read for d in one.proof.get("doubts", ()))
    if not doubts:
        return []
    name = read[0].connection
    cause = f"{name}: {'; '.join(doubts)}"
    return [noted("TRUNCATED_EXTRACT", name, which=which, kind="ledger", field=_ROWS, value=None, cause=cause)]


def _lost(which: Which, about: str, entity: Entity, doubt: Doubt) -> Discrepancy:
    cause = f"{about}: {doubt.why}"
    return noted(doubt.code, about, which=which, kind=entity, field=_ABSENT, value=None, cause=cause)


def _missed(which: Which, one: Fetched, doubt: Doubt) -> Discrepancy:
    some = ", ".join(doubt.missed[:FEW]) + (" …" if len(doubt.missed) > FEW else "")
    cause = f"{one.connection} did not show {one.entity} {some} among its changes; reading everything did"
    about, many = f"{one.connection}/{one.entity}", str(len(doubt.missed))
    return noted("MISSED_CHANGE", about, which=which, kind=one.entity, field=_CHANGES, value=many, cause=cause)
