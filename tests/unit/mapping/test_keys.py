"""Normalised keys, and that their SQL twins agree with them."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.mapping import keys


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("0000611365", "611365"),
        ("611365", "611365"),
        ("1930659387.0", "1930659387"),
        ("17850.00", "17850"),
        ("INV-007", "inv007"),
        (" inv 007 ", "inv007"),
        ("14-000415-", "14000415"),
        ("1020\\5109989598", "10205109989598"),
        ("000", "0"),
        ("１２３", "123"),
        ("INV\u00a0007\u200b", "inv007"),
        ("1.50", "150"),
        ("", ""),
        ("--", ""),
    ],
)
def test_number_key(text: str, key: str) -> None:
    assert keys.number_key(text) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("  Acme,  Ltd. ", "acme ltd"),
        ("Marks & Spencer", "marks and spencer"),
        ("O'Brien", "obrien"),
        ("O’Brien", "obrien"),
        ("ＳＹＳＣ llc", "sysc llc"),
        ("Straße", "strasse"),
    ],
)
def test_name_key(text: str, key: str) -> None:
    assert keys.name_key(text) == key


def test_names_that_differ_in_legal_form_stay_apart() -> None:
    assert keys.name_key("Acme Ltd") != keys.name_key("Acme")


NUMBERS = (r"[0-9 .\-]{0,8}", r"[ \-/]?[A-Za-z0-9 _./\-]{0,8}")


@given(st.lists(st.one_of(st.text(), *(st.from_regex(x, fullmatch=True) for x in NUMBERS)), min_size=1, max_size=30))
def test_sql_twins_agree_on_plain_text(texts: list[str]) -> None:
    con = duckdb.connect()
    texts = [t for t in texts if "\0" not in t]
    for text in texts:
        plain, number, name = con.execute(
            f"SELECT {keys.plain_sql('x')}, {keys.number_key_sql('x')}, {keys.name_key_sql('x')} FROM (SELECT ?::VARCHAR x)",
            [text],
        ).fetchall()[0]
        assert plain == all(" " <= c <= "~" for c in text)
        if plain:
            assert (number, name) == (keys.number_key(text), keys.name_key(text))


@given(st.text())
def test_keys_are_idempotent(text: str) -> None:
    once = keys.name_key(text)
    assert keys.name_key(once) == once
