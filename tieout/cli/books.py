"""`pull`, `sync`: read the books, keep them in step."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from tieout.cli.days import DAY
from tieout.cli.output import Out, clean, common, document, gravest, table, words
from tieout.cli.state import anchor, anchored, clock, config_option, writing
from tieout.plaintext import counted, grid

if TYPE_CHECKING:
    from tieout.cli.failures import Told
    from tieout.compare import Result
    from tieout.config import Settings
    from tieout.connectors import Connector
    from tieout.sync.engine import Report
    from tieout.sync.store import Store

_CAUSES = 8  # that a run shows of a kind
_OUTCOMES = {
    "pending": "pending until an export shows them",
    "blocked": "blocked, each for a reason that is listed",
    "unknown": "not known yet",
}


@contextlib.contextmanager
def _connectors(settings: Settings, *names: str, tell: Callable[[str], None]) -> Iterator[dict[str, Connector]]:
    from tieout.config.opening import open_connection

    with contextlib.ExitStack() as stack:
        live = {}
        for name in names:
            live[name] = open_connection(settings, name, clock=clock, tell=tell)
            stack.callback(live[name].close)
        yield live


# ── pull ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@click.command()
@click.argument("connection", required=False)
@click.option("--full", is_flag=True, help="Read everything, not only what changed.")
@config_option
@common
def pull(out: Out, *, connection: str | None, full: bool, config: str | None) -> int:
    """Fetch and normalise the records of a connection, or of all.

    Nothing is written to the books.
    """
    from tieout.config import load

    settings = load(config)
    out.company = settings.company.name
    names = [settings.connection(connection).name] if connection else _all("connection", settings.connections, settings)
    pulled, failed = [], []
    with writing(out, settings) as store:
        for name in names:
            try:
                with out.progress(name) as step, _connectors(settings, name, tell=step) as live:
                    pulled.append(_pull(store, live[name], full=full, step=step))
            except Exception as error:  # noqa: BLE001  one connection that fails does not stop the others
                failed.append(_failure(out, name, error))
    out.data({"connections": pulled, "errors": failed + _beside(out)})
    rows = [
        (p["connection"], entity, f"{e['rows']:,}", f"{len(e['rejected']):,}", "yes" if e["complete"] else "no")
        for p in pulled
        for entity, e in p["entities"].items()
    ]
    out.lines(table(("connection", "entity", "rows", "unreadable", "complete"), rows, right=(2, 3)))
    for p in pulled:
        for entity, e in p["entities"].items():
            for rejected in e["rejected"]:
                out.warn(f"{p['connection']} {entity}: {clean(rejected)}")
    return gravest(f["exit"] for f in failed)


def _pull(store: Store, connector: Connector, *, full: bool, step: Any) -> dict[str, Any]:
    """Read every entity of a connection under its lease."""
    from tieout.model import Entity
    from tieout.sync.inputs.fetch import fetch
    from tieout.sync.store import new_id

    run = new_id()
    entities: dict[str, Any] = {}
    with store.holding([f"connection:{connector.name}"]) as lease:
        company = connector.company()
        for entity in Entity:
            if entity not in connector.capabilities.reads:
                continue
            step(f"reading {entity}")
            got = fetch(store, lease, run, connector, entity, sweep=full)
            entities[entity.value] = {
                "rows": got.rows,
                "full": got.full,
                "complete": got.complete,
                "as_of": got.as_of,
                "rejected": [str(r) for r in got.rejected],
                "gone": list(got.gone),
                "suspicious": got.suspicious,
            }
    return {"connection": connector.name, "run": run, "company": company.name, "entities": entities}


def _all(what: str, named: Mapping[str, Any], settings: Settings) -> list[str]:
    """All of them. Raises ConfigError where there are none: a schedule that does nothing is not well."""
    from tieout.errors import ConfigError

    if not named:
        raise ConfigError(
            f"{settings.path.name} has no {what}: there is nothing to do", hint=f"add [{what}.NAME] to it"
        )
    return list(named)


def _failure(out: Out, name: str, error: Exception) -> dict[str, Any]:
    """Tell what stopped one connection or pair, and return it for --json."""
    from tieout.cli.output import tell

    return _entry(name, tell(out, error, where=name))


def _beside(out: Out) -> list[dict[str, Any]]:
    """What went wrong beside the work, as among `errors`; one trouble once."""
    told = {t.message: t for t in out.late}
    return [_entry("evidence", t) for t in told.values()]


def _entry(name: str, told: Told) -> dict[str, Any]:
    return {"name": name} | document(told.exit, told.message, told.problems, told.hint)


# ── sync ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@click.command()
@click.argument("pair", required=False)
@click.option("--apply", is_flag=True, help="Write what is approved, or within the limits in mode auto; plan the rest.")
@click.option("--as-of", type=DAY, help="Compare the books for this day, inclusive.")
@click.option("--full", is_flag=True, help="Read everything, not only what changed.")
@click.option("--fail-on-differences", is_flag=True, help="Exit with 1 if differences are open.")
@config_option
@common
def sync(
    out: Out,
    *,
    pair: str | None,
    apply: bool,
    as_of: datetime | None,
    full: bool,
    fail_on_differences: bool,
    config: str | None,
) -> int:
    """Keep one pair in step, or all of them.

    Without --apply nothing is written to any book, only planned.
    """
    from tieout.config import load
    from tieout.sync.renamed import ORPHAN_HINT, orphans

    settings = load(config)
    out.company = settings.company.name
    names = [settings.pair(pair).name] if pair else _all("pair", settings.pairs, settings)
    reports, failed = [], []
    with writing(out, settings) as store:
        for name in names:
            try:
                with out.progress(name) as step:
                    report = _sync(out, settings, store, name, apply=apply, as_of=as_of, sweep=full, step=step)
                anchor(out, settings, store)
            except Exception as error:  # noqa: BLE001  one pair that fails does not stop the others
                failed.append(_failure(out, name, error))
                continue
            reports.append(report)
            _show(out, report)
        lost = orphans(store, settings.pairs)
    for orphan in lost:
        out.warn(f"{clean(orphan)}\n  → {ORPHAN_HINT}")
    out.data({"runs": [r.as_json() for r in reports], "errors": failed + _beside(out)})
    codes = [*(r.exit_code for r in reports), *(f["exit"] for f in failed), *(4 for _ in lost)]
    for report in reports:
        if fail_on_differences and report.changes.open:
            codes.append(1)
            if out.quiet:  # else the list is named already; a scheduler that mails output would tell nobody
                are = counted(report.changes.open, "difference is", "differences are")
                out.warn(f"{report.pair}: {are} open\n  → tieout discrepancies list {report.pair}")
    return gravest(codes)


def _sync(
    out: Out,
    settings: Settings,
    store: Store,
    name: str,
    *,
    apply: bool,
    as_of: datetime | None,
    sweep: bool,
    step: Any,
) -> Report:
    from tieout.config.evidence import told
    from tieout.config.opening import to_pair
    from tieout.sync import engine

    pair = to_pair(settings, name)
    day = as_of.date() if as_of else None
    known, said = anchored(out, settings), told(settings)
    with _connectors(settings, pair.left, pair.right, tell=step) as live:
        return engine.sync(
            store, live, pair, apply=apply, as_of=day, sweep=sweep, progress=step, anchored=known, configured=said
        )


def _show(out: Out, report: Report) -> None:
    """One run for a person; in quiet mode only what somebody has to do."""
    out.line(f"{report.pair}: run {report.run}, mode {report.mode}")
    for connection, counts in report.fetched.items():
        read = ", ".join(counted(n, words(entity)) for entity, n in counts.items() if n)
        asked, moved = report.requests.get(connection, 0), sum(report.volume.get(connection, {}).values())
        cost = [counted(asked, "request")] * bool(asked) + [f"{-(-moved // 1000):,} kB"] * bool(moved)
        out.line(f"  read         {connection}: {read or 'nothing new'}" + (f" ({', '.join(cost)})" if cost else ""))
    for n, says in enumerate(_summary(report) or ["nothing to write"]):
        out.line(f"  {'' if n else 'plan':<11}  {says}")
    done = ", ".join(f"{n:,} {_OUTCOMES.get(what, what)}" for what, n in report.applied.items() if n)
    if done:
        out.line(f"  applied      {done}")
    for path in report.files:
        out.line(f"  handed over  {path}")
    changes = report.changes
    out.line(f"  differences  {changes.open:,} open ({changes.opened:,} new, {changes.closed:,} closed)")
    for n, why in enumerate(report.in_doubt()):
        out.line(f"  {'' if n else 'in doubt':<11}  {clean(why)}")
    _show_counted(out, "unreadable", report.unreadable())
    # What keeps many records from being carried over: often one line of the configuration.
    _show_counted(out, "held back", report.held_back())
    if report.comparison:
        _show_bridges(out, report.comparison)
    hints = {e.message: e.hint for e in report.errors if e.exit_code == 4}  # what a person is to type
    for failure in report.failures:
        out.warn(f"{report.pair}: {clean(failure)}" + (f"\n  → {hints[failure]}" if hints.get(failure) else ""))
    for halted in report.halted:
        out.warn(f"{report.pair}: not everything was sent to {clean(halted)}")
    if report.applied["unknown"]:
        unsure = counted(report.applied["unknown"], "outcome is", "outcomes are")
        out.warn(f"{report.pair}: {unsure} not known yet\n  → run it again; what was sent is settled first")
    for trip in report.trips:
        out.warn(f"{report.pair}: guard {trip.name}: {clean(trip.message)}")
    if out.quiet:  # else they stand above
        for why, code in report.doubted.items():
            out.warn(
                f"{report.pair}: in doubt: {clean(why)}\n  → tieout discrepancies list {report.pair} --code {code}"
            )
    if report.refused:
        no = counted(report.refused, "write was", "writes were")
        out.warn(f"{report.pair}: {no} refused by the target\n  → tieout discrepancies list")
    if report.waiting and report.plan_id:
        wait = counted(report.waiting, "operation waits", "operations wait")
        out.warn(f"{report.pair}: {wait} for a person\n  → tieout plan show {report.plan_id}")
    elif changes.open and not report.refused:
        out.note(f"  → tieout discrepancies list {report.pair}")


def _show_counted(out: Out, what: str, causes: Counter[str]) -> None:
    """What keeps records back and how many of them, the most frequent cause first."""
    found = causes.most_common()
    for n, (why, count) in enumerate(found[:_CAUSES]):
        out.line(f"  {'' if n else what:<11}  {counted(count, 'record')}: {clean(why)}")
    if len(found) > _CAUSES:
        out.line(f"  {'':<11}  and for {counted(len(found) - _CAUSES, 'other cause')}")


def _show_bridges(out: Out, result: Result) -> None:
    from tieout.compare.render import bridge_rows

    for currency, bridge in sorted(result.bridge.items()):
        out.line()
        out.lines("  " + line for line in grid(bridge_rows(currency, bridge, result), frozenset({1, 2})))


def _summary(report: Report) -> list[str]:
    """What is planned, a line for each kind of change and book: `create in erp: 2 customers, 1 invoice`."""
    kinds: dict[str, Counter[str]] = {}
    for o in report.operations:
        kinds.setdefault(f"{o.op} in {o.connection}", Counter())[o.entity] += 1
    return [
        f"{kind}: " + ", ".join(counted(n, words(entity)) for entity, n in sorted(entities.items()))
        for kind, entities in sorted(kinds.items())
    ]


COMMANDS = {"pull": pull, "sync": sync}
