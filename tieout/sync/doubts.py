"""What a run alone can know of what it read: a source that is old or cut short, much gone at once, a change missed.

Each is one discrepancy for a connection or a kind of record, however many records it is about. None moves a total.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta

from tieout.compare import Discrepancy
from tieout.sync.differences import noted
from tieout.sync.facts import Which
from tieout.sync.fetch import Fetched

FEW = 5  # ids that a cause names


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
        out += [_lost(which, one) for one in read if one.suspicious and not one.proof.get("doubts")]
        out += [_missed(which, one) for one in read if one.missed]
    return out


def looked_for_missed(reads: Mapping[Which, Sequence[Fetched]]) -> bool:
    """Whether any read of the run held its feed of changes against everything there is."""
    return any(one.census for read in reads.values() for one in read)


def _stale(which: Which, read: Sequence[Fetched], today: date, after: timedelta | None) -> Iterable[Discrepancy]:
    dated = [date.fromisoformat(one.as_of) for one in read if one.as_of]
    if after is None or not dated or today - max(dated) <= after:
        return []
    newest, name = max(dated), read[0].connection
    cause = (
        f"the newest export of {name} is of {newest}, {(today - newest).days} days ago: nothing later is known of it"
    )
    return [noted("STALE_SNAPSHOT", name, which=which, kind="ledger", field="as_of", value=str(newest), cause=cause)]


def _cut_short(which: Which, read: Sequence[Fetched]) -> Iterable[Discrepancy]:
    doubts = dict.fromkeys(d for one in read for d in one.proof.get("doubts", ()))
    if not doubts:
        return []
    name = read[0].connection
    cause = f"{name}: {'; '.join(doubts)}"
    return [noted("TRUNCATED_EXTRACT", name, which=which, kind="ledger", field="rows", value=None, cause=cause)]


def _lost(which: Which, one: Fetched) -> Discrepancy:
    cause = f"{one.connection}/{one.entity}: {one.suspicious}"
    about = f"{one.connection}/{one.entity}"
    code = "FALSE_DELETE_SUSPECTED" if one.complete else "TRUNCATED_EXTRACT"
    return noted(code, about, which=which, kind=one.entity, field="absent", value=None, cause=cause)


def _missed(which: Which, one: Fetched) -> Discrepancy:
    some = ", ".join(one.missed[:FEW]) + (" …" if len(one.missed) > FEW else "")
    cause = f"{one.connection} did not show {one.entity} {some} among its changes; reading everything did"
    about, many = f"{one.connection}/{one.entity}", str(len(one.missed))
    return noted("MISSED_CHANGE", about, which=which, kind=one.entity, field="changes", value=many, cause=cause)
