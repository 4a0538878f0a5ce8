"""Records loaded from their JSON by the engine are in the relation what records loaded one by one are."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import duckdb
import hypothesis.strategies as st
from hypothesis import given

from tests.deep import examples
from tests.ledgers import adjustment, applied, credit, customer, invoice, payment
from tieout import compare
from tieout.compare.inputs import stored
from tieout.mapping.relation import TABLES
from tieout.model import Credit, Document, Entity, Group, Line, Payment, PostingState, Share, TaxLine, as_json
from tieout.sync.core.facts import canonical

REACHED: Counter[str] = Counter()
DAYS = st.sampled_from(["2026-01-02", "2026-01-31", "2026-02-28"])
NUMBERS = st.sampled_from(
    ["", "007", "0007.0", "INV-007", "R\u00e9 12", "\u2167-1", "\uff11\uff12", " 9 ", "a/b", "\u0130x", "#"]
)
TEXTS = st.one_of(st.none(), st.sampled_from(["", "T123", "null", '"credits":[{', "caf\u00e9\n\u2028"]))
MONEY = st.sampled_from(["0", "0.10", "12.345678", "100000000000000.00", "1E+2"])
RATES = st.sampled_from([None, Decimal("1.1"), Decimal("1E-7"), Decimal("1E+2")])
CODES = st.sampled_from(["S", "Z", "", "\u00e9", "a b"])
LINES = st.builds(
    lambda net, code: Line(
        **dict.fromkeys(("item", "description", "quantity", "unit_price", "tax", "revenue_account")),
        net=net,
        tax_code=code or None,
    ),
    st.sampled_from(["1.00", "-0.10", "12.345678"]),
    CODES,
)
TAXES = st.builds(lambda code, amount: TaxLine(code=code, rate=None, base="1", amount=amount), CODES, MONEY)


@st.composite
def documents(draw: st.DrawFn) -> list[Document]:
    out: list[Document] = []
    for n in range(draw(st.integers(0, 8))):
        id, who, total, on = str(n), draw(st.sampled_from(["c1", "c2", "gone"])), draw(MONEY), draw(DAYS)
        state = draw(st.sampled_from(list(PostingState)))
        more: dict[str, Any] = {"marker": draw(TEXTS), "state": state, "exchange_rate": draw(RATES)}
        more["voided_on"] = draw(st.sampled_from([None, "2026-03-01"]))
        more["ar_account"] = draw(st.sampled_from([None, None, "", "1200"]))
        if draw(st.booleans()):
            billed = {"lines": draw(st.lists(LINES, max_size=3)), "tax_lines": draw(st.lists(TAXES, max_size=2))}
            billed |= {"subtotal": draw(MONEY), "discount": "0.10"}
        else:
            billed = {}
        on_invoice = draw(st.sampled_from(["0", "1", "none"]))
        apps = [applied(on_invoice, "0.10", draw(DAYS), draw(st.sampled_from([None, "2026-02-01"])))]
        group = Group(id="g", settled_on="2026-01-31", amount="5", invoices=(Share(invoice="0", amount="5"),))
        match draw(st.sampled_from(Entity)):
            case Entity.INVOICE:
                out.append(
                    invoice(
                        *(id, who, total, on),
                        number=draw(NUMBERS),
                        due=on,
                        settled_on=draw(st.one_of(st.none(), DAYS)),
                        disputed=draw(st.booleans()),
                        deposit_applied="0.10" if total != "0" else "0",
                        memo=draw(TEXTS),
                        reported_open=draw(st.sampled_from([None, Decimal("0.05")])),
                        **(billed | more),
                    )
                )
            case Entity.CREDIT_MEMO:
                more["group"] = draw(st.sampled_from([None, None, group]))
                out.append(
                    credit(id, who, total, on, apps=apps * draw(st.integers(0, 2)), number=None, **(billed | more))
                )
            case Entity.PAYMENT:
                more["group"] = draw(st.sampled_from([None, None, group]))
                more["credits"] = draw(st.sampled_from([(), (), (Credit(credit_memo="9", amount="1"),)]))
                more["stated_by_source"] = draw(st.booleans())
                out.append(payment(id, who, total, on, apps=apps, reference=draw(NUMBERS), **more))
            case Entity.ADJUSTMENT:
                kind = draw(st.sampled_from(["refund", "write_off", "journal"]))
                out.append(adjustment(id, who, kind, total, on, number=draw(NUMBERS), document=on_invoice, **more))
            case _:
                continue
    return out


def loaded(records: list[Document], customers: list[Any], links: dict[Any, str], **asked: bool) -> dict[str, list[str]]:
    con = duckdb.connect(config={"threads": 1})
    stored.begin(con, "left")
    apart = [
        r
        for r in records
        if getattr(r, "group", None) or (isinstance(r, Payment) and (r.credits or r.stated_by_source))
    ]
    for entity in Entity:
        lines = [canonical(as_json(r)) for r in records if r.entity is entity and r not in apart]
        if entity is not Entity.CUSTOMER:
            stored.add_lines(con, "left", entity, lines)
    stored.add_records(con, "left", apart)
    stored.complete(con, "left", customers, **asked)
    stored.relink(con, "left", {(Entity.INVOICE, "0"): "stale", (Entity.CUSTOMER, "c2"): "stale"})
    stored.relink(con, "left", links)
    return rows(con)


def rows(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    found = {t: sorted(map(repr, con.execute(f"SELECT * FROM left_{t}").fetchall())) for t in TABLES}
    con.close()
    return found


@examples(25)
@given(documents(), st.booleans(), st.booleans(), st.booleans())
def _the_same(records: list[Document], known: bool, open_items: bool, disputes: bool) -> None:
    customers = [customer("c1", "M\u00fcller & S\u00f6hne", "0007"), customer("c2", "Acme's Ltd.")]
    links = {(r.entity, r.ref.id): f"s{n}" for n, r in enumerate(records) if n % 2} if known else {}
    links |= {(Entity.CUSTOMER, "c1"): "sc"} if known else {}
    asked = {"open_items": open_items, "disputes": disputes}
    con = duckdb.connect(config={"threads": 1})
    compare.load_records(con, "left", records, customers=customers, links=links, **asked)
    assert loaded(records, customers, links, **asked) == rows(con)
    REACHED.update(r.entity.value for r in records)
    REACHED["in a group"] += any(getattr(r, "group", None) for r in records)
    REACHED["detailed"] += any(getattr(r, "lines", ()) and getattr(r, "tax_lines", ()) for r in records)
    REACHED["stated"] += any(getattr(r, "stated_by_source", False) for r in records)


def test_records_loaded_in_bulk_are_what_they_are_one_by_one() -> None:
    REACHED.clear()
    _the_same()
    wanted = {*(e.value for e in Entity if e is not Entity.CUSTOMER), "in a group", "stated", "detailed"}
    assert all(REACHED[name] for name in wanted), REACHED
