"""What goes over the wire, byte for byte, replayed from cassettes with no server behind them.

The cassettes were recorded against our own sandbox; see tests/fixtures/quickbooks/README.md for how to record anew.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
import vcr

from tests.quickbooks_bench import NAME, Bench, FileStore, Time, bench, credit_memo, customer, invoice, line, payment
from tieout.connectors.quickbooks.oauth import Tokens, store_tokens
from tieout.errors import NotFoundError, StaleWrite
from tieout.model import Entity, Existence

CASSETTES = Path(__file__).resolve().parents[2] / "fixtures" / "quickbooks"
REALM = "9130350000000001"


def _same_host(request):
    """Recordings name one port, whichever the sandbox had."""
    request.uri = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8765", request.uri)
    if request.body and b"refresh_token=" in bytes(request.body):
        request.body = b"grant_type=refresh_token&refresh_token=hidden"
    return request


def _no_tokens(response):
    text = response["body"]["string"]
    hidden = re.sub(rb'"(access_token|refresh_token)":"[^"]*"', rb'"\1":"hidden"', text)
    response["body"]["string"] = hidden
    response["headers"]["content-length"] = [str(len(hidden))]
    return response


TAPE = vcr.VCR(
    cassette_library_dir=str(CASSETTES),
    match_on=["method", "scheme", "host", "port", "path", "query", "raw_body"],
    filter_headers=["authorization", "user-agent", "accept-encoding", "connection"],
    before_record_request=_same_host,
    before_record_response=_no_tokens,
    decode_compressed_response=True,
)


@contextmanager
def played(name, folder, **switches):
    """A bench whose connector speaks to the cassette; a cassette that is not there is recorded."""
    recording = not (CASSETTES / f"{name}.yaml").exists()
    with ExitStack() as stack:
        if recording:
            qb = stack.enter_context(bench(folder, seed="empty", **switches))
        else:
            live = SimpleNamespace(
                base_url="http://127.0.0.1:8765", realm=REALM, client_id="id", client_secret="secret", books=None
            )
            qb = Bench(live, FileStore(folder), Time())
            now = qb.time()
            held = Tokens(REALM, "hidden", "hidden", now + timedelta(hours=1), now + timedelta(days=100), now)
            store_tokens(NAME, held, qb.store)
        tape = stack.enter_context(TAPE.use_cassette(f"{name}.yaml", record_mode="once" if recording else "none"))
        yield qb
        assert tape.all_played or recording, f"{len(tape) - tape.play_count} exchanges were not asked for"


def sent(name):
    """(method and path, query, body) of each recorded exchange."""
    import yaml

    held = yaml.safe_load((CASSETTES / f"{name}.yaml").read_text())
    return [(i["request"], i["response"]) for i in held["interactions"]]


def test_an_invoice_from_birth_to_payment(tmp_path):
    with played("invoice_paid", tmp_path, auto_apply_credit=False) as qb:
        connector = qb.open()
        assert connector.company().home_currency == "USD"
        who = connector.create(customer("Zoë's Déli", number="C1"), key="K1", marker="M1")
        lines = (line("100.00", quantity=Decimal(4), unit_price=Decimal(25), tax_code="2"), line("7.50", "2"))
        bill = connector.create(invoice(who.id, lines=lines, tax="8.00", memo="order 7"), key="K2", marker="M2")
        seen = connector.get(Entity.INVOICE, bill.id)
        assert seen.record.total == Decimal("115.50")
        assert [x.net for x in seen.record.lines] == [Decimal(100), Decimal("7.50")]
        paid = connector.create(payment(who.id, "120.00", (bill.id, "115.50")), key="K3", marker="M3")
        assert connector.get(Entity.PAYMENT, paid.id).record.reported_unapplied == Decimal("4.50")
        with pytest.raises(StaleWrite):
            connector.update(seen.record.model_copy(update={"memo": "late"}), before=seen, key="K4")
        fresh = connector.get(Entity.INVOICE, bill.id)
        connector.update(fresh.record.model_copy(update={"memo": "late"}), before=fresh, key="K5")
        connector.void(connector.get(Entity.PAYMENT, paid.id), key="K6")
        connector.void(connector.get(Entity.INVOICE, bill.id), key="K7")
        connector.close()


def test_lists_deltas_and_what_is_gone(tmp_path):
    with played("lists", tmp_path, auto_apply_credit=False) as qb:
        connector = qb.open(page_size=2)
        who = connector.create(customer("Lists Ltd"), key="L1", marker="L1")
        ids = [connector.create(credit_memo(who.id, number=f"K{n}"), key=f"L2{n}", marker=f"L{n}").id for n in range(3)]
        pull = connector.pull(Entity.CREDIT_MEMO)
        assert [o.id for o in pull] == ids
        assert pull.complete
        connector.delete(connector.get(Entity.CREDIT_MEMO, ids[1]), key="L5")
        with pytest.raises(NotFoundError):
            connector.get(Entity.CREDIT_MEMO, ids[1])
        delta = {o.id: o.existence for o in connector.pull(Entity.CREDIT_MEMO, pull.cursor)}
        assert delta[ids[1]] is Existence.DELETED
        assert {o.id for o in connector.search(Entity.CREDIT_MEMO, marker="L0")} == {ids[0]}
        connector.close()


def test_a_token_that_ended_is_renewed(tmp_path):
    with played("renewal", tmp_path) as qb:
        kept = Tokens.from_text(qb.store.read(NAME, "tokens").current)
        old = replace(kept, access_until=qb.time(), obtained=qb.time() - timedelta(hours=1))
        store_tokens(NAME, old, qb.store)
        connector = qb.open()
        assert connector.company().id == REALM
        connector.close()


@pytest.mark.parametrize("name", ["invoice_paid", "lists", "renewal"])
def test_the_rules_of_the_wire(name):
    """Every request states its version; every write has a key of its own and repeats none; nothing secret is kept."""
    keys = []
    for request, response in sent(name):
        assert "Authorization" not in request["headers"]
        text = str(request) + str(response)
        assert not re.search(r"(AB|eyJ)[A-Za-z0-9_-]{20}", text)
        if "/v3/company/" not in request["uri"]:
            continue
        assert f"/v3/company/{REALM}/" in request["uri"]
        assert "minorversion=75" in request["uri"]
        if request["method"] == "POST" and "/query" not in request["uri"]:
            keys += re.findall(r"requestid=(\w+)", request["uri"])
            assert "requestid=" in request["uri"]
    assert len(keys) == len(set(keys))


def test_the_payment_is_sent_whole_and_the_invoice_sparse():
    bodies = {}
    for request, _ in sent("invoice_paid"):
        for key in re.findall(r"requestid=(\w+)", request["uri"]):
            bodies[key] = request["body"] if isinstance(request["body"], str) else request["body"].decode()
    assert '"sparse":true' in bodies["K5"]
    assert set(re.findall(r'"(\w+)":', bodies["K5"])) == {"PrivateNote", "sparse", "Id", "SyncToken"}
    assert '"sparse"' not in bodies["K6"]
    assert '"CustomerRef"' in bodies["K6"]
    assert '"DepositToAccountRef"' in bodies["K6"]
    assert '"Amount":100.00' in bodies["K2"]  # a number, in its own spelling
