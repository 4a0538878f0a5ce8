"""What `make test` takes of many combinations shows every pair of values, in few rows."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from tests.deep import pairwise


@pytest.mark.parametrize(("sizes", "rows"), [((3, 8, 3), 24), ((2, 2, 2, 2), 6), ((4, 2), 8), ((5,), 5)])
def test_the_chosen_rows_show_every_pair_of_values(sizes: tuple[int, ...], rows: int) -> None:
    every = list(product(*map(range, sizes)))
    chosen = pairwise(every)
    for axes in combinations(range(len(sizes)), min(2, len(sizes))):
        wanted, shown = ({tuple(row[axis] for axis in axes) for row in taken} for taken in (every, chosen))
        assert shown == wanted
    assert len(chosen) == rows
