"""Every hostile file does what its index says, read in bulk and record by record."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tieout.connectors.files import load, records
from tieout.errors import ProfileError
from tieout.mapping.tabular import Profile

HOSTILE = Path(__file__).parents[2] / "fixtures" / "hostile"
CASES: list[dict[str, Any]] = tomllib.loads((HOSTILE / "index.toml").read_text("utf-8"))["case"]
EXPECTED = {
    "file", "trap", "why", "accepted", "sum", "currency", "rejected", "skipped", "refused", "warning", "ids", "keys", "customers",
    "shown", "memos", "issued", "encoding", "header_row",
}  # fmt: skip
LISTS = {
    "ids": "id",
    "keys": "number_key",
    "customers": "customer",
    "shown": "customer_name",
    "memos": "memo",
    "issued": "issued",
}


def profile_of(case: dict[str, Any]) -> Profile:
    settings = tomllib.loads((HOSTILE / "base.toml").read_text("utf-8"))
    for key, value in case.items():
        if key == "drop":
            for column in value:
                del settings["columns"][column]
        elif key == "shape":
            settings["file"] |= value
        elif key == "columns":
            settings["columns"] |= value
        elif key not in EXPECTED:
            settings[key] = value
    return Profile.model_validate(settings)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["file"])
def test_hostile_file(case: dict[str, Any]) -> None:
    path, profile = HOSTILE / case["file"], profile_of(case)
    con = duckdb.connect()
    if "refused" in case:
        for read in (lambda: load(con, path, profile, side="left"), lambda: records(path, profile, "erp")):
            with pytest.raises(ProfileError) as refused:
                read()
            assert case["refused"] in str(refused.value)
        return
    report = load(con, path, profile, side="left")
    assert report.as_json() == records(path, profile, "erp")[1].as_json()

    assert report.accepted == case["accepted"], report.rejected
    found = [(r["row"], r["column"], r["reason"]) for r in report.rejected]
    wanted = case.get("rejected", [])
    assert [f[:2] for f in found] == [tuple(w[:2]) for w in wanted], found
    for (_, _, reason), (_, _, part) in zip(found, wanted, strict=True):
        assert part in reason
    assert [s["reason"].split(":")[0] for s in report.skipped] == case.get("skipped", [])
    if case["accepted"]:
        currency = case.get("currency", "USD")
        assert report.totals == {currency: {"count": case["accepted"], "sum": Decimal(case["sum"])}}
    for key, column in LISTS.items():
        if key in case:
            rows = con.execute(f"SELECT {column} FROM left_documents ORDER BY source").fetchall()
            assert [str(v) for (v,) in rows] == case[key]
    if "warning" in case:
        assert any(case["warning"] in w for w in report.warnings)
    for key in ("encoding", "header_row"):
        if key in case:
            assert getattr(report, key) == case[key]


def test_every_file_is_in_the_index() -> None:
    listed = {c["file"] for c in CASES} | {"index.toml", "base.toml"}
    assert {p.name for p in HOSTILE.iterdir() if not p.name.startswith(".")} == listed
