"""One run of one pair: recover → fetch → match → plan → guard → apply → confirm → discrepancies.

Every phase can be killed: what it decided is in the state database before it acts, and the next run starts from
there. A failure of one entity, or of one record, ends up in the report; it never stops the others.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import sqlalchemy as sa

from tieout import compare
from tieout.compare import Discrepancy
from tieout.compare.codes import UNTRACED
from tieout.connectors import Connector
from tieout.model import Entity
from tieout.sync import schema
from tieout.sync.apply import apply, flush
from tieout.sync.comparing import Comparing
from tieout.sync.core.facts import LEFT, RIGHT, Which
from tieout.sync.core.operations import Draft, Finding, Operation, OpKind, Rules
from tieout.sync.guard import Trip, check, held
from tieout.sync.inputs.doubts import of_reads, unlooked
from tieout.sync.inputs.links import Link, Relation, by_ladder, by_marker, store_links
from tieout.sync.inputs.permits import Permits
from tieout.sync.inputs.quiet import Quiet
from tieout.sync.inputs.reading import Read, not_tied, read, whose
from tieout.sync.inputs.sides import Sides, adopted
from tieout.sync.inputs.stated import Stated, take_over, takeovers
from tieout.sync.listing import UNDER_WAY, Listing, among, control_totals
from tieout.sync.pair import Pair
from tieout.sync.plan import make
from tieout.sync.renamed import settle_connections, settle_name
from tieout.sync.report import Report
from tieout.sync.review import differences, plans
from tieout.sync.run import ORDER, Run, beating, begin, ending, rare_gc
from tieout.sync.state import periods
from tieout.sync.state.bases import Base, set_bases
from tieout.sync.state.book import Book
from tieout.sync.state.rewound import Anchored, older
from tieout.sync.store import LEASE_SECONDS, Store, batched, new_id, stamp
from tieout.sync.work import Target, Work
from tieout.sync.writing import overwritten
from tieout.sync.writing.settle import recover, settle

__all__ = ["Pair", "Report", "sync"]

TOGETHER = 400  # subjects whose bases move in one transaction
_ENDED = UNDER_WAY | {"rejected"}
# What a comparison without reported balances does not look for.
OF_REPORTED_BALANCES = frozenset({"BALANCE_MISMATCH_INTERNAL", "OVER_APPLIED"})
_RUN = schema.run.c
_LAST_CONFIG = (
    sa.select(_RUN.config_hash)
    .where(_RUN.pair == sa.bindparam("pair"), _RUN.status.in_(("ok", "partial")))
    .order_by(_RUN.started_at.desc())
    .limit(1)
)


def sync(
    store: Store,
    connectors: Mapping[str, Connector],
    pair: Pair,
    *,
    apply: bool = False,
    as_of: date | None = None,
    sweep: bool = False,
    heartbeat: bool = True,
    progress: Callable[[str], None] = lambda _text: None,
    anchored: Anchored | None = None,
    configured: Mapping[str, object] | None = None,
) -> Report:
    """Run a pair once. Without `apply` nothing is written to either system, only planned.

    as_of: the day of the comparison, inclusive; default the pair's, else everything
    sweep: read everything, not only what changed · heartbeat: keep the lease alive from a thread of its own
    anchored: the newest anchor of the audit log; a state that does not hold it is only looked at, and read in full
    configured: what is configured, without secrets, to be kept with the run
    Raises LeaseHeldError if another run has the pair or one of its connections; other trouble is in the report.
    """
    with store.holding([f"connection:{pair.left}", f"connection:{pair.right}", f"pair:{pair.name}"]) as lease:
        settle_name(store, lease, pair.name, pair.was, (pair.left, pair.right))
        settle_connections(store, pair.name, (pair.left, pair.right))
        behind = older(store, anchored)
        id = new_id()
        run = Run(
            id=id,
            store=store,
            lease=lease,
            pair=pair,
            connectors={LEFT: connectors[pair.left], RIGHT: connectors[pair.right]},
            report=Report(id, pair.name, pair.mode),
            as_of=as_of or pair.as_of,
            sweep=sweep or bool(behind),
            writes=apply and not behind and pair.mode in ("propose", "auto"),
            progress=progress,
        )
        with beating(store, lease, heartbeat), rare_gc():
            begin(run, behind=behind, anchored=anchored, configured=configured or {})
            with ending(run):
                go(run)
        return run.report


@dataclass(frozen=True, slots=True)
class Planned:
    """What was planned. operations: all of them, with the guards that hold each · approved: what runs now, in order

    plan: the id under which it is kept, "" if there is nothing to do
    """

    plan: str
    operations: Sequence[Operation]
    approved: Sequence[Operation]
    findings: Sequence[Finding]
    trips: Sequence[Trip]

    def left(self, done: Collection[str]) -> list[Operation]:
        """The operations that are not done."""
        return [o for o in self.operations if o.key not in done]

    def holding(self, done: Collection[str]) -> list[Trip]:
        """The guards that hold the whole run, or an operation that is not done."""
        return [t for t in self.trips if not t.keys or not t.keys.issubset(done)]


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs when all is done. refused: subjects whose write a target refused

    unseen: codes, and ids, of differences that this run did not look for
    """

    result: compare.Result
    discrepancies: list[Discrepancy]
    refused: frozenset[str]
    unseen: frozenset[str]


def go(run: Run) -> None:
    """The steps of a run, in order; what one of them found is given to the next ones."""
    companies = whose(run)
    run.progress("recovering")
    intents = recover(run)
    got = read(run, companies)
    sides = Sides(run.store, run.pair, run.names, run.connectors, got.books)
    quiet = Quiet(run, sides)
    with contextlib.closing(Relation(got.books)) as relation:
        comparing = Comparing(run, got, quiet, relation)
        unknown_marks = _link(run, sides, relation, intents)
        work = _settle(run, sides, intents)
        draft = _plan(run, got, quiet, comparing)
        trips = _guard(run, got, draft.operations, unknown_marks)
        planned = _approve(run, got, draft, trips)
        if run.writes:
            _write(run, work, planned)
        compared = _compare(run, got, planned, work, comparing)
        _keep(run, got, compared)
    _tell(run, planned, work, compared)


# ── link what is one, and settle what was under way ──────────────────────────────────────────────────────────────────


def _link(run: Run, sides: Sides, relation: Relation, intents: Sequence[Mapping[str, Any]]) -> int:
    """Link the records that are one. How many of the links stand on a mark of a write that the state has no intent of.

    intents: what is still open of earlier runs
    """
    run.progress("matching")
    if run.pair.mode == "observe":
        return 0
    books = sides.books
    _take_over(run, books)
    marked = by_marker(books, sides.rows)
    unknown = _unknown(run, marked)
    count = store_links(run, books, marked)
    creating = {i["subject"] for i in intents if i["op"] == OpKind.CREATE.value}
    for wanted in ((Entity.CUSTOMER,), tuple(e for e in ORDER if e is not Entity.CUSTOMER)):
        links = [_as_born(link, books, creating) for link in by_ladder(relation, wanted)]
        count += store_links(run, books, links)
    count += store_links(run, books, Stated.of(books, run.pair).links())
    run.report.linked = count
    return unknown


def _take_over(run: Run, books: Mapping[Which, Book]) -> None:
    """Let real payments stand where settlements were only stated before."""
    for which, rest in ((LEFT, RIGHT), (RIGHT, LEFT)):
        found = takeovers(books[which], books[rest])
        if found:
            with run.writing() as tx:
                for one in found:
                    take_over(tx, run.pair.name, books[which], books[rest], one)


def _unknown(run: Run, links: Sequence[Link]) -> int:
    """How many links stand on a mark of a write that the state has no intent of."""
    if not links:
        return 0
    known = {r["marker"] for r in run.store.rows(sa.select(schema.intent.c.marker))}
    return sum(1 for link in links if link.evidence["marker"] not in known)


def _as_born(link: Link, books: Mapping[Which, Book], creating: Collection[str]) -> Link:
    """A link whose one half is an open create of ours came back without our mark: it is still ours."""
    ids: dict[Which, str] = {LEFT: link.left, RIGHT: link.right}
    for which, id in ids.items():
        if books[which].subjects.get((link.entity, id)) in creating:
            return replace(link, born=which)
    return link


def _settle(run: Run, sides: Sides, intents: Sequence[dict[str, Any]]) -> Work:
    """Settle what earlier runs left open, as far as it can be settled by now."""
    targets = {w: Target(w, c, sides.books[w], {}) for w, c in run.connectors.items()}
    work = Work(run.store, run.lease, run.id, run.pair.name, targets, sides.common, run.writes)
    work.acknowledged_within = run.pair.acknowledged_within
    if intents:
        _take_stock(work)
    for intent in intents:
        settle(work, intent)
    flush(work)
    return work


def _take_stock(work: Work) -> None:
    """Reckon what the invoices of both targets can take, where that was not done yet."""
    for target in work.targets.values():
        target.room = target.room or target.book.room()


# ── plan, guard, approve ─────────────────────────────────────────────────────────────────────────────────────────────


def _plan(run: Run, got: Read, quiet: Quiet, comparing: Comparing) -> Draft:
    run.progress("planning")
    if run.pair.mode == "observe":
        return Draft()
    sides = quiet.sides
    restless = quiet.restless()
    comparison = comparing.result("plan", ()) if sides.one_sided() else None
    rules = Permits(sides, got.companies, comparison, Stated.of(got.books, run.pair), got.broken).rules()
    draft = make(quiet.watch(sides.states(restless)), rules)
    quiet.remember(draft)
    _adopt(run, quiet, draft, rules)
    return draft


def _adopt(run: Run, quiet: Quiet, draft: Draft, rules: Rules) -> None:
    """Move bases to what both sides agree on by now; of most of them nothing is to be said from then on."""
    for some in batched(draft.adopt, TOGETHER):
        states = [adopted(s, draft.adopt[s.id]) for s in quiet.sides.states(some)]
        bases = [
            Base(s.id, side.connection, side.base or {}, side.existence, side.version, side.unsure)
            for s in states
            for side in (s.left, s.right)
            if side is not None
        ]
        with run.writing() as tx:
            set_bases(tx, run.pair.name, bases)
        quiet.remember(make(quiet.watch(states), rules))


def _guard(run: Run, got: Read, operations: Sequence[Operation], unknown_marks: int) -> list[Trip]:
    linked: Counter[Entity] = Counter()
    for (entity, _), subject in got.books[LEFT].subjects.items():
        linked[entity] += subject in got.books[RIGHT].natives
    last = run.store.rows(_LAST_CONFIG, pair=run.pair.name)
    changed = bool(last) and last[0]["config_hash"] != run.pair.config_hash and run.pair.mode == "auto"
    return check(
        operations,
        limits=run.pair.limits,
        linked=linked,
        empty=got.suspicious,
        config_changed=changed,
        unknown_marks=unknown_marks,
    )


def _approve(run: Run, got: Read, draft: Draft, trips: Sequence[Trip]) -> Planned:
    """Keep the plan, and take of it what may run now; nothing in a run that only looks."""
    operations = held(draft.operations, trips)
    frozen = plans.freeze(run.store, run.lease, run.id, run.pair, operations, trips=trips, whole=got.whole)
    run.report.operations = operations
    run.report.plan_id, run.report.plan_hash = frozen.id, frozen.hash
    runs: set[str] = set()
    for o in operations:
        if run.writes and o.key in frozen.allowed and runs.issuperset(o.after):
            runs.add(o.key)
    approved = [o for o in operations if o.key in runs]
    return Planned(frozen.id or "", operations, approved, draft.findings, trips)


# ── write ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _write(run: Run, work: Work, planned: Planned) -> None:
    """Carry out what is approved, one operation after the other; the plan is applied once none of it is left."""
    if planned.approved:
        _take_stock(work)
    renewed, standing = run.store.clock(), plans.standing(run.store, run.pair.name)
    for index, operation in enumerate(planned.approved):
        if not standing <= plans.standing(run.store, run.pair.name):
            work.note(operation, "blocked", "SYNC_IN_FLIGHT", "not sent: a plan was rejected while it was carried out")
            continue
        run.progress(f"writing {index + 1} of {len(planned.approved)}")
        if (run.store.clock() - renewed).total_seconds() > LEASE_SECONDS / 4:
            run.store.renew(run.lease)
            renewed = run.store.clock()
        apply(work, operation, planned.plan)
    run.report.files = flush(work)
    keys = {o.key for o in planned.operations}
    if planned.approved and len(among(run.store, planned.operations, _ENDED)) == len(keys):
        p = schema.plan
        with run.writing() as tx:
            tx.db.execute(p.update().where(p.c.id == planned.plan).values(status="applied"))
            tx.audit("applied", "plan", planned.plan, dict(work.counts))


# ── compare, and tell ────────────────────────────────────────────────────────────────────────────────────────────────


def _compare(run: Run, got: Read, planned: Planned, work: Work, comparing: Comparing) -> Compared:
    """Compare what is there now, and list every difference with what the run knows of it."""
    run.progress("comparing")
    # What was done is not waiting; what was refused or held says so where the difference is listed.
    findings = differences.as_altered(
        run.store, list(run.names.values()), run.pair.name, [*planned.findings, *work.findings]
    )
    listing = Listing(run, comparing.quiet.sides)
    explained = [*listing.explained(findings), *listing.in_flight(planned.left(work.done), findings)]
    # Balances that a system states are of all its documents as they were read: neither older, nor of a part of them.
    fresh = not work.moved and not got.broken
    result = comparing.result("list", explained, reported=fresh)
    if listing.read_again(result):
        result = comparing.result("list", explained, reported=fresh)
    found = differences.explain(result.discrepancies, findings, listing.subjects_of, listing.places_of)
    found += [*got.unreadable, *differences.held_by_guards(planned.holding(work.done))]
    found += overwritten.carried(run.store, run.pair.name, work.overwritten)
    control = not_tied(run, got) if fresh else None
    found += control or []
    found += of_reads(got.fetched, today=run.store.clock().date(), stale_after=run.pair.stale_after)
    # Figures that could not be held against the documents in this run say nothing new.
    unseen = frozenset({UNTRACED} if control is None else ()) | (frozenset() if fresh else OF_REPORTED_BALANCES)
    unseen |= unlooked(run.names, {w: run.entities(w) for w in run.names}, got.fetched)
    return Compared(result, found, frozenset(f.subject for f in findings if f.refused), unseen)


def _keep(run: Run, got: Read, compared: Compared) -> None:
    """Bring the lasting list to what was found, and keep what both systems stated."""
    pair, found = run.pair, compared.discrepancies
    with run.writing() as tx:
        if run.as_of == pair.as_of:
            before = stamp(run.store.clock() - pair.aged_after) if pair.aged_after else ""
            run.report.changes = differences.record(
                tx, pair.name, run.id, found, unseen=compared.unseen, aged_before=before
            )
        else:
            # A look at another day: the lasting list, and what people decided on it, stay as they are.
            run.report.changes = differences.Changes(0, len(found), 0)
        run.report.refused = differences.unanswered(tx, pair.name, compared.refused)
        run.report.doubted = differences.in_doubt(tx, pair.name)
        control_totals(tx, run.id, got.balances)
        for which, company in got.companies.items():
            if not got.suspicious and not any(side == which for side, _ in got.broken):
                periods.note(tx, run.names[which], company)


def _tell(run: Run, planned: Planned, work: Work, compared: Compared) -> None:
    report = run.report
    report.comparison, report.discrepancies = compared.result, compared.discrepancies
    report.trips = planned.holding(work.done)
    report.applied, report.written = work.counts, work.written
    report.halted = [f"{t.connector.name}: {t.halted}" for t in work.targets.values() if t.halted]
    left = planned.left(work.done)
    begun = {o.key for o in planned.approved} | among(run.store, left, UNDER_WAY)
    report.waiting = len([o for o in left if o.key not in begun]) if run.pair.mode != "link" else 0
