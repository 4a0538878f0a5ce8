"""One call from the envelope to its result: a session of its pool, the work, messages, what it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from . import calls
from .books import Books
from .envelope import Asked, Result
from .faults import ERROR, WARNING, Fault, Note, Refused, note
from .pool import Pool, Session, Taken
from .publications import Publication
from .texts import LANGUAGES

HUGE = 11_000_000


class Host(Protocol):
    """What a call needs of the host that it reached."""

    books: Books
    pools: dict[str, Pool]
    publications: dict[str, Publication]
    user: str


@dataclass(slots=True)
class Turn:
    """A call that has its session. quirks: the rules armed for it, by form. pinned: it asked for this session."""

    host: Host
    asked: Asked
    language: str
    pool: Pool
    session: Session
    taken: Taken
    pinned: bool
    quirks: Mapping[str, Any]


async def answer(host: Host, one: Asked, quirks: Mapping[str, Any]) -> Result:
    """The result of a call. Raises Fault."""
    switches = host.books.switches
    language = one.context.get("codeLang", "") or LANGUAGES[0]
    wanted = one.context.get("poolId", "").strip("?")
    try:
        pool = pool_of(host, one)
        session, taken = await pool.take(wanted, switches, full="pool-full" in quirks)
    except Refused as refused:
        return _refused(host, refused, language, Taken(), 0)
    try:
        return await _serve(Turn(host, one, language, pool, session, taken, bool(wanted), quirks))
    finally:
        pool.give(session)


def pool_of(host: Host, one: Asked) -> Pool:
    """The pool that the call context names, to the letter. Raises Fault or Refused."""
    if not one.has_context:
        raise Refused("no_context")
    alias = one.context.get("poolAlias", "")
    pool = host.pools.get(alias)
    if pool is None or pool.size == 0:
        if host.books.switches.unknown_pool == "fault":
            raise Fault("Server", f"Pool {alias[:40]} not found")
        raise Refused("unknown_pool", pool=alias[:40])
    return pool


async def _serve(turn: Turn) -> Result:
    taken = turn.taken
    await _load(turn)
    start = time.perf_counter()
    busy = turn.pool.work + sum(quirk.seconds for quirk in turn.quirks.values())
    if busy:
        await asyncio.sleep(busy)
    notes: list[Note] = []
    try:
        text = _performed(turn, notes)
    except Refused as refused:
        taken.execute = time.perf_counter() - start
        return _refused(turn.host, refused.after(*notes), turn.language, taken, turn.session.index)
    taken.execute = time.perf_counter() - start
    messages = tuple((n.level, n.text(turn.language)) for n in notes)
    trace = _trace(turn.asked)
    report = f"{trace}: {round(taken.execute * 1000)} ms" if trace and turn.asked.operation == "run" else None
    return Result(1, text, messages, taken.technical(turn.session.index, trace=trace, report=report))


async def _load(turn: Turn) -> None:
    """The session takes on the user and the language, and loads the service when it is cold."""
    session, taken, start = turn.session, turn.taken, time.perf_counter()
    taken.new_user = session.user != turn.host.user
    taken.new_language = session.language not in {"", turn.language}
    taken.loaded = turn.asked.name not in session.loaded
    if taken.loaded:
        await asyncio.sleep(turn.pool.cold)
        taken.load = time.perf_counter() - start
    session.user, session.language = turn.host.user, turn.language
    session.loaded.add(turn.asked.name)


def _performed(turn: Turn, notes: list[Note]) -> str | None:
    """The call, bent by the quirks that are armed for it. Raises Refused."""
    one, quirks, host = turn.asked, turn.quirks, turn.host
    if turn.language not in LANGUAGES:
        raise Refused("language", code=turn.language[:10])
    if "locked" in quirks:
        raise Refused("locked", key=" ".join(value for _, value in one.keys) or one.name)
    if "login" in quirks:
        raise Refused("login")
    if "messages" in quirks:
        raise Refused("system").after(note(WARNING, "check"), note(ERROR, "no_lines"))
    if "nothing" in quirks:
        return None
    publication = host.publications.get(one.name)
    if publication is None:
        raise Refused("unknown_service", name=one.name[:40] or "0")
    language = _other(turn.language) if "language" in quirks else turn.language
    session = str(turn.session.index)
    text = calls.perform(calls.Call(host.books, one, publication, language, session, turn.pinned, notes))
    if "nil" in quirks:
        return None
    return text + " " * HUGE if "huge" in quirks else text


def _other(language: str) -> str:
    """A language that was not asked for."""
    return next(other for other in LANGUAGES[::-1] if other != language)


def _refused(host: Host, refused: Refused, language: str, taken: Taken, index: int) -> Result:
    error = host.books.switches.error_type
    language = language if language in LANGUAGES else LANGUAGES[0]
    messages = tuple((error if n.level == ERROR else n.level, n.text(language)) for n in refused.notes)
    return Result(0, None, messages, taken.technical(index))


def _trace(one: Asked) -> str:
    on = {one.config.get(name, "").lower() for name in ("adxwss.trace.on", "adonix.trace.on")}
    return f"{one.operation} {one.name}" if "on" in on else ""
