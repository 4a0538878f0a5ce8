"""What `make test` takes of many combinations shows enough of them, and what it leaves out is run by `make deep`."""

from __future__ import annotations

import re
from itertools import combinations, product
from pathlib import Path

import pytest

from tests.deep import each, pairwise

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("sizes", "rows"), [((3, 8, 3), 24), ((2, 2, 2, 2), 6), ((4, 2), 8), ((5,), 5)])
def test_the_chosen_rows_show_every_pair_of_values(sizes: tuple[int, ...], rows: int) -> None:
    every = list(product(*map(range, sizes)))
    chosen = pairwise(every)
    for axes in combinations(range(len(sizes)), min(2, len(sizes))):
        wanted, shown = ({tuple(row[axis] for axis in axes) for row in taken} for taken in (every, chosen))
        assert shown == wanted
    assert len(chosen) == rows


def test_each_value_of_every_axis_is_shown() -> None:
    assert each("abc", (1, 2), "z") == [("a", 1, "z"), ("b", 2, "z"), ("c", 1, "z")]


def test_what_leaves_out_anything_is_run_by_make_deep() -> None:
    [recipe] = re.findall(r"^deep:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    run = re.findall(r"tests/\S+", recipe)
    assert all((ROOT / path).exists() for path in run)
    leaving = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if re.search(r"^from tests\.(deep|covering) import", path.read_text("utf-8"), re.MULTILINE)
    ]
    left = [path for path in leaving if not path.startswith(("tests/architecture/", *run))]
    assert left == []
