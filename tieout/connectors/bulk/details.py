"""What a file says of its documents beyond what they are matched by: control account, tax codes, amounts of lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tieout.connectors.bulk import draft as sql
from tieout.connectors.bulk.stage import Staged, insert
from tieout.mapping import relation
from tieout.mapping.tabular import Profile
from tieout.mapping.tabular_documents import Doc
from tieout.mapping.tabular_records import detail_row

COLUMNS = frozenset({"ar_account", "tax_code", "line_net"})
_ROWS = (("first_row", "BIGINT"), *relation.DETAILS)
_BILLED = "d.kind IN ('invoice', 'credit_memo')"
_GATHER = """
INSERT INTO {rows}
SELECT d.first_row, d.kind, '', CASE WHEN {billed} AND line_sum IS NOT NULL THEN d.total - coalesce(d.tax, 0) +
       coalesce(d.discount, 0) END, CASE WHEN {billed} THEN line_sum END, NULL, account,
       CASE WHEN {billed} THEN codes END
FROM ({said}) AS g
JOIN {books} AS d ON d.{own} = g.at
WHERE account IS NOT NULL OR {billed} AND (codes IS NOT NULL OR line_sum IS NOT NULL)
"""
_SAID = "SELECT n AS at, {way} * {net} AS line_sum, {account} AS account, {code} AS codes FROM {typed} AS t"
_SAID_IN_LINES = """
  SELECT t.key AS at, CASE WHEN count({net}) = count(*) THEN {way} * sum({net}) END AS line_sum,
         arg_min({account}, t.n) FILTER ({account} IS NOT NULL) AS account,
         string_agg(DISTINCT {code}, ', ' ORDER BY {code}) AS codes
  FROM {typed} AS t GROUP BY t.key
"""


def reads(profile: Profile) -> bool:
    """Whether a file of the profile says any of it."""
    return not COLUMNS.isdisjoint(profile.columns)


def gather(con: Any, staged: Staged, books: str) -> None:
    """Note what the plain documents of `books` say, by their first row, while their ids are the keys of their rows."""
    profile = staged.table.profile
    con.execute(f"CREATE OR REPLACE TABLE {_name(books)} ({', '.join(f'{n} {t}' for n, t in _ROWS)})")
    lines = profile.rows == "lines"
    names = {"account": "ar_account", "code": "tax_code"}
    said = (_SAID_IN_LINES if lines else _SAID).format(
        typed=staged.typed,
        way=_way(profile, sql.whole(profile) if lines else "effect"),
        net=sql.turned(profile, "line_net") if "line_net" in profile.columns else sql.column(profile, "line_net"),
        **{key: sql.column(profile, name, "t.") for key, name in names.items()},
    )
    own = "id" if lines else "first_row"
    con.execute(_GATHER.format(billed=_BILLED, rows=_name(books), said=said, books=books, own=own))


def _way(profile: Profile, effect: str) -> str:
    """What makes amounts of lines positive where they add to the document's: see `tabular_documents.Part`."""
    line_net = profile.columns.get("line_net")
    return "1" if line_net is None or line_net.unsigned else f"CASE WHEN {effect} < 0 THEN -1 ELSE 1 END"


def finish(con: Any, side: str, books: str, made: Iterable[Doc]) -> None:
    """Fill `{side}_details`, when ids are final. made: the documents that Python read"""
    rows = [(doc.rows[0].number, *row) for doc in made if (row := detail_row(doc)) is not None]
    insert(con, _name(books), _ROWS, rows)
    con.execute(
        f"INSERT INTO {side}_details SELECT d.kind, d.id, r.subtotal, r.line_sum, r.tax_sum, r.ar_account, r.tax_codes "
        f"FROM {_name(books)} AS r JOIN {books} AS d ON d.first_row = r.first_row"
    )
    con.execute(f"DROP TABLE {_name(books)}")


def _name(books: str) -> str:
    return f"{books}__said"
