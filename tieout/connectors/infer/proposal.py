"""The proposed profile as TOML, each line below its evidence; what the file does not show is a line to answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from tieout.connectors import saplist
from tieout.connectors.infer.formats import NULL_DATES, Format, Numbers, amount
from tieout.connectors.infer.roles import Roles, say_invoice
from tieout.connectors.infer.sheet import Sheet
from tieout.mapping.fields import strip
from tieout.mapping.tabular import ASK, MEANINGS

_KIND_WORDS = {
    **dict.fromkeys(("invoice", "inv", "dr", "si", "bill", "sales invoice"), "invoice"),
    "rv": "invoice|credit_memo",
    **dict.fromkeys(
        ("credit_memo", "credit memo", "credit note", "credit", "cm", "crn", "dg", "sc", "sales credit note"),
        "credit_memo",
    ),
    **dict.fromkeys(("payment", "receipt", "pmt", "dz", "sr", "sa"), "payment"),
}
# What ERPs call currencies, where the name is that of one only. NetSuite has called the first of an account `USA`.
_CURRENCY_WORDS = {
    **dict.fromkeys(("us dollar", "us dollars", "u.s. dollar", "usa"), "USD"),
    **dict.fromkeys(("euro", "euros"), "EUR"),
    **dict.fromkeys(("british pound", "british pounds", "pound sterling", "gb pound"), "GBP"),
    **dict.fromkeys(("canadian dollar", "canadian dollars"), "CAD"),
    **dict.fromkeys(("australian dollar", "australian dollars"), "AUD"),
    **dict.fromkeys(("new zealand dollar", "new zealand dollars"), "NZD"),
    **dict.fromkeys(("swiss franc", "swiss francs"), "CHF"),
    **dict.fromkeys(("japanese yen", "yen"), "JPY"),
    **dict.fromkeys(("indian rupee", "indian rupees"), "INR"),
    "danish krone": "DKK", "norwegian krone": "NOK", "swedish krona": "SEK", "singapore dollar": "SGD",
}  # fmt: skip
_KINDS = (
    "invoice, credit_memo, payment, adjustment:KIND; after | what it is with the opposite sign; "
    "what is no receivable: in left_out"
)
# What a row cannot be read without. Of all else a file may have no empty cell, and the next one may.
_NEEDED = frozenset({"number", "document", "customer", "issued", "posted", "total", "net", "open", "currency"})
_MOST_ASKED = 12  # codes, or columns, of one question


def write(sheet: Sheet, roles: Roles, dates: dict[str, Format], numbers: Numbers) -> str:
    columns = roles.columns
    out = [
        f"# Proposed from {_one_line(sheet.path.name)}: {len(sheet.rows)} rows, headings in row {sheet.header_row}.",
        "# Read each line; what is commented out as ASK must be answered before the profile loads.",
        *(f"# {_one_line(n)}" for n in sheet.notes),
        f"name = {_toml(re.sub('[^a-z0-9]+', '-', sheet.path.stem.lower()).strip('-') or 'proposed')}",
        'description = ""',
    ]
    kind = _kind(sheet, columns, numbers) if roles.entity == "documents" else []
    out += [f'entity = "{roles.entity}"', *_scope(sheet, columns, numbers), *_key(sheet, roles), "", "[file]"]
    if sheet.delimiter == saplist.NAME:
        out.append('format = "sap-list"')
    elif sheet.delimiter:
        out.append(f"delimiter = {_toml('tab' if sheet.delimiter == chr(9) else sheet.delimiter)}")
    if sheet.two:
        out.append("header_rows = 2")
    if sheet.group:
        out.append("grouped = true")
    if any(q.startswith("encoding") for q in sheet.questions):
        out.append('# ASK: encoding = "cp1252"')
    dated = [columns[c] if c in columns else roles.absent[c][0] for c in dates]
    nulls = sorted({v for at in dated for v in sheet.column(at) if v in NULL_DATES})
    if nulls:
        out.append(f"null = [{', '.join(map(_toml, nulls))}]")
    out += ["", "[amounts]", f"# {_one_line(numbers.why)}"]
    if numbers.decimal is None and (roles.entity == "documents" or "balance" in columns):
        out += ['# ASK: decimal = "."  # or ","', '# ASK: group = ","  # or "." or " ", or "" where there is none']
    elif numbers.decimal is not None:
        out += [f"decimal = {_toml(numbers.decimal)}", f"group = {_toml(numbers.group)}"]
    if numbers.symbols:
        out.append(f"symbols = [{', '.join(map(_toml, numbers.symbols))}]")
    out.append(f"signs = [{', '.join(map(_toml, numbers.signs))}]")
    out.append(f'direction = "{"debit_positive" if numbers.negatives else "magnitude"}"')
    out += ["", "[columns]", *kind, *_number(sheet, roles)]
    for column, at in columns.items():
        if column == "kind":
            continue
        coded = column in MEANINGS or (column == "currency" and not _says_codes(sheet, at))
        lines = _codes(sheet, column, at) if coded else _column(sheet, column, at, dates.get(column))
        if column == "currency" and roles.entity == "documents":
            lines = _without_currency(sheet, columns, lines)
        if column in sheet.filled:
            lines = _filled(sheet, column, at, lines)
        out += _either(sheet, lines, roles.rivals.get(column, ()))
    if sheet.group and not columns.keys() & {"customer", "customer_name"}:
        out += [f"# customer_name: no column has it, but rows above do, such as {_one_line(repr(sheet.group))}"]
        out += ["customer_name = { group = true }"]
    for column, may in roles.absent.items():
        out += _absent(sheet, column, may, dates.get(column))
    if roles.entity == "documents" and "currency" not in columns:
        out.append('# ASK: currency = { value = "USD" }')
        sheet.questions.append("currency: no column states it; which currency is the file in?")
    used = {*columns.values(), *roles.numbers[:1], *(may[0] for may in roles.absent.values() if may)}
    out += [f"# not read: {_one_line(h)!r}" for at, h in enumerate(sheet.headings) if strip(h) and at not in used]
    out += ["", *(f"# question: {_one_line(q)}" for q in sheet.questions)]
    return "\n".join(out) + "\n"


def _scope(sheet: Sheet, columns: Mapping[str, int], numbers: Numbers) -> list[str]:
    """Asked where every row has something open, not always all of it: what settled the rest may be left out."""
    if not columns.keys() >= {"total", "open"}:
        return []
    rows = [
        tuple(amount(text, numbers) for text in both)
        for both in zip(*map(sheet.cells, (columns["total"], columns["open"])), strict=True)
    ]
    if not all(open_ for _, open_ in rows) or all(total == open_ for total, open_ in rows):
        return []
    sheet.questions.append("scope: every row has something open. Is what is settled left out of the file?")
    return ['# ASK: scope = "open"  # what is settled is not in it; or "all": it is, and so are the payments']


def _key(sheet: Sheet, roles: Roles) -> list[str]:
    columns = roles.columns
    if roles.entity == "customers":
        parts = ["customer" if "customer" in columns else "name"]
    else:
        name = "document" if "document" in columns else "number"
        if name not in columns:
            return _asked_key(sheet, roles)
        parts = [c for c in ("entity_code", name, "fiscal_year") if c in columns]
    keys = Counter(tuple(strip(r[columns[c]]) for c in parts if columns[c] < len(r)) for r in sheet.rows)
    repeated = sum(1 for n in keys.values() if n > 1)
    why = f"# {len(keys)} keys in {len(sheet.rows)} rows, {repeated} of them on several rows"
    key = f"key = [{', '.join(map(_toml, parts))}]"
    if not repeated:
        return [key, why, "unique = true"]
    if roles.entity == "customers":
        sheet.questions.append(f"key: {repeated} customers stand on several rows; which columns tell them apart?")
        return [f"# ASK: {key}  # or others that tell them apart", why]
    sheet.questions.append(
        f"rows: {repeated} document numbers stand on several rows; are these lines of one document "
        '(rows = "lines") or documents of their own?'
    )
    asked = '# ASK: rows = "lines"  # of one document; or "documents": each row is one of its own'
    return [key, why, "unique = false", asked]


def _asked_key(sheet: Sheet, roles: Roles) -> list[str]:
    may = [sheet.headings[at] for at in roles.numbers]
    shown = f"; each row says another in {', '.join(map(repr, may[:_MOST_ASKED]))}" if may else ""
    sheet.questions.append(
        f"number: no heading is known for a document's number{shown}. Which column is it? Without one a row is "
        "known by its place in the file, which another export changes: that is for comparing two files only"
    )
    return [
        "# Without a key each row is a document that is known by its place in the file. No connection takes that, as",
        "# another export changes it; to compare two files only, delete this line and that of `number`.",
        '# ASK: key = ["number"]',
    ]


def _number(sheet: Sheet, roles: Roles) -> list[str]:
    if roles.entity != "documents" or roles.columns.keys() & {"number", "document"}:
        return []
    first, *others = [_toml(sheet.headings[at]) for at in roles.numbers[:_MOST_ASKED]] or [_toml("…")]
    more = f", or {' or '.join(others)}" if others else ""
    return [f"# ASK: number = {{ names = [{first}], required = true }}  # which heading{more}?"]


def _kind(sheet: Sheet, columns: dict[str, int], numbers: Numbers) -> list[str]:
    if "kind" in columns:
        return _codes(sheet, "kind", columns["kind"])
    if numbers.negatives:
        many = f"{numbers.negatives:,} amounts are negative; are they credit memos?"
        said = many if numbers.negatives > 1 else "1 amount is negative; is it a credit memo?"
        sheet.questions.append(f"kind: {said}")
        return ['# ASK: kind = { value = "invoice|credit_memo" }  # the negative ones are credit memos']
    if evidence := say_invoice(sheet):
        return [f"# kind: by {_one_line(evidence)}, and no amount is negative", 'kind = { value = "invoice" }']
    sheet.questions.append("kind: no column and no heading says what the rows are; invoices, credit memos or payments?")
    return ['# ASK: kind = { value = "invoice" }  # or "credit_memo", or "payment"']


def _codes(sheet: Sheet, column: str, at: int) -> list[str]:
    """A column of codes: what each means, as far as it says so itself; the others are asked."""
    values = Counter(sheet.column(at))
    known = {v: m for v in values if (m := _meaning(column, v))}
    unknown = sorted(set(values) - set(known))
    if unknown:
        more = f" and {len(unknown) - _MOST_ASKED} more" if len(unknown) > _MOST_ASKED else ""
        sheet.questions.append(f"{column}: what are {', '.join(map(repr, unknown[:_MOST_ASKED]))}{more}?")
    listed = ", ".join(f"{_toml(v)} = {_toml(known.get(v, '…'))}" for v in sorted(values))
    needed = column == "kind" or (column in _NEEDED and sum(values.values()) == len(sheet.rows))
    required = ", required = true" if needed else ""
    line = f"{column} = {{ names = [{_toml(sheet.headings[at])}]{required}, values = {{ {listed} }} }}"
    if not unknown:
        return [line]
    may = {"kind": _KINDS, "currency": "each as EUR"}.get(column) or ", ".join(sorted(MEANINGS[column]))
    left_out = "" if column in ("kind", "side", "currency") else "; without the line the column is not read"
    return [f"# ASK: {line}  # {may}{left_out}"]


def _says_codes(sheet: Sheet, at: int) -> bool:
    """Whether a column names currencies by their codes, in every row that names one."""
    return all(re.fullmatch("[a-z]{3}", v) and v not in _CURRENCY_WORDS for v in _words(sheet, at))


def _words(sheet: Sheet, at: int) -> set[str]:
    return {v.casefold() for v in sheet.column(at)}


def _meaning(column: str, value: str) -> str | None:
    word = value.casefold()
    match column:
        case "kind":
            return _KIND_WORDS.get(word)
        case "currency":
            return _CURRENCY_WORDS.get(word) or (value.upper() if re.fullmatch("[a-z]{3}", word) else None)
        case _:
            return word if word in MEANINGS[column] else None


def _column(sheet: Sheet, column: str, at: int, fmt: Format | None) -> list[str]:
    values = [v for v in sheet.column(at) if fmt is None or v not in NULL_DATES]
    parts = [f"names = [{_toml(sheet.headings[at])}]"]
    if column in _NEEDED and len(values) == len(sheet.rows):
        parts.append("required = true")
    out = []
    if fmt is not None:
        out.append(f"# {column}: {_one_line(fmt.why)}")
        if fmt.fmt:
            shown = "%Y-%m-%d" if not sheet.delimiter and fmt.fmt.startswith("%Y-%m-%d") else fmt.fmt
            parts.append(f"format = {_toml(shown)}")
        elif fmt.others:
            first, *others = map(_toml, fmt.others)
            asked = f"# ASK: {column} = {{ {', '.join([*parts, f'format = {first}'])} }}"
            return [*out, asked + (f"  # or {' or '.join(others)}" if others else "")]
        else:
            return [*out, f"# {column} = {{ names = [{_toml(sheet.headings[at])}] }}"]
    return [*out, f"{column} = {{ {', '.join(parts)} }}"]


def _without_currency(sheet: Sheet, columns: Mapping[str, int], lines: list[str]) -> list[str]:
    """The line of the currency: asked where a dated row names none, which for Dynamics is the company's own."""
    dated = [columns[c] for c in ("issued", "posted") if c in columns]
    empty = sum(
        1 for own, *days in zip(*map(sheet.cells, [columns["currency"], *dated]), strict=True) if not own and any(days)
    )
    if not empty:
        return lines
    rows = "1 row names" if empty == 1 else f"{empty:,} rows name"
    sheet.questions.append(f"currency: {rows} none; which is meant? Often that of the company itself")
    *evidence, line = lines
    said, mark, more = line.partition("  #")
    own = "USD" if _says_codes(sheet, columns["currency"]) else min(sheet.column(columns["currency"]))
    line = f"{said.removesuffix(' }')}, empty = {_toml(own)} }}{mark}{more}"
    return _asked([*evidence, line], "what an empty cell stands for")


def _filled(sheet: Sheet, column: str, at: int, lines: list[str]) -> list[str]:
    """The line of a column that some rows leave empty: asked whether they mean what the row above says."""
    empty = "1 row is" if sheet.filled[column] == 1 else f"{sheet.filled[column]:,} rows are"
    sheet.questions.append(
        f"{column}: {empty} empty under {sheet.headings[at]!r}, where no value stands in two places. "
        "Does an empty cell mean what the row above says?"
    )
    *evidence, line = lines
    said, mark, more = line.partition("  #")
    line = f"{said.removesuffix(' }')}, fill_down = true }}{mark}{more}"
    return _asked([*evidence, line], "an empty cell says what the row above says; without fill_down, nothing")


def _absent(sheet: Sheet, column: str, may: Sequence[int], fmt: Format | None) -> list[str]:
    """The line of a column that is needed and that no known heading stands for: asked, with what may stand for it."""
    if not may:
        return [f'{ASK}{column} = {{ names = ["…"], required = true }}  # which heading?']
    others = "".join(f" or {_toml(sheet.headings[at])}" for at in may[1:_MOST_ASKED])
    return _asked(_column(sheet, column, may[0], fmt), f"which heading: this one{others}?")


def _either(sheet: Sheet, lines: list[str], rivals: Sequence[int]) -> list[str]:
    """The lines of a column, the last of which is asked where another heading may stand for it."""
    if not rivals:
        return lines
    return _asked(lines, f"or the heading {' or '.join(_toml(sheet.headings[at]) for at in rivals)}")


def _asked(lines: Sequence[str], why: str) -> list[str]:
    """The same lines, the last of which is to be answered. why: what there is to choose from"""
    *evidence, line = lines
    return [*evidence, f"{ASK}{line.removeprefix('# ').removeprefix('ASK: ')}  # {why}"]


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text)


def _toml(text: str) -> str:
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04X}" for c in text)
    return f'"{escaped}"'
