"""Real ledgers compared: with their other copy, with themselves, and with a copy that the test damages in known ways."""

from __future__ import annotations

import csv
import io
import random
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.deep import DEEP
from tieout import compare
from tieout.mapping.tabular import Profile, load_profile

pytestmark = pytest.mark.external
PROFILES = Path(__file__).parent / "profiles"
EACH = 6


@dataclass(frozen=True)
class Ledger:
    profile: str
    file: str
    number: str
    date: str
    amount: str
    name: str
    format: str = "%Y-%m-%d"
    encoding: str = "utf-8"
    document: str = ""
    """The column that rows of one document share, where the file has such documents."""
    currency: str = "GBP"


UK = "ar/uk_public_payments"
LEDGERS = [
    Ledger("leeds-2010-12", f"{UK}/leeds_raw_2010-12.csv", "Transaction number", "Date paid", "Net amount", "Supplier name", "%d/%m/%Y", "cp1252"),
    Ledger("sheffield", f"{UK}/sheffield_clean_2011-07.csv", "Invoice No.", "GL Date", "Invoiced Value", "Supplier Name", document="Document No."),
    Ledger("tfl", f"{UK}/tfl_clean_2022-P05.csv", "Document Number", "Clearing Date", "Amount", "Vendor Name"),
    Ledger("london-2013", f"{UK}/london_clean_2013-P01.csv", "Document No", "Clearing Date", "Amount", "Vendor Name", document="Document No"),
]  # fmt: skip
MORE = [
    Ledger("leeds-2011-01", f"{UK}/leeds_raw_2011-01.csv", "Transaction Number", "Date paid", "Net Amount", "Supplier name", "%d-%b-%Y", "cp1252"),
    Ledger("calderdale", f"{UK}/calderdale_clean_2017-06.csv", "Invoice Number", "Date", "Amount", "Supplier Name"),
    Ledger("highradius-dmy", "ar/highradius_sap/nooobcoder__nulldata_DD-MM-YYYY.csv", "doc_id", "posting_date", "converted_usd", "name_customer", "%d-%m-%Y", currency="USD"),
]  # fmt: skip


def profile(name: str) -> Profile:
    """The profile, told to keep repeated keys: a doubled document is to be found, not refused at the door."""
    return load_profile(PROFILES / f"{name}.toml").model_copy(update={"unique": False})


def found(file: Path, by: Profile) -> Path:
    if not file.is_file():
        pytest.skip(f"test data absent: {file}")
    return file


def day(text: str) -> date:
    return datetime.strptime(text, "%m/%d/%Y").date()


@pytest.mark.parametrize("as_of", [None, date(2013, 6, 30)])
def test_two_copies_of_one_ledger_agree(data_dir, as_of):
    folder = data_dir / "ar" / "ibm_watson"
    mdy, dmy = profile("ibm-mdy"), profile("ibm-dmy")
    left, right = found(folder / "pthiagu2__WA_AR.csv", mdy), found(folder / "pedroteles__WA_AR.csv", dmy)
    result = compare.compare_files(left, mdy, right, dmy, as_of)
    assert result.discrepancies == ()
    assert result.matched == result.left.records == result.right.records == 2466
    for side in (result.left, result.right):
        if as_of is None:
            assert (side.totals["USD"].documents, side.totals["USD"].total) == (2466, Decimal("147703.18"))
            assert side.totals["USD"].open == 0  # every invoice states its settlement
        else:
            with left.open(newline="") as file:
                dates = [(day(r["InvoiceDate"]), day(r["SettledDate"]), r) for r in csv.DictReader(file)]
            unpaid = [Decimal(r["InvoiceAmount"]) for issued, settled, r in dates if issued <= as_of < settled]
            assert side.totals["USD"].open == sum(unpaid) > 0
    assert result.bridge["USD"].remainder == 0


def test_settlements_blanked_on_one_side_are_open_there(data_dir, tmp_path):
    left = found(data_dir / "ar" / "ibm_watson" / "pthiagu2__WA_AR.csv", profile("ibm-mdy"))
    rows = list(csv.DictReader(io.StringIO(left.read_text())))
    for row in rows:
        if day(row["SettledDate"]) > date(2013, 6, 30):
            row["SettledDate"] = ""
    with (blanked := tmp_path / "blanked.csv").open("w", newline="") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    result = compare.compare_files(left, profile("ibm-mdy"), blanked, profile("ibm-mdy"))
    assert result.by_code == {"PAID_VS_OPEN": {"count": 620, "delta": {"USD": Decimal("37378.44")}}}
    assert result.bridge["USD"].remainder == 0


@pytest.mark.parametrize("ledger", LEDGERS, ids=lambda x: x.profile)
def test_a_ledger_agrees_with_itself(data_dir, ledger):
    file, by = found(data_dir / ledger.file, profile(ledger.profile)), profile(ledger.profile)
    result = compare.compare_files(file, by, file, by)
    assert result.discrepancies == ()
    assert result.matched == result.left.records > 1000


# An even seed damages whole documents, where a ledger has such; where it has none, the second is but another draw.
DAMAGED = [(x, n) for x in LEDGERS for n in ((1, 2) if x.document else (1,))]
EVERY = [(x, n) for x in (*LEDGERS, *MORE) for n in range(1, 9)]


@pytest.mark.parametrize(
    ("ledger", "seed"), EVERY if DEEP else DAMAGED, ids=lambda x: x.profile if isinstance(x, Ledger) else str(x)
)
def test_every_damage_is_found_and_nothing_else(data_dir, tmp_path, ledger, seed):
    file, by = found(data_dir / ledger.file, profile(ledger.profile)), profile(ledger.profile)
    copy = tmp_path / "damaged.csv"
    expected, money = damage(ledger, file, copy, random.Random(seed), whole=bool(ledger.document) and seed % 2 == 0)
    result = compare.compare_files(file, by, copy, by)
    seen = {code: entry["count"] for code, entry in result.by_code.items()}
    assert seen == expected
    assert {code: entry["delta"].get(ledger.currency, 0) for code, entry in result.by_code.items()} == money
    assert result.bridge[ledger.currency].remainder == 0


def damage(
    ledger: Ledger, source: Path, copy: Path, rng: random.Random, *, whole: bool = False
) -> tuple[Counter[str], dict[str, Decimal]]:
    """Write a damaged copy; returns how many of each code, and the sum of their deltas, must be reported.

    whole: what is damaged are documents of several rows, all rows of each in one way; of a re-priced one a single row
    """
    head, *rows = csv.reader(io.StringIO(source.read_bytes().decode(ledger.encoding)))
    place = {h.strip(): n for n, h in enumerate(head)}
    number, dated, amount, name = (place[c] for c in (ledger.number, ledger.date, ledger.amount, ledger.name))
    plain = re.compile(r"-?[0-9,]+\.[0-9]+")
    clear = [
        n
        for n, r in enumerate(rows)
        if len(r) == len(head)
        and plain.fullmatch(r[amount].strip())
        and all(r[i].strip() for i in (number, dated, name))
    ]
    value = {n: Decimal(rows[n][amount].replace(",", "").strip()) for n in clear}
    key = {n: (rows[n][dated], value[n].copy_abs(), rows[n][name].casefold()) for n in clear}
    same = Counter(key.values())
    # Documents equal but for their number cannot be told apart once one is lost and the other renumbered.
    alone = [n for n in clear if same[key[n]] == 1 and value[n]]
    kinds = ["drop", "double", "again", "redate", "reprice", "resign", "rekey", "recase"] * EACH
    # Nor can rows of one number, once one is lost and another re-priced: at most one of each is damaged.
    units = [(n,) for n in {rows[n][number].strip(): n for n in alone}.values()]
    if whole:
        named = [r[place[ledger.document]].strip() for r in rows if len(r) == len(head)]
        assert len(named) == len(rows)
        of: dict[str, list[int]] = {}
        for n, key_ in enumerate(named):
            of.setdefault(key_, []).append(n)
        single = set(alone)
        units = [tuple(ns) for ns in of.values() if len(ns) > 1 and single.issuperset(ns)]
    picked = rng.sample(units, min(len(kinds), len(units)))
    assert len(picked) > 3 * 8, "three of each at least"
    pairs = list(zip(picked, kinds, strict=False))
    plan = {n: kind for ns, kind in pairs for n in (ns[:1] if kind == "reprice" else ns)}
    later = {n: timedelta(days=days) for ns in picked for days in [rng.choice([1, 3, 9, 40])] for n in ns}
    out: list[list[str]] = []
    count: Counter[str] = Counter()
    money: dict[str, Decimal] = {}

    def expect(code: str, delta: Decimal = Decimal(0)) -> None:
        count[code] += 1
        money[code] = money.get(code, Decimal(0)) + delta

    def on(day: str, later: timedelta) -> str:
        return (datetime.strptime(day.strip(), ledger.format) + later).strftime(ledger.format)

    for n, row in enumerate(rows):
        new = list(row)
        match plan.get(n):
            case "drop":
                expect("MISSING_IN_B", -value[n])
                continue
            case "double" | "again" as kind:
                expect("DUPLICATE_WITHIN_LEDGER", value[n])
                out.append(row)
                if kind == "again":
                    new[dated] = on(row[dated], later[n])
            case "redate":
                expect("DATE_DIFF")
                new[dated] = on(row[dated], later[n])
            case "reprice":
                expect("AMOUNT_NET", value[n] + Decimal("0.01"))
                new[amount] = str(value[n] * 2 + Decimal("0.01"))
            case "resign":
                expect("AMOUNT_SIGN", -2 * value[n])
                new[amount] = str(-value[n])
            case "rekey":
                expect("NUMBER_MISMATCH")
                new[number] = f"{row[number]}9"
            case "recase":
                new[name] = row[name].swapcase()
        out.append(new)
    with copy.open("w", encoding=ledger.encoding, newline="") as handle:
        csv.writer(handle).writerows([head, *out])
    return count, money


def test_a_new_id_of_an_unchanged_document_is_named(data_dir, tmp_path):
    ledger = LEDGERS[1]
    file, by = found(data_dir / ledger.file, profile(ledger.profile)), profile(ledger.profile)
    head, *rows = csv.reader(io.StringIO(file.read_text()))
    place = head.index("Document No.")
    uses = Counter(r[place] for r in rows)
    for row in [r for r in rows if uses[r[place]] == 1][10:200:19]:
        row[place] += "9"
    with (copy := tmp_path / "rekeyed.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([head, *rows])
    result = compare.compare_files(file, by, copy, by)
    assert {code: entry["count"] for code, entry in result.by_code.items()} == {"ID_REPLACED": 10}
