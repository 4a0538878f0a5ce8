"""Findings about several documents at once: one that the other ledger holds in parts, and what could be each other.

Ids stand joined by a comma. Nothing here is ever linked unasked.
"""

from __future__ import annotations

from collections.abc import Mapping

from tieout.compare.inputs.tables import Connection
from tieout.mapping.relation import SIDES

# One free document against all free ones of the same key: nothing is chosen among them, so that the sums agree by
# chance only where all of the key do. Documents that the caller accounts for, or that count nothing, are not taken.
_SPLIT = """
INSERT INTO cmp_ambiguous
WITH parts AS ({rows}), split AS (
  SELECT *, (SELECT coalesce(max(gid), 0) FROM cmp_ambiguous) + row_number() OVER (ORDER BY {key}) AS gid
  FROM (SELECT {key}, {columns} FROM parts GROUP BY {key}) AS g
  WHERE least(left_n, right_n) = 1 AND greatest(left_n, right_n) > 1 AND left_total = right_total
)
SELECT s.gid, f.side, f.rid FROM split AS s JOIN parts AS f ON {same}
"""
_ROWS = """
SELECT '{side}' AS side, f.rid, f.total, {key} FROM {table} AS f JOIN cmp_{side} AS d ON d.rid = f.rid AND d.listed
LEFT JOIN cmp_explained AS x ON x.side = '{side}' AND x.kind = d.kind AND x.id = d.id
WHERE f.total > 0 AND {known} AND x.code IS NULL
"""
# Where there are many rows, whether any three of them, of both ledgers, have one key.
_THREE = """
SELECT count(*) FROM (SELECT 1 AS one FROM ({rows}) AS u GROUP BY {key}
                      HAVING count(*) > 2 AND count(CASE WHEN side = 'left' THEN 1 END) BETWEEN 1 AND count(*) - 1) AS g
"""
# A payment's reference ("ACH", "RENT") recurs: parts of it are of one day.
BY_NUMBER = ("kk", "sign", "number_key", "who", "currency")
BY_DAY = ("kk", "sign", "issued", "who", "currency")
_FOUND = """
INSERT INTO cmp_found (code, second, kind, left_id, right_id, field, left_value, right_value, delta, currency, clue)
SELECT code, '', kind, left_ids, right_ids,
       CASE WHEN code = 'SPLIT_OR_MERGED' THEN 'parts' ELSE 'candidates' END, CAST(left_n AS VARCHAR),
       CAST(right_n AS VARCHAR), delta, currency,
       concat_ws(chr(31), CASE WHEN clue IS NULL THEN 'number=' || replace(number, chr(31), ' ') END,
                 'sum=' || CAST(left_total AS VARCHAR),
                 CASE WHEN left_total = right_total AND delta <> 0
                      THEN concat_ws(chr(31), 'left_open=' || CAST(left_open AS VARCHAR),
                                     'right_open=' || CAST(right_open AS VARCHAR)) END,
                 'customer=' || replace(customer, chr(31), ' '), 'total=' || CAST({amount} AS VARCHAR), clue)
FROM (
 SELECT e.*, k.clue,
        coalesce(k.code, CASE WHEN split THEN 'SPLIT_OR_MERGED' ELSE 'AMBIGUOUS_MATCH' END) AS code FROM (
  SELECT *, least(left_n, right_n) = 1 AND greatest(left_n, right_n) > 1 AND left_total = right_total AS split FROM (
    SELECT gid, currency, min(kind) AS kind,
           CASE WHEN min(number_key) = max(number_key) AND count(number_key) = count(*) THEN min(number) END AS number,
           {whose} AS customer, min(total) AS smallest, max(total) AS largest,
           string_agg(CASE WHEN side = 'left' THEN id END, ', ' ORDER BY id) AS left_ids,
           string_agg(CASE WHEN side = 'right' THEN id END, ', ' ORDER BY id) AS right_ids,
           {columns}, sum(CASE WHEN side = 'left' THEN -eff ELSE eff END) AS delta,
           sum(CASE WHEN side = 'left' THEN abs(eff) END) AS left_open,
           sum(CASE WHEN side = 'right' THEN abs(eff) END) AS right_open
    FROM (SELECT a.gid, a.side, d.kind, d.id, d.eff, d.total, d.currency, d.number, d.number_key, d.who,
                 coalesce(nullif(d.customer_name, ''), d.customer) AS name
          FROM cmp_ambiguous AS a JOIN ({members}) AS d
          ON d.side = a.side AND d.rid = a.rid) AS g
    GROUP BY gid, currency) AS c) AS e
  LEFT JOIN cmp_group AS k ON k.gid = e.gid) AS h
"""
# What is whole on either side, or what all of them come to: the amount of a group. Else there is no one amount.
_AMOUNT = """CASE WHEN smallest = largest THEN smallest WHEN left_n = 1 THEN left_total
     WHEN right_n = 1 THEN right_total WHEN code = 'SPLIT_OR_MERGED' AND left_total = right_total THEN left_total END"""
# The customer that all of them have, by the name in A; none where they have several.
_WHOSE = """CASE WHEN min(name) = max(name) AND count(name) = count(*)
       OR min(who) = max(who) AND min(who) <> '-' AND count(who) = count(*)
     THEN coalesce(min(CASE WHEN side = 'left' THEN name END), min(name)) END"""
_MEMBERS = " UNION ALL ".join(
    f"SELECT '{s}' AS side, rid, kind, id, eff, total, currency, number, number_key, who, customer, customer_name "
    f"FROM cmp_{s}"
    for s in SIDES
)
# Customers of one name of whom one ledger has several, and that nothing else tells apart: one finding for each pair.
# A customer that a file knows by nothing but its name is not another one for being spelled in another way.
_CUSTOMERS = """
INSERT INTO cmp_found (code, second, kind, left_id, right_id, field, left_value, right_value, delta, currency, clue)
WITH {free}, several AS (
  SELECT l.name_key FROM (SELECT name_key, count(*) AS n FROM free_left GROUP BY name_key) AS l
  JOIN (SELECT name_key, count(*) AS n FROM free_right GROUP BY name_key) AS r ON l.name_key = r.name_key
  WHERE l.n > 1 OR r.n > 1)
SELECT 'CUSTOMER_DUPLICATE', '', 'customer', l.id, r.id, 'name', l.name, r.name, 0, NULL,
       concat_ws(chr(31), 'left_name=' || replace(l.name, chr(31), ' '), 'right_name=' || replace(r.name, chr(31), ' '))
FROM several AS s JOIN free_left AS l ON l.name_key = s.name_key JOIN free_right AS r ON r.name_key = s.name_key
WHERE coalesce(lower(l.tax_id) = lower(r.tax_id), TRUE)
"""
_FREE_CUSTOMERS = """free_{side} AS (
  SELECT p.id, p.name, p.name_key, p.tax_id FROM cmp_party_{side} AS p JOIN {side}_customers AS c ON c.id = p.id
  WHERE p.name_key IS NOT NULL AND c.id IS DISTINCT FROM c.name AND p.cid NOT IN (
    SELECT m.{side}_cid FROM cmp_customer_match AS m JOIN cmp_customer_left AS l ON l.cid = m.left_cid
    JOIN cmp_customer_right AS r ON r.cid = m.right_cid WHERE l.ids = 1 AND r.ids = 1))"""
_COLUMNS = ", ".join(
    f"count(CASE WHEN side = '{s}' THEN 1 END) AS {s}_n, sum(CASE WHEN side = '{s}' THEN total END) AS {s}_total"
    for s in SIDES
)


def split(con: Connection, tables: Mapping[str, str], key: tuple[str, ...], *, many: bool) -> bool:
    """Add to `cmp_ambiguous` each document that the other ledger holds in parts of the same key; whether there are any.

    tables: the rows that are free, by side; many: so many that it pays to ask first. Needs `cmp_explained`.
    """
    if many:
        alike = " UNION ALL ".join(
            f"SELECT '{s}' AS side, {', '.join(key)} FROM {table}" for s, table in tables.items()
        )
        if not con.execute(_THREE.format(rows=alike, key=", ".join(key))).fetchall()[0][0]:
            return False
    known = "f.number_key IS NOT NULL AND f.kind <> 'payment'" if "number_key" in key else "TRUE"
    rows = free_rows(tables, ", ".join(f"f.{c}" for c in key), known)
    same = " AND ".join(f"f.{c} = s.{c}" for c in key)
    found = con.execute(_SPLIT.format(rows=rows, key=", ".join(key), same=same, columns=_COLUMNS)).fetchall()
    return bool(found[0][0])


def free_rows(tables: Mapping[str, str], columns: str, known: str) -> str:
    """The query of free rows that could be part of a group: side, rid, total and the columns. known: a condition"""
    return " UNION ALL ".join(
        _ROWS.format(side=side, table=table, key=columns, known=known) for side, table in tables.items()
    )


def find(con: Connection) -> None:
    """Fill `cmp_found` from the groups of `cmp_ambiguous`."""
    con.execute(_FOUND.format(columns=_COLUMNS, amount=_AMOUNT, whose=_WHOSE, members=_MEMBERS))


def customers(con: Connection) -> None:
    """Fill `cmp_found` with customers that could be several of the other ledger."""
    con.execute(_CUSTOMERS.format(free=", ".join(_FREE_CUSTOMERS.format(side=s) for s in SIDES)))
