"""Shared by all tests: where real data lies, a fixed clock, Hypothesis profiles, a scrubbed environment."""

from __future__ import annotations

import gc
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, nullcontext
from copy import deepcopy
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

import duckdb
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from tieout.connectors import redact
from tieout.sync import store

ROOT = Path(__file__).resolve().parent.parent
settings.register_profile(
    "ci", deadline=None, max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("dev", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
from tests.deep import DEEP  # noqa: E402  which asks for the profile
from tests.simulation.memo import remembered  # noqa: E402
from tests.simulation.statements import quick  # noqa: E402


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """The cycle collector does not look through what is collected, thousands of tests that all stay, and then seldom."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000, 20, 50)
        gc.enable()


def data_root() -> Path:
    """Where the real payloads and ledgers lie: TIEOUT_DATA, else ../shared/data beside the checkout."""
    return Path(os.environ.get("TIEOUT_DATA") or ROOT.parent / "shared" / "data")


# A comparison is some eighty statements, of which DuckDB takes longer to parse many than to run them on a few records.
# Over the thousands of comparisons of the tests each text is parsed once: a parsed statement is copied when it is run.
_execute = duckdb.DuckDBPyConnection.execute


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    statements = duckdb.extract_statements(text)
    return statements[0] if len(statements) == 1 else text


def _execute_parsed(con: duckdb.DuckDBPyConnection, query: Any, *more: Any, **named: Any) -> Any:
    return _execute(con, _parsed(query) if isinstance(query, str) else query, *more, **named)


duckdb.DuckDBPyConnection.execute = _execute_parsed

# No test cuts the power, and what was written outlives a process that is killed: nothing here waits for the disk, which
# would take longer than all else that a commit does. `fstat` refuses what `fsync` would: a file that is not open.
os.fsync = os.fstat


@sa.event.listens_for(sa.pool.Pool, "checkout")
def _undelayed(connection: Any, record: Any, _proxy: Any) -> None:
    if isinstance(connection, sqlite3.Connection) and not record.info.get("undelayed"):
        connection.execute("PRAGMA synchronous=OFF")
        record.info["undelayed"] = True


# Alembic takes forty milliseconds to make the tables of a state database, and thousands are made. The first of a process
# is made by it; the next new ones in SQLite are copies of that one, as it was when it was new.
_migrate = store.migrate
_tables: list[sqlite3.Connection] = []


def _made_or_copied(engine: sa.Engine) -> None:
    with closing(engine.raw_connection()) as held:
        found = held.driver_connection
        new = isinstance(found, sqlite3.Connection) and not found.execute("SELECT 1 FROM sqlite_master").fetchone()
        if new and _tables:
            _tables[0].backup(found)
            return
    _migrate(engine)
    if new:
        with closing(engine.raw_connection()) as held:
            made = sqlite3.connect(":memory:", check_same_thread=False)
            held.driver_connection.backup(made)
            _tables.append(made)


store.migrate = _made_or_copied


# A small run takes half its time to compare, and most of the rest for SQLAlchemy to ask small tables. What an earlier run
# compared is not compared anew: it is told by all rows that it would have in its tables, and by all that is told beside
# them. What is asked again and again goes to SQLite as it was compiled the first time.
_sqlite = store._sqlite
_without: list[bool] = []


def _engine(url: sa.URL) -> sa.Engine:
    made = _sqlite(url)
    return made if DEEP or any(_without) else quick(made)


store._sqlite = _engine


@pytest.fixture(autouse=True)
def _without_shortcuts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every twentieth test and all of `make deep` do without these, so that what they lack would show.

    So does the simulation, which has its own.
    """
    test = request.node.nodeid
    without = DEEP or test.startswith("tests/simulation/") or crc32(test.encode()) % 20 == 0
    _without.append(without)
    with nullcontext() if without else remembered(by_books=False):
        yield
    _without.pop()


@pytest.fixture
def data_dir() -> Path:
    """The folder of real data; the test is skipped, by name, where it is absent."""
    root = data_root()
    if not root.is_dir():
        pytest.skip(f"test data absent: {root} (set TIEOUT_DATA)")
    return root


@pytest.fixture
def now() -> datetime:
    """The fixed clock of the tests."""
    return datetime(2026, 2, 2, 9, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """What a command that ran in this process made of the log (`--debug`, say) ends with its test."""
    root, own = logging.getLogger(), logging.getLogger("tieout")
    level = own.level
    yield
    own.setLevel(level)
    for handler in [h for h in root.handlers if getattr(h, "of_tieout", False)]:
        root.removeHandler(handler)


@pytest.fixture(autouse=True)
def _secrets_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test signs in with ("used", say) is no secret of the tests after it."""
    monkeypatch.setattr(redact, "SECRETS", deepcopy(redact.SECRETS))


@pytest.fixture(autouse=True)
def _scrubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TIEOUT_") and name not in {"TIEOUT_DATA", "TIEOUT_TEST_PG"}:
            monkeypatch.delenv(name)
