"""Each field that differs is on the list by itself, whatever else of the same record is there."""

from __future__ import annotations

from tests.scenarios.world import D, World, customer, invoice
from tieout.model import Entity
from tieout.sync.review import decisions, differences


def fields(world: World) -> list[tuple[str | None, str | None, str | None]]:
    report = world.run()
    return sorted((d.field, d.left_value, d.right_value) for d in report.discrepancies)


def test_a_telephone_number_does_not_hide_behind_an_address() -> None:
    world = World()
    for side, books in (("left", world.l), ("right", world.r)):
        books.put(customer(email=f"{side}@ada.test", phone=f"555 {side}", terms=f"net of {side}"))
    expected = [
        ("email", "left@ada.test", "right@ada.test"),
        ("phone", "555 left", "555 right"),
        ("terms", "net of left", "net of right"),
    ]
    assert fields(world) == expected
    assert fields(world) == expected
    # Who accepts the one has said nothing of the other.
    [email] = [d for d in differences.listed(world.store) if d["field"] == "email"]
    decisions.decide(world.store, email["id"], action="accept", by="Grace", reason="both are right")
    assert fields(world) == expected
    assert {d["field"]: d["state"] for d in differences.listed(world.store)} == {
        "email": "accepted",
        "phone": "open",
        "terms": "open",
    }


def test_a_note_that_both_changed_is_named_beside_an_amount() -> None:
    world = World()
    ada = world.l.put(customer())
    world.l.put(invoice(ada.ref.id, "100.00", number="L-1", memo="as it was"))
    world.run()
    for side, books in (("left", world.l), ("right", world.r)):
        books.edit(Entity.INVOICE, "INV-1", memo=f"as {side} has it")
    world.r.edit(Entity.INVOICE, "INV-1", total=D("90.00"), subtotal=D("90.00"))
    report = world.run()
    told = {d.field: d for d in report.discrepancies}
    assert (told["memo"].left_value, told["memo"].right_value) == ("as left has it", "as right has it")
    assert told["memo"].cause.startswith("conflict")
    [amount] = [d for d in report.discrepancies if d.delta]
    assert amount.delta == D("-10.00")
    assert "conflict" not in amount.cause, "the note is no cause of the amount"
    assert amount.cause.startswith("non_owner_change")


def test_what_the_comparison_names_itself_is_not_named_twice() -> None:
    world = World()
    for side, books in (("left", world.l), ("right", world.r)):
        books.put(customer(f"Holding {side}"))
        books.put(customer("Ada Ltd", phone=f"555 {side}", parent="CUS-1"))
    assert [field for field, _, _ in fields(world)] == ["parent", "phone"]
