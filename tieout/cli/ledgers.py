"""The books that a report is made of: read anew from files or systems, or as the state database knew them on a day."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tieout.cli.output import Out
from tieout.cli.state import clock, opened
from tieout.errors import ConfigError

if TYPE_CHECKING:
    from tieout.config import Settings
    from tieout.connectors import Connector, Pull
    from tieout.errors import RecordError
    from tieout.mapping.balances import Key
    from tieout.model import AnyRecord, Entity
    from tieout.reports import Books
    from tieout.sync.store import Store


@dataclass(slots=True)
class Asked:
    """What a report was asked of. Nothing is read before `books` is called.

    connection, pair: of tieout.toml · files: for one side or two, each of one or more files with their profiles
    called: what to call the ledger of each side's files, "" for their own names
    as_of: inclusive · known_on: the last moment of which something may be known; None reads the books anew
    in_full: it goes into a file, or to a program, rather than onto a screen · read: what was loaded, for provenance
    """

    out: Out
    as_of: date
    known_on: datetime | None
    config: str | None
    connection: str | None = None
    pair: str | None = None
    files: tuple[tuple[tuple[Path, str], ...], ...] = ()
    called: tuple[str, ...] = ("", "")
    in_full: bool = False
    read: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _settings: Settings | None = field(default=None, init=False, repr=False)

    def settings(self) -> Settings:
        """The configuration, read once. Raises ConfigError where the report is of files alone and there is none."""
        if self._settings is None:
            from tieout.config import load

            self._settings = load(self.config)
            self.out.company = self._settings.company.name
        return self._settings

    @property
    def names(self) -> tuple[str, ...]:
        """The connections that are asked of, left first; none for files."""
        if self.pair:
            pair = self.settings().pair(self.pair)
            return pair.left, pair.right
        return (self.settings().connection(self.connection).name,) if self.connection else ()

    @property
    def company(self) -> str:
        """Whose books they are, as far as anything says so."""
        return "" if self.files else self.settings().company.name

    def books(self, known_on: datetime | None = None) -> tuple[Books, ...]:
        """One side, or left and right, linked to each other. known_on: another moment than the one asked for."""
        from tieout.mapping.relation import SIDES

        held = self._books(known_on or self.known_on)
        for n, books in enumerate(held):
            side = f"{SIDES[n]} " if len(held) == 2 else ""
            self.read[f"{side}{books.name}" + (f", known on {known_on:%Y-%m-%d}" if known_on else "")] = books.source
        return held

    def _books(self, at: datetime | None) -> tuple[Books, ...]:
        if self.files:
            if at:
                raise ConfigError(
                    "files say nothing of when something became known",
                    hint="ask a connection of tieout.toml, whose state database does",
                )
            return linked([of_files(*one) for one in zip(self.files, self.called, strict=False)])
        settings = self.settings()
        return linked([self._known(settings, name, at) if at else self._anew(settings, name) for name in self.names])

    @contextlib.contextmanager
    def store(self) -> Iterator[Store]:
        """The state database. Raises ConfigError where there is none yet."""
        settings = self.settings()
        if not has_state(settings):
            raise ConfigError(
                "there is no state database yet", hint="tieout pull or tieout sync makes one, and keeps what was read"
            )
        with opened(settings) as store:
            yield store

    def _anew(self, settings: Settings, name: str) -> Books:
        from tieout.config.opening import open_connection

        with self.out.progress(name) as step, contextlib.ExitStack() as stack:
            connector = open_connection(settings, name, clock=clock, tell=step)
            stack.callback(connector.close)
            read = anew(connector, self.as_of, step)
        if not has_state(settings):
            return read
        from tieout.sync.review.as_known import first_seen
        from tieout.sync.review.as_known import linked as subjects

        with opened(settings) as store:
            return replace(read, first_seen=first_seen(store, name), links=subjects(store, name))

    def _known(self, settings: Settings, name: str, at: datetime) -> Books:
        from tieout.reports import Books
        from tieout.sync.review.as_known import as_known, controls, first_seen, home_currency
        from tieout.sync.review.as_known import linked as subjects

        with self.store() as store:
            was = as_known(store, name, at)
            return Books(
                name=name,
                records=was.records,
                source={
                    "system": settings.connection(name).kind,
                    "from": f"the state database, as known on {at.isoformat(timespec='seconds')}",
                    "read_at": was.read_at.isoformat(timespec="seconds") if was.read_at else None,
                    "records": _count(was.records),
                },
                unreadable=was.unreadable,
                open_only=_open_only(was.scopes),
                controls=controls(store, name, self.as_of, at),
                first_seen=first_seen(store, name),
                home=home_currency(store, name) or _home(settings, name),
                dated=was.dated,
                doubts=was.incomplete,
                links=subjects(store, name),
                known=at,
            )


def _home(settings: Settings, name: str) -> str | None:
    """The home currency as the configuration states it, where no run has opened the connection yet."""
    told = settings.connection(name).options.get("currency")
    return told if isinstance(told, str) else None


def has_state(settings: Settings) -> bool:
    """Whether there is a state database; one in a file is not made for a report."""
    from sqlalchemy.engine import make_url

    from tieout.config.opening import state_url

    url = state_url(settings)
    if not url.startswith("sqlite"):
        return True
    path = make_url(url).database
    return bool(path) and Path(str(path)).exists()


def _open_only(scopes: Mapping[Entity, str]) -> bool:
    from tieout.model import Entity

    return scopes.get(Entity.INVOICE) == "open"


def _count(records: Sequence[AnyRecord]) -> dict[str, int]:
    from collections import Counter

    return dict(sorted(Counter(r.entity.value for r in records).items()))


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def of_files(files: Sequence[tuple[Path, str]], called: str = "") -> Books:
    """The ledger that lies in these files, each with the profile it is read by. Raises ProfileError, OSError.

    called: as people know it, "" for the names of its files
    """
    from tieout.connectors.tabular.export_reading import read_files
    from tieout.mapping.tabular import load_profile
    from tieout.reports import Books

    profiles = [(path, load_profile(profile)) for path, profile in files]
    name = called or ", ".join(path.name for path, _ in files)
    records, reports, unreadable = read_files(profiles, name)
    kept = ("file", "profile", "sha256", "encoding", "delimiter", "header_row", "rows", "accepted", "totals")
    read = [
        {k: said[k] for k in kept}
        | {"profile": profile.identified}
        | {n: len(said[n]) for n in ("rejected", "skipped")}
        | {"warnings": said["warnings"]}
        for said, (_, profile) in zip((r.as_json() for r in reports), profiles, strict=True)
    ]
    return Books(
        name=name,
        records=records,
        source={"files": read, "records": _count(records)},
        unreadable=unreadable,
        open_only=any(profile.scope == "open" for _, profile in profiles),
        doubts=["a file holds one period only"] if any(p.scope == "period" for _, p in profiles) else (),
    )


# ── systems ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Read:
    """What the pulls of a connection brought."""

    records: list[AnyRecord] = field(default_factory=list)
    broken: set[tuple[str, ...]] = field(default_factory=set)
    scopes: dict[Entity, str] = field(default_factory=dict)
    days: set[date] = field(default_factory=set)
    sources: list[str] = field(default_factory=list)
    profiles: dict[str, str] = field(default_factory=dict)  # of each file that was read
    doubts: list[str] = field(default_factory=list)


def anew(connector: Connector, as_of: date, step: Any = lambda _: None) -> Books:
    """Everything that a connection holds, read from its system now; nothing is stored, nothing is written.

    The figures of the system's own reports are read before and after: books that moved meanwhile are a doubt.
    """
    from tieout.model import Entity
    from tieout.reports import Books

    company = connector.company()
    before = connector.control_balances(as_of)
    read = _Read()
    for entity in Entity:
        if entity in connector.capabilities.reads:
            step(f"reading {entity.value}")
            _take(read, entity, connector.pull(entity))
    after = connector.control_balances(as_of)
    if before != after:
        read.doubts.append("its own figures moved while it was read: make the report again")
    return Books(
        name=connector.name,
        records=read.records,
        source={
            "system": connector.name,
            "company": company.name,
            "company_id": company.id,
            "from": "the system itself, everything that it holds",
            "files": sorted(set(read.sources)),
            **({"profiles": dict(sorted(read.profiles.items()))} if read.profiles else {}),
            "records": _count(read.records),
        },
        unreadable=len(read.broken),
        open_only=_open_only(read.scopes),
        controls=after,
        home=company.home_currency,
        dated=max(read.days, default=None),
        doubts=list(dict.fromkeys(read.doubts)),
    )


def _take(read: _Read, entity: Entity, pull: Pull) -> None:
    from tieout.errors import RecordError
    from tieout.model import Existence

    for seen in pull:
        if isinstance(seen.record, RecordError):
            read.broken.add(_row(seen.record))
        elif seen.record is not None and seen.existence is not Existence.DELETED:
            read.records.append(seen.record)
    read.scopes[entity] = pull.scope
    read.sources += pull.sources
    read.profiles |= pull.proof.get("profiles", {})
    read.days |= {pull.as_of} if pull.as_of else set()
    if not pull.complete:
        told = pull.proof.get("doubts") or [f"the reading of {entity.value} is not proved complete"]
        read.doubts += [str(t) for t in told]
    if pull.scope == "period":
        read.doubts.append(f"{entity.value}: its exports hold one period only")


def _row(error: RecordError) -> tuple[str, ...]:
    """What makes an unreadable row one, also where it may be of several kinds and is told under each."""
    return error.source, error.path, str(error.ref), str(error.value)


# ── two sides ────────────────────────────────────────────────────────────────────────────────────────────────────────


def linked(books: Sequence[Books]) -> tuple[Books, ...]:
    """The books; two of them with one key for what the comparison finds to be the same customer or document."""
    if len(books) != 2:
        return tuple(replace(b, links={}) for b in books)
    from tieout import compare
    from tieout.mapping.relation import SIDES
    from tieout.model import Entity

    with compare.tables_for(max(len(b.records) for b in books)) as con:
        for side, b in zip(SIDES, books, strict=True):
            compare.load_records(con, side, b.records, links=dict(b.links), open_items=b.open_only)
        matches = compare.match(con)
    links: tuple[dict[Key, str], dict[Key, str]] = ({}, {})
    for m in matches:
        if not m.ambiguous:
            entity = Entity(m.kind.split(":")[0])
            key = f"{entity.value}:{m.left[0]}"
            links[0][entity, m.left[0]] = links[1][entity, m.right[0]] = key
    return tuple(replace(b, links=one) for b, one in zip(books, links, strict=True))
