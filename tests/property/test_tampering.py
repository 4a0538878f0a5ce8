"""Whatever is done to a state or to its anchors is found and called by its name; what nobody touched is always intact."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
import zlib
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.deep import DEEP
from tests.unit.evidence.past import KEYS, Kept, kept_past, opened
from tieout.errors import FatalError
from tieout.evidence.anchors import parse
from tieout.evidence.chain import ORDER, against_anchors, examine_journal, examine_log
from tieout.evidence.keys import Signer
from tieout.evidence.verify import Verified, verify
from tieout.sync import schema
from tieout.sync.store import GENESIS, Store, event_hash

FOUND: Counter[str] = Counter()
PICK = st.integers(0, 10_000)
PHASES = (Phase.explicit, Phase.generate)  # the first example that fails says enough
MALLORY = Signer(bytes(32))
COVERED = ("at", "actor", "action", "object_type", "object_id", "run", "payload")


@pytest.fixture(scope="module")
def kept() -> Kept:
    return kept_past()


def judged(store: Store, lines: list[bytes] | tuple[bytes, ...]) -> Verified:
    found = verify(store, [examine_journal("journal", lines, KEYS)])
    store.close()
    FOUND[found.verdict] += 1
    return found


def events_of(db: sqlite3.Connection) -> list[dict[str, Any]]:
    names = [c.name for c in schema.audit_event.c]
    return [
        dict(zip(names, row, strict=True))
        for row in db.execute(f"SELECT {', '.join(names)} FROM audit_event ORDER BY seq")
    ]


def rewrite(db: sqlite3.Connection, events: list[dict[str, Any]]) -> None:
    """Put these events in the place of all, numbered and hashed as if nothing had happened."""
    db.execute("DELETE FROM audit_event")
    previous = GENESIS
    for seq, event in enumerate(events, 1):
        event |= {"seq": seq, "prev_hash": previous}
        event["hash"] = previous = event_hash(event)
        names = list(event)
        db.execute(
            f"INSERT INTO audit_event ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", list(event.values())
        )


def anchored_through(lines: tuple[bytes, ...]) -> int:
    last = parse(lines[-1].rstrip(b"\n"))
    assert last is not None
    return last.seq


def altered_text(value: str | None, pick: int) -> str:
    """Another value in one place."""
    if not value:
        return "x"
    at = pick % len(value)
    return value[:at] + ("0" if value[at] != "0" else "1") + value[at + 1 :]


# ── nothing happened ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_state_that_nobody_touched_is_intact_at_every_time(kept: Kept) -> None:
    for n, body in enumerate(kept.copies):
        store, db = opened(body)
        seq = events_of(db)[-1]["seq"]
        until = [line for line in kept.lines if (a := parse(line.rstrip(b"\n"))) is not None and a.seq <= seq]
        found = judged(store, until)
        assert (found.verdict, found.findings) == ("intact", ()), n
        assert found.exit_code == 0


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(pick=PICK, where=PICK, column=st.sampled_from([*COVERED, "prev_hash", "hash"]))
@settings(max_examples=40 if DEEP else 10, phases=PHASES)
def test_an_altered_event_is_named(kept: Kept, pick: int, where: int, column: str) -> None:
    store, db = opened(kept.last)
    events = events_of(db)
    event = events[pick % len(events)]
    db.execute(f"UPDATE audit_event SET {column} = ? WHERE seq = ?", (altered_text(event[column], where), event["seq"]))
    found = judged(store, kept.lines)
    assert found.verdict == "altered"
    assert event["seq"] in {f.first for f in found.findings if f.verdict == "altered"}
    assert len({f.first for f in found.findings if f.verdict == "altered"}) == 1
    assert found.exit_code == 5


@given(pick=PICK, where=PICK, column=st.sampled_from(COVERED))
@settings(max_examples=25 if DEEP else 6, phases=PHASES)
def test_an_event_that_was_altered_with_its_own_hash_is_named(kept: Kept, pick: int, where: int, column: str) -> None:
    store, db = opened(kept.last)
    events = events_of(db)
    event = events[pick % (len(events) - 1)]
    event[column] = altered_text(event[column], where)
    db.execute(
        f"UPDATE audit_event SET {column} = ?, hash = ? WHERE seq = ?", (event[column], event_hash(event), event["seq"])
    )
    found = judged(store, kept.lines)
    assert found.verdict == "altered"
    assert {f.first for f in found.findings if f.verdict == "altered"} == {event["seq"]}


@given(pick=PICK, many=st.integers(1, 3))
@settings(max_examples=25 if DEEP else 6, phases=PHASES)
def test_a_missing_event_is_named(kept: Kept, pick: int, many: int) -> None:
    store, db = opened(kept.last)
    first = 1 + pick % (len(events_of(db)) - many)
    db.execute("DELETE FROM audit_event WHERE seq BETWEEN ? AND ?", (first, first + many - 1))
    found = judged(store, kept.lines)
    assert found.verdict == "missing"
    assert [f.first for f in found.findings if f.verdict == "missing"] == [first]


@given(
    pick=PICK, where=PICK, column=st.sampled_from(COVERED), how=st.sampled_from(["alter", "delete", "insert", "swap"])
)
@settings(max_examples=40 if DEEP else 10, phases=PHASES)
def test_a_log_that_was_written_anew_is_forged(kept: Kept, pick: int, where: int, column: str, how: str) -> None:
    store, db = opened(kept.last)
    events = events_of(db)
    n = pick % (len(events) - 1)
    match how:
        case "alter":
            # A later instant than the anchor's would look as if it had happened afterwards: not what a forger wants.
            text = altered_text(events[n][column], where)
            events[n][column] = min(text, events[n]["at"]) if column == "at" else text
            if events[n][column] == events_of(db)[n][column]:
                events[n]["actor"] = "Mallory"
        case "delete":
            del events[n]
        case "insert":
            events.insert(n, dict(events[n], actor="Mallory"))
        case "swap":
            events[n], events[n + 1] = dict(events[n + 1]), dict(events[n])
    rewrite(db, events)
    found = judged(store, kept.lines)
    assert found.verdict == "rewritten", (how, n)
    first = next(f.first for f in found.findings if f.verdict == "rewritten")
    assert first <= n + 1
    assert found.exit_code == 5


@given(pick=PICK)
@settings(max_examples=30 if DEEP else 7, phases=PHASES)
def test_a_log_whose_end_was_cut_off_is_truncated(kept: Kept, pick: int) -> None:
    store, db = opened(kept.last)
    after = pick % len(events_of(db))
    db.execute("DELETE FROM audit_event WHERE seq > ?", (after,))
    found = judged(store, kept.lines)
    assert found.verdict == "truncated"
    assert [f.first for f in found.findings if f.verdict == "truncated"] == [after]


@given(pick=PICK)
@settings(max_examples=20 if DEEP else 5, phases=PHASES)
def test_an_older_copy_is_rolled_back_and_not_truncated(kept: Kept, pick: int) -> None:
    last = anchored_through(kept.lines)
    older = [body for body in kept.copies if len(events_of(opened(body)[1])) < last]
    store, db = opened(older[pick % len(older)])
    events = events_of(db)
    found = judged(store, kept.lines)
    assert found.verdict == "rolled_back"
    assert [f.first for f in found.findings] == [len(events)]
    assert found.exit_code == 4


def test_a_database_that_was_made_anew_is_another_one(kept: Kept) -> None:
    store, db = opened(kept.last)
    for table in schema.metadata.tables:
        db.execute(f"DELETE FROM {table}")
    found = judged(store, kept.lines)
    assert (found.verdict, found.exit_code) == ("other_database", 4)


def test_an_older_copy_that_went_on_unnoticed_is_rolled_back(kept: Kept) -> None:
    """It went past what was anchored, later: which is no forgery, but not what was anchored either."""
    journal = examine_journal("journal", kept.lines, KEYS)
    _, db = opened(kept.copies[3])
    events = events_of(db)
    agreed = max(a.seq for a in journal.anchors if a.seq <= len(events))
    _, db = opened(kept.last)
    for event in events_of(db)[len(events) : len(events) + 150]:
        events.append(event | {"at": "2027" + event["at"][4:], "object_id": f"{event['object_id']}-2", "payload": "{}"})
    rewrite(db, events)
    log = examine_log(events_of(db), journal.anchors)
    assert [(f.verdict, f.first) for f in against_anchors(log, [journal], [])] == [("rolled_back", agreed)]


# ── the anchors ──────────────────────────────────────────────────────────────────────────────────────────────────────


@given(pick=PICK, where=PICK, bit=st.integers(0, 7))
@settings(max_examples=60 if DEEP else 15, phases=PHASES)
def test_a_changed_byte_of_any_anchor_is_found(kept: Kept, pick: int, where: int, bit: int) -> None:
    n = pick % len(kept.lines)
    line = bytearray(kept.lines[n].rstrip(b"\n"))
    line[where % len(line)] ^= 1 << bit
    store, _ = opened(kept.last)
    lines = [*kept.lines[:n], bytes(line) + b"\n", *kept.lines[n + 1 :]]
    found = judged(store, b"".join(lines).splitlines(keepends=True))
    assert found.verdict in ("anchors_altered", "anchors_forged")
    assert any(f"line {n + 1}" in f.where for f in found.findings)
    assert found.exit_code == 5


@given(pick=PICK, many=st.integers(1, 3))
@settings(max_examples=30 if DEEP else 7, phases=PHASES)
def test_anchors_that_were_cut_out_are_missed(kept: Kept, pick: int, many: int) -> None:
    first = pick % (len(kept.lines) - many)
    store, _ = opened(kept.last)
    found = judged(store, [*kept.lines[:first], *kept.lines[first + many :]])
    assert found.verdict == "anchors_cut"


def test_anchors_cut_off_at_the_end_are_missed_by_the_runs_that_found_them(kept: Kept) -> None:
    """All but what came after the last run: that, only another journal or the next run can tell."""
    for many in range(2, len(kept.lines) - 1):
        store, _ = opened(kept.last)
        found = judged(store, kept.lines[:-many])
        assert found.verdict in ("anchors_cut", "anchors_altered"), many
    store, _ = opened(kept.last)
    found = judged(store, kept.lines[:-1])
    assert found.verdict == "intact"
    assert "held by no anchor" in " ".join(found.notes)
    assert 0 < found.anchored < found.log.seq


def test_forged_lines_are_told_from_altered_ones_and_absent_ones(kept: Kept) -> None:
    last = parse(kept.lines[-1].rstrip(b"\n"))
    assert last is not None
    more = replace(last, n=last.n + 1, prev=last.digest, key=MALLORY.public.id).signed_by(MALLORY)
    store, _ = opened(kept.last)
    found = judged(store, [*kept.lines, more.line.encode() + b"\n"])
    assert [f.verdict for f in found.findings] == ["anchors_forged"]
    store, _ = opened(kept.last)
    pretended = replace(last, n=last.n + 1, prev=last.digest, sig=last.sig)
    found = judged(store, [*kept.lines, pretended.line.encode() + b"\n"])
    assert [f.verdict for f in found.findings] == ["anchors_altered"]
    store, _ = opened(kept.last)
    found = verify(store, [])
    assert (found.verdict, found.exit_code) == ("anchors_absent", 4)
    assert found.as_json()["anchored_through"] == 0


def test_a_write_of_an_anchor_that_broke_off_is_no_fault(kept: Kept) -> None:
    half = kept.lines[4][:120] + b"\n"
    store, _ = opened(kept.last)
    found = judged(store, [*kept.lines[:4], half, *kept.lines[4:]])
    assert found.verdict == "intact"
    assert "broke off" in " ".join(found.notes)
    store, _ = opened(kept.last)
    assert judged(store, [*kept.lines, half[:-1]]).verdict == "intact"


# ── the rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

ROWS = (
    ("run", "mode"), ("run", "status"), ("run", "report"), ("run", "config_hash"), ("plan", "body"), ("plan", "hash"),
    ("plan", "status"), ("plan", "approvals"), ("intent", "request"), ("intent", "operation"), ("intent", "state"),
    ("intent", "native_id"), ("intent", "key"), ("discrepancy", "state"), ("discrepancy", "values_hash"),
    ("discrepancy", "delta_micros"), ("decision", "actor"), ("decision", "action"), ("decision", "reason"),
    ("sign_off", "by"), ("sign_off", "figure_hash"), ("promise", "amount_micros"), ("base", "facts"), ("base", "unsure"),
    ("snapshot", "rows"), ("snapshot", "connection"), ("run", "pair"), ("run", "started_at"), ("run", "finished_at"),
    ("run", "version"), ("run", "abort_reason"), ("plan", "config_hash"), ("plan", "run"), ("plan", "created_at"),
    ("intent", "plan"), ("intent", "connection"), ("intent", "currency"), ("intent", "delta_micros"),
    ("intent", "request_hash"), ("discrepancy", "code"), ("discrepancy", "class"), ("discrepancy", "severity"), ("discrepancy", "currency"), ("discrepancy", "owner"),
    ("discrepancy", "reason"), ("decision", "values_hash"), ("sign_off", "figure"), ("sign_off", "note"),
    ("promise", "currency"), ("promise", "said_on"), ("promise", "note"), ("observation", "record"), ("observation", "raw_hash"),
    ("observation", "existence"), ("seen", "record"), ("seen", "existence"), ("blob", "body"),
)  # fmt: skip
GONE = (
    "run",
    "plan",
    "intent",
    "discrepancy",
    "decision",
    "sign_off",
    "promise",
    "base",
    "snapshot",
    "observation",
    "seen",
    "blob",
)


def other(value: Any, column: str, pick: int) -> Any:
    if isinstance(value, int):
        return value + 1
    if isinstance(value, bytes):
        at = pick % len(value)
        return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
    if column == "approvals":
        return json.dumps([{"by": "Mallory", "at": "2026-02-02T10:00:00.000000Z", "hash": "0", "guards": []}])
    if column in ("facts", "report", "body", "record", "request", "operation"):
        return (value or "{}")[:-1] + ',"x":1}'
    return altered_text(value, pick)


@pytest.mark.parametrize(("table", "column"), ROWS)
def test_a_row_that_is_not_what_the_log_says_is_found(kept: Kept, table: str, column: str) -> None:
    for pick in (0, 7, 13) if DEEP else (7,):
        store, db = opened(kept.last)
        rows = db.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
        rowid, value = rows[pick % len(rows)]
        db.execute("PRAGMA ignore_check_constraints = 1")
        db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (other(value, column, pick), rowid))
        found = judged(store, kept.lines)
        assert found.verdict == "rows", (table, column)
        assert found.exit_code == 5


@pytest.mark.parametrize(
    "name",
    ["delta", "left_value", "right_value", "currency", "code", "cause", "customer", "confirmed", "left_label", "links"],
)
def test_a_difference_that_is_shown_to_people_otherwise_than_it_was_found_is_noticed(kept: Kept, name: str) -> None:
    """The list of differences shows the body of the row: an amount in it is an amount that somebody works by."""
    store, db = opened(kept.last)
    for rowid, text in db.execute("SELECT rowid, body FROM discrepancy").fetchall():
        body = json.loads(text)
        others = {"currency": "EUR", "code": "ROUNDING", "confirmed": not body["confirmed"], "links": ["another"]}
        body[name] = others.get(name, "0.01")
        db.execute("UPDATE discrepancy SET body = ? WHERE rowid = ?", (json.dumps(body), rowid))
    assert judged(store, kept.lines).verdict == "rows"


@pytest.mark.parametrize(
    ("table", "column", "junk"),
    [("discrepancy", "delta_micros", "junk"), ("plan", "body", "{"), ("blob", "body", zlib.compress(bytes(16 << 20)))],
)
def test_a_row_that_cannot_be_read_or_would_unpack_without_end_is_told(
    kept: Kept, table: str, column: str, junk: Any
) -> None:
    store, db = opened(kept.last)
    db.execute("PRAGMA ignore_check_constraints = 1")
    db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = (SELECT min(rowid) FROM {table})", (junk,))
    tracemalloc.start()
    assert judged(store, kept.lines).verdict == "rows"
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 12 << 20


@pytest.mark.parametrize("column", ["accepted_hash", "accepted_until"])
def test_what_was_accepted_is_not_accepted_of_other_values_or_for_longer(kept: Kept, column: str) -> None:
    for body in kept.copies:
        store, db = opened(body)
        changed = db.execute(f"UPDATE discrepancy SET {column} = '9999-12-31' WHERE state = 'accepted'").rowcount
        if changed:
            seq = events_of(db)[-1]["seq"]
            until = [line for line in kept.lines if (a := parse(line.rstrip(b"\n"))) is not None and a.seq <= seq]
            assert judged(store, until).verdict == "rows"
            return
        store.close()
    pytest.fail("nothing was ever accepted")


def test_the_report_of_a_run_cannot_be_taken_away(kept: Kept) -> None:
    store, db = opened(kept.last)
    db.execute("UPDATE run SET report = NULL")
    assert judged(store, kept.lines).verdict == "rows"


def test_an_event_that_holds_bytes_is_altered_and_one_that_is_no_text_stops_with_what_it_is(kept: Kept) -> None:
    """Neither may look like trouble that passes: exit code 3 is what a scheduler forgives."""
    store, db = opened(kept.last)
    db.execute("UPDATE audit_event SET payload = ? WHERE seq = 40", (b"\0\xff",))
    assert judged(store, kept.lines).verdict == "altered"
    store, db = opened(kept.last)
    db.execute("UPDATE audit_event SET payload = CAST(x'ff80' AS TEXT) WHERE seq = 40")
    with pytest.raises(FatalError, match="text that tieout never wrote"):
        judged(store, kept.lines)


@pytest.mark.parametrize("table", GONE)
def test_a_row_that_is_gone_is_found(kept: Kept, table: str) -> None:
    for pick in (0, 5, 11):
        store, db = opened(kept.last)
        rows = db.execute(f"SELECT rowid FROM {table}").fetchall()
        db.execute(f"DELETE FROM {table} WHERE rowid = ?", rows[pick % len(rows)])
        assert judged(store, kept.lines).verdict == "rows", table


@pytest.mark.parametrize("table", ["run", "plan", "intent", "decision", "sign_off", "promise", "base", "snapshot"])
def test_a_row_that_nothing_speaks_of_is_found(kept: Kept, table: str) -> None:
    store, db = opened(kept.last)
    columns = [c.name for c in schema.metadata.tables[table].c]
    row = dict(zip(columns, db.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchone(), strict=True))
    new = {"decision": "actor", "sign_off": "by", "promise": "by", "base": "subject"}.get(table, "id")
    row |= {new: f"{row[new]}-more"} | ({"seq": 900} if "seq" in row else {}) | ({"hash": "x"} if "hash" in row else {})
    row |= {"key": "another"} if table == "intent" else {}
    db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", list(row.values()))
    assert judged(store, kept.lines).verdict == "rows"


def test_every_verdict_was_reached() -> None:
    """Runs last: the cases above are no empty words."""
    if sum(FOUND.values()) < 100:
        pytest.skip("only with the tests above")
    assert set(FOUND) >= set(ORDER) - {"anchors_absent"}
