"""What fuzzing found, each with the smallest input that shows it."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import click
import duckdb
import pytest
import xlsxwriter
from sqlalchemy.exc import SQLAlchemyError

from tests.fuzz import own
from tests.fuzz.answers import Line, _connector, _host, reply
from tests.fuzz.mutation import unzipped, zipped
from tieout.cli.days import DAY, MOMENT
from tieout.cli.failures import explain
from tieout.cli.report_audit import _Amounts
from tieout.cli.report_close import _Amount
from tieout.cli.setup import typed_token
from tieout.compare import totals
from tieout.compare.files import compare_files
from tieout.config import load as load_settings
from tieout.config.secrets import KEY_VARIABLE, SecretStore, _key_id, open_store
from tieout.config.settings import SecretsSettings
from tieout.connectors import saplist
from tieout.connectors.files import load, records
from tieout.connectors.http import Lost, Transport, checked_url
from tieout.connectors.quickbooks.company import _methods
from tieout.connectors.quickbooks.oauth import App, Tokens, _discovered, _Refused, _request, _tokens, store_tokens
from tieout.connectors.quickbooks.pull import count, cursor_of
from tieout.connectors.quickbooks.watch import Watch
from tieout.connectors.sage_x3.changes import _moment
from tieout.connectors.sage_x3.payload import count_of
from tieout.connectors.tabular import export_sets
from tieout.connectors.tabular.outbox import Item, Outbox
from tieout.errors import ConfigError, FatalError, ProfileError, RetriableError, SignInRequired
from tieout.evidence.anchors import begin, parse
from tieout.evidence.keys import public_key
from tieout.mapping.fields import YEARS
from tieout.mapping.tabular import load_profile
from tieout.mapping.writing import load_import_profile
from tieout.reports.cash.remittance import discount
from tieout.sync.store import open_store as open_state

NOW = datetime(2026, 2, 2, 9, 0, tzinfo=UTC)
DEEP = "[" * 20_000
HEADINGS = "kind,number,customer,issued,currency,total"
ROW = "invoice,1,C1,2026-01-31,USD,5.00"
DOCUMENTS = load_profile("documents")


@contextlib.contextmanager
def within(seconds: int) -> Iterator[None]:
    """So much processor time, some hundred times what it takes: what grows with the square of its input takes more."""
    before = time.process_time()
    yield
    assert time.process_time() - before < seconds


# ── tables ──


def test_a_quotation_mark_that_is_never_closed_is_told_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(f'{HEADINGS}\n{ROW}\n"\n')
    for read in (records, lambda *given: load(duckdb.connect(), *given[:2], side="left")):
        with pytest.raises(ProfileError, match=r"f\.csv: row 3: a quotation mark is never closed"):
            read(path, DOCUMENTS, "erp")


def test_a_hundred_thousand_headings_cost_no_more_than_their_reading(tmp_path: Path) -> None:
    """Each of the profile's names was looked for in each of them anew."""
    path = tmp_path / "f.csv"
    path.write_text(f"{HEADINGS}{',' * 100_000}\n{ROW}{',' * 100_000}\n")
    with within(5):
        assert records(path, DOCUMENTS, "erp")[1].accepted == 1
    path.write_text(f"{HEADINGS}{''.join(f',h{n}' for n in range(20_000))}\n{ROW}{',' * 20_000}\n")
    with pytest.raises(ProfileError, match="20,006 columns, more than the 16,384 that a table can have"):
        records(path, DOCUMENTS, "erp")


def _book(edit: Callable[[bytes], bytes], member: str = "xl/sharedStrings.xml") -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, [*HEADINGS.split(","), "name"])
        sheet.write_row(1, 0, [*ROW.split(","), "Acme Ltd"])
    return zipped([(name, edit(body) if name == member else body) for name, body in unzipped(out.getvalue())])


TYPE = b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/hostname'>]>"


@pytest.mark.parametrize(
    "edit",
    [
        lambda xml: xml.replace(b"?>", b"?><!--" + b" " * 5000 + b"-->" + TYPE, 1).replace(b"Acme", b"&e;Acme"),
        lambda xml: xml.replace(b"?>", b"?>" + TYPE, 1).replace(b"UTF-8", b"UTF-16").decode().encode("utf-16"),
    ],
    ids=["behind a long comment", "in UTF-16"],
)
def test_a_document_type_is_refused_wherever_it_stands(tmp_path: Path, edit: Callable[[bytes], bytes]) -> None:
    """It was looked for in the first 4,096 bytes, as ASCII: behind them an entity took its text out of a cell."""
    path = tmp_path / "f.xlsx"
    path.write_bytes(_book(lambda xml: xml))
    assert records(path, DOCUMENTS, "erp")[1].accepted == 1
    path.write_bytes(_book(edit))
    with pytest.raises(ProfileError, match=r"sharedStrings\.xml declares a document type: refused"):
        records(path, DOCUMENTS, "erp")


@pytest.mark.parametrize("member", ["xl/sharedStrings.xml", "xl/workbook.xml", "[Content_Types].xml"])
def test_a_workbook_in_an_encoding_that_nobody_knows_is_refused(tmp_path: Path, member: str) -> None:
    """Python's LookupError came through as a defect of the program."""
    path = tmp_path / "f.xlsx"
    path.write_bytes(_book(lambda xml: xml.replace(b"UTF-8", b"UT-8", 1), member))
    with pytest.raises(ProfileError, match="not a readable workbook: unknown encoding: UT-8"):
        records(path, DOCUMENTS, "erp")


def test_a_damaged_page_of_parquet_is_told_with_its_file(tmp_path: Path) -> None:
    """The columns are known from its end; what is in its pages only shows where they are read."""
    path = tmp_path / "a.parquet"
    rows = "SELECT 'I1' AS id, 'invoice' AS kind, DATE '2026-01-02' AS issued, 'EUR' AS currency, 1.5::DECIMAL(9,2) AS total"
    duckdb.connect().execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
    whole = path.read_bytes()
    for at in range(4, len(whole) // 2, 23):
        path.write_bytes(whole[:at] + bytes(7) + whole[at + 7 :])
        try:
            compare_files(path, None, path, None)
        except ConfigError as error:
            assert "a.parquet" in str(error)


def test_a_date_beyond_the_calendar_that_parquet_denies_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = (
        "SELECT 'I' || i AS id, 'invoice' AS kind, DATE '2026-01-02' + i::INTEGER AS issued, 'EUR' AS currency, "
        "1.01::DECIMAL(9,2) AS total, 'C' AS customer FROM range(3) AS r(i)"
    )
    duckdb.connect().execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet, COMPRESSION uncompressed)")
    data, second = path.read_bytes(), (date(2026, 1, 3) - date(1970, 1, 1)).days.to_bytes(4, "little")
    path.write_bytes(data.replace(second, (10**7).to_bytes(4, "little"), 1))  # neither the first nor the last day
    with pytest.raises(ConfigError, match=r"date|Parquet"):
        compare_files(path, None, path, None)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (f'"sequence": {DEEP}', "not a readable manifest"),
        ('"files": [{"name": "d.csv", "rows": "x"}]', "rows is not a number of rows"),
        ('"files": [{"name": "d.csv", "rows": 1.5}]', "rows is not a number of rows"),
        ('"files": [{"name": "d\\u0000.csv"}]', "is not the name of a file"),
        ('"files": [{"name": "../d.csv"}]', "is not the name of a file"),
        ('"files": [{"name": "' + "d" * 300 + '"}]', "is not the name of a file"),
        ('"files": [{"name": "d.csv", "totals": {"USD": "sNaN"}}]', "totals are not decimal text"),
    ],
    ids=lambda value: value[:40],
)
def test_a_manifest_that_is_none_is_named(tmp_path: Path, more: str, says: str) -> None:
    (tmp_path / "d.csv").write_text(f"{HEADINGS}\n{ROW}\n")
    (tmp_path / "d.manifest.json").write_text(f'{{"as_of": "2026-01-31", {more}}}')
    try:
        found = export_sets.newest(tmp_path, ["*.csv"], now=NOW + timedelta(days=9999), settle_seconds=1)
    except RetriableError as error:
        assert says in str(error)
    else:
        assert any(says in passed for passed in found.passed_over)


def test_a_line_of_dashes_of_any_length_costs_no_more_than_its_reading(tmp_path: Path) -> None:
    """It was asked anew at each dash whether it is the ruler of a list: 40,000 of them took half a minute."""
    path = tmp_path / "f.txt"
    path.write_text(f"{'-' * 400_000}!\n{HEADINGS}\n{ROW}\n")
    with within(5):
        assert records(path, DOCUMENTS, "erp")[1].rows == 1


def test_a_line_of_digits_in_a_text_list_costs_no_more_than_its_reading() -> None:
    """It was asked anew at each digit whether the line ends with the number of a page: 40,000 took half a minute."""
    ruler, heading = "-" * 13, "|Number|Total|"
    lines = [ruler, heading, ruler, "1" * 400_000 + "x", "Customers  page  2", "|R-1   | 5.00|", ruler]
    with within(1):
        found = [cells for _, cells in saplist.records(iter(lines))]
    assert [cells for cells in found if isinstance(cells, list)] == [["Number", "Total"], ["R-1", "5.00"]]


def test_a_parquet_file_whose_statistics_deny_one_of_its_days_is_named() -> None:
    con = duckdb.connect()
    columns = "'USD' AS currency, TRUE AS counts, 5 AS billed, 5 AS eff, DATE '10000-01-01' AS posted"
    con.execute(f"CREATE TABLE cmp_left AS SELECT {columns}")
    with pytest.raises(ConfigError, match=r"^books\.parquet: a date lies before the year 1 or after the year 9999"):
        totals.of_all(con, "left", "books.parquet", as_of=None, stated={})


# ── answers ──


def test_a_redirect_to_no_text_is_a_lost_answer() -> None:
    """Another exception would have taken a write that was sent for a mistake of the program."""
    host = _host()
    host.says = b"HTTP/1.1 302 Found\r\nLocation: \x8f\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(Lost, match="that can be read"):
        Transport().send("GET", host.url, headers={})


@pytest.mark.parametrize(
    "body", [DEEP, '{"access_token":"","refresh_token":"r"}', '{"access_token":"a","refresh_token":""}']
)
def test_an_answer_without_a_sign_in_renews_none(body: str) -> None:
    """An empty refresh token would have taken the place of the one that works."""
    with pytest.raises(RetriableError, match="token service answered"):
        _request(App("id", "secret"), Line([reply(200, body.encode())]), {})


def test_a_refusal_of_a_sign_in_says_something() -> None:
    with pytest.raises(_Refused, match="HTTP 400"):
        _request(App("id", "secret"), Line([reply(400, b'{"error":"\\u0000"}')]), {})


def test_a_token_that_lives_for_ever_lives_for_long() -> None:
    found = {"access_token": "a", "refresh_token": "r", "expires_in": 10**30, "x_refresh_token_expires_in": 10**30}
    made = _tokens(found, "1", 1, NOW)
    assert made.access_until > NOW + timedelta(days=365)
    assert Tokens.from_text(made.as_text()) == made


def test_an_address_with_a_bracket_too_many_is_none() -> None:
    with pytest.raises(ConfigError, match="is not an address"):
        checked_url("https://a.example[/t", "token_url")
    with pytest.raises(ConfigError, match="no discovery document"):
        _discovered("http://127.0.0.1/x", Line([reply(200, DEEP.encode())]))


@pytest.mark.parametrize("text", ["²", "9" * 5000, "-1", "", "1.0"], ids=lambda text: text[:5])
def test_what_counts_in_no_digits_counts_nothing(text: str) -> None:
    """A tick or a size of X3, or an id of QuickBooks, that Python takes for digits and cannot count."""
    assert count_of(text) is None
    assert dict(_methods([{"Id": text, "Name": "Cash"}, {"Id": "2", "Name": "Check"}])) == {"2": "check"}
    assert count_of("42") == 42


def test_a_time_that_no_clock_shows_is_no_cursor() -> None:
    assert cursor_of({"time": "0001-01-01T00:00:00+14:00"}) is None
    assert cursor_of({"time": "2026-02-02T09:00:00+00:00"}) == "2026-02-02T08:55:00+00:00"
    assert _moment("00010101000000") is None
    assert _moment("20260202090000") == datetime(2026, 2, 2, 9, 0)


# ── settings and profiles ──


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"creates = {DEEP}", r":3: Nested too deeply"),
        (f"creates = {'[' * 60}{']' * 60}", "Nested too deeply"),
        (f"creates = {'9' * 5000}", ":3: A number that is too large"),
        ("creates = 1e9999999999999999999", ":3: A number that is too large"),
    ],
    ids=["deep", "less deep", "long", "large"],
)
def test_a_setting_that_python_cannot_hold_is_a_mistake_like_others(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "tieout.toml"
    path.write_text(f'[company]\nname = "x"\n{line}\n')
    with pytest.raises(ConfigError, match=says) as found:
        load_settings(path)
    assert "tieout.toml is not valid TOML" in str(found.value)
    with pytest.raises(ProfileError, match="not TOML"):
        load_profile(_written(tmp_path / "own.toml", line.replace("1e9999999999999999999", "9" * 5000)))
    with pytest.raises(ProfileError, match="own"):
        load_import_profile(tmp_path / "own.toml")


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("odd", ["\u2028", "\x85", "\u2029"])
def test_a_separator_within_a_text_hides_no_line(tmp_path: Path, odd: str) -> None:
    """Python breaks a line there and TOML does not: no problem behind it had its line any more."""
    path = tmp_path / "tieout.toml"
    path.write_text(f'[company]\nname = "a{odd}b"\n\n[state]\nurl = 7\n', "utf-8")
    with pytest.raises(ConfigError, match=r"tieout\.toml:5: \[state\] url"):
        load_settings(path)


def test_an_import_profile_in_another_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(b'description = "\xff"\n')
    with pytest.raises(ProfileError, match=r"is not UTF-8 text \(byte 15\)"):
        load_import_profile(path)


# ── sign-ins ──


@pytest.mark.parametrize("sealed", [DEEP, {"nonce": ""}, {"nonce": base64.b64encode(bytes(200)).decode()}], ids=str)
def test_a_damaged_file_of_a_secret_is_told(tmp_path: Path, sealed: object) -> None:
    key = bytes(32)
    environ = {KEY_VARIABLE: base64.b64encode(key).decode()}
    tmp_path.chmod(0o700)
    store = open_store(SecretsSettings(folder=tmp_path, store="file"), company="x", environ=environ)
    whole = {"key_id": _key_id(key), "nonce": "", "ciphertext": ""}
    text = sealed if isinstance(sealed, str) else json.dumps(whole | dict(sealed))  # type: ignore[call-overload]
    (tmp_path / "qbo.tokens.secret").write_text(text)
    with pytest.raises(ConfigError, match=r"is damaged|was changed"):
        store.read("qbo", "tokens")


@pytest.mark.parametrize(
    "text",
    [DEEP, '{"generation":null,"current":"x","previous":null}', '{"generation":1,"current":"x","previous":0}', '{"generation":1,"current":1,"previous":null}'],
    ids=lambda text: text[:60],
)  # fmt: skip
def test_a_kept_secret_that_is_no_text_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="what is kept of qbo is damaged"):
        SecretStore(tmp_path, own._Backend(text)).write("qbo", "tokens", "new")


SIGNED_IN = own.TOKENS


@pytest.mark.parametrize(
    "text",
    ["{", DEEP, "[]", json.dumps(SIGNED_IN | {"realm": 1}), json.dumps(SIGNED_IN | {"refresh": {}}), json.dumps(SIGNED_IN | {"serial": "3"}), json.dumps(SIGNED_IN | {"obtained": "2026-02-02"}), json.dumps(SIGNED_IN | {"more": 1})],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_a_damaged_sign_in_asks_for_another_and_gives_way_to_it(text: str) -> None:
    with pytest.raises(SignInRequired, match="has a sign-in that is damaged") as found:
        own._sign_in(text.encode())
    assert "tieout connect qbo" in found.value.hint
    assert "Traceback" not in str(found.value)
    store = own._Kept("tokens", text)
    store_tokens("qbo", Tokens.from_text(json.dumps(SIGNED_IN)), store)
    assert Tokens.from_text(store.read("qbo", "tokens").current).access == SIGNED_IN["access"]


@pytest.mark.parametrize(
    "note",
    ["", DEEP, "[[1]]", '{"refused":3}', '{"refused":3,"since":"x","asked":"y"}', '{"refused":3,"since":"2026-02-02","asked":"2026-02-02"}'],
    ids=lambda note: note[:30],
)  # fmt: skip
def test_a_damaged_note_of_a_sign_in_keeps_nobody_out(note: str) -> None:
    watch = Watch("qbo", own._Kept("watch", note), lambda: NOW)
    assert watch.parked(Tokens.from_text(json.dumps(SIGNED_IN))) is None
    watch.park(Tokens.from_text(json.dumps(SIGNED_IN)))
    assert watch.parked(Tokens.from_text(json.dumps(SIGNED_IN))) == NOW


def test_a_public_key_of_an_unknown_kind_is_told() -> None:
    pem = own.SIGNER.public.pem().replace("MCowBQYDK2VwAyEA", "MCowBQYDK3FwAyEA")
    with pytest.raises(ConfigError, match=r"x\.pem holds no public key of Ed25519"):
        public_key(pem.encode(), "x.pem")


# ── import files ──


def _outbox(folder: Path) -> Outbox:
    for name in ("emitted", "tmp"):
        (folder / name).mkdir(parents=True)
    return Outbox(folder, clock=lambda: NOW)


WHOLE = {
    "sequence": 1,
    "file": "a.import.csv",
    "created_at": "2026-02-02",
    "sha256": "",
    "items": [{"key": "K", "marker": "M"}],
}
DAMAGED = [
    DEEP,
    json.dumps(WHOLE | {"items": [{"key": "K"}]}),
    json.dumps(WHOLE | {"items": [{"key": 1, "marker": "M"}]}),
    json.dumps(WHOLE | {"sequence": "x"}),
    json.dumps({k: v for k, v in WHOLE.items() if k != "sequence"}),
    json.dumps(WHOLE | {"file": "../a.import.csv"}),
]


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_memory_of_import_files_stops_all_writing(tmp_path: Path, text: str) -> None:
    box = _outbox(tmp_path)
    (tmp_path / "emitted" / "000001.manifest.json").write_text(text)
    with pytest.raises(ConfigError, match=r"000001\.manifest\.json: not a readable manifest"):
        box.emitted()
    with pytest.raises(ConfigError, match="not a readable manifest"):
        box.emit("x", b"x", [Item("K2", "M2", "USD", Decimal(1))], about={}, rows=1)


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_draft_is_given_up(tmp_path: Path, text: str) -> None:
    box = _outbox(tmp_path)
    (tmp_path / "tmp" / "a.manifest.json").write_text(text)
    assert box.recover() == ["deleted a.manifest.json: it was not complete"]


def test_a_state_whose_tables_have_no_text_for_a_name_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE alembic_version (version_num TEXT)")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"versionalembic", b"versi\xdenalembic"))
    with pytest.raises(SQLAlchemyError) as found:
        open_state(f"sqlite:///{path}", clock=lambda: NOW)
    told = explain(found.value)
    assert "is damaged or no database" in told.message
    assert told.hint == "restore it from a backup"


# ── what is typed ──


@pytest.mark.parametrize("text", ["2026-01-31", "20260131", "2026W056", "2026-W05-6"])
def test_a_day_is_all_of_it_however_it_is_written(text: str) -> None:
    """`20260131` was its first moment: what happened on that day was not in it."""
    assert MOMENT.convert(text, None, None) == datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)


@pytest.mark.parametrize("text", ["9999-12-31", "2200-01-01", "0001-01-01", "1899-12-31"])
def test_a_day_that_no_ledger_has_is_refused(text: str) -> None:
    """Reports count days on from it: Python's OverflowError ended a forecast."""
    with pytest.raises(click.UsageError, match=f"'{text}' is outside the years {YEARS[0]} to {YEARS[1]}"):
        DAY.convert(text, None, None)


@pytest.mark.parametrize(
    "given", [b"", b" \n", b"AB\0", b"AB 11", b"AB\r\nX: y", "ABé".encode(), b"AB\xff", b"A" * 70_000]
)
def test_what_is_no_token_on_standard_input_is_refused_before_anything_is_asked(given: bytes) -> None:
    """It was read to its end, however long that was, and sent."""
    with pytest.raises(click.UsageError, match="--token-stdin: standard input") as refused:
        typed_token(io.BytesIO(given))
    assert "AB" not in str(refused.value)
    assert typed_token(io.BytesIO(b" AB11.x-y_z~\r\n")) == "AB11.x-y_z~"


@pytest.mark.parametrize("text", [f"2{' ' * 100_000}x", f"2/10{',' * 100_000}x", f"2/10 days{', ' * 50_000}x"])
def test_terms_of_any_length_cost_no_more_than_their_reading(text: str) -> None:
    """1,600 blanks took a quarter of a minute."""
    with within(1):
        assert discount(text, own.BILLS[0]) is None
    assert discount("2  % /\t10  , days,\n net 30", own.BILLS[0]) is not None


def test_a_moment_that_no_other_comes_before_is_refused() -> None:
    """Reports look at the moment before it, too."""
    with pytest.raises(click.UsageError, match="is before the year 1900"):
        MOMENT.convert("0001-01-01T00:00:00", None, None)


def test_a_moment_before_the_first_year_is_none() -> None:
    with pytest.raises(click.UsageError, match="neither a day"):
        MOMENT.convert("0001-01-01T00:00+02:00", None, None)


@pytest.mark.parametrize("text", ["1e4000", "1_000", "１２", "NaN", "1e400400400400", "0.0000001", ""])
def test_an_amount_is_typed_in_plain_digits(text: str) -> None:
    with pytest.raises(click.UsageError, match="is not an amount"):
        _Amount().convert(text, None, None)
    with pytest.raises(click.UsageError, match="is not an amount in a currency"):
        _Amounts().convert(f"USD={text}", None, None)
    assert _Amount().convert("-1250.005", None, None) == Decimal("-1250.005")
    assert _Amounts().convert("usd=7", None, None) == ("USD", Decimal(7))


def test_an_anchor_with_half_a_character_is_none() -> None:
    """Python's UnicodeEncodeError ended the verification."""
    line = begin(own.SIGNER, "2026-02-02T09:00:00.000000Z").line.encode()
    assert parse(line) is not None
    assert parse(line.replace(b"2026-02-02T", rb"\ud8002026-02-02T")) is None


@pytest.mark.parametrize("told", ["false", '"0"', "null"])
def test_a_count_of_quickbooks_that_is_no_number_is_none(told: str) -> None:
    answer = reply(200, f'{{"QueryResponse":{{"totalCount":{told}}},"time":"2026-02-02T09:00:00Z"}}'.encode())
    with pytest.raises(FatalError, match="QuickBooks does not count Invoice"):
        count(_connector(Line([answer]))._wire, "Invoice", ())
