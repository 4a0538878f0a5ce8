"""Records as a state database keeps them (each a JSON object of `model.as_json`) into the canonical relation, in bulk.

The engine reads the JSON itself: no Python object is made per record. What it makes of a record is what
`mapping.relation` makes of it (proved equal by property test); keys of text outside printable ASCII come from Python.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tieout.compare.inputs.tables import Connection, append, complete_numbers
from tieout.mapping.keys import number_key_sql, plain_sql
from tieout.mapping.relation import (
    DOCUMENTS,
    MONEY,
    TABLES,
    application_rows,
    create_table,
    customer_row,
    detail_rows,
    document_row,
)
from tieout.model import Customer, Document, Entity

Known = Mapping[tuple[Entity, str], str]

_TEXTS = (
    "customer", "number", "reference", "marker", "issued", "posted", "received", "due", "currency", "exchange_rate",
    "tax", "discount", "total", "amount", "deposit_applied", "reported_open", "reported_unapplied", "state",
    "voided_on", "disputed", "settled_on", "entity_code", "original_invoice", "document", "memo", "reason", "method",
    "kind", "side", "subtotal", "ar_account",
)  # fmt: skip
_PARTS = "STRUCT(invoice VARCHAR, amount VARCHAR, amount_invoice VARCHAR, applied_on VARCHAR, reversed_on VARCHAR)"
_SHAPE = ", ".join(
    [
        "ref: 'STRUCT(connection VARCHAR, id VARCHAR)'",
        *(f"{name}: 'VARCHAR'" for name in _TEXTS),
        "applications: '" + _PARTS + "[]'",
        "lines: 'STRUCT(net VARCHAR, tax_code VARCHAR)[]'",
        "tax_lines: 'STRUCT(amount VARCHAR, code VARCHAR)[]'",
    ]
)
_SUM = f"list_sum(list_transform({{of}}, lambda x: CAST(x.{{name}} AS {MONEY})))"
_TAX_CODES = (
    "nullif(array_to_string(list_sort(list_distinct(list_filter(list_concat(list_transform(lines, lambda x: "
    "x.tax_code), list_transform(tax_lines, lambda x: x.code)), lambda c: c <> ''))), ', '), '')"
)
_DETAILS = f"""
INSERT INTO {{side}}_details
SELECT '{{kind}}', ref.id, CAST(subtotal AS {MONEY}), {_SUM.format(of="lines", name="net")},
       {_SUM.format(of="tax_lines", name="amount")}, nullif(ar_account, ''), {_TAX_CODES}
FROM lines_{{side}}
WHERE len(lines) > 0 OR len(tax_lines) > 0 OR ar_account <> ''
   OR CAST(subtotal AS {MONEY}) - CAST(discount AS {MONEY}) + CAST(tax AS {MONEY}) <> CAST(total AS {MONEY})
"""
_DRAFT = "CASE WHEN state = 'draft' THEN 0 ELSE {way} * CAST({amount} AS DECIMAL(24,6)) END"
_ALWAYS = {
    "id": "ref.id",
    "customer": "customer",
    "marker": "marker",
    "posted": "posted",
    "currency": "currency",
    "rate": "exchange_rate",
    "state": "state",
    "voided_on": "voided_on",
    "entity_code": "entity_code",
    "source": "ref.connection || ':' || ref.id",
}
_BILLED = _ALWAYS | {
    "number": "nullif(number, '')",
    "issued": "issued",
    "net": f"CAST(total AS {MONEY}) - CAST(tax AS {MONEY})",
    "tax": "tax",
    "discount": "discount",
    "total": "total",
    "open": "reported_open",
    "memo": "memo",
}
# Expression of each column by kind; a column that is not named is NULL. Keys, names and links are filled afterwards.
_OF: Mapping[Entity, Mapping[str, str]] = {
    Entity.INVOICE: _BILLED
    | {
        "sign": "1",
        "due": "due",
        "ar": _DRAFT.format(way=1, amount=f"total AS {MONEY}) - CAST(deposit_applied"),
        "disputed": "disputed",
        "settled_on": "settled_on",
    },
    Entity.CREDIT_MEMO: _BILLED
    | {"sign": "-1", "ar": _DRAFT.format(way=-1, amount="total"), "concerns": "original_invoice"},
    Entity.PAYMENT: _ALWAYS
    | {
        "sign": "-1",
        "number": "nullif(reference, '')",
        "issued": "received",
        "total": "amount",
        "open": "reported_unapplied",
        "ar": _DRAFT.format(way=-1, amount="amount"),
        "memo": "memo",
        "method": "method",
    },
    Entity.ADJUSTMENT: _ALWAYS
    | {
        "subkind": "kind",
        "sign": "CASE side WHEN 'debit' THEN 1 ELSE -1 END",
        "number": "nullif(number, '')",
        "issued": "posted",
        "total": "amount",
        "ar": _DRAFT.format(way="CASE side WHEN 'debit' THEN 1 ELSE -1 END", amount="amount"),
        "concerns": "document",
        "memo": "reason",
    },
}


def begin(con: Connection, side: str) -> None:
    """Empty tables of one side."""
    for table in TABLES:
        con.execute(create_table(side, table))


def add_lines(con: Connection, side: str, entity: Entity, lines: Iterable[str]) -> None:
    """Append documents of one kind, each given as its JSON; none of them settled in a group, or only stated."""
    with _file(f"{line}\n".encode() for line in lines) as path:
        if not path:
            return
        con.execute(
            f"CREATE OR REPLACE TEMP VIEW lines_{side} AS SELECT * FROM read_json('{path}', "
            f"format='newline_delimited', columns={{{_SHAPE}}})"
        )
        of = _OF[entity]
        chosen = {name: f"CAST({of[name]} AS {kind}) AS {name}" for name, kind in DOCUMENTS if name in of}
        number = of["number"]
        con.execute(
            f"INSERT INTO {side}_documents BY NAME SELECT '{entity.value}' AS kind, {', '.join(chosen.values())}, "
            f"CASE WHEN {plain_sql(number)} THEN nullif({number_key_sql(number)}, '') END AS number_key "
            f"FROM lines_{side}"
        )
        if entity in (Entity.PAYMENT, Entity.CREDIT_MEMO):
            con.execute(
                f"INSERT INTO {side}_applications SELECT '{entity.value}', id, a.invoice, CAST(a.amount AS {MONEY}), "
                f"CAST(a.amount_invoice AS {MONEY}), CAST(a.applied_on AS DATE), CAST(a.reversed_on AS DATE) "
                f"FROM (SELECT ref.id AS id, unnest(applications) AS a FROM lines_{side})"
            )
        con.execute(_DETAILS.format(side=side, kind=entity.value))
        con.execute(f"DROP VIEW lines_{side}")


def add_records(con: Connection, side: str, records: Iterable[Document]) -> None:
    """Append documents given as records."""
    kept = list(records)
    append(con, side, "documents", map(document_row, kept))
    append(con, side, "applications", (row for r in kept for row in application_rows(r)))
    append(con, side, "details", (row for r in kept for row in detail_rows(r)))


def complete(
    con: Connection, side: str, customers: Iterable[Customer], *, open_items: bool = False, disputes: bool = True
) -> None:
    """After the documents: the customers, their names on the documents, and what SQL could not make a key of.

    open_items, disputes: as in `load_records`
    """
    if open_items:
        con.execute(
            f"UPDATE {side}_documents SET ar = CASE WHEN state = 'draft' THEN 0 ELSE sign * open END "
            "WHERE kind IN ('invoice', 'credit_memo') AND open IS NOT NULL"
        )
    if not disputes:
        con.execute(f"UPDATE {side}_documents SET disputed = NULL")
    append(con, side, "customers", (customer_row(c) for c in customers))
    con.execute(
        f"UPDATE {side}_documents AS d SET customer_name = c.name, customer_name_key = c.name_key, "
        f"customer_key = c.number_key FROM {side}_customers AS c WHERE c.id = d.customer"
    )
    complete_numbers(con, f"{side}_documents")


def relink(con: Connection, side: str, links: Known) -> None:
    """State anew which documents and customers the sync knows, by (entity, native id)."""
    encode = msgspec.json.Encoder().encode
    con.execute(f"CREATE OR REPLACE TEMP TABLE known_{side} (kind VARCHAR, id VARCHAR, link VARCHAR)")
    with _file(encode([entity.value, id, link]) + b"\n" for (entity, id), link in links.items()) as path:
        if path:
            con.execute(
                f"INSERT INTO known_{side} SELECT part[1], part[2], part[3] FROM read_json('{path}', "
                "format='newline_delimited', records=false, columns={part: 'VARCHAR[]'})"
            )
    for table, column, key in (
        ("documents", "link", "k.kind = t.kind AND k.id = t.id"),
        ("documents", "customer_link", "k.kind = 'customer' AND k.id = t.customer"),
        ("customers", "link", "k.kind = 'customer' AND k.id = t.id"),
    ):
        con.execute(f"UPDATE {side}_{table} SET {column} = NULL WHERE {column} IS NOT NULL")
        con.execute(f"UPDATE {side}_{table} AS t SET {column} = k.link FROM known_{side} AS k WHERE {key}")


@contextmanager
def _file(parts: Iterable[bytes]) -> Iterator[str]:
    """The path of a file of the parts for as long as the block lasts; "" if there are none."""
    handle, name = tempfile.mkstemp(suffix=".ndjson", prefix="tieout-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.writelines(parts)
        yield name if Path(name).stat().st_size else ""
    finally:
        Path(name).unlink(missing_ok=True)
