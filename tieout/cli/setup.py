"""`init`, `connect`, `check`: from nothing to a configuration that works."""

from __future__ import annotations

import contextlib
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from tieout.cli.output import Out, clean, common, gravest, table, when
from tieout.cli.state import clock, config_option, opened
from tieout.cli.writing import write_new
from tieout.plaintext import counted

if TYPE_CHECKING:
    from tieout.config import Settings
    from tieout.connectors import Connector

_SKEW_SECONDS = 300
_LONGEST_TOKEN = 1 << 16  # bytes; Intuit's have some hundred


@click.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), default="tieout.toml")
@common
def init(out: Out, path: Path) -> None:
    """Write a commented tieout.toml. An existing file is never touched."""
    from importlib.resources import files

    from tieout.errors import ConfigError

    text = (files("tieout.config") / "template.toml").read_text(encoding="utf-8")
    try:
        write_new(path, text.encode())
    except FileExistsError:
        raise ConfigError(f"{path} exists already", hint="edit it, or name another: tieout init PATH") from None
    out.data({"path": str(path)})
    out.line(f"wrote {path}")
    out.note("  → edit it, then: tieout check")


@click.command()
@click.argument("name")
@click.option("--no-browser", is_flag=True, help="Only print the address of the sign-in page.")
@click.option("--token-stdin", is_flag=True, help="Read a refresh token from standard input instead of signing in.")
@config_option
@common
def connect(out: Out, *, name: str, no_browser: bool, token_stdin: bool, config: str | None) -> None:
    """Sign in to a connection, or test its credentials.

    QuickBooks opens its consent page in the browser. The sign-in is kept encrypted, never in tieout.toml.
    """
    from tieout.config import load
    from tieout.config.opening import open_connection

    settings = load(config)
    kind = settings.connection(name).kind
    if token_stdin and kind != "quickbooks":
        raise click.UsageError(f"a connection of kind {kind} takes no token")
    with contextlib.ExitStack() as stack:
        if token_stdin:
            stack.enter_context(_token(settings, name))
        elif kind == "quickbooks":
            _sign_in(out, settings, name, browser=not no_browser)
        connector = open_connection(settings, name, clock=clock)
        stack.callback(connector.close)
        company = connector.company()
    found = {"id": company.id, "name": company.name, "home_currency": company.home_currency}
    out.data({"connection": name, "kind": kind, "company": found})
    called = "" if company.id == company.name else f" ({clean(company.id)})"
    out.line(f"{name}: connected to {clean(company.name)}{called}, {company.home_currency}")


def _sign_in(out: Out, settings: Settings, name: str, *, browser: bool) -> None:
    """Keep a sign-in to QuickBooks from its consent page."""
    import webbrowser

    from tieout.config.opening import options_of, secret_store
    from tieout.config.secrets import withheld
    from tieout.connectors.quickbooks.oauth import authorize

    def open_browser(address: str) -> None:
        with withheld(settings.secret_variables):
            webbrowser.open(address)

    plain, secret = options_of(settings, name)
    authorize(
        name,
        settings=plain,
        secrets_=secret,
        store=secret_store(settings),
        open_browser=open_browser if browser else lambda _: None,
        say=out.warn,
        clock=clock,
    )


def typed_token(stream: BinaryIO) -> str:
    """The token that a stream holds, without what stands around it. Raises UsageError, which never repeats it."""
    text = stream.read(_LONGEST_TOKEN + 1)
    token = text.strip()
    if not token:
        raise click.UsageError("--token-stdin: standard input is empty")
    if len(text) > _LONGEST_TOKEN or not re.fullmatch(rb"[!-~]+", token):
        raise click.UsageError("--token-stdin: standard input holds no token: letters, digits and signs in one line")
    return token.decode("ascii")


@contextlib.contextmanager
def _token(settings: Settings, name: str) -> Iterator[None]:
    """Keep the refresh token on standard input; if it then turns out not to work, the sign-in before it stays."""
    from tieout.config.opening import options_of, secret_store
    from tieout.connectors.quickbooks.oauth import RESCUE, TOKENS, Tokens, store_tokens
    from tieout.connectors.quickbooks.watch import ENTRY

    plain, _ = options_of(settings, name)
    store = secret_store(settings)
    token = typed_token(sys.stdin.buffer)
    kept = [Tokens.from_text(k.current) for entry in (TOKENS, RESCUE) if (k := store.read(name, entry))]
    now = clock()
    tokens = Tokens(str(plain["company_id"]), "", token, access_until=now, refresh_until=now, obtained=now)
    for entry in (RESCUE, TOKENS, ENTRY):  # else a token that is refused would fall back to the sign-in before it
        store.forget(name, entry)
    store_tokens(name, tokens, store)  # without an access token: the first use asks for one
    try:
        yield
    except BaseException:
        for entry in (RESCUE, TOKENS, ENTRY):
            store.forget(name, entry)
        if kept:
            store_tokens(name, max(kept, key=lambda t: t.serial), store)
        raise


@click.command()
@config_option
@common
def check(out: Out, config: str | None) -> int:
    """Check configuration, connections, flows, locks.

    Opens the state database and reads the company of every connection; the books are only read.
    """
    from tieout.config import load

    settings = load(config)
    out.company = settings.company.name
    found = [_check("configuration", str(settings.path), counted(len(settings.pairs), "pair")), _check_state(settings)]
    kept = found[-1]["exit"] not in {2, 3, 5}
    found.append(_check_evidence(settings) if kept else _check("evidence", "anchors", "not checked: the state failed"))
    companies: dict[str, Any] = {}
    for name in settings.connections:
        with out.progress(f"connection {name}") as step:
            step("reading the company")
            found.append(_check_connection(settings, name, companies))
    runs = _last_runs(settings) if kept else {}
    found += [_check_pair(settings, name, companies) for name in settings.pairs]
    if kept:
        found = [f | {"detail": f["detail"] + _ran(runs.get(f["name"]))} if f["check"] == "pair" else f for f in found]
    found = [f | {"hint": out.step(f["hint"])} for f in found]
    code = gravest(f["exit"] for f in found)
    out.data({"ok": code == 0, "checks": found, "runs": list(runs.values())})
    rows = [(_mark(f), f["check"], f["name"], _heading(f)) for f in found]
    out.lines(table(("", "check", "name", "found"), rows))
    for f in found:
        if f["exit"]:
            named = f"{f['check']} {f['name']}"
            says = _heading(f) if f["detail"].startswith(named) else f"{named}: {_heading(f)}"
            listed = "".join(f"\n  - {clean(problem)}" for problem in f["problems"])
            out.warn(clean(says) + listed + (f"\n  → {clean(f['hint'])}" if f["hint"] else ""))
    return code


def _heading(found: dict[str, Any]) -> str:
    """What was found, without the list of problems that stands below it."""
    return str(found["detail"]).removesuffix("; ".join(("", *found["problems"])) if found["problems"] else "")


def _mark(found: dict[str, Any]) -> str:
    return "✗" if found["exit"] else "–" if found["detail"].startswith("not checked") else "✓"


def _check(
    check: str, name: str, detail: str, *, exit_code: int = 0, problems: Sequence[str] = (), hint: str = ""
) -> dict[str, Any]:
    """detail: all that was found; problems: those of its parts that stand in a line each"""
    told = {"check": check, "name": name, "exit": exit_code, "detail": detail}
    return told | {"problems": list(problems), "hint": hint}


def _failed(check: str, name: str, error: Exception) -> dict[str, Any]:
    from tieout.cli.failures import explain

    told = explain(error)
    detail = "; ".join((told.message, *told.problems))
    return _check(check, name, detail, exit_code=told.exit, problems=told.problems, hint=told.hint)


def _check_state(settings: Settings) -> dict[str, Any]:
    from tieout.evidence.verify import log_breaks
    from tieout.sync.renamed import ORPHAN_HINT, orphans

    try:
        with opened(settings) as store:
            kind, breaks = store.engine.dialect.name, log_breaks(store)
            lost = orphans(store, settings.pairs)
            store.probe()
    except Exception as error:  # noqa: BLE001  every check is made, whatever fails
        return _failed("state", "database", error)
    if breaks:
        said = f"the audit log was altered: {breaks[0]}"
        return _check("state", kind, said, exit_code=4, hint="tieout evidence verify tells what happened")
    if lost:
        return _check("state", kind, "; ".join(str(one) for one in lost), exit_code=4, hint=ORPHAN_HINT)
    return _check("state", kind, "readable and writable, audit log unbroken")


def _check_evidence(settings: Settings) -> dict[str, Any]:
    """Whether what happens can be anchored, and the state is a later one of what was."""
    from tieout.config.evidence import anchors_of, has_signing_key
    from tieout.sync.state.rewound import OLDER_HINT, older

    try:
        if not has_signing_key(settings):
            return _check("evidence", "anchors", "none yet: the first run begins them")
        anchors = anchors_of(settings)
        anchors.probe()
        with opened(settings) as store:
            behind = older(store, anchors.newest())
    except Exception as error:  # noqa: BLE001  every check is made, whatever fails
        return _failed("evidence", "anchors", error)
    if behind:
        return _check("evidence", "anchors", behind, exit_code=4, hint=OLDER_HINT)
    return _check("evidence", "anchors", f"can be written to {counted(len(anchors.paths), 'file')}")


def _last_runs(settings: Settings) -> dict[str, dict[str, Any]]:
    """The newest run of each pair that had one."""
    from tieout.sync.review.readiness import last_run

    with opened(settings) as store:
        return {pair: run for pair in settings.pairs if (run := last_run(store, pair))}


def _ran(run: dict[str, Any] | None) -> str:
    """`; last run 2026-02-02 18:00 UTC: ok`."""
    return f"; last run {when(run['started_at'])}: {run['status']}" if run else "; no run yet"


def _check_connection(settings: Settings, name: str, companies: dict[str, Any]) -> dict[str, Any]:
    from tieout.config.opening import open_connection

    kind = settings.connection(name).kind
    try:
        connector = open_connection(settings, name, clock=clock)
        try:
            company = connector.company()
            companies[name] = (company, connector.capabilities)
            ahead, until, missing = _ahead(connector), _signed_in_until(connector), _missing(connector)
        finally:
            connector.close()
    except Exception as error:  # noqa: BLE001  every check is made, whatever fails
        return _failed("connection", name, error)
    closed = company.closed_through()
    books = f"books closed through {closed}" if closed else "no closed period stated"
    if missing:
        hint = f"publish it there, or correct [connection.{name}]"
        return _check("connection", name, f"{kind}: {company.name}; {'; '.join(missing)}", exit_code=2, hint=hint)
    alone = " alone" if company.other_currencies is False else ""
    credits_ = "; applies new credit memos by itself" if company.applies_credits else ""
    says = f"{kind}: {company.name}, {company.home_currency}{alone}, {books}{credits_}{until}"
    if abs(ahead) > _SKEW_SECONDS:
        says += f"; this machine's clock is {abs(ahead):,} s {'ahead' if ahead > 0 else 'behind'}"
        return _check("connection", name, says, exit_code=2, hint="set the clock of this machine (NTP)")
    return _check("connection", name, says)


def _ahead(connector: Connector) -> int:
    """Seconds that this machine's clock is ahead of the system's; 0 where the system does not tell the time."""
    ask = getattr(connector, "server_time", None)
    theirs = ask() if ask else None
    return round((clock() - theirs).total_seconds()) if theirs else 0


def _missing(connector: Connector) -> tuple[str, ...]:
    """What the connection is set up to use and the system does not give, where the connector can tell."""
    ask = getattr(connector, "missing", None)
    return tuple(ask()) if ask else ()


def _signed_in_until(connector: Connector) -> str:
    """`; signed in until 2026-05-13` where the sign-in ends one day, else nothing."""
    ask = getattr(connector, "signed_in_until", None)
    day = ask() if ask else None
    return f"; signed in until {day}" if day else ""


def _check_pair(settings: Settings, name: str, companies: dict[str, Any]) -> dict[str, Any]:
    """Whether each flow of the pair ends in a connection that can write it."""
    from tieout.connectors import Op
    from tieout.errors import HomeCurrencyError
    from tieout.model import Entity

    pair = settings.pair(name)
    if pair.left not in companies or pair.right not in companies:
        return _check("pair", name, "not checked: a connection failed")
    (left, can_left), (right, can_right) = companies[pair.left], companies[pair.right]
    if left.home_currency != right.home_currency:
        homes = {pair.left: left.home_currency, pair.right: right.home_currency}
        return _failed("pair", name, HomeCurrencyError(name, homes))
    flows = Counter[str]()  # into each side
    stuck: dict[str, list[str]] = {}
    for entity, flow in pair.flows.items():
        for direction, target, can in (
            ("left_to_right", pair.right, can_right),
            ("right_to_left", pair.left, can_left),
        ):
            source = can_left if direction == "left_to_right" else can_right
            if flow not in {"both", direction} or Entity(entity) not in source.reads:
                continue
            flows[target] += 1
            if not can.can(Entity(entity), Op.CREATE):
                stuck.setdefault(target, []).append(entity.replace("_", " "))
    open_ = flows.total() - sum(map(len, stuck.values()))
    cannot = [
        f"{'nothing' if len(entities) == flows[target] else 'no ' + ', '.join(entities)} can be written to {target}"
        for target, entities in stuck.items()
    ]
    detail = f"{pair.mode}: {pair.left} and {pair.right}, {counted(open_, 'flow')}"
    return _check("pair", name, "; ".join([detail, *cannot]))


COMMANDS = {"init": init, "connect": connect, "check": check}
