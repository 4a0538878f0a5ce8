"""SQL that reads plain spellings of cells, held to be right wherever it vouches for what it read.

It is narrower than the Python converters on purpose: a row with a cell it does not vouch for is given to them, so that
they alone decide what is rejected, and why. DuckDB's own casts are guarded: they accept `1e3`, `1_000` and the year 25.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tieout.mapping.fields import LONGEST, YEARS
from tieout.mapping.relation import MONEY
from tieout.mapping.tabular import Column, Profile, adds_up
from tieout.mapping.tabular_rows import Binding

# What is known of a file's cells before any is read. clean: no control characters, tabs or line breaks in them
# usual: clean, and nothing else that Python strips, folds or refuses wherever it stands
Known = Literal["nothing", "clean", "usual"]
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


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a column. value: SQL of what it says · fit: condition under which that is what Python reads in it"""

    value: str
    fit: str


def trimmed(cell: str) -> str:
    """The cell without plain spaces at its ends. A look at both ends costs a third of what `trim` does."""
    return f"CASE WHEN {cell} < '!' OR ends_with({cell}, ' ') THEN trim({cell}) ELSE {cell} END"


def cell(binding: Binding, name: str, at: int, empty: str | None, known: Known) -> Cell:
    """The cell of a column, from its raw text `c{at}` or the trimmed text `t{at}`. The value is worked out for every
    row and judged afterwards, as `v_{name}`: to choose between values costs more than to read one in vain.

    empty: SQL of what an empty cell stands for, `NULL` where it may be empty; None where it must not
    """
    profile, type_ = binding.profile, binding.profile.type_of(name)
    column = profile.columns[name]
    raw, bare, read = f"c{at}", f"t{at}", f"v_{name}"
    match type_:
        case "id":
            found = Cell(_without_tail(bare), f"{_plain_text(bare, known)} AND {_plain_id(bare)}")
        case "text":
            found = Cell(bare, f"{_plain_text(bare, known)} AND NOT starts_with({bare}, '#')")
        case "decimal":
            found = _decimal(profile, name, raw)
        case "date":
            found = _date(profile.date_format(name), raw, read, known)
        case "currency" if name not in binding.choices:
            found = Cell(bare, f"regexp_full_match({bare}, '[A-Z]{{3}}')")
        case "choice" | "currency":
            found = Cell(_choice(binding.choices[name], bare), f"{read} IS NOT NULL")
        case "flag":
            yes, no = f"lower({bare}) IN ('yes', 'true', '1')", f"lower({bare}) IN ('no', 'false', '0')"
            found = Cell(f"CASE WHEN {yes} THEN true WHEN {no} THEN false END", f"{read} IS NOT NULL")
    measured = type_ in ("decimal", "date")
    null = is_null(profile, column, trimmed(raw) if measured else bare)
    only_empty = measured and not _tokens(profile, column)  # no amount and no date is read in an empty cell
    if empty is None:
        return Cell(found.value, found.fit if only_empty else f"{found.fit} AND NOT {null}")
    if empty != "NULL" or not only_empty:
        found = Cell(f"CASE WHEN {null} THEN {empty} ELSE {found.value} END", found.fit)
    return Cell(found.value, f"({found.fit} OR {null})")


def is_null(profile: Profile, column: Column, cell: str) -> str:
    """Whether a trimmed cell means nothing."""
    tokens = _tokens(profile, column)
    return f"({cell} = ''" + (f" OR {cell} IN ({', '.join(map(literal, tokens))}))" if tokens else ")")


def _tokens(profile: Profile, column: Column) -> list[str]:
    return sorted({t for t in (*profile.file.null, *column.null) if t})


def _plain_text(cell: str, known: Known) -> str:
    """Condition of text that Python would keep as it is."""
    short = f"strlen({cell}) <= {LONGEST}"
    if known == "usual":
        return short
    usual = f"NOT regexp_matches({cell}, '{_UNUSUAL}')"
    return f"{short} AND {usual if known == 'nothing' else f'(strlen({cell}) = length({cell}) OR {usual})'}"


def _plain_id(cell: str) -> str:
    """Letters first are kept whatever follows. Refused are formulas, error cells and numbers cut short by `E`."""
    odd = f"starts_with({cell}, '=') OR starts_with({cell}, '#') OR regexp_matches({cell}, '^[0-9][0-9.,]*[eE]')"
    return f"({cell} >= 'A' OR NOT ({odd}))"


def _without_tail(cell: str) -> str:
    """An identifier without the `.0` that makes a number of digits."""
    tail = f"ends_with({cell}, '0') AND contains({cell}, '.0') AND regexp_full_match({cell}, '[0-9]+\\.0+')"
    return f"CASE WHEN {tail} THEN regexp_replace({cell}, '\\.0+$', '') ELSE {cell} END"


def _choice(meanings: dict[str, str], cell: str) -> str:
    whens = " ".join(f"WHEN {literal(k)} THEN {literal(v)}" for k, v in meanings.items())
    return f"CASE {cell} {whens} END"


def _without(cell: str, characters: str) -> str:
    """The cell without these characters; nested `replace` takes a third of the time of `translate`."""
    for c in characters:
        cell = f"replace({cell}, {literal(c)}, '')"
    return cell


def _decimal(profile: Profile, name: str, cell: str) -> Cell:
    """An amount that the pattern allows is cast exactly: its digits fit the type."""
    a = profile.amounts
    places = 6
    whole = 9 if name in ("rate", "quantity", "unit_price") else 15
    d = re.escape(a.decimal)
    digits = f"[0-9]{{1,{whole}}}"
    if a.group:
        g = _SPACES if a.group == " " else re.escape(a.group).replace("'", "''")
        digits = f"[0-9]{{1,3}}(?:{g}[0-9]{{3}}){{1,{whole // 3 - 1}}}|{digits}"
    number = f"(?:{digits})(?:{d}[0-9]{{1,{places}}})?"
    grouped = "\u00a0\u202f\u2009 " if a.group == " " else a.group

    def cast(text: str) -> str:
        bare = _without(text, grouped)
        if a.decimal != ".":
            bare = f"replace({bare}, '{a.decimal}', '.')"
        return f"TRY_CAST({bare} AS {sql_type(profile, name)})"

    shapes = [f"-?{number}" if "leading" in a.signs else number]
    shapes += [f"{number}-"] if "trailing" in a.signs else []
    shapes += [f"\\({number}\\)"] if "parentheses" in a.signs else []
    # What the cast refuses has its minus behind it or stands in parentheses, if it is an amount at all.
    value = f"coalesce({cast(cell)}, -{cast(_without(cell, '-()'))})" if len(shapes) > 1 else cast(cell)
    return Cell(value, f"regexp_full_match({cell}, ' *(?:{'|'.join(shapes)}) *')")


_PATTERNS = {
    "%Y": "(?:19|20|21)[0-9]{2}",
    "%y": "[0-9]{2}",
    "%m": "[0-9]{1,2}",
    "%d": "[0-9]{1,2}",
    "%b": "[A-Za-z]{3}",
    "%H": "[0-9]{2}",
    "%M": "[0-9]{2}",
    "%S": "[0-9]{2}",
}
_BARE_DATE = re.compile(r"(?:%d[./-]%m[./-]%Y|%m[./-]%d[./-]%Y|%Y[./-]%m[./-]%d)")


def _date(fmt: str, cell: str, read: str, known: Known) -> Cell:
    if fmt in ("excel", "excel1904"):
        start = "1904-01-01" if fmt == "excel1904" else "1899-12-30"
        low = 0 if fmt == "excel1904" else 61
        number = f"CASE WHEN regexp_full_match({cell}, ' *[0-9]{{2,6}} *') THEN CAST({cell} AS INTEGER) END"
        value = f"CASE WHEN {number} BETWEEN {low} AND 100000 THEN DATE '{start}' + {number} END"
        return Cell(value, f"{read} IS NOT NULL")
    value = f"CAST(try_strptime({cell}, {literal(fmt)}) AS DATE)"
    if known != "nothing" and _BARE_DATE.fullmatch(fmt):
        # DuckDB takes one or two digits for day and month as Python does, and fewer than four for a year, which the
        # range leaves out. Spaces around it are the only other liberty it takes with such a format.
        return Cell(value, f"{read} BETWEEN DATE '{YEARS[0]}-01-01' AND DATE '{YEARS[1]}-12-31'")
    tight = re.search(r"%[Yymd]%[Yymd]", fmt) is not None
    pattern = "".join(
        (_PATTERNS[p].replace("{1,2}", "{2}") if tight else _PATTERNS[p]) if p.startswith("%") else re.escape(p)
        for p in re.split(r"(%.)", fmt)
    ).replace("'", "''")
    # Month names beyond English three letters are read by Python alone.
    return Cell(value, f"{read} IS NOT NULL AND regexp_full_match({cell}, ' *{pattern} *')")


def key(profile: Profile) -> str:
    """The key of a row's document; '' where the profile has none."""
    parts = [f"v_{k}" for k in profile.key]
    joined = f"concat_ws('/', {', '.join(parts)})" if parts else "''"
    if len(parts) == 1:
        joined = f"coalesce(CAST({parts[0]} AS VARCHAR), '')"
    if profile.entity == "customers":
        named = [f"v_{c}" for c in ("customer", "number", "name") if c in profile.columns]
        return f"coalesce(nullif({joined}, ''), {', '.join(named)})"
    return joined


def amount(profile: Profile) -> str:
    """The row's amount with the file's sign; NULL where Python must say what is wrong."""
    has = profile.columns
    if profile.entity == "customers":
        return "coalesce(v_balance, 0)" if "balance" in has else "0"
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
    if adds_up(has.keys()):
        return "v_net + v_tax"
    product = "v_quantity * v_unit_price"
    return f"CASE WHEN {product} = round({product}, 6) THEN CAST({product} AS {MONEY}) END"


def effect(profile: Profile) -> str:
    """`amount` as it moves receivables; a bare magnitude stays one."""
    signed = "amount"
    if profile.entity == "customers":
        return signed
    if "side" in profile.columns:
        signed = "CASE WHEN v_side = 'credit' THEN -amount ELSE amount END"
    return f"-({signed})" if profile.amounts.direction == "credit_positive" else signed
