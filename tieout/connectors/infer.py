"""Proposing a profile for a file: what its text shows, with the evidence; and questions where it shows nothing.

A proposal never guesses. Where two readings fit every value and differ in any, the setting stands there as a comment
that begins with `# ASK: `, and a profile with such a line does not load.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path

from tieout.connectors import decode, saplist, workbook
from tieout.connectors.tables import FIELD_LIMIT
from tieout.errors import ProfileError
from tieout.mapping import fields
from tieout.mapping.fields import strip
from tieout.mapping.tabular import heading_key, list_profiles, load_profile

MOST_ROWS = 200_000  # rows looked at
_DELIMITERS = (",", ";", "\t", "|")
_CODE_PAGES = ("cp1252", "cp1250", "cp850", "cp1251")
_DATE_FORMATS = (
    "%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y%m%d",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d, %Y", "%Y-%m-%d %H:%M:%S",
    "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S",
)  # fmt: skip
_NUMBERS = ((".", ""), (".", ","), (",", ""), (",", "."), (",", " "), (".", " "), (".", "'"))
_SIGNS = ("leading", "trailing", "parentheses", "crdr")
_NULL_DATES = ("00.00.0000", "00/00/0000", "0000-00-00", "00000000", "9999-12-31", "1900-01-00", "NULL", "N/A")
# Headings that no shipped profile names.
_MORE = {
    "customer": (
        "customer_id", "customerid", "cust_number", "cust no", "account ref", "account no", "vendor id", "supplier id",
        "client id", "debtor", "address book no.", "customer no", "customer no.", "customer code", "client no",
        "account number", "kundennummer", "kunden-nr.",
    ),
    "customer_name": (
        "supplier", "supplier name", "vendor name", "client", "client name", "debtor name", "contactname",
        "contact name", "name_customer",
    ),
    "number": (
        "invoice_number", "invoicenumber", "invoiceno", "transaction number", "transaction no", "doc_id",
    ),
    "document": ("document no.", "sap document number"),
    "issued": (
        "invoicedate", "invoice_date", "date paid", "payment date", "date of payment", "gl date", "clearing date",
        "transaction date", "invoice gl date", "posting_date",
    ),
    "due": ("duedate", "due_date", "due_in_date"),
    "total": (
        "invoiceamount", "invoice amount", "amount due", "gross amount", "net amount", "value", "spend",
        "amount gross", "invoiced value", "converted_usd",
    ),
    "settled_on": ("settleddate", "clear_date", "paid date"),
    "currency": ("currency code", "currencycode", "ccy"),
    "open": ("outstanding", "amount outstanding", "balance due", "open balance"),
}  # fmt: skip
# What every ledger needs: in words, and the columns that say it as well.
_NEEDED = {
    "total": ("the amount", ({"debit"}, {"net", "tax"})),
    "issued": ("the document's date", ({"posted"},)),
    "customer": ("the customer", ({"customer_name"},)),
}
_KIND_WORDS = {
    **dict.fromkeys(("invoice", "inv", "dr", "si", "bill"), "invoice"),
    "rv": "invoice|credit_memo",
    **dict.fromkeys(("credit_memo", "credit memo", "credit note", "credit", "cm", "crn", "dg", "sc"), "credit_memo"),
    **dict.fromkeys(("payment", "receipt", "pmt", "dz", "sr"), "payment"),
}
_DATES = ("issued", "posted", "due", "settled_on", "voided_on", "applied_on", "reversed_on")
_AMOUNTS = (
    "total",
    "debit",
    "credit",
    "open",
    "net",
    "tax",
    "discount",
    "applied",
    "balance",
    "rate",
    "quantity",
    "unit_price",
)


@dataclass(frozen=True, slots=True)
class InferredProfile:
    """A proposal. toml: the profile, commented with its evidence · questions: what the file does not show

    It loads as it is only if there are no questions whose setting is left out.
    """

    toml: str
    questions: tuple[str, ...]


@dataclass(slots=True)
class _Sheet:
    """What is known of the file so far."""

    path: Path
    encoding: str | None
    delimiter: str
    quote: str = '"'
    header_row: int = 1
    headings: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)

    def column(self, at: int) -> list[str]:
        return [v for r in self.rows if at < len(r) and (v := strip(r[at]))]


def infer(path: str | Path) -> InferredProfile:
    """Propose a profile for a CSV, text list or workbook. Raises ProfileError if it is not a table at all."""
    sheet = _read(Path(path))
    roles = _roles(sheet)
    dates = _dates(sheet, roles)
    numbers = _numbers(sheet, roles)
    return InferredProfile(_write(sheet, roles, dates, numbers), tuple(sheet.questions))


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _read(path: Path) -> _Sheet:
    if decode.kind(path) == "xlsx":
        records: list[list[str]] = workbook.head(path, None, MOST_ROWS)
        sheet = _Sheet(path, None, "")
    else:
        text, encoding, notes, questions = _text(path)
        sheet = _Sheet(path, encoding, "", notes=notes, questions=questions)
        lines = text.splitlines(keepends=True)
        if saplist.looks_like(iter(lines)):
            records = [c for _, c in saplist.records(iter(lines)) if isinstance(c, list)]
            sheet.delimiter = saplist.NAME
            sheet.notes.append("an unconverted SAP list: columns are cut under the pipes of the headings")
        else:
            sheet.delimiter, records = _cut(path, lines)
    _find_headings(sheet, records)
    return sheet


def _text(path: Path) -> tuple[str, str | None, list[str], list[str]]:
    """(text, encoding to declare or None, notes, questions)."""
    try:
        found = decode.decode(path, None)
    except ProfileError:
        raw = path.read_bytes()
        if not raw:
            raise
        number, _ = decode.first_bad_line(path)
        line = raw.splitlines()[number - 1] if number else raw[:80]
        bad = re.search(rb"[^\x00-\x7f]", line)
        at = max(0, (bad.start() if bad else 0) - 15)
        shown = [f"{page}: {line[at : at + 40].decode(page)!r}" for page in _CODE_PAGES if _decodes(line, page)]
        question = f"encoding: the text is not UTF-8. Which of these reads right in line {number}? " + " · ".join(shown)
        return raw.decode("latin-1"), None, [], [question]
    text = "".join(decode.lines(found))
    if found.temporary:
        found.path.unlink()
    return text, None, [f"encoding: {found.encoding}, certain"], []


def _decodes(raw: bytes, page: str) -> bool:
    try:
        raw.decode(page)
    except UnicodeDecodeError:
        return False
    return True


def _cut(path: Path, lines: list[str]) -> tuple[str, list[list[str]]]:
    """The delimiter that cuts most rows into the same number of cells, and the rows."""
    best: tuple[int, str] = (0, "")
    for delimiter in _DELIMITERS:
        widths = Counter(len(r) for r in _split(islice(lines, 500), delimiter) if len(r) > 1)
        if widths:
            width, count = widths.most_common(1)[0]
            best = max(best, (count * width, delimiter))
    if not best[1]:
        raise ProfileError(f"{path}: no delimiter cuts this file into columns", hint="is it a table?")
    return best[1], list(islice(_split(lines, best[1]), MOST_ROWS))


def _split(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(FIELD_LIMIT)
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            continue


def _find_headings(sheet: _Sheet, records: list[list[str]]) -> None:
    """The first row as wide as the table that holds words, not values; its data follow."""
    widths = Counter(len(r) for r in records if len(r) > 1)
    if not widths:
        raise ProfileError(f"{sheet.path}: no rows of several columns")
    width = widths.most_common(1)[0][0]
    known = _aliases()
    for at, row in enumerate(records[:60]):
        words = [strip(c) for c in row]
        texts = [w for w in words if w and not re.fullmatch(r"[-+(]?[\d.,/: ]+[-)]?", w)]
        enough = len(row) >= width - 1 and len(texts) >= max(2, sum(map(bool, words)) * 0.8)
        if enough and (any(heading_key(w) in known for w in words) or at == 0):
            sheet.header_row, sheet.headings = at + 1, row
            sheet.rows = [r for r in records[at + 1 :] if any(strip(c) for c in r)]
            if at:
                sheet.notes.append(f"the headings stand in row {at + 1}, below {at} other rows")
            return
    raise ProfileError(f"{sheet.path}: no row looks like headings", hint="the file needs a row of column names")


# ── columns ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _aliases() -> dict[str, str]:
    """Heading to canonical column: of the shipped profiles, generic ones first, and some more."""
    known: dict[str, str] = {}
    order = ("documents", "payments", "open-items", *list_profiles())
    for name in dict.fromkeys(order):
        if name == "customers":
            continue
        for column, spec in load_profile(name).columns.items():
            for heading in spec.names:
                known.setdefault(heading_key(heading), column)
    for column, headings in _MORE.items():
        for heading in headings:
            known[heading_key(heading)] = column
    return known


def _roles(sheet: _Sheet) -> dict[str, int]:
    """Canonical column to position. Two headings for one column: the first stands, the other is mentioned."""
    known = _aliases()
    roles: dict[str, int] = {}
    for at, heading in enumerate(sheet.headings):
        column = known.get(heading_key(heading))
        if column is None:
            continue
        if column in roles:
            sheet.notes.append(f"{heading!r} could be {column} too; {sheet.headings[roles[column]]!r} was taken")
        else:
            roles[column] = at
    if "tax" in roles and "net" not in roles and _says_net(sheet, roles):
        roles["net"] = roles.pop("total")
        sheet.notes.append("no column has the total: it is net and tax together")
    for needed in _absent(roles):
        sheet.questions.append(f"{needed}: no heading is known for {_NEEDED[needed][0]}; which column is it?")
    return roles


def _says_net(sheet: _Sheet, roles: dict[str, int]) -> bool:
    """Whether the column taken for the total is named after what is left without tax."""
    return "total" in roles and "net" in heading_key(sheet.headings[roles["total"]]).split()


def _absent(roles: dict[str, int]) -> list[str]:
    """The columns that a ledger needs and that no heading was known for."""
    there = roles.keys()
    return [needed for needed, (_, ways) in _NEEDED.items() if not any(way <= there for way in ({needed}, *ways))]


@dataclass(frozen=True, slots=True)
class _Format:
    """How a column's dates read. fmt None: it was asked. others: formats that fit as well, the likeliest first"""

    fmt: str | None
    why: str
    others: tuple[str, ...] = ()


def _dates(sheet: _Sheet, roles: dict[str, int]) -> dict[str, _Format]:
    """One format for each date column, if only one fits all of its values, or cross-checks leave only one."""
    fits: dict[str, list[str]] = {}
    values: dict[str, list[str]] = {}
    for column in (c for c in _DATES if c in roles):
        values[column] = [v for v in sheet.column(roles[column]) if v not in _NULL_DATES]
        fits[column] = [f for f in _DATE_FORMATS if values[column] and all(_parses(v, f) for v in values[column])]
    found: dict[str, _Format] = {}
    settled = {c: f[0] for c, f in fits.items() if len({_order(x) for x in f}) == 1}
    for column, formats in fits.items():
        if not values[column]:
            found[column] = _Format(None, "the column is empty")
            continue
        if not formats:
            odd = next((v for v in values[column] if not any(_parses(v, f) for f in _DATE_FORMATS)), values[column][0])
            sheet.questions.append(f"{column}: no date format reads every value; for instance {odd!r}. Which is it?")
            found[column] = _Format(None, "no format reads every value", ("…",))
            continue
        if column in settled:
            found[column] = _Format(formats[0], _date_evidence(values[column], formats[0]))
            continue
        found[column] = _settle(sheet, roles, column, formats=formats, settled=settled, values=values[column])
    return found


def _parses(text: str, fmt: str) -> bool:
    try:
        fields.day(text, fmt)
    except ValueError:
        return False
    return True


def _order(fmt: str) -> tuple[str, ...]:
    return tuple(t for t in re.findall(r"%(.)", fmt) if t in "Yymdb")


def _date_evidence(values: Sequence[str], fmt: str) -> str:
    if "%b" in fmt or _order(fmt)[:1] == ("Y",):
        return f"all {len(values)} values fit, and no other format does"
    proof = next((v for v in values if any(int(n) > 12 for n in re.findall(r"\d+", v)[:2])), values[0])
    return f"all {len(values)} values fit; {proof!r} fits no other order"


def _settle(
    sheet: _Sheet, roles: dict[str, int], column: str, *, formats: list[str], settled: dict[str, str], values: list[str]
) -> _Format:
    """Day or month first: by another column of the same shape, else by due dates, else by asking."""
    for other, fmt in settled.items():
        if fmt in formats:
            return _Format(fmt, f"fits both orders; {other} of the same file is certainly {fmt}")
    if column in ("issued", "due") and {"issued", "due"} <= set(roles):
        kept = [f for f in formats if _due_after_issue(sheet, roles, f, settled)]
        if len(kept) == 1:
            return _Format(kept[0], "fits both orders, but only so is no due date before its document's date")
    sample = next((v for v in values if len(set(re.findall(r"\d+", v)[:2])) > 1), values[0])
    readings = " or ".join(f"{f} ({fields.day(sample, f):%d %B %Y})" for f in formats)
    sheet.questions.append(f"{column}: day or month first? {sample!r} is {readings}; nothing in the file decides")
    return _Format(None, "day or month first: nothing in the file decides", tuple(formats))


def _due_after_issue(sheet: _Sheet, roles: dict[str, int], fmt: str, settled: dict[str, str]) -> bool:
    a, b = roles["issued"], roles["due"]
    pairs = [(strip(r[a]), strip(r[b])) for r in sheet.rows if len(r) > max(a, b) and strip(r[a]) and strip(r[b])]

    def read(text: str, column: str) -> date | None:
        chosen = settled.get(column, fmt)
        return fields.day(text, chosen) if _parses(text, chosen) else None

    days = [(read(x, "issued"), read(y, "due")) for x, y in pairs]
    return all(x is not None and y is not None and x <= y for x, y in days)


@dataclass(frozen=True, slots=True)
class _Numbers:
    decimal: str | None
    group: str
    signs: tuple[str, ...]
    negatives: int
    why: str


def _numbers(sheet: _Sheet, roles: dict[str, int]) -> _Numbers:
    """The separators that read every amount; asked for where two fit and some amount would differ."""
    values = [v for c in _AMOUNTS if c in roles for v in sheet.column(roles[c])]
    if not values:
        return _Numbers(None, "", ("leading",), 0, "no amounts")
    amounts = [v for v in values if re.search(r"\d", v)]
    if not amounts:
        sheet.questions.append(f"amounts: no value has a digit, such as {values[0]!r}. Which column holds them?")
        return _Numbers(None, "", ("leading",), 0, "asked")
    fits = [(d, g) for d, g in _NUMBERS if all(_number(v, d, g) is not None for v in amounts)]
    signs = tuple(s for s in _SIGNS if any(_SIGN_SHAPES[s](v) for v in amounts)) or ("leading",)
    negatives = sum(1 for v in amounts if any(_SIGN_SHAPES[s](v) for s in _SIGNS))
    if not fits:
        odd = next((v for v in amounts if not any(_number(v, d, g) is not None for d, g in _NUMBERS)), None)
        shown = f"{odd!r} fits none" if odd else "some values fit one pair, some another"
        sheet.questions.append(f"amounts: no pair of separators reads every value; {shown}. What are they?")
        return _Numbers(None, "", signs, negatives, "asked")
    for v in amounts:
        read = {_number(v, d, g) for d, g in fits}
        if len(read) > 1:
            shown = " or ".join(str(r) for r in sorted(r for r in read if r is not None))
            sheet.questions.append(
                f"amounts: is {v!r} {shown}? No value of the file shows which mark is the decimal one"
            )
            return _Numbers(None, "", signs, negatives, "asked")
    decimal, group = fits[0]
    proof = next((v for v in amounts if re.search(r"[.,' ]\d{1,2}\D*$", v)), amounts[0])
    return _Numbers(decimal, group, signs, negatives, f"all {len(amounts)} values fit, such as {proof!r}")


_SIGN_SHAPES: dict[str, Callable[[str], bool]] = {
    "leading": lambda v: v[:1] in "-−",
    "trailing": lambda v: v[-1:] in "-−",
    "parentheses": lambda v: v.startswith("(") and v.endswith(")"),
    "crdr": lambda v: v.upper().endswith(("CR", "DR")),
}


def _number(text: str, decimal: str, group: str) -> Decimal | None:
    try:
        return fields.decimal(text, decimal_sep=decimal, group_sep=group, sign=_SIGNS, places=12)
    except ValueError:
        return None


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _write(sheet: _Sheet, roles: dict[str, int], dates: dict[str, _Format], numbers: _Numbers) -> str:
    out = [
        f"# Proposed from {sheet.path.name}: {len(sheet.rows)} rows below the headings in row {sheet.header_row}.",
        "# Read each line; what is commented out as ASK must be answered before the profile loads.",
        *(f"# {_one_line(n)}" for n in sheet.notes),
        f"name = {_toml(re.sub('[^a-z0-9]+', '-', sheet.path.stem.lower()).strip('-') or 'proposed')}",
        'description = ""',
    ]
    kind = _kind(sheet, roles, numbers)
    out += ['entity = "documents"', *_key(sheet, roles), "", "[file]"]
    if sheet.delimiter == saplist.NAME:
        out.append('format = "sap-list"')
    elif sheet.delimiter:
        out.append(f"delimiter = {_toml('tab' if sheet.delimiter == chr(9) else sheet.delimiter)}")
    if any(q.startswith("encoding") for q in sheet.questions):
        out.append('# ASK: encoding = "cp1252"')
    nulls = sorted({v for c in dates for v in sheet.column(roles[c]) if v in _NULL_DATES})
    if nulls:
        out.append(f"null = [{', '.join(map(_toml, nulls))}]")
    out += ["", "[amounts]", f"# {_one_line(numbers.why)}"]
    if numbers.decimal is None:
        out += ['# ASK: decimal = "."  # or ","', '# ASK: group = ","  # or "." or " ", or "" where there is none']
    else:
        out += [f"decimal = {_toml(numbers.decimal)}", f"group = {_toml(numbers.group)}"]
    out.append(f"signs = [{', '.join(map(_toml, numbers.signs))}]")
    out.append(f'direction = "{"debit_positive" if numbers.negatives else "magnitude"}"')
    out += ["", "[columns]", *kind]
    for column, at in roles.items():
        if column != "kind":
            out += _column(sheet, column, at, dates.get(column))
    out += [f'# ASK: {column} = {{ names = ["…"], required = true }}  # which heading?' for column in _absent(roles)]
    if "currency" not in roles:
        out.append('# ASK: currency = { value = "USD" }')
        sheet.questions.append("currency: no column states it; which currency is the file in?")
    out += [
        f"# not read: {_one_line(h)!r}" for at, h in enumerate(sheet.headings) if strip(h) and at not in roles.values()
    ]
    out += ["", *(f"# question: {_one_line(q)}" for q in sheet.questions)]
    return "\n".join(out) + "\n"


def _key(sheet: _Sheet, roles: dict[str, int]) -> list[str]:
    name = "document" if "document" in roles else "number"
    if name not in roles:
        return ["# no column identifies a document: each row is one, known by its row number"]
    parts = [c for c in ("entity_code", name, "fiscal_year") if c in roles]
    keys = Counter(tuple(strip(r[roles[c]]) for c in parts if roles[c] < len(r)) for r in sheet.rows)
    repeated = sum(1 for n in keys.values() if n > 1)
    why = f"# {len(keys)} keys in {len(sheet.rows)} rows, {repeated} of them on several rows"
    if repeated:
        sheet.questions.append(
            f"rows: {repeated} document numbers stand on several rows; are these lines of one document "
            '(rows = "lines") or documents of their own?'
        )
    asked = ['# ASK: rows = "lines"  # of one document; or "documents": each row is one of its own'] if repeated else []
    return [f"key = [{', '.join(map(_toml, parts))}]", why, f"unique = {'false' if repeated else 'true'}", *asked]


def _kind(sheet: _Sheet, roles: dict[str, int], numbers: _Numbers) -> list[str]:
    if "kind" not in roles:
        if numbers.negatives:
            sheet.questions.append(f"kind: {numbers.negatives} amounts are negative; are they credit memos?")
            return ['# ASK: kind = { value = "invoice|credit_memo" }  # the negative ones are credit memos']
        return ['kind = { value = "invoice" }']
    values = Counter(sheet.column(roles["kind"]))
    known = {v: m for v in values if (m := _KIND_WORDS.get(v.casefold()))}
    unknown = sorted(set(values) - set(known))
    if unknown:
        sheet.questions.append(f"kind: what are {', '.join(map(repr, unknown[:12]))}?")
    listed = ", ".join(f"{_toml(v)} = {_toml(m)}" for v, m in sorted(known.items()))
    return [f"kind = {{ names = [{_toml(sheet.headings[roles['kind']])}], required = true, values = {{ {listed} }} }}"]


def _column(sheet: _Sheet, column: str, at: int, fmt: _Format | None) -> list[str]:
    values = sheet.column(at)
    parts = [f"names = [{_toml(sheet.headings[at])}]"]
    if len(values) == len(sheet.rows):
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


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text)


def _toml(text: str) -> str:
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04X}" for c in text)
    return f'"{escaped}"'
