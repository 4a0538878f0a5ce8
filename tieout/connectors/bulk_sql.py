"""SQL that converts plain spellings of cells, held to be right wherever it gives a value.

It is narrower than the Python converters on purpose: a cell it does not convert is given to them, so that they alone
decide what is rejected, and why. DuckDB's own casts are guarded, for they accept `1e3`, `1_000` and the year 25.
"""

from __future__ import annotations

import re

from tieout.mapping import tabular_documents as docs
from tieout.mapping.fields import LONGEST
from tieout.mapping.tabular import LINE_COLUMNS, Column, Profile
from tieout.mapping.tabular_documents import NATURAL
from tieout.mapping.tabular_rows import Binding

MONEY = "DECIMAL(24,6)"
_SPACES = r"[\x{a0}\x{202f}\x{2009} ]"
# What Python strips, folds or refuses: control, format and space characters beyond the plain space.
_UNUSUAL = (
    r"[\x00-\x1f\x7f-\x{a0}\x{ad}\x{61c}\x{1680}\x{180e}\x{2000}-\x{200f}\x{2028}-\x{202f}\x{205f}-\x{206f}\x{3000}"
    r"\x{feff}]"
)
_TYPES = {"date": "DATE", "flag": "BOOLEAN"}


def sql_type(profile: Profile, name: str) -> str:
    """The DuckDB type of a canonical column."""
    type_ = profile.type_of(name)
    if type_ == "decimal":
        return "DECIMAL(24,12)" if name == "rate" else "DECIMAL(18,6)" if name in ("quantity", "unit_price") else MONEY
    return _TYPES.get(type_, "VARCHAR")


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def is_null(profile: Profile, column: Column, cell: str) -> str:
    """Whether a trimmed cell means nothing."""
    tokens = sorted({t for t in (*profile.file.null, *column.null) if t})
    return f"({cell} = ''" + (f" OR {cell} IN ({', '.join(map(literal, tokens))}))" if tokens else ")")


def value(binding: Binding, name: str, cell: str, *, ascii_only: bool = False) -> str:
    """The typed value of a trimmed cell that is not null; NULL where the spelling is not plain.

    ascii_only: no cell holds control characters, line breaks or anything beyond ASCII
    """
    profile = binding.profile
    match profile.type_of(name):
        case "id":
            return _id(cell, ascii_only=ascii_only)
        case "text":
            return (
                f"CASE WHEN {_plain_text(cell, ascii_only=ascii_only)} AND NOT starts_with({cell}, '#') THEN {cell} END"
            )
        case "decimal":
            return _decimal(profile, name, cell)
        case "date":
            return _date(profile.date_format(name), cell)
        case "currency":
            return f"CASE WHEN regexp_full_match({cell}, '[A-Z]{{3}}') THEN {cell} END"
        case "flag":
            yes, no = f"lower({cell}) IN ('yes', 'true', '1')", f"lower({cell}) IN ('no', 'false', '0')"
            return f"CASE WHEN {yes} THEN true WHEN {no} THEN false END"
        case "choice":
            return _choice(binding.choices[name], cell)


def _plain_text(cell: str, *, ascii_only: bool) -> str:
    """Condition of text that Python would keep as it is. ascii_only: the file is known to hold nothing else."""
    usual = "" if ascii_only else f" AND NOT regexp_matches({cell}, '{_UNUSUAL}')"
    return f"strlen({cell}) <= {LONGEST}{usual}"


def _id(cell: str, *, ascii_only: bool) -> str:
    fit = _plain_text(cell, ascii_only=ascii_only)
    odd = f"starts_with({cell}, '=') OR starts_with({cell}, '#') OR regexp_matches({cell}, '^[0-9][0-9.,]*[eE]')"
    tail = f"regexp_full_match({cell}, '[0-9]+\\.0+')"
    return (
        f"CASE WHEN NOT ({fit}) OR {odd} THEN NULL WHEN NOT contains({cell}, '.0') THEN {cell} "
        f"WHEN {tail} THEN regexp_replace({cell}, '\\.0+$', '') WHEN NOT ends_with({cell}, '0') THEN {cell} END"
    )


def _choice(meanings: dict[str, str], cell: str) -> str:
    whens = " ".join(f"WHEN {literal(k)} THEN {literal(v)}" for k, v in meanings.items())
    return f"CASE {cell} {whens} END"


def _without(cell: str, characters: str) -> str:
    """The cell without these characters; nested `replace` takes a third of the time of `translate`."""
    for c in characters:
        cell = f"replace({cell}, {literal(c)}, '')"
    return cell


def _decimal(profile: Profile, name: str, cell: str) -> str:
    a = profile.amounts
    places = 6
    whole = 9 if name in ("rate", "quantity", "unit_price") else 15
    d = re.escape(a.decimal)
    digits = f"[0-9]{{1,{whole}}}"
    if a.group:
        g = _SPACES if a.group == " " else re.escape(a.group).replace("'", "''")
        digits = f"([0-9]{{1,3}}({g}[0-9]{{3}}){{1,{whole // 3 - 1}}}|{digits})"
    number = f"{digits}({d}[0-9]{{1,{places}}})?"
    shapes = [number]
    if "leading" in a.signs:
        shapes[0] = f"-?{number}"
    if "trailing" in a.signs:
        shapes.append(f"{number}-")
    if "parentheses" in a.signs:
        shapes.append(f"\\({number}\\)")
    fit = f"regexp_full_match({cell}, '{'|'.join(shapes)}')"
    type_ = sql_type(profile, name)
    simple = a.decimal == "." and not a.group
    if simple:
        bare = f"TRY_CAST({cell} AS {type_})"
        plain = f"regexp_full_match({cell}, '{shapes[0]}')"
        if len(shapes) == 1:
            return f"CASE WHEN {plain} THEN {bare} END"
        stripped = f"TRY_CAST({_without(cell, '-()')} AS {type_})"
        return f"CASE WHEN {plain} THEN {bare} WHEN {fit} THEN -{stripped} END"
    bare = _without(cell, "-()" + ("\u00a0\u202f\u2009 " if a.group == " " else a.group))
    if a.decimal != ".":
        bare = f"replace({bare}, '{a.decimal}', '.')"
    cast = f"TRY_CAST({bare} AS {type_})"
    negative = f"{cell}[1] IN ('-', '(') OR {cell} LIKE '%-'"
    return f"CASE WHEN {fit} THEN CASE WHEN {negative} THEN -{cast} ELSE {cast} END END"


_TOKENS = {
    "%Y": "(?:19|20|21)[0-9]{2}",
    "%y": "[0-9]{2}",
    "%m": "[0-9]{1,2}",
    "%d": "[0-9]{1,2}",
    "%b": "[A-Za-z]{3}",
    "%H": "[0-9]{2}",
    "%M": "[0-9]{2}",
    "%S": "[0-9]{2}",
}


def _date(fmt: str, cell: str) -> str:
    if fmt in ("excel", "excel1904"):
        start = "1904-01-01" if fmt == "excel1904" else "1899-12-30"
        low = 0 if fmt == "excel1904" else 61
        number = f"CASE WHEN regexp_full_match({cell}, '[0-9]{{2,6}}') THEN CAST({cell} AS INTEGER) END"
        return f"CASE WHEN {number} BETWEEN {low} AND 100000 THEN DATE '{start}' + {number} END"
    tight = re.search(r"%[Yymd]%[Yymd]", fmt) is not None
    pattern = "".join(
        (_TOKENS[p].replace("{1,2}", "{2}") if tight else _TOKENS[p]) if p.startswith("%") else re.escape(p)
        for p in re.split(r"(%.)", fmt)
    ).replace("'", "''")
    # %y is read by Python alone: its century is ours to decide. So are month names beyond English three letters.
    if "%y" in fmt:
        return "CAST(NULL AS DATE)"
    parsed = f"TRY_CAST({cell} AS DATE)" if fmt == "%Y-%m-%d" else f"CAST(try_strptime({cell}, {literal(fmt)}) AS DATE)"
    return f"CASE WHEN regexp_full_match({cell}, '{pattern}') THEN {parsed} END"


def amount(profile: Profile) -> str:
    """The row's amount with the file's sign; NULL where Python must say what is wrong."""
    has = profile.columns
    if "total" in has:
        return "v_total"
    if "debit" in has or "credit" in has:
        debit = "coalesce(v_debit, 0)" if "debit" in has else "0"
        credit = "coalesce(v_credit, 0)" if "credit" in has else "0"
        return (
            f"CASE WHEN ({debit} = 0 OR {credit} = 0) AND "
            f"coalesce({'v_debit' if 'debit' in has else 'NULL'}, {'v_credit' if 'credit' in has else 'NULL'}) "
            f"IS NOT NULL THEN CAST({debit} - {credit} AS {MONEY}) END"
        )
    product = "v_quantity * v_unit_price"
    return f"CASE WHEN {product} = round({product}, 6) THEN CAST({product} AS {MONEY}) END"


def effect(profile: Profile) -> str:
    """`amount` as it moves receivables; a bare magnitude stays one."""
    signed = "amount"
    if "side" in profile.columns:
        signed = "CASE WHEN v_side = 'credit' THEN -amount ELSE amount END"
    return f"-({signed})" if profile.amounts.direction == "credit_positive" else signed


def kind_and_sign(profile: Profile) -> str:
    """SQL of a struct (kind, subkind, sign) from `v_kind`, `v_subkind`, `effect`; NULL where Python must decide."""
    signed = "true" if profile.amounts.direction != "magnitude" else "false"
    if "side" in profile.columns and signed == "false":
        signed = "v_side IS NOT NULL"
    way = f"CASE WHEN NOT ({signed}) OR effect = 0 THEN 0 WHEN effect > 0 THEN 1 ELSE -1 END"
    column = profile.columns.get("kind")
    if column is None:
        meanings = {profile.entity.removesuffix("s")}
    elif column.value is not None:
        meanings = {column.value}
    else:
        meanings = set(column.values.values()) or {"invoice", "credit_memo", "payment", "adjustment"}
    whens = []
    for meaning in sorted(meanings):
        for part in meaning.split("|"):
            said = f"v_kind = {literal(meaning)}" if column is not None else "true"
            whens += _kind_whens(said, part, way, has_sub="subkind" in profile.columns)
    return f"CASE WHEN NOT ({signed}) AND effect < 0 THEN NULL {' '.join(whens)} END"


def _struct(kind: str, sub: str, sign: str) -> str:
    return f"struct_pack(kind := {kind}, subkind := {sub}, sign := CAST({sign} AS INTEGER))"


def _kind_whens(said: str, part: str, way: str, *, has_sub: bool) -> list[str]:
    kind, _, own = part.partition(":")
    subkind, _, side = own.partition(":")
    if kind != "adjustment":
        sign = {"invoice": 1, "credit_memo": -1, "payment": -1}[kind]
        return [
            f"WHEN {said} AND {way} IN (0, {sign}) THEN {_struct(literal(kind), 'CAST(NULL AS VARCHAR)', str(sign))}"
        ]
    if not subkind and not has_sub:
        return []
    name = literal(subkind) if subkind else "v_subkind"
    ups = ", ".join(literal(k) for k, v in NATURAL.items() if v > 0)
    downs = ", ".join(literal(k) for k, v in NATURAL.items() if v < 0)
    told = {"debit": "1", "credit": "-1"}.get(side)
    natural = told or f"CASE WHEN {name} IN ({ups}) THEN 1 WHEN {name} IN ({downs}) THEN -1 END"
    sign_sql = f"CASE WHEN {way} <> 0 THEN {way} ELSE {natural} END"
    return [
        f"WHEN {said} AND {name} IS NOT NULL AND {sign_sql} IS NOT NULL THEN {_struct(literal(kind), name, sign_sql)}"
    ]


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────

_PARTS = ("net", "tax", "discount", "open")


def column(profile: Profile, name: str, alias: str = "") -> str:
    """A typed column, or NULL of its type where the profile has none."""
    return f"{alias}v_{name}" if name in profile.columns else f"CAST(NULL AS {sql_type(profile, name)})"


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
        names.append(f"arg_min({v}, number_in_file) AS {v}")
        if name == "side":
            agree.append(f"count({v}) IN (0, count(*))")
        elif name not in LINE_COLUMNS and docs.per(profile, name) != "line" and spec.value is None:
            agree.append(f"(count({v}) = 0 OR (count({v}) = count(*) AND min({v}) = max({v})))")
    sums = [
        f"{'any_value' if docs.per(profile, c) == 'document' else 'sum'}({turned(profile, c)}) AS p_{c}"
        for c in parts(profile)
    ]
    whole = "any_value(effect)" if docs.per(profile, "total") == "document" else "sum(effect)"
    applied_sum, sound = "CAST(0 AS DECIMAL(38,6))", "true"
    if "invoice" in profile.columns:
        each = applied(profile, "")
        applied_sum = f"coalesce(sum({each}) FILTER (v_invoice IS NOT NULL), 0)"
        sound = f"coalesce(bool_and(coalesce({each} >= 0, false)) FILTER (v_invoice IS NOT NULL), true)"
    return ", ".join(
        [
            "min(number_in_file) AS n",
            "count(*) AS row_count",
            "key",
            f"{whole} AS effect",
            f"({' AND '.join(agree) or 'true'}) AS agree",
            f"{applied_sum} AS applied_sum",
            f"{sound} AS applied_sound",
            "count(v_invoice) AS invoices" if "invoice" in profile.columns else "0 AS invoices",
            *names,
            *sums,
        ]
    )


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
    sound = ["k IS NOT NULL", "agree", "size < 1000000000000000"]
    sound += [f"coalesce({_part(profile, c)} >= 0, true)" for c in parts(profile)]
    if {"net", "tax"} & set(profile.columns):
        sound.append(f"coalesce({net} + {tax} = size AND {net} >= 0 AND {tax} >= 0, true)")
    if "open" in profile.columns:
        sound.append(f"coalesce({_part(profile, 'open')} <= size, true)")
    if profile.rows == "lines":
        sound.append(
            "(invoices = 0 OR (k.kind = 'payment' AND applied_sound AND applied_sum <= size) OR k.kind = 'invoice')"
        )
    elif "invoice" in profile.columns:
        sound.append("(v_invoice IS NULL OR k.kind = 'invoice')")
    return " AND ".join(sound)


def draft(profile: Profile, source: str) -> str:
    """Select list of a document, in the order of relation.DOCUMENTS without its keys, then the extra columns."""

    def c(name: str) -> str:
        return column(profile, name)

    net, tax = _net_and_tax(profile)
    opened = _part(profile, "open")
    state = f"coalesce({c('state')}, 'posted')"
    opening = (
        f"CASE WHEN k.kind <> 'payment' THEN coalesce({opened}, size) ELSE size END"
        if profile.scope == "open"
        else "size"
    )
    return ", ".join(
        (
            "key",
            "k.kind",
            "k.subkind",
            "k.sign",
            f"coalesce({c('customer')}, {c('customer_name')})",
            c("customer_name"),
            f"coalesce({c('number')}, {c('document')})",
            c("marker"),
            "NULL",
            "NULL",
            f"coalesce({c('issued')}, {c('posted')})",
            f"coalesce({c('posted')}, {c('issued')})",
            c("due"),
            c("currency"),
            c("rate"),
            net,
            tax,
            _part(profile, "discount"),
            "size",
            opened,
            f"CASE WHEN {state} = 'draft' THEN 0 ELSE k.sign * ({opening}) END",
            state,
            c("voided_on"),
            f"CASE WHEN k.kind = 'invoice' THEN {c('disputed')} END",
            c("settled_on"),
            c("entity_code"),
            c("concerns"),
            f"coalesce({c('memo')}, {c('reason')})",
            f"CASE WHEN k.kind = 'payment' THEN coalesce({c('method')}, 'other') END",
            f"{source} || ':' || n",
            "key",
            "n",
            "row_count",
            c("document"),
            c("customer"),
        )
    )
