"""Differences that only the sync finds: each names its record as people know it, on the side or sides where it is."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.scenarios.test_files import FileWorld
from tests.scenarios.test_quickbooks import world as quickbooks
from tests.scenarios.world import DAY, World, customer, invoice
from tieout.compare import Discrepancy
from tieout.connectors.tabular import open_tabular
from tieout.evidence.rows import unlike
from tieout.evidence.verify import log_breaks
from tieout.model import Entity, Line, PostingState
from tieout.sync import schema
from tieout.sync.core.facts import Codes
from tieout.sync.engine import Report
from tieout.sync.review import decisions, differences
from tieout.sync.review.history import stories

D = Decimal


def one(report: Report, code: str) -> Discrepancy:
    [found] = [d for d in report.discrepancies if d.code == code]
    return found


def named(d: Discrepancy) -> tuple[str | None, ...]:
    return d.left, d.left_label, d.right, d.right_label


def whole(world: Any) -> None:
    assert list(log_breaks(world.store)) == []
    assert list(unlike(world.store)) == []


def lines(*nets: str) -> tuple[Line, ...]:
    blank = dict.fromkeys(("item", "quantity", "unit_price", "tax_code", "revenue_account"))
    return tuple(Line(**blank, description="goods", net=D(net), tax=D(0)) for net in nets)


def in_step(**bill: Any) -> tuple[World, str, str]:
    """A world in which one customer and one invoice are the same on both sides; the ids of the invoice."""
    world = World()
    ada = world.l.put(customer("Ada Ltd"))
    left = world.l.put(invoice(ada.ref.id, "1000.00", number="L-1", **bill)).ref.id
    world.run()
    assert world.run().discrepancies == []
    return world, left, world.r.all(Entity.INVOICE)[0].ref.id


def test_an_edit_by_hand_of_a_mirror_names_the_invoice_on_both_sides() -> None:
    world, left, right = in_step()
    world.r.edit(Entity.INVOICE, right, memo="edited by hand")
    found = one(world.run(), "UNAUTHORISED_EDIT_AFTER_POST")
    assert named(found) == (left, "L-1", right, "L-1")
    assert (found.kind, found.field, found.right_value, found.severity) == ("invoice", "memo", "edited by hand", "low")
    [story] = stories(world.store, "books", until=world.clock())
    assert (story.left_label, story.right_label) == ("L-1", "L-1")
    whole(world)


def test_other_lines_of_the_same_total_are_named_where_both_ledgers_have_lines() -> None:
    """A ledger without lines (most exports of open items) says nothing of them, and nothing is said then."""
    world, left, right = in_step(lines=lines("1000.00"))
    world.r.edit(Entity.INVOICE, right, lines=lines("600.00", "400.00"))
    found = one(world.run(), "LINE_STRUCTURE")
    assert named(found) == (left, "L-1", right, "L-1")
    whole(world)
    world, left, right = in_step()
    world.r.edit(Entity.INVOICE, right, lines=lines("600.00", "400.00"))
    assert world.run().discrepancies == []


def test_a_customer_that_was_removed_on_one_side_is_named_where_it_is_left() -> None:
    world = World()
    ada = world.l.put(customer("Ada Ltd"))
    world.run()
    [mirror] = world.r.all(Entity.CUSTOMER)
    world.r.delete(Entity.CUSTOMER, mirror.ref.id)
    found = one(world.run(sweep=True), "CUSTOMER_INACTIVE")
    assert named(found) == (ada.ref.id, "Ada Ltd", None, None)
    whole(world)


def test_a_customer_field_that_differs_names_the_customer_on_both_sides() -> None:
    world = World()
    ada = world.l.put(customer("Ada Ltd"))
    world.run()
    [mirror] = world.r.all(Entity.CUSTOMER)
    world.r.edit(Entity.CUSTOMER, mirror.ref.id, email="by@hand.example")
    found = one(world.run(), "CUSTOMER_FIELD_DIFF")
    assert named(found) == (ada.ref.id, "Ada Ltd", mirror.ref.id, "Ada Ltd")


def test_customers_whose_codes_are_not_mapped_are_each_named_and_as_grave_as_what_waits_for_them() -> None:
    world = World(codes=replace(Codes.same(), terms={}))
    for name in ("Ada Ltd", "Bell & Sons"):
        who = world.l.put(customer(name, terms="NET30"))
        world.l.put(invoice(who.ref.id, "10.00", number=f"of {name}"))
    report = world.run()
    held = {d.left_label: d for d in report.discrepancies if d.kind == "customer"}
    assert held.keys() == {"Ada Ltd", "Bell & Sons"}
    for d in held.values():
        assert (d.code, d.severity, d.right, d.right_label) == ("SYNC_BLOCKED", "high", None, None)
        assert "'NET30' has no entry in codes.terms" in d.cause
    waits = {d.left_label: d.cause for d in report.discrepancies if d.kind == "invoice"}
    assert {name.removeprefix("of "): cause for name, cause in waits.items()} == {
        name: f"waits for customer {name}: not on the other side" for name in held
    }
    assert report.held_back() == {"'NET30' has no entry in codes.terms": 2, "they wait for another record": 2}


def test_all_codes_of_a_document_that_are_not_mapped_are_told_at_once() -> None:
    world = World(codes=replace(Codes.same(), items={}, taxes={"O0": "NON"}))
    one, other = lines("60.00", "40.00")
    rows = one.model_copy(update={"item": "GOODS", "tax_code": "I1"}), other.model_copy(update={"tax_code": "O0"})
    ada = world.l.put(customer("Ada Ltd")).ref.id
    world.l.put(invoice(ada, "100.00", number="L-1", lines=rows))
    [d] = [d for d in world.run().discrepancies if d.kind == "invoice"]
    missing = ("'GOODS'", "items"), ("'I1'", "taxes"), ("'a record without one'", "items")
    assert d.cause == "; ".join(f"{code} has no entry in codes.{table}" for code, table in missing)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_record_that_cannot_be_read_is_named_on_its_own_side(side: str) -> None:
    world, left, right = in_step()
    books = world.l if side == "left" else world.r
    books.corrupt(Entity.INVOICE, left if side == "left" else right)
    found = one(world.run(sweep=True), "PARSE_REJECT")
    assert found.kind == "invoice"
    expected = (left, "L-1", None, None) if side == "left" else (None, None, right, "L-1")
    assert named(found) == expected
    assert (found.left_value is None, found.right_value is None) == (side == "right", side == "left")
    whole(world)


def test_an_invoice_row_of_an_export_that_cannot_be_read_is_one_invoice(tmp_path: Path) -> None:
    """It may state a settlement, too, which is then as unreadable: one row, listed once, as what it is."""
    w = FileWorld(tmp_path, "plain")
    ada = w.erp.books.enter_customer("Ada Ltd")
    bad = w.erp.books.enter_invoice(ada, "10.00", on=DAY, reference="L-1")
    w.erp.books.enter_invoice(ada, "20.00", on=DAY, reference="L-2")
    file = spoiled(w, bad)
    found = one(w.run(), "PARSE_REJECT")
    assert (found.kind, found.left_value, found.right) == ("invoice", "2026-99-14", None)
    assert found.cause.startswith(f"bad_record: {file.name}, row 2, column issued: ")
    assert named(found)[:2] == (bad, bad)
    decisions.decide(w.store, found.id, action="accept", by="Grace", reason="known")
    file = spoiled(w, bad, last=True)
    report = w.run()
    assert one(report, "PARSE_REJECT").cause.startswith(f"bad_record: {file.name}, row 3, column issued: ")
    assert (report.changes.opened, report.changes.closed) == (0, 0), "the next export shows the same difference"


def spoiled(w: FileWorld, bad: str, *, last: bool = False) -> Path:
    """The next export, with a date of that document that is none; its rows the other way round, if it is to be last."""
    w.export()
    file = max((w.folder / "export").glob("documents_*.csv"))
    headings, *rows = file.read_text("utf-8-sig").splitlines()
    rows = [row.replace(DAY.isoformat(), "2026-99-14") if bad in row else row for row in rows]
    file.write_text("\n".join([headings, *(reversed(rows) if last else rows), ""]), "utf-8-sig")
    for path in (w.folder / "export").iterdir():
        if path.suffix == ".csv":
            os.utime(path, (0, 0))  # long at rest, so that it needs no manifest
        else:
            path.unlink()
    w.sap = open_tabular("left", settings=w.settings | {"settle_seconds": 0}, clock=w.clock)
    return file


def test_a_number_that_is_used_again_after_its_document_was_deleted_is_told_as_that() -> None:
    world, bill, mirror = in_step()
    world.l.delete(Entity.INVOICE, bill)
    other = world.l.put(invoice("CUS-1", "70.00", number="L-1")).ref.id
    found = one(world.run(), "AMOUNT_NET")
    assert (found.left, found.right) == (other, mirror)
    assert found.cause == (
        f"number_reused: L-1 was deleted, and {other} is another invoice there with its number; "
        f"the other ledger still has the copy of the deleted one ({mirror})"
    )
    assert f"void {mirror}: then {other} is carried over" in found.remedy
    world.r.void(Entity.INVOICE, mirror)
    world.run()
    assert [i.total for i in world.r.all(Entity.INVOICE) if i.state is PostingState.POSTED] == [D("70.00")]
    assert [d.code for d in world.run().discrepancies] == ["VOID_VS_DELETED"]


def as_before(world: World, found: Discrepancy) -> None:
    """The state as an earlier version left it: no names, the subject for an id, what was read always on the left."""
    d = schema.discrepancy
    with world.store.writing(None, actor="earlier") as tx:
        [row] = tx.all(sa.select(d).where(d.c.id == found.id))
        body = json.loads(row["body"])
        if found.code == "PARSE_REJECT":
            body |= {"left": body["right"], "left_label": "right", "left_value": body["right_value"]}
            body |= {"right": None, "right_label": None, "right_value": None}
        else:
            body |= {"left": body["links"][0], "right": body["links"][0], "left_label": None, "right_label": None}
        kept = json.dumps(body)
        told = {"code": body["code"], "pair": "books", "delta": body["delta"], "currency": ""}
        told |= {"left": body["left_value"], "right": body["right_value"], "values": row["values_hash"]}
        tx.audit("changed", "discrepancy", found.id, told | {"shown": differences.shown_hash(kept)})
        tx.db.execute(d.update().where(d.c.id == found.id).values(body=kept))


@pytest.mark.parametrize("code", ["UNAUTHORISED_EDIT_AFTER_POST", "PARSE_REJECT"])
def test_what_an_earlier_version_listed_without_names_gets_them_and_its_decision_holds(code: str) -> None:
    world, _, right = in_step()
    if code == "PARSE_REJECT":
        world.r.corrupt(Entity.INVOICE, right)
    else:
        world.r.edit(Entity.INVOICE, right, memo="edited by hand")
    found = one(world.run(sweep=True), code)
    as_before(world, found)
    whole(world)
    decisions.decide(world.store, found.id, action="accept", by="Grace", reason="known")
    report = world.run()
    assert report.changes.opened == 0
    [listed] = differences.listed(world.store)
    assert (listed["id"], listed["state"]) == (found.id, "accepted")
    assert tuple(listed[k] for k in ("left", "left_label", "right", "right_label")) == named(found)
    whole(world)
    world.run()
    [story] = [s for s in stories(world.store, "books", until=world.clock()) if s.id == found.id]
    assert [s.happened for s in story.steps] == ["opened", "changed", "decided", "changed"]


@pytest.mark.parametrize("holder", ["Vendor", "Employee"])
def test_a_name_that_a_vendor_has_is_said_to_be_that_and_follows_once_it_is_free(holder: str) -> None:
    """QuickBooks' customers, vendors and employees share one list of names."""
    with quickbooks() as w:
        w.server.books.apply(holder, "create", {"DisplayName": "Vend & Co"})
        who = w.left.books.put(customer("Vend & Co"))
        w.left.books.put(invoice(who.ref.id, "31.00", number="V-1"))
        for _ in range(2):  # as it is refused, and as it is remembered
            report = w.run()
            assert (w.qbo("Customer"), w.qbo("Invoice")) == ([], [])
            [found] = [d for d in report.discrepancies if d.kind == "customer"]
            assert named(found) == (who.ref.id, "Vend & Co", None, None)
            assert (found.code, found.severity) == ("SYNC_BLOCKED", "high")
            said = "a vendor" if holder == "Vendor" else "an employee"
            assert found.cause.startswith(f"name_collision: {said} in QuickBooks")
            assert "'Vend & Co'" in found.cause
            assert "number" not in found.cause
            assert found.remedy.startswith("rename one of the two")
            [waits] = [d for d in report.discrepancies if d.kind == "invoice"]
            assert (waits.left_label, waits.cause[:28]) == ("V-1", "waits for customer Vend & Co")
        [other] = [o for o in w.qbo(holder) if o["DisplayName"] == "Vend & Co"]
        w.server.books.apply(holder, "update", {**other, "DisplayName": "Vend & Co (supplier)"})
        assert w.run().operations == []
        decisions.decide(w.store, found.id, action="retry", by="Grace", reason="")
        w.run()
        assert [c["DisplayName"] for c in w.qbo("Customer")] == ["Vend & Co"]
        assert [i["DocNumber"] for i in w.qbo("Invoice")] == ["V-1"]
        assert w.run(sweep=True).discrepancies == []
