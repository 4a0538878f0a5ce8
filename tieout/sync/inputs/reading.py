"""What a run reads of both systems: whose books they are, the balances that they state, their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from tieout.compare import Discrepancy
from tieout.errors import AuthError, HomeCurrencyError, RefusedError, RetriableError
from tieout.model import Company, ControlBalance, Entity
from tieout.sync import schema
from tieout.sync.core.facts import Which
from tieout.sync.inputs.control import as_discrepancy, untied
from tieout.sync.inputs.fetch import Fetched, fetch
from tieout.sync.inputs.stated import shadow
from tieout.sync.review import differences
from tieout.sync.run import Run
from tieout.sync.state.book import Book, load
from tieout.sync.store import loads

_EVENT = schema.audit_event.c
_OPENED = (
    sa.select(_EVENT.payload)
    .where(schema.OPENED, _EVENT.object_id == sa.bindparam("connection"))
    .order_by(_EVENT.seq.desc())
    .limit(1)
)
_INTENT = schema.intent.c
_WRITTEN = (
    sa.select(_INTENT.id)
    .where(sa.or_(_INTENT.pair == sa.bindparam("pair"), _INTENT.connection == sa.bindparam("connection")))
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Read:
    """Both systems as they were read. The books live on: what is linked or written from here on shows in them.

    balances: what each system's own reports stated, asked before its documents · fetched: what could be read, in order
    unreadable: records that came and cannot be read · broken: what was not read, or not whole
    """

    companies: Mapping[Which, Company]
    balances: Mapping[Which, Sequence[ControlBalance]]
    fetched: Mapping[Which, Sequence[Fetched]]
    books: dict[Which, Book]
    unreadable: Sequence[Discrepancy]
    broken: frozenset[tuple[Which, Entity]]

    @property
    def suspicious(self) -> list[str]:
        """What is not there and was not believed to be gone, in words."""
        read = (got for side in self.fetched.values() for got in side)
        return [f"{got.connection}/{got.entity}: {got.suspicious}" for got in read if got.suspicious]

    @property
    def whole(self) -> bool:
        return not self.broken and not self.suspicious


def whose(run: Run) -> dict[Which, Company]:
    """Read whose books these are before anything else; a changed company, or two home currencies, end the run.

    A home currency that was set wrongly may be corrected as long as nothing was written.
    """
    companies: dict[Which, Company] = {}
    opened: list[tuple[str, dict[str, str]]] = []
    for which, connector in run.connectors.items():
        company = companies[which] = connector.company()
        last = run.store.rows(_OPENED, connection=connector.name)
        now = {"id": company.id, "home_currency": company.home_currency}
        known = loads(last[0]["payload"]) if last else None
        corrected = known is not None and known["id"] == now["id"] and not _written(run, connector.name)
        if known is not None and known != now and not corrected:
            raise AuthError(
                f"{connector.name} is now company {company.id} in {company.home_currency}; so far it was "
                f"{known['id']} in {known['home_currency']}",
                hint="nothing was read or written; use another state database for other books; if only [company] "
                'name was changed, say there what it was: was = "OLD NAME"',
            )
        if known != now:
            opened.append((connector.name, now))
    homes = {run.names[which]: company.home_currency for which, company in companies.items()}
    if len(set(homes.values())) > 1:
        raise HomeCurrencyError(run.pair.name, homes)
    for name, now in opened:
        with run.writing() as tx:
            tx.audit("opened_company", "connection", name, now)
            tx.look_again()
    return companies


def _written(run: Run, connection: str) -> bool:
    """Whether anything was ever written to a connection, or for the pair of this run."""
    return bool(run.store.rows(_WRITTEN, pair=run.pair.name, connection=connection))


def read(run: Run, companies: Mapping[Which, Company]) -> Read:
    """Read both systems, one after the other. What cannot be read now is noted and left out; a refusal ends the run."""
    balances: dict[Which, list[ControlBalance]] = {}
    fetched: dict[Which, list[Fetched]] = {}
    books: dict[Which, Book] = {}
    unreadable: list[Discrepancy] = []
    for which, connector in run.connectors.items():
        run.report.fetched.setdefault(connector.name, {})
        balances[which] = _stated_balances(run, which)
        fetched[which] = [got for entity in run.entities(which) if (got := _fetched(run, which, entity)) is not None]
        book = books[which] = load(run.store, connector.name)
        shadow(book)
        book.held.edits = 0
        for got in fetched[which]:
            nameless = [e for e in got.rejected if e.ref is None]
            unreadable += differences.unreadable(connector.name, which, nameless)
        unreadable += differences.unreadable(connector.name, which, book.unreadable(), book.known_as)
    whole = {(which, got.entity) for which, side in fetched.items() for got in side if got.complete}
    broken = frozenset((which, e) for which in run.connectors for e in run.entities(which)) - whole
    return Read(companies, balances, fetched, books, unreadable, broken)


def _fetched(run: Run, which: Which, entity: Entity) -> Fetched | None:
    """One kind of record; None and noted, if it cannot be read now."""
    connector = run.connectors[which]
    run.progress(f"reading {entity} from {connector.name}")
    try:
        got = fetch(run.store, run.lease, run.id, connector, entity, sweep=run.sweep)
    except (RetriableError, RefusedError) as error:
        run.report.failed(error, f"{connector.name}/{entity}")
        if isinstance(error, RefusedError):
            raise
        return None
    run.report.fetched[connector.name][entity.value] = got.rows
    return got


def _stated_balances(run: Run, which: Which) -> list[ControlBalance]:
    """What a system's own reports state for receivables now; [] and noted, if it does not say."""
    connector = run.connectors[which]
    try:
        return connector.control_balances(run.as_of or run.store.clock().date())
    except RetriableError as error:
        run.report.failed(error, f"{connector.name}/control balances")
        return []


def not_tied(run: Run, read: Read) -> list[Discrepancy] | None:
    """Control balances that the documents do not give; None if the two cannot be held against each other now.

    The figures were read before the documents, and stood still if they are the same when read once more.
    """
    if not read.whole:
        return None
    out: list[Discrepancy] = []
    for which, balances in read.balances.items():
        book = read.books[which]
        found = untied(balances, list(book.moving()) if balances else [])
        if found and _stated_balances(run, which) != balances:
            return None
        out += [as_discrepancy(one, which, len(book.unreadable())) for one in found]
    return out
