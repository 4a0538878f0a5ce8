"""Which documents a figure that a system states is about, and of which day it is."""

from __future__ import annotations

from itertools import product

import pytest

from tests.ledgers import JAN31, D, invoice
from tieout.mapping.control import of_now, own_documents
from tieout.model import ControlBalance


def stated(amount="0", account="1200", currency="USD", **parameters):
    return ControlBalance(
        connection="erp", account=account, as_of=JAN31, amount=D(amount), currency=currency, report="tb",
        parameters=parameters,
    )  # fmt: skip


def test_a_report_over_several_accounts_is_about_the_documents_of_each_and_of_none():
    bills = [invoice(a or "bare", "C", "1", "2026-01-05", ar_account=a) for a in ("1200", "1210", "1300", None)]
    one = stated(account="1200,1210")
    assert own_documents(one, [one], bills) == [bills[0], bills[1], bills[3]]


def test_it_cannot_be_told_beside_another_account_or_in_a_currency_that_the_report_leaves_out():
    bare, euro = invoice("A", "C", "1", "2026-01-05"), invoice("B", "C", "1", "2026-01-05", currency="EUR")
    one, other = stated(), stated(account="1300")
    assert own_documents(one, [one, other], [bare]) is None
    assert own_documents(one, [one], [bare, euro]) is None
    assert own_documents(one, [one, stated(currency="EUR")], [bare, euro]) == [bare]


@pytest.mark.parametrize(("dated", "on_day", "whole"), [*product((False, True), ("100", "90"), ("100", "107"))])
def test_a_figure_is_of_now_only_where_it_names_no_day_and_all_documents_give_it_and_those_of_the_day_do_not(
    dated, on_day, whole
):
    one = stated("107", **({"day": "2026-01-31"} if dated else {}))
    assert of_now(one, D(on_day), D(whole)) is (not dated and whole == "107")
    assert not of_now(one, D(107), D(whole))
