"""`tieout compare` with a side that is what the state database holds: what was last read, and said to be that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.office import Office, office


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path) as found:
        yield found


def export(it: Office) -> str:
    """The newest line items of the ERP."""
    return str(max((it.folder / "erp/export").glob("fbl5n_*"), key=lambda p: p.name).relative_to(it.folder))


def grown(it: Office) -> str:
    """What the ERP would export later: one invoice more."""
    text = (it.folder / export(it)).read_text("utf-16")
    lines = text.splitlines(keepends=True)
    (it.folder / "later.xls").write_text("".join([*lines, lines[-1].replace("90000001", "90000099")]), "utf-16")
    return "later.xls"


def against(it: Office, *more: str, code: int = 0, file: str = "") -> Any:
    words = ("--left", "state:erp", "--right", file or export(it), "--right-profile", "sap-fbl5n-en", *more)
    ran = it.run("compare", *words, "--json")
    assert ran.returncode == code, ran.stderr
    return json.loads(ran.stdout) if not code else ran.stderr


def of_documents(found: Any) -> list[str]:
    """The codes, but that line items know a customer by its number only."""
    return [d["code"] for d in found["discrepancies"] if d["code"] != "CUSTOMER_FIELD_DIFF"]


def test_the_state_is_a_side_and_is_said_to_be_what_was_last_read(it: Office) -> None:
    assert "there is no state database yet" in against(it, code=2)
    assert it.run("pull", "erp").returncode == 0
    same = against(it)
    assert (of_documents(same), same["left"]["rejected"]) == ([], 0)
    assert same["matched"] == same["right"]["records"] > 0
    # The ERP goes on; the state does not know of it, and says when it looked.
    later = against(it, file=grown(it))
    assert of_documents(later) == ["MISSING_IN_A"]
    read = later["provenance"]["read"]["left"]
    assert read["state"] == "erp"
    assert read["means"] == f"what tieout last read, at {read['read_at']}; the system itself was not asked"
    assert read["from"].startswith("the state database, as known on ")
    ran = it.run(
        "compare", "--left", export(it), "--left-profile", "sap-fbl5n-en", "--right", "state:erp", "--html", "p.html"
    )
    assert f"erp: {read['means']}" in ran.stderr
    assert read["means"] in (it.folder / "p.html").read_text("utf-8")


def test_what_names_no_books_of_the_state_is_refused(it: Office) -> None:
    assert it.run("pull", "erp").returncode == 0
    assert "needs no profile" in against(it, "--left-profile", "documents", code=2)
    ran = it.run("compare", "--left", "state:erp", "--right", "state:quickbooks")
    assert (ran.returncode, "nothing of quickbooks was read" in ran.stderr) == (2, True)
    ran = it.run("compare", "--left", "state:sap", "--right", "state:erp")
    assert (ran.returncode, "sap" in ran.stderr) == (2, True)


def test_what_could_not_be_read_is_told_with_the_command_that_reads_it_again(it: Office) -> None:
    newest = it.folder / export(it)
    *rows, last = newest.read_text("utf-16").splitlines(keepends=True)
    newest.write_text("".join([*rows, re.sub(r"\t[0-9,]+\.[0-9]{2}-?\t", "\t1.2.3\t", last)]), "utf-16")
    (manifest,) = newest.parent.glob("*.manifest.json")  # it describes another file now
    manifest.unlink()
    assert it.run("pull", "erp").returncode == 0
    ran = it.run("compare", "--left", "state:erp", "--right", export(it), "--right-profile", "sap-fbl5n-en")
    assert " could not be read when last seen; not compared\n  → tieout pull erp\n" in ran.stderr
    again = f"  → tieout profile check {export(it)} --profile sap-fbl5n-en\n"
    assert f"{export(it)}: 1 row was rejected and not compared\n{again}" in ran.stderr
