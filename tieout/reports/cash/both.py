"""A report of one ledger, and the same of another, in one: each table beside its like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tieout.mapping.relation import SIDES
from tieout.reports.frame import Report


def beside(made: Sequence[Report], names: Sequence[str]) -> Report:
    """Both ledgers in one report; that of one ledger as it is.

    made: the same report of each ledger, with as many tables of the same keys · names: of the ledgers, left first
    A table, a chart, a proof, a note is that of the ledger it names; a note that both make stands once.
    """
    if len(made) == 1:
        return made[0]
    left, right = made
    sides = tuple(zip(SIDES, names, made, strict=True))
    return replace(
        left,
        title=f"{left.title.removesuffix(f': {names[0]}')}: {names[0]}, {names[1]}",
        tables=tuple(
            replace(r.tables[n], key=f"{r.tables[n].key}_{side}", title=f"{r.tables[n].title}: {name}")
            for n in range(len(left.tables))
            for side, name, r in sides
        ),
        charts=tuple(
            replace(c, key=f"{c.key}_{side}", title=f"{c.title}: {name}") for side, name, r in sides for c in r.charts
        ),
        proofs=tuple(replace(p, claim=_of(name, p.claim)) for _, name, r in sides for p in r.proofs),
        notes=tuple(_notes(left.notes, right.notes, names)),
        parameters=dict(left.parameters) | dict(right.parameters),
        provenance=dict(left.provenance) | dict(right.provenance),
    )


def _of(name: str, said: str) -> str:
    return said if said.startswith(f"{name}: ") else f"{name}: {said}"


def _notes(left: Sequence[str], right: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    for note in left:
        yield note if note in right else _of(names[0], note)
    for note in right:
        if note not in left:
            yield _of(names[1], note)
