"""Many things in one request: batch, and change data capture."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from . import guards, query, schema
from .encode import Doc, dumps, parse_time, stamp
from .faults import Refused

if TYPE_CHECKING:
    from .books import Books, Row

BATCH, CHANGES, WINDOW = 30, 1000, timedelta(days=30)
_VERBS = frozenset(("create", "update", "delete", "void"))


def batch(books: Books, body: Any, requestid: str = "") -> bytes:
    """The answers of up to 30 items, in order, each by itself. Raises Refused 1040 for more."""
    items = body.get("BatchItemRequest", []) if isinstance(body, dict) else []
    if len(items) > BATCH:
        raise Refused(1040, f"Batch size too large : at most {BATCH} items, supplied {len(items)}")
    answers = []
    for item in items:
        try:
            content = _item(books, item, requestid)
        except Refused as refused:
            content = b'"Fault":' + dumps(refused.fault())
        id = b',"bId":' + dumps(item["bId"]) if "bId" in item else b""
        answers.append(b"{" + content + id + b"}")
    return b'"BatchItemResponse":[' + b",".join(answers) + b"]"


def _item(books: Books, item: Doc, requestid: str) -> bytes:
    if "Query" in item:
        return b'"QueryResponse":' + query.answer(books, str(item["Query"]))
    spec = next((s for k in item if (s := schema.find(k)) is not None), None)
    if spec is None:
        raise Refused(2020, "Required parameter entity is missing in the request")
    body = item.get(spec.key or spec.name) or item[next(k for k in item if schema.find(k))]
    options = {o.strip().lower() for o in str(item.get("optionsData", "")).split(",")}
    operation = str(item.get("operation", "create")).lower()
    if operation not in _VERBS:
        raise Refused(500, f"Operation {operation} is not supported.")
    if "void" in options:
        operation = "void"
    elif operation == "create" and body.get("Id"):
        operation = "update"
    done = books.apply(
        spec.name, operation, body, requestid=requestid, allow_duplicate="allowduplicatedocnum" in options, by="api"
    )
    return b'"' + schema.key(spec).encode() + b'":' + dumps(done)


def changes(books: Books, entities: str, since: str) -> bytes:
    """The `CDCResponse` member: per entity, in the order asked, what changed at or after `since`, oldest first.

    Deleted objects stand last as stubs. Raises Refused for an unknown entity or a time further back than 30 days
    (unless the switch says otherwise).
    """
    moment = parse_time(since)
    if moment is None:
        raise Refused(2060, f"Invalid Date : {since}", element="changedSince")
    oldest = books.now() - WINDOW
    if moment < oldest and books.switches.cdc_over_30_days != "ignore":
        if books.switches.cdc_over_30_days == "fault":
            raise Refused(
                2060, "Invalid Date : changedSince can not be more than 30 days in the past", element="changedSince"
            )
        moment = oldest
    with books.lock:
        left, parts = CHANGES, []
        for name in filter(None, (n.strip() for n in entities.split(","))):
            part, used = _entity(books, name, moment.replace(microsecond=0), left)
            left -= used
            parts.append(part)
    return b'"CDCResponse":[{"QueryResponse":[' + b",".join(parts) + b"]}]"


def _entity(books: Books, name: str, since: datetime, most: int) -> tuple[bytes, int]:
    spec = schema.find(name)
    if spec is None or not spec.cdc:
        raise Refused(4001, f"QueryValidationError: invalid context declaration: {name}")
    guards.permitted(books, spec, writes=False)
    rows = [row for row in books.tables[spec.name].values() if row.updated >= since]
    rows.sort(key=lambda row: (row.updated, _number(row)))
    texts = [books.text(spec.name, row) for row in rows]
    gone = sorted((at, id) for id, at in books.deleted[spec.name].items() if at >= since)
    texts += [
        dumps({"domain": "QBO", "status": "Deleted", "Id": id, "MetaData": {"LastUpdatedTime": stamp(at)}})
        for at, id in gone
    ]
    texts = texts[:most]
    if not texts:
        return b"{}", 0
    size = len(texts)
    total = b',"totalCount":%d' % size if books.switches.total_count_on_rows else b""
    tail = b'],"startPosition":1,"maxResults":%d' % size + total + b"}"
    return b'{"' + schema.key(spec).encode() + b'":[' + b",".join(texts) + tail, size


def _number(row: Row) -> int:
    id = row.doc["Id"]
    return int(id) if id.isdecimal() else 0
