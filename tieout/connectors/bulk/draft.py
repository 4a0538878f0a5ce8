"""SQL that makes documents of typed rows: only those whose every rule it can see to hold; Python makes the others."""

from __future__ import annotations

from collections.abc import Sequence

from tieout.connectors.bulk.sql import literal, sql_type
from tieout.mapping import clearing
from tieout.mapping import tabular_documents as docs
from tieout.mapping.relation import MONEY
from tieout.mapping.tabular import LINE_COLUMNS, Profile
from tieout.mapping.tabular_documents import NATURAL


def kind_and_sign(profile: Profile) -> str:
    """SQL of the columns kind, subkind and sign from `v_kind`, `v_subkind`, `effect`; all NULL where Python decides."""
    signed = "true" if profile.amounts.direction != "magnitude" else "false"
    if "side" in profile.columns and signed == "false":
        signed = "v_side IS NOT NULL"
    found = []
    for meaning in sorted(_kinds(profile)):
        said = f"v_kind = {literal(meaning)}" if "kind" in profile.columns else "true"
        for part in meaning.split("|"):
            found += _meant(said, part, signed, has_sub="subkind" in profile.columns)
    return ", ".join(_told(name, signed, [(m[0], m[n]) for m in found]) for n, name in enumerate(_MEANT, start=1))


def _kinds(profile: Profile) -> set[str]:
    """What a row's kind may be, as the profile says it: `invoice`, `invoice|credit_memo`, `adjustment:write_off`."""
    column = profile.columns.get("kind")
    if column is None:
        return {profile.entity.removesuffix("s")}
    if column.value is not None:
        return {column.value}
    return set(column.values.values()) or {"invoice", "credit_memo", "payment", "adjustment"}


_MEANT = {"kind": "VARCHAR", "subkind": "VARCHAR", "sign": "INTEGER"}


def _told(name: str, signed: str, found: Sequence[tuple[str, str]]) -> str:
    whens = " ".join(f"WHEN {condition} THEN {outcome}" for condition, outcome in found)
    return f"CAST(CASE WHEN NOT ({signed}) AND effect < 0 THEN NULL {whens} END AS {_MEANT[name]}) AS {name}"


def _meant(said: str, part: str, signed: str, *, has_sub: bool) -> list[tuple[str, str, str, str]]:
    """(condition, kind, subkind, sign) of one of the kinds that a row may mean."""
    kind, _, own = part.partition(":")
    subkind, _, side = own.partition(":")
    if kind != "adjustment":
        sign = {"invoice": 1, "credit_memo": -1, "payment": -1}[kind]
        fits = f"(NOT ({signed}) OR effect {'>=' if sign > 0 else '<='} 0)"
        return [(f"{said} AND {fits}", literal(kind), "NULL", str(sign))]
    if not subkind and not has_sub:
        return []
    name = literal(subkind) if subkind else "v_subkind"
    ups = ", ".join(literal(k) for k, v in NATURAL.items() if v > 0)
    downs = ", ".join(literal(k) for k, v in NATURAL.items() if v < 0)
    told = {"debit": "1", "credit": "-1"}.get(side)
    natural = told or f"CASE WHEN {name} IN ({ups}) THEN 1 WHEN {name} IN ({downs}) THEN -1 END"
    sign_sql = f"CASE WHEN NOT ({signed}) OR effect = 0 THEN {natural} WHEN effect > 0 THEN 1 ELSE -1 END"
    return [(f"{said} AND {name} IS NOT NULL AND {sign_sql} IS NOT NULL", literal(kind), name, sign_sql)]


_PARTS = ("net", "tax", "discount", "open")


def column(profile: Profile, name: str, alias: str = "") -> str:
    """A typed column, or NULL of its type where the profile has none."""
    return f"{alias}v_{name}" if name in profile.columns else f"CAST(NULL AS {sql_type(profile, name)})"


def number(profile: Profile) -> str:
    """The number of a document as printed."""
    return f"coalesce({column(profile, 'number')}, {column(profile, 'document')})"


def parts(profile: Profile) -> tuple[str, ...]:
    """The partial amounts that the profile reads."""
    return tuple(c for c in _PARTS if c in profile.columns)


def turned(profile: Profile, name: str) -> str:
    """A partial amount of a row, signed as its total is."""
    v = f"v_{name}"
    if profile.columns[name].unsigned:
        return v
    if "side" in profile.columns:
        v = f"CASE WHEN v_side = 'credit' THEN -{v} ELSE {v} END"
    return f"-({v})" if profile.amounts.direction == "credit_positive" else v


def whole(profile: Profile) -> str:
    """The effect of a document, of its rows together."""
    return "any_value(effect)" if docs.per(profile, "total") == "document" else "sum(effect)"


def _part(profile: Profile, name: str) -> str:
    """A partial amount of a document as a magnitude; negative where its sign is not its total's."""
    if name not in profile.columns:
        return f"CAST(NULL AS {MONEY})"
    return f"p_{name}" if profile.columns[name].unsigned else f"CASE WHEN effect < 0 THEN -p_{name} ELSE p_{name} END"


def _net_and_tax(profile: Profile) -> tuple[str, str]:
    net, tax = _part(profile, "net"), _part(profile, "tax")
    return f"coalesce({net}, size - {tax})", f"coalesce({tax}, size - {net})"


def grouped(profile: Profile) -> str:
    """Select list that makes one row of a document's rows: first row, count, effect, values, and whether they agree."""
    names, agree = [], []
    for name, spec in profile.columns.items():
        v = f"v_{name}"
        names.append(f"arg_min({v}, t.n) AS {v}")
        if name == "side":
            agree.append(f"count({v}) IN (0, count(*))")
        elif name not in LINE_COLUMNS and docs.per(profile, name) != "line" and spec.value is None:
            agree.append(f"(count({v}) = 0 OR (count({v}) = count(*) AND min({v}) = max({v})))")
    sums = [
        f"{'any_value' if docs.per(profile, c) == 'document' else 'sum'}({turned(profile, c)}) AS p_{c}"
        for c in parts(profile)
    ]
    applied_sum, sound = "CAST(0 AS DECIMAL(38,6))", "true"
    if "invoice" in profile.columns:
        each = applied(profile, "")
        applied_sum = f"coalesce(sum({each}) FILTER (v_invoice IS NOT NULL), 0)"
        sound = f"coalesce(bool_and(coalesce({each} >= 0, false)) FILTER (v_invoice IS NOT NULL), true)"
    return ", ".join(
        [
            "min(n) AS n",
            "count(*) AS row_count",
            "key",
            f"{whole(profile)} AS effect",
            f"({' AND '.join(agree) or 'true'}) AS agree",
            f"{applied_sum} AS applied_sum",
            f"{sound} AS applied_sound",
            "count(v_invoice) AS invoices" if "invoice" in profile.columns else "0 AS invoices",
            *names,
            *sums,
        ]
    )


def named(profile: Profile, alias: str = "t.") -> str:
    """A row's reference to an invoice, with the year that it names, as `tabular_documents.named` puts them together."""
    ref, year = column(profile, "invoice", alias), column(profile, "invoice_year", alias)
    if "invoice_year" not in profile.columns:
        return ref
    return f"CASE WHEN trim({year}, '0') <> '' THEN {ref} || chr(31) || {year} ELSE {ref} END"


def applied(profile: Profile, alias: str = "t.") -> str:
    """What one row of a payment applies to the invoice it names."""
    own = f"{alias}effect"
    if profile.amounts.direction != "magnitude":
        own = f"-{alias}effect"
    elif "side" in profile.columns:
        own = f"CASE WHEN {alias}v_side IS NOT NULL THEN -{alias}effect ELSE {alias}effect END"
    return f"{alias}v_applied" if "applied" in profile.columns else own


def plain_document(profile: Profile) -> str:
    """Condition under which the select of `draft` is right; all else is for Python to decide."""
    net, tax = _net_and_tax(profile)
    sound = ["kind IS NOT NULL", "agree", "size < 1000000000000000"]
    sound += [f"coalesce({_part(profile, c)} >= 0, true)" for c in parts(profile)]
    if {"net", "tax"} & set(profile.columns):
        sound.append(f"coalesce({net} + {tax} = size AND {net} >= 0 AND {tax} >= 0, true)")
    if "open" in profile.columns:
        sound.append(f"coalesce({_part(profile, 'open')} <= size, true)")
    if profile.rows == "lines":
        sound.append(
            "(invoices = 0 OR (kind = 'payment' AND applied_sound AND applied_sum <= size) OR kind = 'invoice')"
        )
    elif "invoice" in profile.columns:
        sound.append("(v_invoice IS NULL OR kind = 'invoice')")
    return " AND ".join(sound)


def draft(profile: Profile, keys: Sequence[str]) -> dict[str, str]:
    """The columns of a document that its rows fill, of `relation.DOCUMENTS` and `bulk.EXTRA`, each with its SQL.

    keys: SQL of the keys of the customer's name and number, and of the document's number
    """

    def c(name: str) -> str:
        return column(profile, name)

    net, tax = _net_and_tax(profile)
    opened = _part(profile, "open")
    state = f"coalesce({c('state')}, 'posted')"
    opening = (
        f"CASE WHEN kind <> 'payment' THEN coalesce({opened}, size) ELSE size END"
        if profile.scope == "open"
        else "size"
    )
    name_key, customer_key, number_key = keys
    filled = {
        # Without a key a document is named by its row; of several rows, which is the first is known only afterwards.
        "id": "key" if profile.rows == "lines" else "CASE WHEN key = '' THEN 'row-' || n ELSE key END",
        "kind": "kind",
        "subkind": "subkind",
        "sign": "sign",
        "customer": f"coalesce({c('customer')}, {c('customer_name')})",
        "customer_name": c("customer_name"),
        "customer_name_key": name_key,
        "customer_key": customer_key,
        "number": number(profile),
        "number_key": number_key,
        "marker": c("marker"),
        "issued": f"coalesce({c('issued')}, {c('posted')})",
        "posted": f"coalesce({c('posted')}, {c('issued')})",
        "due": c("due"),
        "currency": c("currency"),
        "rate": c("rate"),
        "net": net,
        "tax": tax,
        "discount": _part(profile, "discount"),
        "total": "size",
        "open": opened,
        "ar": f"CASE WHEN {state} = 'draft' THEN 0 ELSE sign * ({opening}) END",
        "state": state,
        "voided_on": c("voided_on"),
        "disputed": f"CASE WHEN kind = 'invoice' THEN {c('disputed')} END",
        "settled_on": c("settled_on"),
        "entity_code": c("entity_code"),
        "concerns": c("concerns"),
        "memo": f"coalesce({c('memo')}, {c('reason')})",
        "method": f"CASE WHEN kind = 'payment' THEN coalesce({c('method')}, 'other') END",
        "first_row": "n",
        "row_count": "row_count",
        "document": c("document"),
        "numbered": f"{c('customer')} IS NOT NULL",
        "fiscal_year": c("fiscal_year"),
    }
    known = implied(profile, "")
    return {name: said for name, said in filled.items() if name not in known}


# Columns that are empty unless the profile has one of these.
_EMPTY_WITHOUT = {
    "customer_name": ("customer_name",),
    "customer_name_key": ("customer_name",),
    "customer_key": ("customer",),
    "number": ("number", "document"),
    "number_key": ("number", "document"),
    "net": ("net", "tax"),
    "tax": ("net", "tax"),
    "memo": ("memo", "reason"),
    **{
        name: (name,)
        for name in (
            "marker", "due", "rate", "discount", "open", "voided_on", "disputed", "settled_on", "entity_code",
            "concerns", "document", "fiscal_year",
        )
    },
}  # fmt: skip
_OF_REFERENCES = {"entity_code", "number", "document", "fiscal_year", "concerns"}


def implied(profile: Profile, source: str) -> dict[str, str]:
    """The columns of a document that need not be written for each, with their SQL from those that are.

    source: the file's name
    """
    has = set(profile.columns)
    known = {"link": "NULL", "customer_link": "NULL", "source": f"{literal(source + ':')} || first_row"}
    known |= {name: "NULL" for name, unless in _EMPTY_WITHOUT.items() if not has & set(unless)}
    if not {"issued", "posted"} <= has:
        known["posted"] = "issued"
    if "state" not in has:
        known["state"] = "'posted'"
        if profile.scope != "open":
            known["ar"] = "sign * total"
    if "method" not in has:
        known["method"] = "CASE WHEN kind = 'payment' THEN 'other' END"
    if profile.rows == "documents":
        known["row_count"] = "1"
    if "customer" not in has:
        known["numbered"] = "false"
    if not any("adjustment" in k for k in _kinds(profile)):
        known["subkind"] = "NULL"
    if {"invoice", "concerns"} & has or clearing.reads(profile):
        known = {name: said for name, said in known.items() if name not in _OF_REFERENCES}
    return known
