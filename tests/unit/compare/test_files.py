"""Two files and nothing else: shipped profiles, rejected rows counted, provenance kept."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tests.ledgers import JAN31, D
from tieout import compare
from tieout.errors import ProfileError

HEAD = "kind,number,customer,name,date,due,currency,amount,tax\n"
LEFT = (
    HEAD
    + """invoice,1001,C-1,Müller & Söhne,2026-01-05,2026-02-04,EUR,119.00,19.00
invoice,1002,C-1,Müller & Söhne,2026-01-06,2026-02-05,EUR,50.00,0.00
credit memo,1003,C-2,Beta,2026-01-07,,USD,12.50,0.00
invoice,1004,C-2,Beta,2026-01-08,,USD,not money,0.00
"""
)
RIGHT = (
    HEAD
    + """invoice,01001,C1,MÜLLER AND SÖHNE,2026-01-05,2026-02-04,EUR,120.00,20.00
invoice,1002,C1,Müller & Söhne,2026-01-06,2026-02-05,EUR,50.00,0.00
credit memo,1003,C2,Beta,2026-01-07,,USD,12.50,0.00
"""
)


@pytest.fixture
def files(tmp_path):
    for name, text in (("left.csv", LEFT), ("right.csv", RIGHT)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / "left.csv", tmp_path / "right.csv"


def test_two_files_by_a_shipped_profile(files):
    left, right = files
    result = compare.compare_files(left, "documents", right, "documents", JAN31, memory="200MB")
    assert {d.code: d.delta for d in result.discrepancies} == {"TAX_AMOUNT": D(1)}
    assert (result.matched, result.left.records, result.left.rejected, result.right.rejected) == (3, 3, 1, 0)
    assert result.left.totals["USD"].open == D("-12.5")
    assert {c: b.remainder for c, b in result.bridge.items()} == {"EUR": 0, "USD": 0}
    facts = result.provenance["left"]
    assert facts["sha256"] == sha256(left.read_bytes()).hexdigest()
    assert (facts["profile"], facts["rows"], facts["accepted"], facts["rejected"]) == ("documents", 4, 3, 1)


def test_a_file_that_does_not_fit_its_profile_is_an_error_that_names_it(files, tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ProfileError, match=r"other\.csv"):
        compare.compare_files(files[0], "documents", tmp_path / "other.csv", "documents")
