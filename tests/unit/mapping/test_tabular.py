"""Profiles: strict, and every problem named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tieout.errors import ProfileError
from tieout.mapping.tabular import list_profiles, load_profile, parse_profile
from tieout.mapping.tabular_rows import bind

GOOD = """
entity = "documents"
key = ["number"]
[dates]
format = "%Y-%m-%d"
[columns]
kind = { value = "invoice|credit_memo" }
number = { names = ["No"] }
customer = { names = ["Customer"] }
issued = { names = ["Date"] }
currency = { value = "USD" }
total = { names = ["Amount"] }
"""


def test_the_shipped_profiles_load() -> None:
    assert set(list_profiles()) >= {"customers", "documents", "payments", "open-items", "sap-fbl5n-en", "sap-fbl5n-de"}
    for name in list_profiles():
        profile = load_profile(name)
        assert profile.name == name
        assert profile.description


OWN_KIND = 'kind = { value = "invoice|credit_memo" }'


TELLING = 'number = { names = ["No"] }\ncustomer = { names = ["Customer"] }\nissued = { names = ["Date"] }'


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('entity = "documents"', 'entity = "invoices"', "entity"),
        ('entity = "documents"', 'entity = "documents"\ncolour = "red"', "colour"),
        ('format = "%Y-%m-%d"', 'format = "%Q"', "dates.format"),
        ('format = "%Y-%m-%d"', "", "[columns.issued] format"),
        ('key = ["number"]', 'key = ["nummer"]', "key"),
        ('key = ["number"]', 'key = ["total"]', "key: 'total' is an amount"),
        ('number = { names = ["No"] }', 'number = { names = ["No"], value = "1" }', "columns.number"),
        ('number = { names = ["No"] }', 'nmuber = { names = ["No"] }', "[columns.nmuber]"),
        ('number = { names = ["No"] }', 'number = { names = ["Amount"] }', "already stands for"),
        ('value = "USD"', 'value = "Dollar"', "[columns.currency] value"),
        ('value = "USD"', 'names = ["Cur"], values = { "US Dollar" = "Dollar" }', "[columns.currency] values: Dollar"),
        ('number = { names = ["No"] }', 'number = { names = ["No"], values = { A = "B" } }', "[columns.number] values"),
        ('total = { names = ["Amount"] }', "", "`total`"),
        ('customer = { names = ["Customer"] }', "", "`customer`"),
        ('kind = { value = "invoice|credit_memo" }', 'kind = { value = "bill" }', "[columns.kind]"),
        ('kind = { value = "invoice|credit_memo" }', 'kind = { value = "adjustment:gift" }', "[columns.kind]"),
        ('kind = { value = "invoice|credit_memo" }', "", "[columns.kind]"),
        (
            'kind = { value = "invoice|credit_memo" }',
            'kind = { names = ["Type"], values = { I = "invoice" }, empty = "invoice" }',
            "[columns.kind] empty",
        ),
        ("[dates]", '[file]\nencoding = "klingon"\n[dates]', "file.encoding"),
        ("[dates]", '[file]\ndelimiter = "ab"\n[dates]', "file.delimiter"),
        ("[dates]", '[amounts]\ndecimal = ","\ngroup = ","\n[dates]', "amounts"),
        ("[dates]", "[dates", "not TOML"),
        (OWN_KIND, 'kind = { names = ["T"], left_out = ["Invoice "] }', "left_out: 'Invoice ' has a meaning, too"),
        (OWN_KIND, 'kind = { names = ["T"], left_out = [" "] }', "left_out: ' ' is an empty cell"),
        (OWN_KIND, 'kind = { value = "invoice", left_out = ["X"] }', "where each row is a document"),
        ('names = ["Amount"]', 'names = ["Amount"], left_out = ["0"]', "[columns.total] left_out"),
        (
            'names = ["Amount"]',
            'names = ["Amount"], fill_down = true',
            "[columns.total] fill_down: total is of its row",
        ),
        ('value = "USD"', 'value = "USD", fill_down = true', "[columns.currency] fill_down: only of a column"),
        ('names = ["Customer"]', 'names = ["Customer"], fill_down = true, empty = "C"', "by `empty`"),
        (TELLING, TELLING.replace('"] }', '"], fill_down = true }'), "has to say its own number or day"),
        ('names = ["No"]', 'names = ["No"], fill_down = true', "has to say its own key"),
        (
            "[columns]",
            "[file]\ngrouped = true\n[columns]\nmemo = { names = ['M'], fill_down = true }",
            "beside `grouped`",
        ),
    ],
)
def test_a_wrong_profile_names_the_place(old: str, new: str, place: str) -> None:
    assert old in GOOD
    with pytest.raises(ProfileError) as refused:
        parse_profile(GOOD.replace(old, new), source="p.toml", name="p")
    assert place in str(refused.value)
    assert "p.toml" in str(refused.value)


def test_all_problems_come_at_once() -> None:
    wrong = GOOD.replace('key = ["number"]', 'key = ["x"]').replace('value = "USD"', 'value = "Dollar"')
    with pytest.raises(ProfileError) as refused:
        parse_profile(wrong, source="p.toml", name="p")
    assert len(refused.value.problems) == 2


@pytest.mark.parametrize("name", ["nothing", "../documents", "documents.toml", "/etc/passwd", "imports"])
def test_an_unknown_profile_lists_those_there_are(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProfileError) as refused:
        load_profile(name)
    assert refused.value.exit_code == 2


def test_a_profile_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, "utf-8")
    assert load_profile(path).name == load_profile(str(path)).name == "mine"


def test_headings_are_found_by_any_spelling_and_missing_ones_named() -> None:
    profile = parse_profile(GOOD, source="p", name="p")
    bound = bind(profile, ["\ufeff NO ", "customer", "DATE\u00a0", "Amount", "", ""])
    assert (bound.index, bound.width) == ({"number": 0, "customer": 1, "issued": 2, "total": 3}, 4)
    with pytest.raises(ProfileError) as refused:
        bind(profile, ["No", "Customer"])
    assert len(refused.value.problems) == 2
    with pytest.raises(ProfileError, match="twice"):
        bind(profile, ["No", "Customer", "Date", "Amount", "Amount"])
