"""One run of one pair: recover → fetch → match → plan → guard → apply → confirm → discrepancies.

Every phase can be killed: what it decided is in the state database before it acts, and the next run starts from
there. A failure of one entity, or of one record, ends up in the report; it never stops the others.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from tieout import __version__, compare
from tieout.compare import Discrepancy, Explained, Rounding
from tieout.connectors import Capabilities, Connector, Op
from tieout.errors import AuthError, NotFoundError, RecordError, RefusedError, RetriableError, TieoutError
from tieout.model import Company, Customer, Entity, Existence, magnitude, micros
from tieout.sync import differences, schema
from tieout.sync.apply import Applier, Target, set_base
from tieout.sync.book import Book, Held, groups, load
from tieout.sync.facts import (
    LEFT,
    RIGHT,
    Codes,
    Facts,
    Shared,
    Which,
    canonical,
    digest,
    facts,
    realise,
    recode,
    share,
)
from tieout.sync.fetch import Fetched, fetch, save_seen
from tieout.sync.guard import Limits, Trip, check
from tieout.sync.links import Link, by_ladder, by_marker, joined, relation, store_links
from tieout.sync.plan import (
    Draft,
    Finding,
    Operation,
    OpKind,
    Rules,
    SideState,
    SubjectState,
    key_for,
    make,
    marker_for,
)
from tieout.sync.store import LEASE_SECONDS, Lease, Store, loads, new_id, stamp

Mode = Literal["observe", "link", "propose", "auto"]
Flow = Literal["both", "left_to_right", "right_to_left", "none"]
PLAN_LIFE = timedelta(hours=24)
READ_AGAIN = 200
ORDER = (Entity.CUSTOMER, Entity.INVOICE, Entity.CREDIT_MEMO, Entity.PAYMENT, Entity.ADJUSTMENT)
_OPS = {OpKind.CREATE: Op.CREATE, OpKind.UPDATE: Op.UPDATE, OpKind.APPLY: Op.UPDATE, OpKind.VOID: Op.VOID}
_REPORTED = {Entity.CUSTOMER: "reported_balance", Entity.PAYMENT: "reported_unapplied"}
_MISSING = frozenset({"MISSING_IN_A", "MISSING_IN_B", "PAYMENT_MISSING", "CUSTOMER_UNMAPPED"})
_BY_PERSON = frozenset({"credit_memo", "adjustment"})
_UNDER_WAY = frozenset({"sending", "unknown", "applied", "emitted", "stuck", "done"})
_ENDED = _UNDER_WAY | {"rejected"}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two connections to keep in step, and what is allowed between them; plain data from the configuration.

    cutover: documents before it are linked, never created · linked_owner: who owns records that were matched
    policy: (entity, field) → owner · flows: entity → direction of creates; an entity left out flows both ways
    unattended: `entity` or `entity.void` that mode `auto` may write without a person, beside the harmless ones
    """

    name: str
    left: str
    right: str
    mode: Mode = "propose"
    cutover: date | None = None
    linked_owner: Literal["left", "right", "none"] = "none"
    flows: Mapping[Entity, Flow] = field(default_factory=dict)
    policy: Mapping[tuple[Entity, str], str] = field(default_factory=dict)
    codes: Codes = field(default_factory=Codes)
    limits: Limits = field(default_factory=Limits)
    unattended: frozenset[str] = frozenset()
    rounding: Rounding | None = None
    as_of: date | None = None

    @property
    def config_hash(self) -> str:
        """Digest of what decides writes; a plan made under another one is stale."""
        return digest(
            [
                *(self.left, self.right, self.cutover.isoformat() if self.cutover else None, self.linked_owner),
                sorted((e.value, f) for e, f in self.flows.items()),
                sorted((e.value, n, o) for (e, n), o in self.policy.items()),
                [sorted(t.items()) if t is not None else None for t in self._tables()],
            ]
        )

    def _tables(self) -> tuple[Mapping[str, str] | None, ...]:
        c = self.codes
        return c.items, c.taxes, c.accounts, c.terms, c.methods


@dataclass(slots=True)
class Report:
    """What one run did. `as_json` has the keys of design.md §5, and `bridge`, `files`, `failures`, `waiting`."""

    run: str
    pair: str
    mode: str
    fetched: dict[str, dict[str, int]] = field(default_factory=dict)
    plan_id: str | None = None
    plan_hash: str | None = None
    operations: list[Operation] = field(default_factory=list)
    applied: Counter[str] = field(default_factory=Counter)
    written: list[dict[str, Any]] = field(default_factory=list)
    changes: differences.Changes = field(default_factory=lambda: differences.Changes(0, 0, 0))
    requests: dict[str, int] = field(default_factory=dict)
    comparison: compare.Result | None = None
    discrepancies: list[Discrepancy] = field(default_factory=list)
    trips: list[Trip] = field(default_factory=list)
    waiting: int = 0
    files: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    errors: list[TieoutError] = field(default_factory=list)
    linked: int = 0

    OUTCOMES = ("done", "pending", "unknown", "blocked", "rejected", "stale", "stuck")

    @property
    def exit_code(self) -> int:
        """The highest that applies in the order 5, 4, 2, 3 (design.md §5); 0 if all is done."""
        codes = {e.exit_code for e in self.errors}
        if self.waiting or self.trips or self.applied["stuck"]:
            codes.add(4)
        return next((c for c in (5, 4, 2, 3) if c in codes), 0)

    def as_json(self) -> dict[str, Any]:
        bridge = self.comparison.as_json() if self.comparison else {}
        return {
            "run": self.run,
            "pair": self.pair,
            "mode": self.mode,
            "fetched": self.fetched,
            "plan": {
                "id": self.plan_id,
                "hash": self.plan_hash,
                "operations": [o.as_json() for o in self.operations],
            },
            "applied": {name: self.applied.get(name, 0) for name in self.OUTCOMES},
            "discrepancies": self.changes.as_json(),
            "requests": self.requests,
            "linked": self.linked,
            "waiting": self.waiting,
            "guards": [{"name": t.name, "message": t.message, "operations": len(t.keys)} for t in self.trips],
            "left": bridge.get("left"),
            "right": bridge.get("right"),
            "by_code": bridge.get("by_code", {}),
            "bridge": bridge.get("bridge", {}),
            "files": self.files,
            "failures": self.failures,
        }


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
) -> Report:
    """Run a pair once. Without `apply` nothing is written to either system, only planned.

    as_of: the day of the comparison, inclusive; default the pair's, else everything
    sweep: read everything, not only what changed · heartbeat: keep the lease alive from a thread of its own
    Raises LeaseHeldError if another run has the pair or one of its connections; other trouble is in the report.
    """
    lease = store.take(sorted({f"connection:{pair.left}", f"connection:{pair.right}", f"pair:{pair.name}"}))
    run = _Run(store, lease, connectors, pair, apply=apply, as_of=as_of or pair.as_of, sweep=sweep, progress=progress)
    try:
        with _beating(store, lease, heartbeat):
            return run.go()
    finally:
        store.release(lease)


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
        self.report = Report(self.id, pair.name, pair.mode)
        self.comparison: compare.Result | None = None
        self.findings: list[Finding] = []
        self.unreadable: list[Discrepancy] = []
        self.suspicious: list[str] = []
        self.broken: set[tuple[Which, Entity]] = set()
        self.allowed: set[str] = set()

    def go(self) -> Report:
        self._begin()
        status = "ok"
        try:
            self._canary()
            applier = self._recover()
            self._fetch()
            self._match()
            self._settle(applier)
            draft = self._plan()
            trips = self._guard(draft)
            approved = self._freeze(draft, trips)
            if self.write:
                self.allowed = {o.key for o in approved}
                self._apply(applier, approved)
            self._discrepancies(applier, draft, trips)
            status = "partial" if self.report.failures else "ok"
        except TieoutError as error:
            status = "aborted"
            self._failed("", error)
            raise
        except BaseException:
            status = "crashed"
            raise
        finally:
            for which, connector in self.connectors.items():
                self.report.requests[self.names[which]] = int(getattr(connector, "requests", 0))
            if status != "crashed":
                self._end(status)
        return self.report

    # ── begin and end ────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        r = schema.run
        with self.store.writing(self.lease, run=self.id) as tx:
            left_over = tx.all(sa.select(r.c.id).where(r.c.pair == self.pair.name, r.c.status == "running"))
            for row in left_over:
                tx.db.execute(r.update().where(r.c.id == row["id"]).values(status="crashed", finished_at=tx.at))
                tx.audit("crashed", "run", row["id"])
            tx.db.execute(
                r.insert().values(
                    id=self.id,
                    pair=self.pair.name,
                    epoch=self.lease.epoch,
                    mode=self.pair.mode,
                    started_at=tx.at,
                    status="running",
                    config_hash=self.pair.config_hash,
                    version=__version__,
                )
            )
            tx.audit("started", "run", self.id, {"pair": self.pair.name, "mode": self.pair.mode})

    def _end(self, status: str) -> None:
        r = schema.run
        with self.store.writing(self.lease, run=self.id) as tx:
            report = self.report.as_json()
            report["plan"] = {"id": self.report.plan_id, "hash": self.report.plan_hash}
            reason = "; ".join(self.report.failures) or None
            tx.db.execute(
                r.update()
                .where(r.c.id == self.id)
                .values(status=status, finished_at=tx.at, report=canonical(report), abort_reason=reason)
            )
            tx.audit("ended", "run", self.id, {"status": status, "applied": report["applied"]})

    def _failed(self, what: str, error: TieoutError) -> None:
        self.report.failures.append(f"{what}: {error.message}" if what else error.message)
        self.report.errors.append(error)

    # ── read ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _canary(self) -> None:
        """Read whose books these are before anything else; a changed company or currency ends the run."""
        for which, connector in self.connectors.items():
            company = connector.company()
            self.companies[which] = company
            last = self.store.rows(
                sa.select(schema.audit_event.c.payload)
                .where(
                    schema.audit_event.c.action == "opened_company",
                    schema.audit_event.c.object_id == connector.name,
                )
                .order_by(schema.audit_event.c.seq.desc())
                .limit(1)
            )
            now = {"id": company.id, "home_currency": company.home_currency}
            known = loads(last[0]["payload"]) if last else None
            if known is not None and known != now:
                raise AuthError(
                    f"{connector.name} is now company {company.id} in {company.home_currency}; so far it was "
                    f"{known['id']} in {known['home_currency']}",
                    hint="nothing was read or written; use another state database for other books",
                )
            if known is None:
                with self.store.writing(self.lease, run=self.id) as tx:
                    tx.audit("opened_company", "connection", connector.name, now)

    def _recover(self) -> Applier:
        self.progress("recovering")
        targets = {w: Target(w, c, Book(c.name), {}) for w, c in self.connectors.items()}
        applier = Applier(self.store, self.lease, self.id, self.pair.name, targets, self._common, self.write)
        self.open_intents = applier.recover()
        return applier

    def _entities(self, which: Which) -> list[Entity]:
        return [e for e in ORDER if e in self.connectors[which].capabilities.reads]

    def _fetch(self) -> None:
        for which, connector in self.connectors.items():
            counts = self.report.fetched.setdefault(connector.name, {})
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
                self._judge(which, got)
            book = self.books[which] = load(self.store, connector.name)
            self.unreadable += differences.unreadable(connector.name, book.unreadable())

    def _judge(self, which: Which, got: Fetched) -> None:
        nameless = [e for e in got.rejected if e.ref is None]
        self.unreadable += differences.unreadable(got.connection, nameless)
        if got.suspicious:
            self.suspicious.append(f"{got.connection}/{got.entity}: {got.suspicious}")
        if not got.complete:
            self.broken.add((which, got.entity))

    # ── match ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _match(self) -> None:
        self.progress("matching")
        if self.pair.mode == "observe":
            return
        subjects = {r["id"]: r for r in self.store.rows(sa.select(schema.subject))}
        links = by_marker(self.books, subjects)
        count = store_links(self.store, self.lease, self.id, self.books, links)
        for wanted in ((Entity.CUSTOMER,), tuple(e for e in ORDER if e is not Entity.CUSTOMER)):
            links = [self._as_born(link) for link in by_ladder(self.books, wanted)]
            count += store_links(self.store, self.lease, self.id, self.books, links)
        self.report.linked = count

    def _as_born(self, link: Link) -> Link:
        """A link whose one half is an open create of ours came back without our mark: it is still ours."""
        creating = {i["subject"] for i in self.open_intents if i["op"] == OpKind.CREATE.value}
        ids: dict[Which, str] = {LEFT: link.left, RIGHT: link.right}
        for which, id in ids.items():
            if self.books[which].subjects.get((link.entity, id)) in creating:
                return replace(link, born=which)
        return link

    def _settle(self, applier: Applier) -> None:
        for which, target in applier.targets.items():
            target.book = self.books[which]
            target.room = target.book.room()
        for intent in self.open_intents:
            applier.settle(intent)
        applier.flush()

    # ── plan ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _common(self, entity: Entity) -> frozenset[str]:
        left, right = (_fields(c.capabilities, entity) for c in self.connectors.values())
        return left & right

    def _plan(self) -> Draft:
        self.progress("planning")
        if self.pair.mode == "observe":
            return Draft()
        subjects = self._subjects()
        one_sided = any(_alive(s.left) != _alive(s.right) and s.entity is not Entity.CUSTOMER for s in subjects)
        self.comparison = self._compare(()) if one_sided else None
        draft = make(subjects, self._rules(subjects))
        self._adopt(draft, subjects)
        return draft

    def _subjects(self) -> list[SubjectState]:
        rows = {
            r["id"]: r for r in self.store.rows(sa.select(schema.subject).where(schema.subject.c.state == "active"))
        }
        b = schema.base
        bases = {
            (r["subject"], r["connection"]): r for r in self.store.rows(sa.select(b).where(b.c.pair == self.pair.name))
        }
        i = schema.intent
        open_ = sa.select(i.c.subject, i.c.connection).where(
            i.c.connection.in_(self.names.values()),
            i.c.state.in_(("unknown", "applied", "emitted", "stuck", "sending")),
        )
        busy = {r["subject"] for r in self.store.rows(open_)}
        out = []
        for subject in sorted({*self.books[LEFT].natives, *self.books[RIGHT].natives}):
            row = rows.get(subject)
            if row is None:
                continue
            entity = Entity(row["entity"])
            sides = {w: self._side(w, entity, subject, bases) for w in (LEFT, RIGHT)}
            one = SubjectState(
                id=subject,
                entity=entity,
                origin=(row["origin_connection"], row["origin_id"]),
                owner=self._owner(row, sides),
                left=sides[LEFT],
                right=sides[RIGHT],
                generation=row["generation"],
                busy=subject in busy,
            )
            out.append(self._held_as(one))
        return out

    def _owner(self, row: Mapping[str, Any], sides: Mapping[Which, SideState | None]) -> Which | None:
        for which in (LEFT, RIGHT):
            if row["origin_connection"] == self.names[which] and (row["created_by"] or sides[_other(which)] is None):
                return which
        return None if self.pair.linked_owner == "none" else self.pair.linked_owner

    def _side(
        self, which: Which, entity: Entity, subject: str, bases: Mapping[tuple[str, str], Mapping[str, Any]]
    ) -> SideState | None:
        book = self.books[which]
        native = book.natives.get(subject)
        held = book.held.get((entity, native)) if native is not None else None
        if held is None or groups(held):
            return None
        base = bases.get((subject, book.connection))
        shared = book.shared(held)
        readable = held.error is None and (shared is not None or held.existence is Existence.DELETED)
        return SideState(
            connection=book.connection,
            id=held.id,
            version=held.version,
            existence=held.existence,
            facts=facts(entity, shared, self._common(entity)) if shared is not None else None,
            base=loads(base["facts"]) if base else None,
            base_existence=Existence(base["existence"]) if base else None,
            seen_as=None,
            shared=shared,
            number=held.number,
            readable=readable,
        )

    def _held_as(self, s: SubjectState) -> SubjectState:
        """Where the sides differ, what each would look like on the other."""
        if s.left is None or s.right is None or s.left.facts is None or s.right.facts is None:
            return s
        if s.left.facts == s.right.facts:
            return s
        return replace(
            s,
            left=replace(s.left, seen_as=self._as_held_by(RIGHT, s.entity, s.left.shared)),
            right=replace(s.right, seen_as=self._as_held_by(LEFT, s.entity, s.right.shared)),
        )

    def _as_held_by(self, which: Which, entity: Entity, shared: Shared | None) -> Facts | None:
        if shared is None:
            return None
        connector = self.connectors[which]
        try:
            encoded = self._encode(entity, shared, which)
        except LookupError:
            encoded = shared
        ref = {"connection": connector.name, "id": "", "number": None, "version": None}
        record = connector.represent(realise(entity, encoded, _same, ref=ref))
        return facts(entity, share(record, _same), self._common(entity))

    def _encode(self, entity: Entity, shared: Shared, to: Which) -> Shared:
        held = self.connectors[to].capabilities.fields.get(entity, frozenset())
        return recode(entity, shared, self.pair.codes, to, held)

    def _rules(self, subjects: Sequence[SubjectState]) -> Rules:
        more = self._more_than_missing()
        closed: dict[Which, str | None] = {}
        for which, company in self.companies.items():
            day = company.closed_through()
            closed[which] = day.isoformat() if day and self.connectors[which].capabilities.periods_readable else None
        linked = {(s.id, w) for s in subjects for w in (LEFT, RIGHT) if _alive(s.side(w))}
        refused = self._refused()
        ours = self._our_markers(subjects)

        def creatable(s: SubjectState) -> tuple[str, str] | None:
            only = s.left or s.right
            assert only is not None
            which: Which = LEFT if s.left is not None else RIGHT
            if (which, s.entity) in self.broken or (_other(which), s.entity) in self.broken:
                return "SYNC_BLOCKED", "waits: not everything could be read in this run"
            held = self.books[which].held[(s.entity, only.id)]
            if getattr(held.record, "credits", ()):
                return "SYNC_BLOCKED", "group: which credit paid which invoice is not stated uniquely"
            if ours.get(held.marker or "", {s.id}) - {s.id}:
                return (
                    "DUPLICATE_WITHIN_LEDGER",
                    f"duplicate_at_target: a copy of {held.marker}, which tieout wrote once",
                )
            return ("", "") if more(which, held) else None

        def flows(entity: Entity, target: Which) -> bool:
            flow = self.pair.flows.get(entity, "none" if entity is Entity.ADJUSTMENT else "both")
            return flow in {"both", "left_to_right" if target == RIGHT else "right_to_left"}

        return Rules(
            owner_of=lambda entity, name: self.pair.policy.get((entity, name)),
            flows=flows,
            cutover=self.pair.cutover.isoformat() if self.pair.cutover else None,
            closed=closed,
            encode=self._encode,
            creatable=creatable,
            can=lambda which, entity, op: self.connectors[which].capabilities.can(entity, _OPS[op]),
            fields=lambda which, entity: self.connectors[which].capabilities.fields.get(entity, frozenset()),
            linked=lambda subject, which: (subject, which) in linked,
            connections=self.names,
            refused=lambda key, source: refused.get((key, source)) or refused.get((key, "")),
        )

    def _our_markers(self, subjects: Sequence[SubjectState]) -> dict[str, set[str]]:
        """Mark → the subjects that were written under it, or would have been: on any other record it is a copy."""
        markers: dict[str, set[str]] = {}
        for r in self.store.rows(sa.select(schema.intent.c.marker, schema.intent.c.subject)):
            markers.setdefault(r["marker"], set()).add(r["subject"])
        for s in subjects:
            if s.left is not None and s.right is not None:
                for name in self.names.values():
                    key = key_for(name, s.entity, s.origin, generation=s.generation, op=Op.CREATE.value)
                    markers.setdefault(marker_for(key), set()).add(s.id)
        return markers

    def _refused(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Code and reason of what a target refused for good under this configuration, by key.

        A create is refused as it was made from its source's facts; other keys say themselves what they change.
        """
        i, r = schema.intent, schema.run
        rows = self.store.rows(
            sa.select(i)
            .join(r, r.c.id == i.c.run)
            .where(i.c.pair == self.pair.name, i.c.state == "rejected", r.c.config_hash == self.pair.config_hash)
        )
        out = {}
        for row in rows:
            source = loads(row["operation"])["expects"]["facts"] if row["op"] == OpKind.CREATE.value else ""
            locked = row["error_class"] == "PERIOD_LOCKED"
            why = f"{'closed_period' if locked else 'rejected'}: {row['last_error']}"
            out[(row["key"], source)] = ("PERIOD_LOCKED" if locked else "SYNC_BLOCKED", why)
        return out

    def _more_than_missing(self) -> Callable[[Which, Held], bool]:
        """Whether the comparison says anything else of a one-sided record than that it is missing over there.

        A document that it does not call missing at all belongs to another one's difference (a credit memo that
        undoes a void, say); only one without amount may go unmentioned.
        """
        missing: set[tuple[str, str, str]] = set()
        other: set[tuple[str, str, str]] = set()
        for d in self.comparison.discrepancies if self.comparison else ():
            if d.class_ == "N" and d.code not in {"AMBIGUOUS_MATCH", *_MISSING}:
                continue
            for which, id in ((LEFT, d.left), (RIGHT, d.right)):
                if id is not None:
                    (missing if d.code in _MISSING else other).add((which, d.kind, id))

        def more(which: Which, held: Held) -> bool:
            key = (which, held.entity.value, held.id)
            if key in other or isinstance(held.record, Customer) or held.record is None:
                return key in other
            return key not in missing and bool(magnitude(held.record))

        return more

    def _adopt(self, draft: Draft, subjects: Sequence[SubjectState]) -> None:
        """Move bases to what both sides agree on by now."""
        if not draft.adopt:
            return
        by_id = {s.id: s for s in subjects}
        with self.store.writing(self.lease, run=self.id) as tx:
            for subject, names in draft.adopt.items():
                s = by_id[subject]
                for which in (LEFT, RIGHT):
                    side = s.side(which)
                    if side is None:
                        continue
                    held = self.books[which].held[(s.entity, side.id)]
                    chosen = None if side.base is None else set(names)
                    now = side.facts or {}
                    set_base(tx, self.pair.name, subject, side.connection, now=now, held=held, names=chosen)

    # ── guard, freeze, apply ─────────────────────────────────────────────────────────────────────────────────────

    def _guard(self, draft: Draft) -> list[Trip]:
        linked: Counter[Entity] = Counter()
        for (entity, _), subject in self.books[LEFT].subjects.items():
            linked[entity] += subject in self.books[RIGHT].natives
        r = schema.run
        last = self.store.rows(
            sa.select(r.c.config_hash)
            .where(r.c.pair == self.pair.name, r.c.status.in_(("ok", "partial")))
            .order_by(r.c.started_at.desc())
            .limit(1)
        )
        changed = bool(last) and last[0]["config_hash"] != self.pair.config_hash and self.pair.mode == "auto"
        trips = check(
            draft.operations, limits=self.pair.limits, linked=linked, empty=self.suspicious, config_changed=changed
        )
        held: dict[str, list[str]] = {}
        for trip in trips:
            for key in trip.keys:
                held.setdefault(key, []).append(trip.name)
        draft.operations = [replace(o, guards=tuple(held.get(o.key, ()))) for o in draft.operations]
        return trips

    def _freeze(self, draft: Draft, trips: Sequence[Trip]) -> list[Operation]:
        """Store the plan (or find the identical one), and say which of its operations may run now."""
        self.report.operations = draft.operations
        p = schema.plan
        if not draft.operations:
            with self.store.writing(self.lease, run=self.id) as tx:
                stale = p.c.pair == self.pair.name, p.c.status.in_(("draft", "approved"))
                tx.db.execute(p.update().where(*stale).values(status="superseded"))
            return []
        body = {"config": self.pair.config_hash, "operations": [o.hash for o in draft.operations]}
        plan_hash = digest(body)
        with self.store.writing(self.lease, run=self.id) as tx:
            live = tx.all(
                sa.select(p).where(
                    p.c.pair == self.pair.name,
                    p.c.status.in_(("draft", "approved", "applying")),
                    p.c.expires_at > tx.at,
                    p.c.config_hash == self.pair.config_hash,
                )
            )
            same = next((row for row in live if row["hash"] == plan_hash), None)
            if same is None:
                same = self._save_plan(tx, draft, trips, plan_hash)
                for row in live:
                    if row["status"] == "draft":
                        tx.db.execute(p.update().where(p.c.id == row["id"]).values(status="superseded"))
        self.report.plan_id, self.report.plan_hash = same["id"], plan_hash
        approved: dict[str, set[str]] = {}
        for row in [*live, same]:
            for approval in loads(row["approvals"]):
                for op_hash in loads(row["body"])["hashes"]:
                    approved.setdefault(op_hash, set()).update(approval["guards"], ["*"])
        return [o for o in draft.operations if self._allowed(o, approved.get(o.hash))]

    def _save_plan(self, tx: Any, draft: Draft, trips: Sequence[Trip], plan_hash: str) -> dict[str, Any]:
        row = {
            "id": new_id(),
            "pair": self.pair.name,
            "run": self.id,
            "hash": plan_hash,
            "config_hash": self.pair.config_hash,
            "status": "draft",
            "body": canonical(
                {
                    "operations": [o.as_json() for o in draft.operations],
                    "hashes": [o.hash for o in draft.operations],
                    "guards": [{"name": t.name, "message": t.message} for t in trips],
                }
            ),
            "approvals": "[]",
            "created_at": tx.at,
            "expires_at": stamp(self.store.clock() + PLAN_LIFE),
        }
        tx.db.execute(schema.plan.insert().values(**row))
        tx.audit("planned", "plan", row["id"], {"hash": plan_hash, "operations": len(draft.operations)})
        return row

    def _allowed(self, o: Operation, approval: set[str] | None) -> bool:
        """Whether an operation may run: approved with its guards accepted, or unattended in mode `auto`."""
        if approval is not None:
            return approval.issuperset(o.guards)
        if self.pair.mode != "auto" or o.guards:
            return False
        name = f"{o.entity}.void" if o.op is OpKind.VOID else o.entity.value
        moves = o.op is OpKind.CREATE or (o.op is OpKind.UPDATE and bool(o.delta))
        needs_person = o.person or (o.entity.value in _BY_PERSON and moves) or o.op is OpKind.VOID
        return not needs_person or name in self.pair.unattended

    def _apply(self, applier: Applier, approved: Sequence[Operation]) -> None:
        plan = self.report.plan_id or ""
        renewed = self.store.clock()
        for index, operation in enumerate(approved):
            self.progress(f"writing {index + 1} of {len(approved)}")
            if (self.store.clock() - renewed).total_seconds() > LEASE_SECONDS / 4:
                self.store.renew(self.lease)
                renewed = self.store.clock()
            applier.apply(operation, plan)
        self.report.files = applier.flush()
        if approved and all(self._is_settled(o, _ENDED) for o in self.report.operations):
            p = schema.plan
            with self.store.writing(self.lease, run=self.id) as tx:
                tx.db.execute(p.update().where(p.c.id == plan).values(status="applied"))
                tx.audit("applied", "plan", plan, dict(applier.counts))

    # ── discrepancies ────────────────────────────────────────────────────────────────────────────────────────────

    def _compare(self, explained: Sequence[Explained]) -> compare.Result:
        con = relation(self.books, linked=joined(self.books))
        try:
            return compare.run(
                con,
                as_of=self.as_of,
                left_name=self.pair.left,
                right_name=self.pair.right,
                rounding=self.pair.rounding,
                explained=explained,
            )
        finally:
            con.close()

    def _discrepancies(self, applier: Applier, draft: Draft, trips: Sequence[Trip]) -> None:
        self.progress("comparing")
        # What was done is not waiting; what was refused or held says so where the difference is listed.
        findings = [*draft.findings, *applier.findings]
        done = {w["operation"]["key"] for w in applier.written}
        waiting = [o for o in draft.operations if o.key not in done]
        explained = [*self._explained(findings), *self._in_flight(waiting, findings)]
        result = self._compare(explained)
        if self._read_again(result):
            result = self._compare(explained)
        found = differences.explain(result.discrepancies, findings, self._subjects_of)
        found += self.unreadable + differences.held_by_guards(trips)
        with self.store.writing(self.lease, run=self.id) as tx:
            self.report.changes = differences.record(tx, self.pair.name, self.id, found)
            self._control_totals(tx)
        self.report.comparison, self.report.discrepancies = result, found
        self.report.trips = [t for t in trips if not t.keys <= done]
        self.report.applied, self.report.written = applier.counts, applier.written
        settled = done | {o.key for o in waiting if o.key in self.allowed or self._is_settled(o, _UNDER_WAY)}
        self.report.waiting = (
            sum(1 for o in draft.operations if o.key not in settled) if self.pair.mode != "link" else 0
        )

    def _subjects_of(self, d: Discrepancy) -> set[str]:
        """The subjects that a discrepancy of the comparison is about."""
        kinds = {e.value: e for e in Entity}
        found = set(d.links)
        for which, id in ((LEFT, d.left), (RIGHT, d.right)):
            if id is not None and d.kind in kinds:
                found.add(self.books[which].subjects.get((kinds[d.kind], id), ""))
        return found - {""}

    def _read_again(self, result: compare.Result) -> bool:
        """Read by id what seems to contradict itself: one half may have been read before a change and one after."""
        torn = [d for d in result.discrepancies if d.code == "BALANCE_MISMATCH_INTERNAL"][:READ_AGAIN]
        moved = False
        for d in torn:
            for which, id in ((LEFT, d.left), (RIGHT, d.right)):
                entity = Entity(d.kind) if d.kind in set(Entity) else None
                if id is not None and entity is not None and self.connectors[which].capabilities.by_id:
                    moved = self._reread(which, entity, id) or moved
        return moved

    def _reread(self, which: Which, entity: Entity, id: str) -> bool:
        connector, book = self.connectors[which], self.books[which]
        held = book.held.get((entity, id))
        try:
            now = connector.get(entity, id)
        except (NotFoundError, RetriableError):
            return False
        if held is None or now.record is None or isinstance(now.record, RecordError):
            return False
        t = schema.seen
        where = t.c.connection == connector.name, t.c.entity == entity.value, t.c.native_id == id
        with self.store.writing(self.lease, run=self.id) as tx:
            known = tx.one(sa.select(t).where(*where))
            if not save_seen(tx, connector.name, [now], self.id, {id: known} if known else {}):
                return False
        name = _REPORTED.get(entity, "reported_open")
        if held.record is not None and hasattr(now.record, name):
            record = held.record.model_copy(update={name: getattr(now.record, name)})
            book.held[(entity, id)] = replace(held, record=record, version=now.version)
        return True

    def _is_settled(self, o: Operation, states: frozenset[str]) -> bool:
        """Whether an operation's intent is in one of the states."""
        rows = self.store.rows(sa.select(schema.intent.c.state).where(schema.intent.c.key == o.key))
        return any(r["state"] in states for r in rows)

    def _explained(self, findings: Sequence[Finding]) -> list[Explained]:
        """One-sided documents whose reason the sync knows, for the comparison to name."""
        out = []
        for f in findings:
            if not f.code or f.side is None or f.entity is Entity.CUSTOMER:
                continue
            for which in (LEFT, RIGHT):
                native = self.books[which].natives.get(f.subject)
                if native is not None and self._stands(which, f) and not self._stands(_other(which), f):
                    out.append(Explained(which, f.entity.value, native, f.code, f.cause, f.remedy))
        return _first_each(out)

    def _stands(self, which: Which, f: Finding) -> bool:
        native = self.books[which].natives.get(f.subject)
        held = self.books[which].held.get((f.entity, native)) if native is not None else None
        return held is not None and held.existence in (Existence.LIVE, Existence.INACTIVE)

    def _in_flight(self, waiting: Sequence[Operation], findings: Sequence[Finding]) -> list[Explained]:
        blamed = {f.subject for f in findings if f.code}
        out = []
        for o in waiting:
            side = _other(o.target)
            native = self.books[side].natives.get(o.subject)
            if o.op is OpKind.CREATE and native and o.entity is not Entity.CUSTOMER and o.subject not in blamed:
                why, remedy = "planned; waits for approval", "tieout plan show, then tieout plan approve"
                if self._is_settled(o, _UNDER_WAY):
                    why, remedy = "handed over in a file; not seen in an export yet", "none; it follows"
                out.append(Explained(side, o.entity.value, native, "SYNC_IN_FLIGHT", why, remedy))
        return out

    def _control_totals(self, tx: Any) -> None:
        """Keep what each system's own report says, beside what its documents add up to."""
        for connector in self.connectors.values():
            for balance in connector.control_balances(self.as_of or self.store.clock().date()):
                tx.put(
                    schema.control_total,
                    {
                        "run": self.id,
                        "connection": connector.name,
                        "account": balance.account,
                        "currency": balance.currency,
                        "as_of": balance.as_of.isoformat(),
                        "amount_micros": micros(balance.amount),
                        "report": balance.report,
                    },
                )


def _fields(capabilities: Capabilities, entity: Entity) -> frozenset[str]:
    """What a connection holds of an entity, a credit's applications through the payments that link it included."""
    fields = capabilities.fields.get(entity, frozenset())
    if entity is Entity.CREDIT_MEMO and capabilities.credits_by_payment:
        return fields | {"applications"}
    return fields


def _first_each(rows: Sequence[Explained]) -> list[Explained]:
    return list({(r.side, r.kind, r.id): r for r in reversed(rows)}.values())


def _other(which: Which) -> Which:
    return RIGHT if which == LEFT else LEFT


def _same(_entity: Entity, id: str) -> str:
    return id


def _alive(side: SideState | None) -> bool:
    return side is not None and side.existence in (Existence.LIVE, Existence.INACTIVE)
