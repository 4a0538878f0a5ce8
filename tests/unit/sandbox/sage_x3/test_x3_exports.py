"""AOWSEXPORT, AOWSBATGET, AOWSIMPORT, and the sub-programs of the site: what they give, and what they refuse."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.unit.sandbox.sage_x3.conftest import (
    Client,
    allocation,
    customer,
    fields,
    invoice,
    item,
    lines,
    memo,
    pay,
    refused,
    texts,
)
from tieout.sandbox.sage_x3 import Switches, generate
from tieout.sandbox.sage_x3.criteria import compiled
from tieout.sandbox.sage_x3.templates import EXPORTS, split

KNOWN = frozenset({"NUM", "STA", "UPDDATTIM", "BPCINV", "INVATI"})


def export(client, template, *criteria, **more):
    given = {
        "GRP1": {"I_MODEXP": template, "I_CHRONO": "NO"},
        "GRP2": [{"I_TCRITERE": c} for c in criteria],
        "GRP3": {"I_EXEC": "REALTIME", "I_RECORDSEP": "|", **more},
    }
    return client.call("run", "AOWSEXPORT", inputXml=json.dumps(given))


def records(answer):
    return split(fields(answer.resultXml)["O_FILE"], "|")


def named(template, record):
    kind = next(r for r in EXPORTS[template].records if r.mark == record[0])
    return dict(zip(kind.fields, record[1:], strict=True))


def test_an_export_holds_every_field_and_hostile_text_whole(books, client):
    customer(books, BPCREM='a;b|c "d"\nE;x')
    (record,) = records(export(client, "BPC", "1=1"))
    assert named("BPC", record)["BPCREM"] == 'a;b|c "d"\nE;x'
    assert export(client, "BPC", "1=1").resultXml.count("END") == 1


def test_an_export_takes_what_fits_every_criterion(books, client, clock):
    customer(books)
    old = invoice(books, post=False, INVREF="A")
    clock.forward(days=1)
    new = invoice(books, post=False, INVREF="B")
    assert [r[1] for r in records(export(client, "SIH", "1=1")) if r[0] == "E"] == [old, new]
    assert [r[1] for r in records(export(client, "SIH", "UPDDATTIM>=[20260203]")) if r[0] == "E"] == [new]
    both = export(client, "SIH", "UPDDATTIM>=[03/02/2026] or INVREF='A'", 'pat(NUM,"*1")=1')
    assert texts(both) == ['Selection criterion not understood: pat(NUM,"*1")=1']
    both = export(client, "SIH", "UPDDATTIM>=[03/02/2026] or INVREF='A'", 'pat(NUM,"*1")')
    assert [r[1] for r in records(both) if r[0] == "E"] == [old]


@pytest.mark.parametrize(
    "text",
    ["NUM", "NUM=", "NUM==1", "NIX=1", "(NUM=1", "NUM=1)", "UPDDATTIM>[2026-01-01]", "NUM>5", "a" * 300, "1=1;drop"],
)
def test_a_criterion_that_makes_no_sense_is_refused(text):
    told = refused(lambda: compiled(text, KNOWN, Switches())({"NUM": "x"}))
    assert told.key == "criterion"


@pytest.mark.parametrize(
    ("setting", "taken", "not_taken"),
    [("yyyymmdd", "20260203", "03/02/2026"), ("dd/mm/yyyy", "03/02/2026", "20260203")],
)
def test_the_date_literal_is_as_the_installation_takes_it(setting, taken, not_taken, clock):
    switches = Switches(export_dates=setting)
    assert compiled(f"UPDDATTIM<[{taken}]", KNOWN, switches)({"UPDDATTIM": clock.at})
    assert refused(lambda: compiled(f"UPDDATTIM<[{not_taken}]", KNOWN, switches)).key == "criterion"


def test_exports_of_classic_objects_know_the_day_only(make, serve):
    books = make(update_time="day", null_dates="17530101")
    customer(books)
    books.save("BIC", {"FCY": "HLS01", "SIVTYP": "INV", "BPR": "C1", "lines": [{"ACC": "706000", "AMTNOTLIN": 5}]})
    record = named("BIC", records(export(Client(serve(books)), "BIC", "UPDDATTIM>=[20260202]"))[0])
    assert (record["UPDDATTIM"], record["BPRDAT"]) == ("20260202000000", "17530101")


def test_a_batch_export_is_there_when_its_time_has_come(make, serve):
    books = make(batch_delay=60)
    customer(books)
    client = Client(serve(books))
    asked = fields(export(client, "BPC", "1=1", I_EXEC="BATCH").resultXml)
    assert (asked["O_STATUS"], asked["O_FILE"]) == ("0", "")
    ask = {"inputXml": json.dumps({"GRP1": {"I_REQNUM": asked["O_REQNUM"]}})}
    assert fields(client.call("run", "AOWSBATGET", **ask).resultXml)["O_STATUS"] == "1"
    books.stop_tasks()
    books.forward(61)
    done = fields(client.call("run", "AOWSBATGET", **ask).resultXml)
    assert (done["O_STATUS"], done["O_FILE"][:4]) == ("0", "B;C1")
    assert texts(client.call("run", "AOWSBATGET", inputXml='{"GRP1":{"I_REQNUM":"99"}}')) == [
        "Request 99 does not exist"
    ]
    assert texts(export(client, "NIX")) == ["Template NIX does not exist"]


def test_an_import_enters_each_document_on_its_own(books, client):
    customer(books)
    file = "E;;INV;HLS01;C1;R1;20260110|L;SERVICE;;2;50|E;;INV;HLS01;NIX;R2|L;SERVICE;;1;1|E;;INV;HLS01;C1;R3;20260111|L;FREE;;1|END"
    told = client.call(
        "run",
        "AOWSIMPORT",
        inputXml=json.dumps(
            {"GRP1": {"I_MODIMP": "SIH", "I_AOWSTA": "NO", "I_EXEC": "REALTIME", "I_RECORDSEP": "|", "I_FILE": file}}
        ),
    )
    told = fields(told.resultXml)
    assert (told["O_STATUS"], told["O_MESSA"]) == ("2", "3: BPR: NIX does not exist")
    assert [(r["INVREF"], r["INVNOT"]) for r in books.rows("SIH")] == [("R1", Decimal(100)), ("R3", Decimal(10))]
    again = client.call(
        "run", "AOWSIMPORT", inputXml=json.dumps({"GRP1": {"I_MODIMP": "BPC", "I_FILE": "B;C1;Renamed|END"}})
    )
    assert fields(again.resultXml)["O_STATUS"] == "0"
    assert books.read("BPC", "C1")["BPCNAM"] == "Renamed"


def test_open_items_come_in_pages(books, client):
    customer(books)
    nums = [invoice(books) for _ in range(5)]
    pay(books, "C1", "100", allocation(nums[0], "100"))
    seen, after = [], ""
    while True:
        page = client.call(
            "run", "ZARDUD", inputXml=json.dumps({"GRP1": {"I_OPEN": "2", "I_SIZE": "2", "I_AFTER": after}})
        ).resultXml
        seen += [r["NUM"] for r in lines(page, "GRP2")]
        told = fields(page)
        after = told["O_LAST"]
        if told["O_MORE"] == "1":
            break
    assert seen == nums[1:]


def test_the_change_feed_tells_deletions(books, client):
    customer(books)
    num = invoice(books, post=False)
    first = fields(client.call("run", "ZARDELTA", inputXml='{"GRP1":{"I_TICK":"0"}}').resultXml)
    books.delete("SIH", (num,))
    answer = client.call("run", "ZARDELTA", inputXml=json.dumps({"GRP1": {"I_TICK": first["O_TICK"]}})).resultXml
    assert [(r["OBJECT"], r["KEY"], r["GONE"]) for r in lines(answer, "GRP2")] == [("SIH", num, "2")]


def test_open_items_are_matched_over_the_wire(books, client):
    customer(books)
    num, credit = invoice(books), memo(books, price="30")
    given = {
        "GRP1": {"I_BPR": "C1"},
        "GRP2": [{"TYP": "INV", "NUM": num, "AMTCUR": "30"}, {"TYP": "CRM", "NUM": credit, "AMTCUR": "30"}],
    }
    assert client.call("run", "ZARMATCH", inputXml=json.dumps(given)).status == 1
    assert (item(books, num)["PAYCUR"], item(books, credit)["FLGCLE"]) == (30, 2)
    books.check()
    (told,) = texts(client.call("run", "ZARMATCH", inputXml=json.dumps(given)))
    assert "exceeds the open amount" in told


def test_generated_books_are_the_same_again_and_whole(clock):
    one, two = (generate(7, 60, 3, clock=clock) for _ in range(2))
    assert one.rows("SIH") == two.rows("SIH")
    assert one.open_items() == two.open_items()
    assert len({row["UPDDATTIM"].date() for row in one.rows("SIH")}) > 20
    assert max(row["CREDATTIM"] for row in one.rows("SIH")) < clock.at - timedelta(hours=12)
    one.check()
