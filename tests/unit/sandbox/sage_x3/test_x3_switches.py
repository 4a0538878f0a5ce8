"""Each setting of each switch does what it says, and nothing breaks under any two of them together."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest

from tests.unit.sandbox.sage_x3.conftest import allocation, customer, fields, invoice, lines, memo, pay
from tests.unit.sandbox.sage_x3.wire import Told, Wire
from tieout.errors import ConfigError
from tieout.sandbox.sage_x3 import Books, Pool, Refused, Switches

AT = datetime(2026, 2, 2, 20, tzinfo=UTC)
DEFAULTS = asdict(Switches())
SETTINGS = [(n, v) for n, choice in Switches.choices().items() for v in choice if v != DEFAULTS[n]]


def wire(**switches: Any) -> Wire:
    books = Books("empty", Switches(**switches), lambda: AT)
    customer(books, "C2")
    customer(books, "C1")
    return Wire(books)


def sale(**head: str) -> str:
    given = {"SALFCY": "HLS01", "SIVTYP": "INV", "BPCINV": "C1"} | head
    return json.dumps({"SIH0_1": given, "SIH4_1": [{"ITMREF": "FREE", "QTY": "2"}]})


def outcome(told: Told) -> Any:
    return told.fault or told.messages or told.status


def refusal(act: Callable[[], Any]) -> str:
    try:
        act()
    except Refused as refused:
        return refused.key
    return ""


# ---- what shows each setting: (switch, setting) -> a look at a fresh host, and what is seen under it


def _after(seconds: int, look: Callable[[Wire], Any]) -> Callable[[Wire], Any]:
    def seen(w: Wire) -> Any:
        first = look(w)
        w.books.forward(seconds)
        return first, look(w)

    return seen


def _posted(w: Wire) -> Any:
    if not w.books.rows("SIH"):
        invoice(w.books)
    return len(w.books.open_items())


def _lettered(w: Wire) -> Any:
    if not w.books.rows("SIH"):
        pay(w.books, "C1", "100", allocation(invoice(w.books), "100"))
    return [x["MTC"] for x in w.books.rows("GAS")[0]["lines"] if x["BPR"]]


def _batch(w: Wire) -> Any:
    if not w.books.requests.files:
        given = {"GRP1": {"I_MODEXP": "BPC"}, "GRP3": {"I_EXEC": "BATCH"}}
        w.call("run", "AOWSEXPORT", inputXml=json.dumps(given))
    told = w.call("run", "AOWSBATGET", inputXml='{"GRP1":{"I_REQNUM":"1"}}')
    return fields(told.result or "")["O_STATUS"]


def _twice(w: Wire) -> Any:
    payload = sale(INVREF="R1")
    return w.call("save", "WSSIH", objectXml=payload).status, outcome(w.call("save", "WSSIH", objectXml=payload))


def _own_words(w: Wire) -> Any:
    w.books.switches = replace(w.books.switches, duplicate_reference="reject")
    return _twice(w)[1]


def _held(w: Wire) -> Any:
    num = invoice(w.books)
    w.books.stop_tasks()
    pay(w.books, "C1", "60", allocation(num, "60"))
    return w.books.open_items()[0]["TMPCUR"]


def _numbered(w: Wire) -> Any:
    told = w.call("save", "WSSIH", objectXml=sale(NUM="X1"))
    return fields(told.result)["NUM"] if told.result else told.messages


def _part_paid(w: Wire) -> Any:
    num = invoice(w.books)
    first = pay(w.books, "C1", "60", allocation(num, "60"))
    pay(w.books, "C1", "40", allocation(num, "40"))
    return [x["MTC"] for x in w.books.read("GAS", "PAY", first)["lines"] if x["BPR"]]


def _stale(w: Wire) -> Any:
    num = invoice(w.books, post=False)
    given = {"SIH0_1": {"INVREF": "x"}, "ADXTEC": {"WW_MODSTAMP": "20200101000000"}}
    return outcome(w.call("modify", "WSSIH", objectKeys={"NUM": num}, objectXml=json.dumps(given)))


def _export(w: Wire, criterion: str = "1=1") -> Any:
    if not w.books.rows("BIC"):
        w.books.save(
            "BIC", {"FCY": "HLS01", "SIVTYP": "INV", "BPR": "C1", "lines": [{"ACC": "706000", "AMTNOTLIN": 5}]}
        )
    given = {"GRP1": {"I_MODEXP": "BIC"}, "GRP2": [{"I_TCRITERE": criterion}], "GRP3": {"I_EXEC": "REALTIME"}}
    told = w.call("run", "AOWSEXPORT", inputXml=json.dumps(given))
    return fields(told.result)["O_FILE"].split(";") if told.result else told.messages


def _listed(w: Wire, size: str = "0", **keys: str) -> Any:
    told = w.call("query", "WSBPC", objectKeys=keys, listSize=size)
    return [row["BPCNUM"] for row in lines(told.result)] if told.result else told.messages


def _many(w: Wire) -> Any:
    for n in range(120):
        customer(w.books, f"D{n}")
    return len(_listed(w))


def _full(w: Wire) -> Any:
    pool = Pool("FULL", width=1)
    w.site.pools["FULL"] = pool
    w.call("read", "WSBPC", context={"poolAlias": "FULL"}, objectKeys={"BPCNUM": "C1"})
    pool.sessions[0].busy = True
    if w.books.switches.pool_full == "wait":
        return "would wait"
    return outcome(w.call("read", "WSBPC", context={"poolAlias": "FULL"}, objectKeys={"BPCNUM": "C1"}))


def _lock(w: Wire) -> Any:
    w.site.pools["SANDBOX"].width = 2
    num = invoice(w.books, post=False)
    w.call("read", "WSSIH", objectKeys={"NUM": num})
    w.call("read", "WSSIH", context={"poolId": "14901"}, objectKeys={"NUM": num})
    w.site.pools["SANDBOX"].sessions[0].busy = True
    change = '{"SIH0_1":{"INVREF":"x"}}'
    other = outcome(w.call("modify", "WSSIH", objectKeys={"NUM": num}, objectXml=change))
    w.site.pools["SANDBOX"].sessions[0].busy = False
    own = w.call("modify", "WSSIH", context={"poolId": "14901"}, objectKeys={"NUM": num}, objectXml=change)
    return other, own.status


def _refused(key: str) -> list[tuple[str, str]]:
    return [("3", key)]


LOOKS: dict[tuple[str, Any], tuple[Callable[[Wire], Any], Any]] = {
    ("company_currency", "USD"): (lambda w: w.books.company.currency_of("HLS01"), "USD"),
    ("company_currency", "GBP"): (lambda w: w.books.company.currency_of("HLS01"), "GBP"),
    ("posting_delay", 90): (_after(90, _posted), (0, 1)),
    ("matching_delay", 90): (_after(90, _lettered), ([""], ["AAA"])),
    ("batch_delay", 90): (_after(90, _batch), ("1", "0")),
    ("posting", "batch"): (lambda w: (invoice(w.books, post=False), len(w.books.open_items()))[1], 1),
    ("payment_posting", "manual"): (lambda w: w.books.read("PAY", pay(w.books, "C1", "5"))["STA2"], 1),
    ("payment_hold", "at_posting"): (_held, 0),
    ("post_action", "VALID"): (
        lambda w: '<ACTION CODE="VALID"/>' in (w.call("getDescription", "WSSIH").result or ""),
        True,
    ),
    ("duplicate_reference", "reject"): (
        _twice,
        (1, _refused("Reference already registered in document: INV-26/00001")),
    ),
    ("duplicate_reference", "warn"): (_twice, (1, [("2", "Reference already registered in document: INV-26/00001")])),
    ("duplicate_message", "ja registada no documento: {num}"): (
        lambda w: w.books.switches.duplicate_message[:3],
        "ja ",
    ),
    ("given_number", "refuse"): (_numbered, _refused("NUM is computed and cannot be entered")),
    ("given_number", "ignore"): (_numbered, "INV-26/00001"),
    ("unposted_status", "2"): (lambda w: w.books.read("SIH", invoice(w.books, post=False))["STA"], 2),
    ("credit_category", "4"): (lambda w: w.books.read("SIH", memo(w.books))["INVTYP"], 4),
    ("credit_matching", "manual"): (
        lambda w: (memo(w.books, SIHORINUM=invoice(w.books)), w.books.open_items()[0]["PAYCUR"])[1],
        0,
    ),
    ("partial_codes", "remain"): (_part_paid, ["aaa"]),
    ("delete_unposted", "refuse"): (
        lambda w: refusal(lambda: w.books.delete("SIH", (invoice(w.books, post=False),))),
        "no_deletion",
    ),
    ("modify_stamp", "checked"): (_stale, _refused("INV-26/00001 has been modified by ADMIN in the meantime")),
    ("update_time", "day"): (lambda w: _export(w)[25], "20260202000000"),
    ("export_dates", "yyyymmdd"): (
        lambda w: _export(w, "ACCDAT=[02/02/2026]"),
        _refused("Selection criterion not understood: [02/02/2026]"),
    ),
    ("export_dates", "dd/mm/yyyy"): (
        lambda w: _export(w, "ACCDAT=[20260202]"),
        _refused("Selection criterion not understood: [20260202]"),
    ),
    ("null_dates", "17530101"): (lambda w: _export(w)[6], "17530101"),
    ("list_zero", "none"): (_listed, []),
    ("list_zero", "default"): (_many, 100),
    ("list_order", "entered"): (_listed, ["C2", "C1"]),
    ("list_sizes", "absent"): (lambda w: "SIZE=" in (w.call("query", "WSBPC", listSize="5").result or ""), False),
    ("wildcards", "none"): (lambda w: _listed(w, BPCNUM="C*"), []),
    ("error_type", "4"): (lambda w: w.call("read", "WSSIH", objectKeys={"NUM": "x"}).messages[0][0], "4"),
    ("notes_on_success", True): (
        lambda w: w.call("save", "WSSIH", objectXml=sale()).messages,
        [("1", "INV-26/00001: done")],
    ),
    ("pool_full", "message"): (_full, _refused("No free entry in pool FULL")),
    ("pool_full", "fault"): (_full, "No free entry in pool FULL"),
    ("unknown_pool", "message"): (
        lambda w: outcome(w.call("read", "WSBPC", context={"poolAlias": "sandbox"})),
        _refused("Pool sandbox not found"),
    ),
    ("lost_session", "message"): (
        lambda w: outcome(w.call("read", "WSBPC", context={"poolId": "1"}, objectKeys={"BPCNUM": "C1"})),
        _refused("Session 1 is not in the pool any more"),
    ),
    ("read_locks", True): (_lock, (_refused("Record INV-26/00001 is being modified by another user"), 1)),
    ("undeclared_prefix", "refused"): (
        lambda w: w.call("read", "WSBPC", prefix="soapenc:", objectKeys={"BPCNUM": "C1"}).status,
        -1,
    ),
    ("input_dates", "yyyymmdd"): (
        lambda w: outcome(w.call("save", "WSSIH", objectXml=sale(INVDAT="15/01/2026"))),
        _refused("INVDAT: 15/01/2026 is not a date"),
    ),
    ("unknown_field", "ignore"): (lambda w: w.call("save", "WSSIH", objectXml=sale(NIX="1")).status, 1),
    ("blocks", "later"): (
        lambda w: '<GRP ID="SIH1_7">' in (w.call("save", "WSSIH", objectXml=sale()).result or ""),
        True,
    ),
}


OVER_HTTP = {("fault_status", "200")}  # looked at in test_x3_faults


def test_every_setting_is_looked_at() -> None:
    assert set(LOOKS) == set(SETTINGS) - OVER_HTTP


@pytest.mark.parametrize("setting", LOOKS, ids=lambda s: f"{s[0]}-{s[1]}"[:40])
def test_a_setting_does_what_it_says(setting) -> None:
    look, expected = LOOKS[setting]
    assert look(wire(**{setting[0]: setting[1]})) == expected
    assert look(wire()) != expected, "it shows nothing: the default does the same"


def test_an_entered_payment_holds_the_open_item_or_not() -> None:
    for setting, held in (("at_entry", 60), ("at_posting", 0)):
        w = wire(payment_hold=setting, payment_posting="manual")
        num = invoice(w.books)
        payment = pay(w.books, "C1", "60", allocation(num, "60"))
        assert w.books.open_items()[0]["TMPCUR"] == held
        w.books.action("PAY", "POST", (payment,))
        assert (w.books.open_items()[0]["TMPCUR"], w.books.open_items()[0]["PAYCUR"]) == (0, 60)


def test_two_payments_that_both_fit_when_entered_do_not_pay_twice() -> None:
    w = wire(payment_hold="at_posting", payment_posting="manual")
    num = invoice(w.books)
    payments = [pay(w.books, "C1", "80", allocation(num, "80")) for _ in range(2)]
    for payment in payments:
        w.books.action("PAY", "POST", (payment,))
    rows = {row["NUM"]: row for row in w.books.open_items()}
    assert (rows[num]["PAYCUR"], rows[payments[1]]["AMTCUR"], rows[payments[1]]["SNS"]) == (100, 60, -1)
    w.books.check()


def test_the_duplicates_message_is_the_sites_own() -> None:
    w = wire(duplicate_reference="reject", duplicate_message="ja registada no documento: {num}")
    assert _twice(w) == (1, _refused("ja registada no documento: INV-26/00001"))
    told = w.call("save", "WSSIH", context={"codeLang": "POR"}, objectXml=sale(INVREF="R1"))
    assert told.messages == _refused("ja registada no documento: INV-26/00001")
    assert w.call("save", "WSSIH", objectXml=sale(INVREF="R1", BPCINV="C2")).status == 1


def test_switches_are_read_from_text_and_every_mistake_is_named() -> None:
    assert Switches.parse(["pool-full=fault", "posting_delay=30", "read_locks=on"]) == Switches(
        pool_full="fault", posting_delay=30, read_locks=True
    )
    with pytest.raises(ConfigError) as caught:
        Switches.parse(["nix=1", "blocks=x", "posting_delay=-1"])
    assert len(caught.value.problems) == 3


# ---- pairs


def covering(settings: dict[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Few combinations in which every two settings of different switches meet at least once."""
    names = list(settings)
    missing = {frozenset(((a, x), (b, y))) for a, b in combinations(names, 2) for x in settings[a] for y in settings[b]}
    chance, rows = random.Random(7), []
    while missing:
        start = dict(sorted(min(missing, key=lambda pair: sorted(map(str, pair)))))
        best: dict[str, Any] = {}
        most = -1
        for _ in range(12):
            row = {n: start[n] if n in start else chance.choice(settings[n]) for n in names}
            met = sum(frozenset(pair) in missing for pair in combinations(row.items(), 2))
            if met > most:
                best, most = row, met
        rows.append(best)
        missing -= {frozenset(pair) for pair in combinations(best.items(), 2)}
    return rows


ROWS = covering(Switches.choices())


def test_every_two_settings_meet() -> None:
    met = {frozenset(pair) for row in ROWS for pair in combinations(row.items(), 2)}
    for (a, xs), (b, ys) in combinations(Switches.choices().items(), 2):
        assert all(frozenset(((a, x), (b, y))) in met for x in xs for y in ys), (a, b)


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_a_month_comes_out_right_under_every_two_settings(row) -> None:
    """A client that knows what may differ books the same month everywhere, and the same is open at its end."""
    w = wire(**row)
    w.context["poolId"] = "14999" if row["lost_session"] == "another" else ""
    home = w.books.company.currency_of("HLS01")
    action = row["post_action"]

    def saved(name: str, payload: dict[str, Any]) -> str:
        told = w.call("save", name, objectXml=json.dumps(payload))
        assert told.status == 1, told.messages
        return fields(told.result or "")["NUM"]

    def settled() -> None:
        w.books.forward(100)

    def invoiced(reference: str, price: str, **head: str) -> str:
        given = {"SALFCY": "HLS01", "SIVTYP": "INV", "BPCINV": "C1", "INVREF": reference, "CUR": home} | head
        origin = {"SIH1_1": {"SIHORINUM": given.pop("SIHORINUM")}} if "SIHORINUM" in given else {}
        sold = [{"ITMREF": "SERVICE", "QTY": "1", "NETPRI": price, "VACITM1": "EXO"}]
        num = saved("WSSIH", {"SIH0_1": given, **origin, "SIH4_1": sold})
        if row["posting"] == "manual":
            told = w.call("actionObjectKeys", "WSSIH", actionCode=action, objectKeys={"NUM": num})
            assert told.status == 1, told.messages
        settled()
        return num

    first, second = invoiced("A", "100"), invoiced("B", "50")
    credit = invoiced("C", "30", SIVTYP="CRM", SIHORINUM=first)
    amount, block = ("PAY1_3", "PAY1_5") if row["blocks"] == "later" else ("PAY1_2", "PAY1_4")
    payment = {
        "PAY1_1": {"FCY": "HLS01", "BPR": "C1"},
        amount: {"AMTCUR": "60", "REF": "P", "CUR": home},
        block: [{"DENCOD": "ALLOC", "VCRNUM": second, "AMTLIN": "50"}],
    }
    paid = saved("WSPAY", payment)
    if row["payment_posting"] == "manual":
        assert w.call("actionObjectKeys", "WSPAY", actionCode=action, objectKeys={"NUM": paid}).status == 1
    settled()
    settled()
    left = {r["NUM"]: (r["AMTCUR"] - r["PAYCUR"] - r["TMPCUR"]) * r["SNS"] for r in w.books.open_items("C1")}
    matched = 30 if row["credit_matching"] == "auto" else 0
    assert left == {first: 100 - matched, second: 0, credit: matched - 30, paid: -10}
    assert sum(left.values()) == Decimal(60)
    again = w.call("save", "WSSIH", objectXml=sale(INVREF="A"))
    assert again.status == (0 if row["duplicate_reference"] == "reject" else 1)
    w.books.check()


@pytest.mark.parametrize("seed", ["small", "generate:2:12:1"])
@pytest.mark.parametrize(("name", "value"), [*SETTINGS, ("posting_delay", 60)])
def test_each_seed_is_planted_under_each_setting(seed: str, name: str, value: Any) -> None:
    books = Books(seed, Switches(**{name: value}), lambda: AT)
    assert books.rows("SIH")
    assert books.rows("PAY")
