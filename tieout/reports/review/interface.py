"""The interface log: every write of a period, who approved it, what became of it, and what was read back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal

from tieout.model import ZERO, tidy
from tieout.plaintext import counted
from tieout.reports.frame import Cell, Column, Proof, Report, Row, Table
from tieout.reports.reconciliation.past import last_of, moment
from tieout.sync.core.past import Interface, Sent

_NO_APPROVAL = "no approval known"
_NOT_SENT = "not sent"
# What people read for the state of a write as a whole.
_STATES = {
    "done": "done and read back",
    "applied": "done, not read back yet",
    "emitted": "handed over in a file, not seen in an export yet",
    "unknown": "answer lost, not settled",
    "sending": "answer lost, not settled",
    "ready": "wanted, not sent",
    "rejected": "refused by the target",
    "stale": "not done: it had changed there",
    "stuck": "a person has to look",
    "cancelled": "cancelled by a person",
}


def build(log: Interface, *, pair: str, as_of: date, later: int = 0) -> Report:
    """Every send of the log's time, each with its plan, its approval and its end.

    later: sends after that time that are known
    """
    return Report(
        name="interface-log",
        title=f"Interface log of {pair}",
        company="",
        as_of=as_of,
        known_on=None,
        tables=(_outcomes(log), _log(log), _exceptions(log)),
        proofs=tuple(_proofs(log)),
        notes=(
            *(
                [f"From {log.first.date()} to {last_of(log.last)} nothing was sent, and nothing waited for it."]
                * (not log.sent)
            ),
            (
                "Amount: what the write was to move open receivables of the target by. A write that was sent again "
                "counts once in the amounts and once for each send in the log."
            ),
            "Read back: the record was read again after the write and held against what was sent, field by field.",
            "A write without an approval ran in mode auto, within the limits of its pair, or is an exception.",
            *(
                [f"{counted(later, 'send')} after {last_of(log.last)}: --until lists what was sent later."]
                * bool(later)
            ),
        ),
        parameters={"pair": pair, "from": log.first.date().isoformat(), "to": last_of(log.last)},
    )


def _writes(log: Interface) -> list[Sent]:
    """Each write once, by its last send."""
    return list({s.intent: s for s in log.sent}.values())


def _state(s: Sent) -> str:
    return _STATES.get(s.state, s.state)


def _outcomes(log: Interface) -> Table:
    """By currency and system written to: what was written into two ledgers is not added up."""
    columns = (
        Column("to", "to", width=14),
        Column("outcome", "what became of it", width=44),
        Column("operation", "operation", width=10),
        Column("entity", "record", width=14),
        Column("currency", "currency", width=8),
        Column("writes", "writes", "count"),
        Column("sends", "sends", "count"),
        Column("amount", "amount", "money"),
    )
    sends = Counter(s.intent for s in log.sent if s.attempt)
    groups: dict[tuple[str, str, str, str, str], list[Sent]] = {}
    for s in _writes(log):
        groups.setdefault((s.currency, s.connection, _state(s), s.operation, s.entity), []).append(s)
    rows: list[Row] = []
    for currency, to in sorted({key[:2] for key in groups}):
        of_both = {key: own for key, own in sorted(groups.items()) if key[:2] == (currency, to)}
        first = len(rows)
        for (_, _, state, operation, entity), own in of_both.items():
            told = to, state, operation, entity.replace("_", " "), currency
            rows.append(Row((*told, *_sums(own, sends, currency))))
        every = [s for own in of_both.values() for s in own]
        total = to, f"Total {currency}".strip(), None, None, currency
        rows.append(Row((*total, *_sums(every, sends, currency)), "total", ((first, len(rows)),)))
    return Table("outcomes", "In total", columns, tuple(rows))


def _sums(own: Sequence[Sent], sends: Mapping[str, int], currency: str) -> tuple[int, int, Decimal | None]:
    """How many writes, how many sends, and the amount; customers without a currency have none."""
    amount = tidy(sum((s.delta for s in own), ZERO)) if currency else None
    return len(own), sum(sends[s.intent] for s in own), amount


def _log(log: Interface) -> Table:
    columns = (
        Column("sent", "sent (UTC)", width=19),
        Column("ended", "ended (UTC)", width=19, aside=True),
        Column("to", "to", width=14),
        Column("operation", "operation", width=10),
        Column("entity", "record", width=14),
        Column("label", "document", width=18),
        Column("currency", "currency", width=8),
        Column("amount", "amount", "money"),
        Column("native_id", "its id there", width=16),
        Column("send", "send", "count"),
        Column("outcome", "outcome of this send", width=20),
        Column("state", "what became of it", width=30),
        Column("read_back", "read back", width=20),
        Column("approved_by", "approved by", width=18, aside=True),
        Column("approved_at", "approved at (UTC)", width=19, aside=True),
        Column("guards", "guards lifted", width=16, aside=True),
        Column("plan", "plan", width=36, aside=True),
        Column("plan_hash", "plan hash", width=64, aside=True),
        Column("key", "key", width=32, aside=True),
        Column("reference", "the vendor's reference", width=20, aside=True),
        Column("error", "what the target said", width=40, aside=True),
    )
    rows = tuple(Row(_cells(s)) for s in log.sent)
    return Table(
        "log", "Every send", columns, rows, "In the order of sending; what was wanted and not sent at the end."
    )


def _cells(s: Sent) -> tuple[Cell, ...]:
    return (
        moment(s.sent_at) or _NOT_SENT,
        moment(s.ended_at),
        s.connection,
        s.operation,
        s.entity.replace("_", " "),
        s.label,
        s.currency,
        tidy(s.delta) if s.currency and s.entity != "customer" else None,
        s.native_id,
        s.attempt or None,
        s.outcome or ("" if s.attempt else _NOT_SENT),
        _state(s),
        read_back(s),
        _approvers(s),
        ", ".join(filter(None, (moment(a.at) for a in s.approvals))),
        ", ".join(sorted({g for a in s.approvals for g in a.guards})),
        s.plan,
        s.plan_hash,
        s.key,
        s.reference,
        s.error,
    )


def _approvers(s: Sent) -> str:
    if s.approvals:
        return ", ".join(dict.fromkeys(a.by for a in s.approvals))
    return f"unattended (mode {s.mode})" if s.mode == "auto" else _NO_APPROVAL


def read_back(s: Sent) -> str:
    """What reading it again showed."""
    if s.read_back is None:
        return "not known" if s.state == "done" else "not read back"
    return f"otherwise: {', '.join(s.read_back)}" if s.read_back else "equal"


def _exceptions(log: Interface) -> Table:
    """What an auditor asks about: no approval, read back otherwise, not settled, refused, sent more than once."""
    columns = (
        Column("why", "why it stands here", width=40),
        Column("to", "to", width=14),
        Column("operation", "operation", width=10),
        Column("entity", "record", width=14),
        Column("label", "document", width=18),
        Column("currency", "currency", width=8),
        Column("amount", "amount", "money"),
        Column("native_id", "its id there", width=16),
        Column("state", "what became of it", width=30),
        Column("key", "key", width=32),
    )
    rows = []
    for s in _writes(log):
        for why in _why(s):
            told = (s.connection, s.operation, s.entity.replace("_", " "), s.label, s.currency)
            amount = tidy(s.delta) if s.currency and s.entity != "customer" else None
            rows.append(Row((why, *told, amount, s.native_id, _state(s), s.key)))
    return Table("exceptions", "To be looked at", columns, tuple(rows))


def _why(s: Sent) -> Iterator[str]:
    if s.attempt and not s.approvals and s.mode != "auto":
        yield _NO_APPROVAL
    if s.read_back:
        yield f"read back otherwise: {', '.join(s.read_back)}"
    if s.state not in ("done", "emitted"):
        yield _state(s)
    if s.attempt > 1:
        yield f"sent {s.attempt} times under one key"


def _proofs(log: Interface) -> Iterator[Proof]:
    """The log against the tables of sends and of intents: nothing is left out, nothing told twice."""
    sends = sum(s.attempt > 0 for s in log.sent)
    yield Proof("sends in this log, and sends that the state database counts", sends, log.sends, sends == log.sends)
    told = len({(s.intent, s.attempt) for s in log.sent})
    yield Proof("every line is another send", len(log.sent), told, len(log.sent) == told)
    for currency in sorted({s.currency for s in log.sent if s.currency} | set(log.delta)):
        ours = tidy(sum((s.delta for s in _writes(log) if s.attempt and s.currency == currency), ZERO))
        theirs = log.delta.get(currency, ZERO)
        yield Proof(
            f"amounts written in {currency}, and the sum over all intents",
            ours,
            theirs,
            ours == theirs,
            currency,
        )
    wanted = {s.intent for s in log.sent if log.first <= s.wanted_at <= log.last}
    yield Proof(
        "writes wanted in the period, and the count of intents", len(wanted), log.wanted, len(wanted) == log.wanted
    )
