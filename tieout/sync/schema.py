"""The tables of the state database: portable SQL for SQLite and PostgreSQL.

Times are UTC text in ISO-8601 with `Z`; JSON is canonical text; money in columns is integer micro-units beside a
currency. Subjects and cross-references belong to the company, bases and discrepancies to a pair.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    literal_column,
    text,
)

metadata = MetaData()

LIVE_INTENTS = "state IN ('ready','sending','unknown','applied','emitted','stuck')"

lease = Table(
    "lease",
    metadata,
    Column("resource", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text),
    Column("expires_at", Text),
    Column("worker", Text),
)
run = Table(
    "run",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pair", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("mode", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("finished_at", Text),
    Column("status", Text, nullable=False),
    Column("config_hash", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("report", Text),
    Column("abort_reason", Text),
)
Index("run_started", run.c.pair, run.c.started_at)
Index(
    "run_running",
    run.c.pair,
    sqlite_where=text("status = 'running'"),
    postgresql_where=text("status = 'running'"),
)
RUNNING = run.c.status == literal_column("'running'")
snapshot = Table(
    "snapshot",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("complete", Integer, nullable=False),
    Column("proof", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("as_of", Text),
    Column("rows", Integer, nullable=False),
    Column("read_at", Text, nullable=False),
)
Index("snapshot_read", snapshot.c.connection, snapshot.c.entity, snapshot.c.read_at)
Index("snapshot_dated", snapshot.c.connection, snapshot.c.entity, snapshot.c.as_of, snapshot.c.read_at)
blob = Table(
    "blob",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Text, nullable=False),
)
# What each native record was when it last could be read; `error` holds the reason when it cannot be read now.
seen = Table(
    "seen",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("entity", Text, primary_key=True),
    Column("native_id", Text, primary_key=True),
    Column("version", Text),
    Column("existence", Text, nullable=False),
    Column("record", Text),
    Column("record_hash", Text),
    Column("raw_hash", Text),
    Column("error", Text),
    Column("marker", Text),
    Column("first_seen_at", Text, nullable=False),
    Column("changed_at", Text, nullable=False),
    Column("snapshot", Text, nullable=False),
    Column("absences", Integer, nullable=False, server_default="0"),
    Column("absent_as_of", Text),
)
Index("seen_marker", seen.c.connection, seen.c.entity, seen.c.marker)
# Every distinct reading of a record, so that a report can say what was known on a day.
observation = Table(
    "observation",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("connection", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("native_id", Text, nullable=False),
    Column("version", Text),
    Column("existence", Text, nullable=False),
    Column("record", Text),
    Column("raw_hash", Text),
    Column("error", Text),
    Column("snapshot", Text, nullable=False),
    Column("seen_at", Text, nullable=False),
)
Index("observation_record", observation.c.connection, observation.c.entity, observation.c.native_id)
subject = Table(
    "subject",
    metadata,
    Column("id", Text, primary_key=True),
    Column("entity", Text, nullable=False),
    Column("origin_connection", Text, nullable=False),
    Column("origin_id", Text, nullable=False),
    Column("created_by", Text),
    Column("generation", Integer, nullable=False, server_default="0"),
    Column("state", Text, nullable=False),
    Column("created_at", Text, nullable=False),
)
xref = Table(
    "xref",
    metadata,
    Column("id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("native_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("matched_by", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("run", Text),
)
Index(
    "xref_native",
    xref.c.connection,
    xref.c.entity,
    xref.c.native_id,
    unique=True,
    sqlite_where=text("state = 'active'"),
    postgresql_where=text("state = 'active'"),
)
Index(
    "xref_subject",
    xref.c.subject,
    xref.c.connection,
    unique=True,
    sqlite_where=text("state = 'active'"),
    postgresql_where=text("state = 'active'"),
)
# Spelled out, not bound: only so does the database know that its indexes of active references hold what is asked for.
ACTIVE = xref.c.state == literal_column("'active'")


def of_entity(table: Table) -> ColumnElement[bool]:
    """What holds of the rows of one `entity` of one `connection`, which are parameters."""
    return and_(table.c.connection == bindparam("connection"), table.c.entity == bindparam("entity"))


# What each side was when the two last agreed. quiet_hash: digest of the side's record when the planner last had nothing
# to say of the subject, under the rules `quiet_rules`, at `quiet_at`; NULL since the base moved (see `sides`). unsure:
# names, as JSON, of what was read back otherwise than it was written, nobody knows by whom (see `taken`).
base = Table(
    "base",
    metadata,
    Column("pair", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("connection", Text, primary_key=True),
    Column("facts", Text, nullable=False),
    Column("existence", Text, nullable=False),
    Column("version", Text),
    Column("run", Text, nullable=False),
    Column("verified_at", Text, nullable=False),
    Column("quiet_hash", Text),
    Column("quiet_rules", Text),
    Column("quiet_at", Text),
    Column("unsure", Text, nullable=False, server_default="[]"),
)
# `doubt`: what the last read of everything left to be doubted (`saving.Doubt`); NULL where nobody noted it.
cursor = Table(
    "cursor",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("entity", Text, primary_key=True),
    Column("watermark", Text),
    Column("last_full_at", Text),
    Column("run", Text, nullable=False),
    Column("doubt", Text),
)
plan = Table(
    "plan",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pair", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("config_hash", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("approvals", Text, nullable=False, server_default="[]"),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    UniqueConstraint("pair", "hash", "run", name="plan_once"),
)
Index("plan_status", plan.c.pair, plan.c.status)
intent = Table(
    "intent",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pair", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("op", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("marker", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("request_hash", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("before", Text),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("empty_searches", Integer, nullable=False, server_default="0"),
    Column("first_sent_at", Text),
    Column("send_by", Text),
    Column("last_error", Text),
    Column("error_class", Text),
    Column("native_id", Text),
    Column("delta_micros", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
    Column("answer", Text),
)
Index(
    "intent_open",
    intent.c.subject,
    intent.c.connection,
    unique=True,
    sqlite_where=text(LIVE_INTENTS),
    postgresql_where=text(LIVE_INTENTS),
)
Index("intent_subject", intent.c.connection, intent.c.subject)
Index("intent_state", intent.c.state, intent.c.connection)
Index("intent_marker", intent.c.marker)
intent_attempt = Table(
    "intent_attempt",
    metadata,
    Column("intent", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("sent_at", Text, nullable=False),
    Column("send_by", Text, nullable=False),
    Column("ended_at", Text),
    Column("outcome", Text),
    Column("code", Text),
    Column("request_id", Text),
)
discrepancy = Table(
    "discrepancy",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pair", Text, primary_key=True),
    Column("code", Text, nullable=False),
    Column("class", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("values_hash", Text, nullable=False),
    Column("delta_micros", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("owner", Text),
    Column("reason", Text),
    Column("accepted_hash", Text),
    Column("accepted_until", Text),
    Column("first_seen_at", Text, nullable=False),
    Column("last_seen_at", Text, nullable=False),
    Column("first_run", Text, nullable=False),
    Column("last_run", Text, nullable=False),
    Column("closed_at", Text),
)
Index("discrepancy_state", discrepancy.c.pair, discrepancy.c.state)
decision = Table(
    "decision",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("pair", Text, nullable=False),
    Column("discrepancy", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("values_hash", Text, nullable=False),
)
# The last comparisons of a pair, packed, with the fingerprint of everything that they were made from (see `looks`).
comparison = Table(
    "comparison",
    metadata,
    Column("pair", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("run", Text, nullable=False),
    Column("compared_at", Text, nullable=False),
)
# Books closed through a day, inclusive; since: when the first whole run that saw it ended · entity_code "": all of them
closing = Table(
    "closing",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("entity_code", Text, primary_key=True),
    Column("through", Text, primary_key=True),
    Column("since", Text, nullable=False),
)
control_total = Table(
    "control_total",
    metadata,
    Column("run", Text, primary_key=True),
    Column("connection", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("report", Text, primary_key=True),
    Column("as_of", Text, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
)
# Who prepared or approved which step of a close, with which figure; rows are appended only. role: prepared, approved.
sign_off = Table(
    "sign_off",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("pair", Text, nullable=False),
    Column("as_of", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("figure", Text, nullable=False),
    Column("figure_hash", Text, nullable=False),
    Column("rules_hash", Text, nullable=False),
    Column("note", Text, nullable=False),
)
Index("sign_off_close", sign_off.c.pair, sign_off.c.as_of)
# What customers told somebody: pays this much of an invoice by that day; rows are appended only, the last one counts.
promise = Table(
    "promise",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("connection", Text, nullable=False),
    Column("invoice", Text, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("pays_on", Text, nullable=False),
    Column("said_on", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("note", Text, nullable=False),
)
Index("promise_invoice", promise.c.connection, promise.c.invoice)
audit_event = Table(
    "audit_event",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("run", Text),
    Column("payload", Text, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
OPENED = audit_event.c.action == literal_column("'opened_company'")
Index(
    "audit_opened",
    audit_event.c.object_id,
    audit_event.c.seq,
    sqlite_where=text("action = 'opened_company'"),
    postgresql_where=text("action = 'opened_company'"),
)
ABOUT_DIFFERENCES = audit_event.c.object_type == literal_column("'discrepancy'")
Index(
    "audit_discrepancy",
    audit_event.c.object_id,
    audit_event.c.seq,
    sqlite_where=text("object_type = 'discrepancy'"),
    postgresql_where=text("object_type = 'discrepancy'"),
)
Index("attempt_sent", intent_attempt.c.sent_at)
