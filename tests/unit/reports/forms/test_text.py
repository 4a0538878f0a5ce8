"""A report on a terminal: whole where there is room, in parts that fit where there is none, and every figure is there."""

from __future__ import annotations

import re

import pytest

from tests.unit.reports.forms import samples
from tieout.plaintext import width
from tieout.reports.forms import text


@pytest.mark.parametrize("wide", [80, 140])
@pytest.mark.parametrize("make", samples.EVERY)
def test_tables_fit_the_terminal_and_every_figure_is_shown(make, wide):
    report = make()
    plain, fitted = text.write(report), text.write(report, wide=wide)
    for rule in re.findall("^─+$", fitted, re.MULTILINE):
        assert width(rule) <= wide
    figures = re.compile(r"-?[0-9][0-9,]*[.][0-9]+")
    assert set(figures.findall(fitted)) == set(figures.findall(plain))


def test_a_table_in_parts_names_its_rows_and_their_currency_in_each_and_says_how_many_there_are():
    whole, fitted = text.write(samples.aging()), text.write(samples.aging(), wide=80)
    parts = re.findall(r"^Aging by customer \((\d) of (\d)\)$", fitted, re.MULTILINE)
    assert [int(n) for n, _ in parts] == list(range(1, int(parts[0][1]) + 1))
    for name in ("Ashford & Sons Ltd", "Currency", "Total JPY"):
        assert fitted.count(name) == len(parts) * whole.count(name) > 1
