"""Reports as the forms have to bear them: three currencies, names of any script and length, no rows, very many rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D

from tieout.reports import Bar, Chart, Column, Proof, Report, Row, Table

AS_OF = date(2026, 1, 31)
KNOWN = datetime(2026, 2, 2, 9, 30, tzinfo=UTC)
EVIL = '=HYPERLINK("http://x","y")<script>alert(1)</script>#panic("x")[*b*] $x$ \\ @a &amp; \x1b[2J\u202egnp\x00'
NAMES = (
    "Ashford & Sons Ltd",
    "Müller Maschinenbau GmbH & Co. KG",
    "شركة الأفق للتجارة",
    "ישראל אספקה בע״מ",
    "Ελληνική Εταιρεία Α.Ε.",
    "ООО «Ромашка»",
    "株式会社日本商事",
    EVIL,
    "The Worshipful Company of " + "Extraordinarily Long Registered Names and Partners " * 3 + "Limited, since 1849",
    "W" * 200,
    "-Minus Traders",
    "@at +plus",
    "<r><t>rich</t></r>",
)
PROVENANCE = {
    "extracted_at": KNOWN,
    "by": "a.controller",
    "program": "tieout 0.1.0",
    "left": {
        "system": "SAP", "file": "FBL5N.xls", "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "rows": 1204, "rejected": 0, "delimiter": "\t", "totals": {"EUR": D("1204.50"), "USD": D("99.10")},
    },
    "right": {"system": "QuickBooks Online", "company": "Golden Trading", "query": "select * from Invoice", "rows": 1198},
}  # fmt: skip


def _aging_rows(currency: str, names: tuple[str, ...], scale: D) -> list[tuple]:
    rows = []
    for n, name in enumerate(names):
        amounts = [scale * D(((n + 3) * (7 + k) * 7919) % 90_000) / 100 for k in range(5)]
        amounts[n % 5] = D(0)
        if n % 4 == 1:
            amounts[0] = -amounts[0]
        if currency == "JPY":
            amounts = [a.quantize(D(1)) for a in amounts]
        rows.append((f"{10_000 + n:07d}", name, currency, *amounts, sum(amounts, D(0))))
    return rows


def aging() -> Report:
    """By customer and bucket in three currencies, a total in each."""
    columns = (
        Column("customer", "Customer"), Column("name", "Name"), Column("currency", "Currency"),
        Column("not_due", "Not due", "money"), Column("d30", "1–30 days", "money"), Column("d60", "31–60 days", "money"),
        Column("d90", "61–90 days", "money"), Column("over", "Over 90 days", "money"),
        Column("total", "Total", "money", adds=("not_due", "d30", "d60", "d90", "over")),
    )  # fmt: skip
    rows: list[Row] = []
    bars: dict[str, tuple[Bar, ...]] = {}
    for currency, names, scale in (("EUR", NAMES, D(10)), ("JPY", NAMES[5:8], D(10_000)), ("USD", NAMES[:3], D(1))):
        start = len(rows)
        made = _aging_rows(currency, names, scale)
        rows += [Row(cells) for cells in made]
        sums = tuple(sum((r[k] for r in made), D(0)) for k in range(3, 9))
        rows.append(Row(("", f"Total {currency}", currency, *sums), "total", ((start, len(rows)),)))
        bars[currency] = tuple(Bar(c.title, a) for c, a in zip(columns[3:8], sums, strict=False))
    return Report(
        "aging", "Aged receivables", "Golden Trading Ltd", AS_OF, None,
        (Table("aging", "Aging by customer", columns, tuple(rows), "Aged by due date; credits are not aged."),),
        tuple(Chart(f"aging-{c}", f"Open by age, {c}", "bars", c, b) for c, b in bars.items()),
        (
            Proof("Total of open items = total by effects (EUR)", D("1204.50"), D("1204.50"), True),
            Proof("SAP's own aging report (EUR)", D("1204.50"), D("1204.40"), False),
            Proof("Control account 140000 (USD)", D("99.10"), None, None),
        ),
        ("3 rows of SAP could not be read and are in no figure.",),
        {"Buckets": "0, 30, 60, 90", "Aged by": "due date"}, PROVENANCE,
    )  # fmt: skip


def bridge() -> Report:
    """From one ledger to the other, with live formulas and a waterfall."""
    lines = (
        ("SYNC_IN_FLIGHT", "On its way to B", 2, D("-1250.00")), ("MISSING_IN_B", "Documents only in A", 7, D("-18230.45")),
        ("MISSING_IN_A", "Documents only in B", 3, D("9410.00")), ("CUTOFF", "Posted on opposite sides of the date", 1, D("-400.00")),
        ("AMOUNT_NET", "Net amounts differ", 4, D("36.20")), ("TAX_AMOUNT", "Tax differs", 2, D("-0.01")),
        ("UNAPPLIED_CASH", "Applied on one side only", 5, D("0.00")),
    )  # fmt: skip
    left, found = D("482917.33"), sum((x[3] for x in lines), D(0))
    columns = (Column("line", "Line"), Column("count", "Documents", "count"), Column("amount", "Amount", "money"),
               Column("currency", "Currency"))  # fmt: skip
    last = len(lines)
    every = tuple((1, n) for n in range(last + 1))
    rows = (
        Row(("SAP, open receivables", None, left, "USD"), "opening"),
        *(Row((f"{code}: {text}", n, amount, "USD")) for code, text, n, amount in lines),
        Row(("As bridged", 24, left + found, "USD"), "subtotal", ((1, last + 1),), {"amount": every}),
        Row(("QuickBooks, open receivables", None, left + found, "USD"), "closing"),
        Row(("Remainder", None, D(0), "USD"), "total", (), {"amount": ((1, last + 2), (-1, last + 1))}),
    )
    bars = (
        Bar("SAP", left, total=True),
        *(Bar(t, a) for _, t, _, a in lines),
        Bar("QuickBooks", left + found, total=True),
    )
    trend = tuple(
        Bar((AS_OF - timedelta(days=7 * n)).isoformat(), D((n * n * 37) % 400) - 20) for n in range(11, -1, -1)
    )
    return Report(
        "bridge", "Bridge of receivables", "Golden Trading Ltd", AS_OF, KNOWN,
        (Table("bridge-USD", "From SAP to QuickBooks in USD", columns, rows),),
        (Chart("bridge-USD", "From SAP to QuickBooks", "waterfall", "USD", bars),
         Chart("trend-USD", "Unexplained amount, by week", "trend", "USD", trend)),
        (Proof("Remainder is zero (USD)", D(0), D(0), True),), (), {}, PROVENANCE,
    )  # fmt: skip


def statement(name: str = NAMES[0]) -> Report:
    """A customer's statement with a running balance."""
    columns = (
        Column("date", "Date", "date"), Column("kind", "Document"), Column("number", "Number"), Column("due", "Due", "date"),
        Column("amount", "Amount", "money"), Column("balance", "Balance", "money"),
    )  # fmt: skip
    rows = [Row((date(2026, 1, 1), "Balance brought forward", "", None, None, D("1200.00")), "opening")]
    balance = D("1200.00")
    for n in range(40):
        amount = D((n * 7919) % 50_000) / 100 * (-1 if n % 3 == 2 else 1)
        balance += amount
        day = date(2026, 1, 1) + timedelta(days=n % 31)
        kind = "Payment" if amount < 0 else "Invoice"
        rows.append(
            Row(
                (day, kind, f"{kind[:3].upper()}-{n:05d}", day + timedelta(30) if amount > 0 else None, amount, balance)
            )
        )
    rows.append(
        Row((AS_OF, "Balance carried forward", "", None, balance - D(1200), balance), "closing", ((1, len(rows)),))
    )
    return Report(
        "statement", f"Statement of account: {name}", "Golden Trading Ltd", AS_OF, None,
        (Table("statement", name, columns, tuple(rows), "Amounts in EUR. Please pay within 30 days."),),
        provenance=PROVENANCE,
    )  # fmt: skip


def empty() -> Report:
    """A report that has nothing to show."""
    columns = (Column("customer", "Customer"), Column("amount", "Amount", "money"))
    return Report(
        "open-items", "Open items", "Golden Trading Ltd", AS_OF, None, (Table("items", "Open items", columns, ()),)
    )


def big(rows: int = 100_000) -> Report:
    """Very many rows, with one total."""
    columns = (Column("id", "Id"), Column("name", "Name"), Column("issued", "Issued", "date"), Column("currency", "Currency"),
               Column("amount", "Amount", "money"))  # fmt: skip
    made = [
        Row((f"D-{n:08d}", NAMES[n % 6], AS_OF - timedelta(n % 700), "EUR", D((n * 104_729) % 9_000_000) / 100))
        for n in range(rows)
    ]
    total = sum((r.cells[4] for r in made), D(0))
    made.append(Row(("", "Total", None, "EUR", total), "total", ((0, rows),)))
    return Report("open-items", "Open items", "Golden Trading Ltd", AS_OF, None, (Table("items", "Open items", columns, tuple(made)),))  # fmt: skip


EVERY = (aging, bridge, statement, empty)
