"""A report that prints each customer in the first of its rows alone, damaged: no document comes to another customer."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import event, given
from hypothesis import strategies as st

from tests.deep import examples
from tieout.connectors.files import records
from tieout.mapping.tabular import Profile
from tieout.model import CreditMemo, Invoice

HEAD = ["Customer", "Date", "Number", "Amount"]
PROFILE = Profile.model_validate({
    "name": "p", "entity": "documents", "key": ["number"], "unique": True, "dates": {"format": "%Y-%m-%d"},
    "amounts": {"direction": "debit_positive"},
    "columns": {
        "kind": {"value": "invoice|credit_memo"}, "currency": {"value": "USD"}, "number": {"names": ["Number"], "required": True},
        "customer": {"names": ["Customer"], "required": True, "fill_down": True}, "issued": {"names": ["Date"], "required": True},
        "total": {"names": ["Amount"], "required": True},
    },
})  # fmt: skip
# What happens to a row: nothing, mostly; it is printed with its customer; a cell cannot be read, or is one too many; an
# empty row, a note or a total that is none stands before it.
HOW = st.sampled_from(["whole"] * 8 + ["named", "bad day", "too wide", "blank", "note", "total"])
ROWS = st.lists(st.tuples(HOW, st.integers(-5, 5)), min_size=1, max_size=4)


@examples(40)
@given(st.lists(st.tuples(ROWS, st.booleans()), min_size=1, max_size=5), st.booleans())
def test_an_accepted_document_has_its_own_customer(
    groups: list[tuple[list[tuple[str, int]], bool]], again: bool
) -> None:
    """again: whether the first customer stands below the others once more, as in a file that somebody sorted"""
    printed, customer_of = [HEAD], {}
    whole = True
    for n, (rows, total) in enumerate([*groups, *groups[:1] * again]):
        customer = f"C{n % len(groups)}"
        for at, (how, amount) in enumerate(rows):
            number = f"D{len(customer_of)}"
            customer_of[number] = customer
            before = {"blank": [""] * 4, "note": ["", "", "", "7.77"], "total": ["Total", "", "", "7.77"]}.get(how)
            printed += [before] if before else []
            day = "no day" if how == "bad day" else "2026-01-05"
            said = customer if at == 0 or how == "named" else ""
            printed.append([said, day, number, f"{amount}.00", *["extra"] * (how == "too wide")])
            whole = whole and how in ("whole", "named")
        if total:
            printed.append([f"Total {customer}", "", "", f"{sum(amount for _, amount in rows)}.00"])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f.csv"
        path.write_text("".join(",".join(row) + "\n" for row in printed))
        observed, report = records(path, PROFILE, "erp")
    read = {o.record.number: o.record.customer for o in observed if isinstance(o.record, Invoice | CreditMemo)}
    assert {number: customer_of[number] for number in read} == read
    if whole and not again:
        assert (len(read), report.rejected) == (len(customer_of), [])
    event(f"whole: {whole}, again: {again}")
    event("some rejected" if report.rejected else "none rejected")
