"""One run of one pair: recover → fetch → match → plan → guard → apply → confirm → discrepancies.

Every phase can be killed: what it decided is in the state database before it acts, and the next run starts from
there. A failure of one entity, or of one record, ends up in the report; it never stops the others.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date

import sqlalchemy as sa

from tieout import __version__, compare
from tieout.compare import Discrepancy, Explained
from tieout.compare.codes import UNTRACED
from tieout.connectors import Connector
from tieout.errors import AuthError, HomeCurrencyError, RefusedError, RetriableError, TieoutError
from tieout.model import Company, ControlBalance, Entity
from tieout.sync import differences, overwritten, periods, plans, schema
from tieout.sync.apply import apply, flush
from tieout.sync.bases import Base, set_bases
from tieout.sync.book import Book, load
from tieout.sync.control import as_discrepancy, untied
from tieout.sync.doubts import of_reads, unlooked
from tieout.sync.facts import LEFT, RIGHT, Which, canonical, digest
from tieout.sync.fetch import Fetched, fetch, lists_open_items, reads_whole
from tieout.sync.guard import Trip, check
from tieout.sync.links import Link, Relation, by_ladder, by_marker, store_links
from tieout.sync.listing import UNDER_WAY, Listing
from tieout.sync.operations import Draft, Finding, Operation, OpKind, Rules
from tieout.sync.pair import Pair
from tieout.sync.permits import Permits
from tieout.sync.plan import make
from tieout.sync.quiet import Quiet
from tieout.sync.renamed import settle_name
from tieout.sync.report import Report
from tieout.sync.rewound import OLDER_HINT, Anchored, older
from tieout.sync.settle import recover, settle
from tieout.sync.sides import Sides, adopted
from tieout.sync.stated import Stated, shadow, take_over, takeovers
from tieout.sync.store import LEASE_SECONDS, Lease, Store, batched, loads, new_id, stamp
from tieout.sync.work import Target, Work

__all__ = ["Pair", "Report", "sync"]

ORDER = (Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT, Entity.ADJUSTMENT)
TOGETHER = 400  # subjects whose bases move in one transaction
_ENDED = UNDER_WAY | {"rejected"}
# What a comparison without reported balances does not look for: they are stale once something was written.
OF_REPORTED_BALANCES = frozenset({"BALANCE_MISMATCH_INTERNAL", "OVER_APPLIED"})

_RUN, _EVENT = schema.run.c, schema.audit_event.c
_RUNNING = sa.select(_RUN.id).where(_RUN.pair == sa.bindparam("pair"), _RUN.status == "running")
_LAST_CONFIG = (
    sa.select(_RUN.config_hash)
    .where(_RUN.pair == sa.bindparam("pair"), _RUN.status.in_(("ok", "partial")))
    .order_by(_RUN.started_at.desc())
    .limit(1)
)
_OPENED = (
    sa.select(_EVENT.payload)
    .where(schema.OPENED, _EVENT.object_id == sa.bindparam("connection"))
    .order_by(_EVENT.seq.desc())
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
    day = as_of or pair.as_of
    with store.holding([f"connection:{pair.left}", f"connection:{pair.right}", f"pair:{pair.name}"]) as lease:
        settle_name(store, lease, pair.name, pair.was, (pair.left, pair.right))
        behind = older(store, anchored)
        write, everything = apply and not behind, sweep or bool(behind)
        run = _Run(store, lease, connectors, pair, apply=write, as_of=day, sweep=everything, progress=progress)
        run.behind, run.anchored, run.configured = behind, anchored, configured or {}
        with _beating(store, lease, heartbeat), _rare_gc():
            return run.go()


@contextlib.contextmanager
def _beating(store: Store, lease: Lease, wanted: bool) -> Iterator[None]:
    """Renew the lease every quarter of its life, until the block ends or the lease is lost."""
    if not wanted:
        yield
        return
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(LEASE_SECONDS / 4):
            try:
                store.renew(lease)
            except RetriableError:
                # Lost, or the database is busy: every write checks the lease itself and stops there.
                continue

    thread = threading.Thread(target=beat, name="tieout-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def _rare_gc() -> Iterator[None]:
    """Let the cycle collector look seldom: a run holds many records without cycles, and looking took a third of it."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _spelled(checks: compare.Checks) -> tuple[object, ...]:
    """The checks in one spelling: sets have none."""
    sides = sorted(checks.unique_numbers), sorted(checks.gapless_numbers)
    return (*sides, checks.negative_balances, checks.unused_credit_days)


class _Run:
    """The phases of one run, in the order of `go`."""

    def __init__(
        self,
        store: Store,
        lease: Lease,
        connectors: Mapping[str, Connector],
        pair: Pair,
        *,
        apply: bool,
        as_of: date | None,
        sweep: bool,
        progress: Callable[[str], None],
    ) -> None:
        self.store, self.lease, self.pair = store, lease, pair
        self.write = apply and pair.mode in ("propose", "auto")
        self.as_of, self.sweep, self.progress = as_of, sweep, progress
        self.id = new_id()
        self.names: dict[Which, str] = {LEFT: pair.left, RIGHT: pair.right}
        self.connectors: dict[Which, Connector] = {w: connectors[n] for w, n in self.names.items()}
        self.companies: dict[Which, Company] = {}
        self.books: dict[Which, Book] = {}
        self.sides = Sides(store, pair, self.names, self.connectors, self.books)
        self.listing = Listing(self.sides, lease, self.id, as_of)
        self.report = Report(self.id, pair.name, pair.mode)
        self.quiet = Quiet(self.sides, lease, self.id, everything=sweep)
        self.relation = Relation(self.books)
        self.findings: list[Finding] = []
        self.unreadable: list[Discrepancy] = []
        self.suspicious: list[str] = []
        self.reads: dict[Which, list[Fetched]] = {}
        self.broken: set[tuple[Which, Entity]] = set()
        self.allowed: set[str] = set()
        self.unknown_marks = 0
        self.stated_balances: dict[Which, list[ControlBalance]] = {}
        self.behind = ""
        self.anchored: Anchored | None = None
        self.configured: Mapping[str, object] = {}

    def go(self) -> Report:
        self._begin()
        status = "ok"
        try:
            self._canary()
            work = self._recover()
            self._fetch()
            self._match()
            self._settle(work)
            draft = self._plan()
            trips = self._guard(draft)
            approved = self._approved(draft, trips)
            if self.write:
                self.allowed = {o.key for o in approved}
                self._apply(work, approved)
            self._discrepancies(work, draft, trips)
            status = "partial" if self.report.failures else "ok"
        except TieoutError as error:
            status = "aborted"
            self._failed("", error)
            raise
        except BaseException:
            status = "crashed"
            raise
        finally:
            self.relation.close()
            for which, connector in self.connectors.items():
                self.report.requests[self.names[which]] = int(getattr(connector, "requests", 0))
                self.report.count_bytes(self.names[which], getattr(connector, "volume", None))
            if status != "crashed":
                self._end(status)
        return self.report

    # ── begin and end ────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        r = schema.run
        with self.store.writing(self.lease, run=self.id) as tx:
            left_over = tx.all(_RUNNING, pair=self.pair.name)
            for row in left_over:
                tx.change(r, {"id": row["id"]}, {"status": "crashed", "finished_at": tx.at})
                tx.audit("crashed", "run", row["id"])
            begun = {"id": self.id, "pair": self.pair.name, "epoch": self.lease.epoch, "mode": self.pair.mode}
            begun |= {"started_at": tx.at, "status": "running", "config_hash": self.pair.config_hash}
            tx.add(r, [begun | {"version": __version__}])
            told: dict[str, object] = {"pair": self.pair.name, "mode": self.pair.mode, "version": __version__}
            told |= {"config": self.pair.config_hash, "configured": tx.keep_blob(canonical(self.configured).encode())}
            tx.audit("started", "run", self.id, told | {"anchor": self.anchored.line if self.anchored else None})
            if self.behind:
                tx.audit("found_older", "state", self.id, {"why": self.behind})
        if self.behind:
            self._failed("", RefusedError(self.behind, hint=OLDER_HINT))

    def _end(self, status: str) -> None:
        with self.store.writing(self.lease, run=self.id) as tx:
            report = self.report.as_json()
            report["plan"] = {"id": self.report.plan_id, "hash": self.report.plan_hash}
            reason = "; ".join(self.report.failures) or None
            text = canonical(report)
            ended = {"status": status, "finished_at": tx.at, "report": text, "abort_reason": reason}
            tx.change(schema.run, {"id": self.id}, ended)
            tx.audit("ended", "run", self.id, {"status": status, "applied": report["applied"], "report": digest(text)})

    def _failed(self, what: str, error: TieoutError) -> None:
        self.report.failures.append(f"{what}: {error.message}" if what else error.message)
        self.report.errors.append(error)

    # ── read ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _canary(self) -> None:
        """Read whose books these are before anything else; a changed company, or two home currencies, end the run."""
        opened: list[tuple[str, dict[str, str]]] = []
        for which, connector in self.connectors.items():
            company = connector.company()
            self.companies[which] = company
            last = self.store.rows(_OPENED, connection=connector.name)
            now = {"id": company.id, "home_currency": company.home_currency}
            known = loads(last[0]["payload"]) if last else None
            if known is not None and known != now:
                raise AuthError(
                    f"{connector.name} is now company {company.id} in {company.home_currency}; so far it was "
                    f"{known['id']} in {known['home_currency']}",
                    hint="nothing was read or written; use another state database for other books; if only [company] "
                    'name was changed, say there what it was: was = "OLD NAME"',
                )
            if known is None:
                opened.append((connector.name, now))
        homes = {self.names[which]: company.home_currency for which, company in self.companies.items()}
        if len(set(homes.values())) > 1:
            raise HomeCurrencyError(self.pair.name, homes)
        for name, now in opened:
            with self.store.writing(self.lease, run=self.id) as tx:
                tx.audit("opened_company", "connection", name, now)

    def _recover(self) -> Work:
        self.progress("recovering")
        targets = {w: Target(w, c, Book.empty(c.name), {}) for w, c in self.connectors.items()}
        work = Work(self.store, self.lease, self.id, self.pair.name, targets, self.sides.common, self.write)
        work.acknowledged_within = self.pair.acknowledged_within
        self.open_intents = recover(work)
        return work

    def _entities(self, which: Which) -> list[Entity]:
        return [e for e in ORDER if e in self.connectors[which].capabilities.reads]

    def _fetch(self) -> None:
        for which, connector in self.connectors.items():
            counts = self.report.fetched.setdefault(connector.name, {})
            self.reads[which] = []
            self.stated_balances[which] = self._control(which)
            for entity in self._entities(which):
                self.progress(f"reading {entity} from {connector.name}")
                try:
                    got = fetch(self.store, self.lease, self.id, connector, entity, sweep=self.sweep)
                except (RetriableError, RefusedError) as error:
                    self.broken.add((which, entity))
                    self._failed(f"{connector.name}/{entity}", error)
                    if isinstance(error, RefusedError):
                        raise
                    continue
                counts[entity.value] = got.rows
                self.reads[which].append(got)
                self._judge(which, got)
            book = self.books[which] = load(self.store, connector.name)
            shadow(book)
            book.held.edits = 0
            self.unreadable += differences.unreadable(connector.name, which, book.unreadable(), book.known_as)

    def _control(self, which: Which) -> list[ControlBalance]:
        """What a system's own reports state for receivables now; [] and noted, if it does not say."""
        connector = self.connectors[which]
        try:
            return connector.control_balances(self.as_of or self.store.clock().date())
        except RetriableError as error:
            self._failed(f"{connector.name}/control balances", error)
            return []

    def _untied(self) -> list[Discrepancy] | None:
        """Control balances that the documents do not give; None if the two cannot be held against each other now.

        The figures were read before the documents, and stood still if they are the same when read once more.
        """
        out: list[Discrepancy] = []
        if self.broken or self.suspicious:
            return None
        for which, balances in self.stated_balances.items():
            book = self.books[which]
            found = untied(balances, list(book.moving()) if balances else [])
            if found and self._control(which) != balances:
                return None
            out += [as_discrepancy(one, which, len(book.unreadable())) for one in found]
        return out

    def _judge(self, which: Which, got: Fetched) -> None:
        nameless = [e for e in got.rejected if e.ref is None]
        self.unreadable += differences.unreadable(got.connection, which, nameless)
        if got.suspicious:
            self.suspicious.append(f"{got.connection}/{got.entity}: {got.suspicious}")
        if not got.complete:
            self.broken.add((which, got.entity))

    # ── match ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _match(self) -> None:
        self.progress("matching")
        if self.pair.mode == "observe":
            return
        self._take_over()
        links = by_marker(self.books, self.sides.rows)
        self.unknown_marks = self._unknown(links)
        count = store_links(self.store, self.lease, self.id, self.books, links)
        for wanted in ((Entity.CUSTOMER,), tuple(e for e in ORDER if e is not Entity.CUSTOMER)):
            links = [self._as_born(link) for link in by_ladder(self.relation, wanted)]
            count += store_links(self.store, self.lease, self.id, self.books, links)
        count += store_links(self.store, self.lease, self.id, self.books, self._stated().links())
        self.report.linked = count

    def _take_over(self) -> None:
        """Let real payments stand where settlements were only stated before."""
        for which, rest in ((LEFT, RIGHT), (RIGHT, LEFT)):
            book, away = self.books[which], self.books[rest]
            found = takeovers(book, away)
            if found:
                with self.store.writing(self.lease, run=self.id) as tx:
                    for one in found:
                        take_over(tx, self.pair.name, book, away, one)

    def _stated(self) -> Stated:
        policy = "compare" if self.pair.mode == "observe" else self.pair.stated_settlements
        return Stated.of(self.books, policy, self.pair.cutover)

    def _unknown(self, links: Sequence[Link]) -> int:
        """How many links stand on a mark of a write that the state has no intent of."""
        if not links:
            return 0
        known = {r["marker"] for r in self.store.rows(sa.select(schema.intent.c.marker))}
        return sum(1 for link in links if link.evidence["marker"] not in known)

    def _as_born(self, link: Link) -> Link:
        """A link whose one half is an open create of ours came back without our mark: it is still ours."""
        creating = {i["subject"] for i in self.open_intents if i["op"] == OpKind.CREATE.value}
        ids: dict[Which, str] = {LEFT: link.left, RIGHT: link.right}
        for which, id in ids.items():
            if self.books[which].subjects.get((link.entity, id)) in creating:
                return replace(link, born=which)
        return link

    def _settle(self, work: Work) -> None:
        for which, target in work.targets.items():
            target.book = self.books[which]
            if self.open_intents:
                target.room = target.book.room()
        for intent in self.open_intents:
            settle(work, intent)
        flush(work)

    # ── plan ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _plan(self) -> Draft:
        self.progress("planning")
        if self.pair.mode == "observe":
            return Draft()
        restless = self.quiet.restless()
        comparison = self._compare("plan", ()) if self.sides.one_sided() else None
        rules = Permits(self.sides, self.companies, comparison, self._stated(), self.broken).rules()
        draft = make(self.quiet.watch(self.sides.states(restless)), rules)
        self.quiet.remember(draft)
        self._adopt(draft, rules)
        return draft

    def _adopt(self, draft: Draft, rules: Rules) -> None:
        """Move bases to what both sides agree on by now; of most of them nothing is to be said from then on."""
        for some in batched(draft.adopt, TOGETHER):
            states = [adopted(s, draft.adopt[s.id]) for s in self.sides.states(some)]
            bases = [
                Base(s.id, side.connection, side.base or {}, side.existence, side.version, side.unsure)
                for s in states
                for side in (s.left, s.right)
                if side is not None
            ]
            with self.store.writing(self.lease, run=self.id) as tx:
                set_bases(tx, self.pair.name, bases)
            self.quiet.remember(make(self.quiet.watch(states), rules))

    # ── guard, approve, apply ────────────────────────────────────────────────────────────────────────────────────

    def _guard(self, draft: Draft) -> list[Trip]:
        linked: Counter[Entity] = Counter()
        for (entity, _), subject in self.books[LEFT].subjects.items():
            linked[entity] += subject in self.books[RIGHT].natives
        last = self.store.rows(_LAST_CONFIG, pair=self.pair.name)
        changed = bool(last) and last[0]["config_hash"] != self.pair.config_hash and self.pair.mode == "auto"
        trips = check(
            draft.operations,
            limits=self.pair.limits,
            linked=linked,
            empty=self.suspicious,
            config_changed=changed,
            unknown_marks=self.unknown_marks,
        )
        held: dict[str, list[str]] = {}
        for trip in trips:
            for key in trip.keys:
                held.setdefault(key, []).append(trip.name)
        draft.operations = [replace(o, guards=tuple(held.get(o.key, ()))) for o in draft.operations]
        return trips

    def _approved(self, draft: Draft, trips: Sequence[Trip]) -> list[Operation]:
        """Keep the plan, and take of it what may run now."""
        whole = not self.broken and not self.suspicious
        frozen = plans.freeze(self.store, self.lease, self.id, self.pair, draft.operations, trips=trips, whole=whole)
        self.report.operations = draft.operations
        self.report.plan_id, self.report.plan_hash = frozen.id, frozen.hash
        runs: set[str] = set()
        for o in draft.operations:
            if o.key in frozen.allowed and runs.issuperset(o.after):
                runs.add(o.key)
        return [o for o in draft.operations if o.key in runs]

    def _apply(self, work: Work, approved: Sequence[Operation]) -> None:
        plan = self.report.plan_id or ""
        if approved and not self.open_intents:
            for target in work.targets.values():
                target.room = target.book.room()
        renewed = self.store.clock()
        for index, operation in enumerate(approved):
            self.progress(f"writing {index + 1} of {len(approved)}")
            if (self.store.clock() - renewed).total_seconds() > LEASE_SECONDS / 4:
                self.store.renew(self.lease)
                renewed = self.store.clock()
            apply(work, operation, plan)
        self.report.files = flush(work)
        planned = self.report.operations
        if approved and len(self.listing.among(planned, _ENDED)) == len({o.key for o in planned}):
            p = schema.plan
            with self.store.writing(self.lease, run=self.id) as tx:
                tx.db.execute(p.update().where(p.c.id == plan).values(status="applied"))
                tx.audit("applied", "plan", plan, dict(work.counts))

    # ── discrepancies ────────────────────────────────────────────────────────────────────────────────────────────

    def _compare(self, purpose: str, explained: Sequence[Explained], *, reported: bool = True) -> compare.Result:
        """Compare both books. reported: hold balances that a system states against its documents, too."""
        lists: dict[Which, bool] = {w: lists_open_items(self.store, n) for w, n in self.names.items()}
        disputes = {w for w in (LEFT, RIGHT) if self._holds(w, Entity.INVOICE, "disputed")}
        asked = (self.as_of, self.pair.config_hash, self.pair.mode, self.pair.rounding, explained, reported)
        checks = self.pair.checks
        # Credit grows old by the day; nothing else of a comparison depends on today.
        today = self.store.clock().date() if checks.unused_credit_days is not None else None
        ledgers = self._ledger(LEFT), self._ledger(RIGHT)
        fingerprint = self.quiet.fingerprint((*asked, lists, sorted(disputes), _spelled(checks), today, ledgers))
        known = self.quiet.compared(purpose, fingerprint)
        if known is not None:
            return known
        result = compare.run(
            self.relation.fresh(
                kept=self._stated().counts,
                open_items={w for w in (LEFT, RIGHT) if lists[w]},
                disputes=disputes,
                as_of=self.as_of,
            ),
            as_of=self.as_of,
            left_name=self.pair.left,
            right_name=self.pair.right,
            rounding=self.pair.rounding,
            explained=explained,
            scopes=("open" if lists[LEFT] else "all", "open" if lists[RIGHT] else "all"),
            reported_balances=reported,
            checks=checks,
            today=today,
            ledgers=(self._entered(LEFT, ledgers[0]), self._entered(RIGHT, ledgers[1])),
            in_step=True,
        )
        self.quiet.keep(purpose, fingerprint, result)
        return result

    def _ledger(self, which: Which) -> compare.Ledger:
        """What is known of a side's ledger beside its documents."""
        book = self.books[which]
        whole = reads_whole(self.store, self.names[which], self._entities(which)) and not book.unreadable()
        closed = periods.closed(self.store, self.names[which])
        return compare.Ledger(home=self.companies[which].home_currency or None, whole=whole, closings=closed)

    def _entered(self, which: Which, ledger: compare.Ledger) -> compare.Ledger:
        """The same, with what may have come after its closings: asked only where books are compared anew."""
        return replace(ledger, entered=periods.entered_since(self.store, self.names[which], ledger.closings))

    def _holds(self, which: Which, entity: Entity, name: str) -> bool:
        return name in self.connectors[which].capabilities.fields.get(entity, frozenset())

    def _discrepancies(self, work: Work, draft: Draft, trips: Sequence[Trip]) -> None:
        self.progress("comparing")
        # What was done is not waiting; what was refused or held says so where the difference is listed.
        findings = [*draft.findings, *work.findings]
        findings = differences.as_altered(self.store, list(self.names.values()), self.pair.name, findings)
        done = {w["operation"]["key"] for w in work.written}
        waiting = [o for o in draft.operations if o.key not in done]
        explained = [*self.listing.explained(findings), *self.listing.in_flight(waiting, findings)]
        fresh = not work.moved
        result = self._compare("list", explained, reported=fresh)
        if self.listing.read_again(result):
            result = self._compare("list", explained, reported=fresh)
        found = differences.explain(result.discrepancies, findings, self.listing.subjects_of, self.listing.places_of)
        found += self.unreadable + differences.held_by_guards(t for t in trips if not t.keys or not t.keys <= done)
        found += overwritten.carried(self.store, self.pair.name, work.overwritten)
        control = self._untied() if fresh else None
        found += control or []
        found += of_reads(self.reads, today=self.store.clock().date(), stale_after=self.pair.stale_after)
        # Figures that could not be held against the documents in this run say nothing new.
        unseen = frozenset({UNTRACED} if control is None else ()) | (frozenset() if fresh else OF_REPORTED_BALANCES)
        unseen |= unlooked(self.names, {w: self._entities(w) for w in self.names}, self.reads)
        with self.store.writing(self.lease, run=self.id) as tx:
            if self.as_of == self.pair.as_of:
                aged = self.pair.aged_after
                before = stamp(self.store.clock() - aged) if aged else ""
                self.report.changes = differences.record(
                    tx, self.pair.name, self.id, found, unseen=unseen, aged_before=before
                )
            else:
                # A look at another day: the lasting list, and what people decided on it, stay as they are.
                self.report.changes = differences.Changes(0, len(found), 0)
            refused = {f.subject for f in findings if f.refused}
            self.report.refused = differences.unanswered(tx, self.pair.name, refused)
            self.listing.control_totals(tx, self.stated_balances)
            for which, company in self.companies.items():
                if not self.suspicious and not any(side == which for side, _ in self.broken):
                    periods.note(tx, self.names[which], company)
        self.report.comparison, self.report.discrepancies = result, found
        self.report.trips = [t for t in trips if not t.keys or not t.keys <= done]
        self.report.applied, self.report.written = work.counts, work.written
        self.report.halted = [f"{t.connector.name}: {t.halted}" for t in work.targets.values() if t.halted]
        settled = done | self.allowed | self.listing.among(waiting, UNDER_WAY)
        self.report.waiting = (
            sum(1 for o in draft.operations if o.key not in settled) if self.pair.mode != "link" else 0
        )
