"""tieout.toml: what loads, and that everything wrong is said at once, with its line."""

from __future__ import annotations

import tomllib
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.config import load, loads
from tieout.config.lines import line_of, locate
from tieout.config.settings import ENTITIES, TWO_WAY, policy_fields
from tieout.errors import ConfigError
from tieout.sync.core.facts import GUARDED_FIELDS

SOUND = """
[company]
name = "Example"
[connection.a]
kind = "memory"
[connection.b]
kind = "memory"
[pair.main]
left = "a"
right = "b"
"""
FILE = Path("/books/tieout.toml")


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loads(text, FILE)
    assert caught.value.exit_code == 2
    return caught.value.problems


COMMENTED = (
    "# [",
    "# per_",
    "# total",
    "# invoice.",
    "# unique_",
    "# gapless_",
    "# negative_",
    "# unused_",
    "# stale_",
    "# aged_",
)


def test_the_smallest_configuration_has_safe_defaults() -> None:
    settings = loads(SOUND, FILE)
    pair = settings.pair("main")
    assert settings.state.url == "sqlite:////books/tieout.db"
    assert (pair.mode, pair.linked_owner, pair.cutover, pair.unattended) == ("propose", "none", None, ())
    assert set(pair.flows.values()) == {"both"}
    assert pair.limits.creates == 50
    assert pair.rounding is None
    assert not any(getattr(pair.checks, name) for name in type(pair.checks).model_fields if "after" not in name)
    assert (pair.checks.stale_after_days, pair.checks.aged_after_days) == (8, 30)


def test_the_template_of_init_loads(tmp_path: Path) -> None:
    text = (files("tieout.config") / "template.toml").read_text("utf-8")
    settings = loads(text, tmp_path / "tieout.toml")
    erp = settings.connection("erp").options
    assert erp["folder"] == tmp_path / "erp/export"
    assert [e["profile"] for e in erp["exports"]] == ["customers", "documents", "payments"]
    assert settings.pair("main").limits.money == {"USD": Decimal("250000.00")}


def test_every_commented_line_of_the_template_that_is_toml_loads_too(tmp_path: Path) -> None:
    text = (files("tieout.config") / "template.toml").read_text("utf-8")
    shown = [line.removeprefix("# ") if line.startswith(COMMENTED) else line for line in text.splitlines()]
    assert shown != text.splitlines()
    pair = loads("\n".join(shown), tmp_path / "tieout.toml").pair("main")
    assert pair.policy == {("invoice", "memo"): "two_way"}
    assert pair.rounding is not None
    assert pair.rounding.per_document == Decimal("0.02")
    assert (pair.checks.gapless_numbers, pair.checks.negative_balances) == (("left",), True)
    assert (pair.checks.unique_numbers, pair.checks.unused_credit_days) == (("left", "right"), 30)


def test_a_whole_pair_is_read() -> None:
    pair = loads(
        SOUND
        + """
mode = "auto"
cutover = 2026-01-01
linked_owner = "left"
unattended = ["invoice.void"]
policy = { invoice.memo = "left", "payment.reference" = "two_way" }
codes.taxes = { "A1" = "TAX" }
codes."accounts" = { "0400" = "4000" }
codes.items = "same"
limits = { creates = 5, money = { USD = "10.50", JPY = 1000 } }
flows = { payment = "right_to_left" }
report.as_of = 2026-01-31
""",
        FILE,
    ).pair("main")
    assert pair.cutover == date(2026, 1, 1)
    assert pair.policy == {("invoice", "memo"): "left", ("payment", "reference"): "two_way"}
    assert pair.codes == {"taxes": {"A1": "TAX"}, "accounts": {"0400": "4000"}, "items": None}
    assert pair.limits.money == {"USD": Decimal("10.50"), "JPY": Decimal("1000.00")}
    assert pair.flows["payment"] == "right_to_left"
    assert pair.flows["invoice"] == "both"
    assert pair.as_of == date(2026, 1, 31)


def test_all_problems_come_at_once_with_lines_and_suggestions() -> None:
    found = problems(
        """[company]
name = "Example"
[stat]
url = "x"
[connection.books]
kind = "quickbooks"
company_id = "93a"
client_id = "abc"
client_secret = "hunter2"
environmnt = "sandbox"
[connection.erp]
kind = "tabular"
folder = "x"
currency = "usd"
exports = [
  { glob = "*.csv", profile = "documents", entty = "invoice" },
]
imports = { invoic = "x" }
[pair.main]
left = "erp"
right = "book"
mode = "autto"
cutover = "2026-01-01"
[pair.main.policy]
invoice.total = "two_way"
payment.amout = "left"
[pair.main.codes.taxes]
A1 = 5
[pair.main.limits]
creates = -1
[pair.main.flows]
invoice = "bth"
"""
    )
    expected = [
        ("tieout.toml:3:", "stat", "did you mean state?"),
        ("tieout.toml:7:", "company_id", "'93a'"),
        ("tieout.toml:9:", "client_secret", "a secret may not stand here"),
        ("tieout.toml:10:", "environmnt", "did you mean environment?"),
        ("tieout.toml:11:", "[connection.erp] outbox", "is missing"),
        ("tieout.toml:14:", "currency", "ISO 4217"),
        ("tieout.toml:16:", "entty", "did you mean entity?"),
        ("tieout.toml:18:", "invoic", "did you mean invoice?"),
        ("tieout.toml:21:", "right", "did you mean books?"),
        ("tieout.toml:22:", "mode", "did you mean auto?"),
        ("tieout.toml:23:", "cutover", "without quotes"),
        ("tieout.toml:25:", "invoice.total", "two_way is never possible"),
        ("tieout.toml:26:", "payment.amout", "did you mean amount?"),
        ("tieout.toml:28:", "A1", "text in quotes"),
        ("tieout.toml:30:", "creates", "greater than or equal to 0"),
        ("tieout.toml:32:", "invoice", "did you mean both?"),
    ]
    assert len(found) == len(expected)
    for problem, parts in zip(found, expected, strict=True):
        assert all(part in problem for part in parts), (problem, parts)
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ('[connection.c]\nkind = "memory"\ntoken = "abc"', "a secret may not stand here"),
        ('[connection.c]\nkind = "memory"\napi_key = "abc"', "a secret may not stand here"),
        ('[connection.c]\nkind = "memory"\napi-key = "abc"', "a secret may not stand here"),
        ('[connection.c]\nkind = "memory"\naws_secret_access_key = "abc"', "a secret may not stand here"),
        ('[connection.c]\nkind = "memory"\n[connection.c.tokens]\nlive = "abc"', "a secret may not stand here"),
        ('[[connection.c.hosts]]\npassword = "abc"\n[connection.c]\nkind = "memory"', "a secret may not stand here"),
        ('[connection.c]\nkind = "memory"\nhosts = ["https://me:abc@host"]', "holds a password"),
        ('[connection.c]\nkind = "memory"\ndsn = "host=db password=abc"', "holds a password"),
        ('[state]\nurl = "postgresql://me:abc@host/db"', "holds a password"),
        ('[state]\nurl = "postgresql://me:a/bc@host/db"', "holds a password"),
        ('[state]\nurl = "postgresql://host/db?user=me&password=abc"', "holds a password"),
        ('[connection.c]\nkind = "memory"\ntoken = { env = "X", keyring = "y" }', "one of env, command and keyring"),
        ('[connection.c]\nkind = "memory"\ntoken = { env = "" }', "is empty"),
        ('[connection.c]\nkind = "memory"\ntoken = { command = [] }', "is empty"),
        ('[connection.c]\nkind = "memory"\nproxy = { host = "x", password = "abc" }', "[connection.c.proxy] password"),
        ('[state]\nurl = "mysql://host/db"', "should begin with sqlite"),
        ("[state]\nurl = 3", "should be text in quotes"),
        ('[state]\nfile = "x"', "is not a known key"),
        ('[connection.c]\nkind = "memry"', "did you mean memory?"),
        ("[connection.c]\nfolder = 'x'", "kind: is missing"),
        ('[connection.C]\nkind = "memory"', "lower-case"),
        ('[pair.two]\nleft = "a"\nright = "a"', "is the same connection as left"),
        ('[pair.two]\nleft = "b"\nright = "a"', "has the same two connections as [pair.main]"),
        ('[pair.two]\nright = "a"', "left: is missing"),
        ('[pair.two]\nleft = "b"\nright = "c"\nunattended = ["void"]\n[connection.c]\nkind = "memory"', "invoice.void"),
        ('[pair.main.codes]\nitems = "all"', 'or "same"'),
        ("[pair.main.limits]\nmoney.USD = true", "should be a number"),
        ("[pair.main.limits]\nmoney.USD = -1", "positive"),
        ("[pair.main.limits]\nmoney.usd = 1", "ISO 4217"),
        ("[pair.main.limits]\nvoids_percent = 101", "between 0 and 100"),
        ('[pair.main.policy]\ninvoice.memo = "newest"', "is not one of origin, left"),
        ('[pair.main.policy]\ninvoice.ref = "left"', "is not compared"),
        ('[pair.main.policy]\ninvoce.memo = "left"', "did you mean invoice?"),
        ('[pair.main.codes]\ntax = { A = "B" }', "did you mean taxes?"),
        ('[pair.main.rounding]\nper_document = "0.01"', "total: is missing"),
        ('[pair.main.report]\nas_of = "2026-01-31"', "without quotes"),
    ],
)
def test_each_mistake_is_named(change: str, says: str) -> None:
    found = problems(SOUND + change)
    assert len(found) == 1, found
    assert says in found[0]
    assert "abc" not in found[0]


def test_one_company_under_two_names_is_refused() -> None:
    twice = "\n".join(
        f'[connection.q{i}]\nkind = "quickbooks"\ncompany_id = "12"\nclient_id = "x"\nclient_secret = {{ env = "X" }}'
        for i in (1, 2)
    )
    (found,) = problems(SOUND + twice)
    assert "is the same as that of [connection.q1]" in found


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://example.com", "example.com", "https://"])
def test_credentials_never_travel_in_the_clear(url: str) -> None:
    text = f'[connection.q]\nkind = "quickbooks"\ncompany_id = "12"\nclient_id = "x"\nclient_secret = {{ env = "X" }}\napi_base = "{url}"'
    (found,) = problems(SOUND + text)
    assert "https://" in found


def test_a_stand_in_on_loopback_may_speak_http() -> None:
    text = '[connection.q]\nkind = "quickbooks"\ncompany_id = "12"\nclient_id = "x"\nclient_secret = { env = "X" }\napi_base = "http://127.0.0.1:8080"'
    assert loads(SOUND + text, FILE).connection("q").options["api_base"] == "http://127.0.0.1:8080"


def test_no_money_field_can_have_two_masters() -> None:
    for entity in ENTITIES:
        assert TWO_WAY[entity] <= set(policy_fields(entity)) - GUARDED_FIELDS


def test_a_missing_file_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tieout init"):
        load(tmp_path / "tieout.toml")


def test_tieout_config_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.toml").write_text(SOUND)
    monkeypatch.setenv("TIEOUT_CONFIG", str(tmp_path / "other.toml"))
    assert load().path == tmp_path / "other.toml"


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "tieout.toml").write_text("[company]\nname = x\n")
    with pytest.raises(ConfigError, match=r"tieout\.toml:2"):
        load(tmp_path / "tieout.toml")


def test_every_line_that_is_no_toml_is_named_with_what_to_do() -> None:
    found = problems(
        """[company]
name = “Example”
[connection.ERP Two]
kind = "memory"
folder = "C:\\export\\new"
outbox = "C:\\import"
exports = [
  { glob = "*.csv" profile = "hunter2" },
]
currency = USD
"""
    )
    expected = [
        ("tieout.toml:2:", "straight quotes"),
        ("tieout.toml:3:", "letters, digits"),
        ("tieout.toml:5:", "single quotes"),
        ("tieout.toml:6:", "single quotes"),
        ("tieout.toml:10:", "double quotes"),
    ]
    assert len(found) == len(expected), found
    for problem, parts in zip(found, expected, strict=True):
        assert all(part in problem for part in parts), (problem, parts)
    assert "hunter2" not in "".join(found)
    (twice,) = problems('[company]\nname = "a"\n[company]\nname = "b"\n')
    assert twice.startswith("tieout.toml:3: ")


def test_a_misspelt_table_and_the_second_of_two_exports_are_named_with_their_lines() -> None:
    found = problems(
        SOUND
        + """[conection.x]
kind = "memory"
[connection.erp]
kind = "tabular"
folder = "x"
outbox = "y"
currency = "USD"
exports = [
  { glob = "a*[1]{2}.csv", profile = "documents" },  # { not this
  { glob = "b*.csv", profile = "docments" },
  { glob = "c*.csv", profile = "none/acme.toml" },
]
imports = { invoice = "import-documnts" }
[pair.main.limits]
money = { usd = "1.00" }
"""
    )
    expected = [
        ("tieout.toml:11: conection", "did you mean connection?"),
        ("tieout.toml:20: ", "did you mean documents?"),
        ("tieout.toml:21: ", "there is no file /books/none/acme.toml"),
        ("tieout.toml:23: ", "did you mean import-documents?"),
        ("tieout.toml:25: [pair.main.limits] money.usd: ", "ISO 4217"),
    ]
    assert len(found) == len(expected), found
    for problem, parts in zip(found, expected, strict=True):
        assert all(part in problem for part in parts), (problem, parts)


def test_what_is_wrong_below_a_misspelt_kind_is_said_at_once() -> None:
    found = problems(
        SOUND
        + """[connection.erp]
kind = "tabluar"
folder = "x"
curency = "USD"
exports = [{ glob = "a*.csv", profile = "docments" }]
[connection.odd]
kind = "nothing like it"
anything = 1
"""
    )
    expected = [
        ("tieout.toml:12: ", "did you mean tabular?"),
        ("tieout.toml:14: ", "did you mean currency?"),
        ("tieout.toml:15: ", "did you mean documents?"),
        ("tieout.toml:17: ", "is not one of"),
    ]
    for parts in expected:
        assert any(all(part in problem for part in parts) for problem in found), (found, parts)
    assert not any("anything" in problem for problem in found)


def test_latin_1_is_not_read_as_something_else(tmp_path: Path) -> None:
    (tmp_path / "tieout.toml").write_bytes('[company]\nname = "Müller"\n'.encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "tieout.toml")


def test_unknown_names_are_answered_with_near_ones() -> None:
    settings = loads(SOUND, FILE)
    with pytest.raises(ConfigError, match="did you mean main"):
        settings.pair("mian")
    with pytest.raises(ConfigError, match="connections there: a, b"):
        settings.connection("zzz")


def test_lines_are_found_inside_arrays_of_tables_and_long_values() -> None:
    found = locate('a = 1\n[[b.c]]\nd = """\n[x]\n"""\n\n[[b.c]]\nd = [\n  1, # [y]\n]\ne.f = 2\n["q.r".s]\nt = 1\n')
    assert found["a",] == 1
    assert found["b", "c", "0", "d"] == 3
    assert found["b", "c", "1", "d"] == 8
    assert found["b", "c", "1", "e", "f"] == 11
    assert found["q.r", "s", "t"] == 13
    assert ("x",) not in found
    assert ("y",) not in found
    assert line_of(found, ("b", "c", "1", "d", "9", "z")) == 8
    assert line_of(found, ("nowhere",)) is None


_VALUES = [
    "1",
    '"x"',
    "[\n1,\n2]",
    '"""\n\n"""',
    '"""[\n"q""""',
    "'''\n{ 'q''''",
    "[{ a = '#' }, # ]\n{}]",
    '{ a.b = "\\"[" }',
]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(_VALUES)), max_size=8))
def test_every_key_is_on_the_line_that_starts_with_it(entries: list[tuple[str, str]]) -> None:
    text = "".join(f"[t{i}]\n\n# note\n{key} = {value}\n" for i, (key, value) in enumerate(entries))
    found = locate(text)
    for i, (key, _) in enumerate(entries):
        assert text.splitlines()[found[f"t{i}", key] - 1].startswith(f"{key} =")


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("1,\n" * 2000, 100),
        ("a = [\n" + "[],\n" * 2000 + "]\n", 100),
        ("a = [\n" + "'x]',\n" * 2000 + "]\n", 100),
        (".".join("a" * 2000) + " = 1\n", 0.1),  # Python takes the square of its parts
    ],
    ids=["no TOML", "lists", "texts with a bracket", "a long key"],
)
def test_a_long_file_is_not_read_again_for_each_of_its_lines(
    text: str, times: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, whole = 0, tomllib.loads

    def counted(part: str, **how: Any) -> dict[str, Any]:
        nonlocal read
        read += len(part)
        return whole(part, **how)

    monkeypatch.setattr(tomllib, "loads", counted)
    with pytest.raises(ConfigError):
        loads(text, FILE)
    assert read <= times * len(text)


def test_a_profile_may_lie_at_an_absolute_path(tmp_path: Path) -> None:
    own = tmp_path / "acme.toml"
    own.write_text("")
    tables = f'exports = [{{ glob = "*.csv", profile = "{own}" }}]'
    erp = f'[connection.c]\nkind = "tabular"\nfolder = "in"\ncurrency = "USD"\n{tables}\n'
    settings = loads(SOUND + erp, FILE)
    [export] = settings.connection("c").options["exports"]
    assert export["profile"] == str(own)


def test_several_import_files_of_a_kind_are_a_list_and_each_is_looked_up() -> None:
    erp = """[connection.erp]
kind = "tabular"
folder = "x"
outbox = "y"
currency = "USD"
exports = [{ glob = "a*", profile = "documents" }]
[connection.erp.imports]
invoice = %s
"""
    both = ("import-sap-posting", "import-sap-reversal")
    given = loads(SOUND + erp % '["import-sap-posting", "import-sap-reversal"]', FILE).connection("erp")
    assert given.options["imports"] == {"invoice": both}
    [problem] = problems(SOUND + erp % '["import-sap-posting", "import-sap-reversl"]')
    assert "tieout.toml:18: " in problem
    assert "did you mean import-sap-reversal?" in problem


X3 = """
[company]
name = "Example"
[connection.x3]
kind = "sage-x3"
url = "{url}"
{more}
user = "U"
password = {{ env = "X3" }}
pool = "P"
company = "C"
currency = "EUR"
services = {{ BPC = "WSBPC" }}
"""


@pytest.mark.parametrize("url", ["http://sage.corp.example:8124/soap", "http://10.0.0.5/", "http://2130706433/"])
def test_http_beyond_this_machine_is_for_a_host_on_the_premises(url: str) -> None:
    (said,) = problems(X3.format(url=url, more=""))
    assert said.startswith("tieout.toml:6: [connection.x3] url: should be an https:// address")
    assert "on_premises = true" in said
    options = loads(X3.format(url=url, more='on_premises = true\nca_file = "ca.pem"'), FILE).connection("x3").options
    assert options["on_premises"] is True
    assert options["ca_file"] == FILE.parent / "ca.pem"


@pytest.mark.parametrize("url", ["ftp://sage.example/", "http://", "https://", "https://[fe80::1", "https://x:port/"])
def test_what_is_no_address_is_none_on_the_premises_either(url: str) -> None:
    (said,) = problems(X3.format(url=url, more="on_premises = true"))
    assert "url: should be an https:// address" in said


def test_of_very_many_mistakes_the_first_are_told_and_how_many_more() -> None:
    said = problems(SOUND + "".join(f'[connection.m{n}]\nkind = "memry"\n' for n in range(150)))
    assert (len(said), said[-1]) == (101, "and 50 more")
    assert "[connection.m0] kind" in said[0]
