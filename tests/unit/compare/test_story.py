"""The month end of issue 2 §8 in miniature: each cause under its code, each delta exact, the bridge closed."""

from __future__ import annotations

from tests.ledgers import JAN31, D, adjustment, applied, codes, compared, credit, customer, invoice, load, payment
from tieout import compare
from tieout.model import Entity


def sap():
    return [
        customer("100", "Nordwind Trading", "100"),
        customer("200", "Beta Supplies", "200"),
        invoice("9001", "100", "12480", "2026-01-12"),
        invoice("9002", "100", "6912", "2026-01-15", tax="512"),
        invoice("9003", "200", "940", "2025-11-02"),
        adjustment("W1", "200", "write_off", "940", "2026-01-20", document="9003"),
        invoice("9004", "200", "7600", "2026-01-31"),
        invoice("9005", "100", "3250", "2026-01-03"),
        payment("501", "100", "3250", "2026-01-20", apps=[applied("9005", "3250", "2026-01-20")], reference="ACH-77"),
        invoice("9006", "200", "1875", "2025-12-03"),
        payment("502", "200", "1875", "2026-01-09", apps=[applied("9006", "1875", "2026-01-09")], reference="chk 1044"),
        invoice("9007", "100", "4200", "2026-01-05"),
        payment("503", "100", "4200", "2026-01-25", apps=[applied("9007", "4200", "2026-01-25")]),
        invoice("9008", "200", "2150", "2025-12-10"),
        credit(
            "9009", "200", "2150", "2026-01-14", original_invoice="9008", apps=[applied("9008", "2150", "2026-01-14")]
        ),
    ]


def qbo():
    return [
        customer("1", "NORDWIND  TRADING"),
        customer("2", "Beta Supplies"),
        invoice("12", "1", "6928", "2026-01-15", tax="528", number="9002"),
        invoice("13", "2", "940", "2025-11-02", number="9003"),
        invoice("14", "2", "7600", "2026-02-01", number="9004"),
        invoice("15", "1", "3250", "2026-01-03", number="9005"),
        payment("16", "1", "3250", "2026-01-20", apps=[applied("15", "3250", "2026-01-20")], reference="ACH-77"),
        payment("17", "1", "3250", "2026-01-21", reference="ACH-77"),
        invoice("18", "2", "1875", "2025-12-03", number="9006"),
        payment(
            "19", "2", "1875", "2026-01-09", reference="CHK1044", voided_on="2026-01-16", memo="Returned check, NSF"
        ),
        invoice("20", "1", "4200", "2026-01-05", number="9007"),
        payment("21", "1", "4200", "2026-01-25", reference="503"),
        payment("23", "1", "10", "2026-01-26", apps=[applied("20", "10", "2026-01-26")], reference="x"),
        invoice("22", "2", "2150", "2025-12-10", number="9008", voided_on="2025-12-10"),
    ]


def test_every_cause_under_its_code():
    result = compared(
        [*sap(), payment("504", "100", "10", "2026-01-26", apps=[applied("9007", "10", "2026-01-26")], reference="x")],
        qbo(),
        as_of=JAN31,
    )
    by = {d.code: d for d in result.discrepancies}
    expected = {
        "MISSING_IN_B": "-12480",
        "PAYMENT_DUPLICATED": "-3250",
        "CHARGEBACK_NSF": "1875",
        "TAX_AMOUNT": "16",
        "WRITEOFF_ONE_SIDE": "940",
        "CUTOFF": "-7600",
        "UNAPPLIED_CASH": "0",
        "VOID_DATE_DIFF": "0",
    }
    assert codes(result) == dict.fromkeys(expected, 1) | {"OVER_APPLIED": 1}
    assert {c: by[c].delta for c in expected} == {c: D(v) for c, v in expected.items()}
    assert by["UNAPPLIED_CASH"].left_value == "4200.00"
    assert by["CHARGEBACK_NSF"].secondary == ("VOID_VS_OPEN",)
    assert "8.00 % of net against 8.25 %" in by["TAX_AMOUNT"].cause
    assert "2,150.00" in by["VOID_DATE_DIFF"].cause
    bridge = result.bridge["USD"]
    assert bridge.right_total - bridge.left_total == sum((D(v) for v in expected.values()), D(0))
    assert bridge.unconfirmed == D(12480)


def test_a_document_the_sync_accounts_for_keeps_the_syncs_code():
    blocked = compare.Explained("left", "invoice", "9001", "SYNC_BLOCKED", "tax code V9 is not mapped", "map V9")
    result = compared(sap(), qbo(), as_of=JAN31, explained=[blocked])
    found = next(d for d in result.discrepancies if d.code == "SYNC_BLOCKED")
    assert (found.delta, found.cause, found.remedy) == (D(-12480), "tax code V9 is not mapped", "map V9")
    assert "MISSING_IN_B" not in codes(result)
    assert result.bridge["USD"].unconfirmed == 10


def test_swapping_sides_negates_every_delta():
    forth, back = (compared(a, b, as_of=JAN31) for a, b in ((sap(), qbo()), (qbo(), sap())))
    mirror = {"MISSING_IN_B": "MISSING_IN_A", "MISSING_IN_A": "MISSING_IN_B"}
    assert sorted((d.code, d.delta) for d in forth.discrepancies) == sorted(
        (mirror.get(d.code, d.code), -d.delta) for d in back.discrepancies
    )


def test_ids_do_not_depend_on_order_or_run():
    one = compared(sap(), qbo(), as_of=JAN31)
    two = compared(list(reversed(sap())), list(reversed(qbo())), as_of=JAN31)
    assert [d.id for d in one.discrepancies] == [d.id for d in two.discrepancies]


def test_links_known_to_the_sync_come_first_and_carry_subjects():
    left = [
        customer("1", "A"),
        invoice("I1", "1", "10", "2026-01-01"),
        invoice("I2", "1", "10", "2026-01-01", number="I1"),
    ]
    right = [customer("9", "B"), invoice("J1", "9", "11", "2026-01-09", number="other")]
    links = {(Entity.INVOICE, "I2"): "s1", (Entity.CUSTOMER, "1"): "c1"}
    result = compared(
        left, right, left_links=links, right_links={(Entity.INVOICE, "J1"): "s1", (Entity.CUSTOMER, "9"): "c1"}
    )
    net = next(d for d in result.discrepancies if d.code == "AMOUNT_NET")
    assert (net.left, net.right, net.links, net.delta) == ("I2", "J1", ("s1",), D(1))


def test_json_has_the_promised_keys():
    data = compared(sap(), qbo(), as_of=JAN31).as_json()
    assert list(data) == ["left", "right", "matched", "discrepancies", "by_code", "bridge"]
    assert list(data["discrepancies"][0]) == [
        *("id", "code", "secondary", "class", "severity", "left", "right", "field", "left_value", "right_value"),
        *("delta", "currency", "cause", "remedy", "customer", "amount"),
    ]
    assert list(data["bridge"]["USD"]) == ["left_total", "lines", "right_total", "remainder", "unconfirmed"]
    assert all(isinstance(d["delta"], str) for d in data["discrepancies"])
    assert data["left"]["totals"]["USD"].keys() == {"documents", "total", "open"}


def test_match_alone_says_rung_evidence_and_whether_a_person_must_look():
    con = load(sap(), qbo())
    found = {(m.kind, m.left): m for m in compare.match(con)}
    assert found["customer", ("100",)].right == ("1",)
    same = found["invoice", ("9005",)]
    assert (same.rung, same.right, same.automatic, same.evidence["number"]) == (2, ("15",), True, "9005")
    other_total = found["invoice", ("9002",)]
    assert (other_total.rung, other_total.automatic) == (6, False)
