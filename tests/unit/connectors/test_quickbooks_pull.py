"""Whole lists and deltas: nothing missed, nothing twice, whatever happens meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.deep import DEEP
from tests.quickbooks_bench import bench, customer
from tieout.connectors.http import Transport
from tieout.connectors.quickbooks import pull as pulling
from tieout.errors import FatalError, RetriableError
from tieout.mapping.quickbooks import NAMES
from tieout.model import Entity, Existence


def add(books, n, prefix="C"):
    return [books.apply("Customer", "create", {"DisplayName": f"{prefix} {i:05}"})["Id"] for i in range(n)]


@pytest.fixture
def qb(tmp_path):
    with bench(tmp_path, seed="empty") as held:
        yield held


def opened(qb, size):
    connector = qb.open(page_size=size)
    connector.represent(customer())
    return connector


def queries(qb, since=0):
    return [c for c in qb.live.faults.log[since:] if c.operation == "query"]


@pytest.mark.parametrize("n", [0, 1, 4, 5, 6, 10, 50])
def test_every_row_is_pulled_with_few_requests(qb, n):
    ids, connector = add(qb.books, n), opened(qb, 5)
    before = connector.requests
    pull = connector.pull(Entity.CUSTOMER)
    seen = [o.id for o in pull]
    assert sorted(seen, key=int) == ids
    assert pull.complete
    assert pull.proof == {"counted": n, "read": n, "passes": 1}
    assert connector.requests - before <= -(-n // 5) + 3


@pytest.mark.parametrize("n", [1, 1000, 1001])
def test_at_the_edges_of_real_pages_no_request_is_wasted(tmp_path, n):
    with bench(tmp_path, seed=f"generate:3:{n}:7") as qb:
        connector = qb.open()
        connector.represent(customer())
        for entity, name in NAMES.items():
            before, pull = connector.requests, connector.pull(entity)
            seen = [o.id for o in pull]
            assert sorted(seen) == sorted(row["Id"] for row in qb.books.all(name))
            assert pull.proof == {"counted": len(seen), "read": len(seen), "passes": 1}
            assert connector.requests - before <= -(-len(seen) // 1000) + 3


def during(qb, monkeypatch, at, act):
    """Act on the books after the `at`-th page was read."""
    real, calls = pulling.rows, []

    def rows(answer, entity):
        found = real(answer, entity)
        calls.append(1)
        if len(calls) == at:
            act()
        return found

    monkeypatch.setattr(pulling, "rows", rows)


# Ten pages: of five rows each, in `make deep` of as many as QuickBooks gives.
PAGE = 1_000 if DEEP else 5


@pytest.mark.parametrize("at", [1, 6, 10])
def test_rows_that_come_while_reading_are_read_too(qb, monkeypatch, at):
    ids, connector = add(qb.books, 10 * PAGE), opened(qb, PAGE)
    more = []
    during(qb, monkeypatch, at, lambda: more.extend(add(qb.books, 3, "New")))
    pull = connector.pull(Entity.CUSTOMER)
    seen = [o.id for o in pull]
    assert sorted(seen, key=int) == ids + more
    assert pull.complete


@pytest.mark.parametrize("at", [1, 5, 9])
def test_a_row_deleted_while_reading_hides_no_other(qb, monkeypatch, at):
    """A deletion moves later rows one page forward; the first row of the next page would be skipped."""
    connector = opened(qb, PAGE)
    who = add(qb.books, 1)[0]
    line = {"Amount": 5, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {"ItemRef": {"value": "1"}}}
    ids = [
        qb.books.apply("Invoice", "create", {"CustomerRef": {"value": who}, "Line": [line]})["Id"]
        for _ in range(10 * PAGE)
    ]

    def remove():
        doc = qb.books.find("Invoice", ids[0])
        qb.books.apply("Invoice", "delete", {"Id": ids[0], "SyncToken": doc["SyncToken"]})

    during(qb, monkeypatch, at, remove)
    pull = connector.pull(Entity.INVOICE)
    seen = [o.id for o in pull]
    assert set(ids[1:]) <= set(seen)
    assert len(seen) == len(set(seen))
    assert pull.complete


def test_a_list_that_never_settles_is_not_called_whole(qb, monkeypatch):
    add(qb.books, 6)
    connector = opened(qb, 5)
    real, n = pulling.rows, iter(range(1000))

    def rows(answer, entity):
        add(qb.books, 1, f"Busy {next(n)}")
        return real(answer, entity)

    monkeypatch.setattr(pulling, "rows", rows)
    pull = connector.pull(Entity.CUSTOMER)
    with pytest.raises(RetriableError, match="changes while it is read"):
        list(pull)
    assert not pull.complete
    assert pull.cursor is None


def test_a_delta_costs_one_request_and_shows_each_change_once(qb):
    ids, connector = add(qb.books, 8), opened(qb, 5)
    qb.time.sleep(3600)
    pull = connector.pull(Entity.CUSTOMER)
    list(pull)
    before = connector.requests
    quiet = connector.pull(Entity.CUSTOMER, pull.cursor)
    assert list(quiet) == []
    assert connector.requests - before == 1
    changed = qb.books.find("Customer", ids[2])
    patch = {"Id": ids[2], "SyncToken": changed["SyncToken"], "sparse": True, "Active": False}
    qb.books.apply("Customer", "update", patch)
    delta = connector.pull(Entity.CUSTOMER, quiet.cursor)
    seen = list(delta)
    assert [(o.id, o.existence) for o in seen] == [(ids[2], Existence.INACTIVE)]
    assert delta.complete
    assert not delta.full


FAULT = '{"Error": [{"Message": "System Failure", "code": "10000"}], "type": "SERVICE"}'


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (f'[{{"QueryResponse": [{{"Fault": {FAULT}}}]}}]', RetriableError),
        (f'[{{"Fault": {FAULT}}}]', RetriableError),
        ('[{"QueryResponse": [{"Fault": {"Error": [{"code": "4000", "Message": "no"}]}}]}]', FatalError),
        ('[{"QueryResponse": [{"Customer": ["1"]}]}]', FatalError),
        ('[{"QueryResponse": [{"Customer": {"Id": "1"}}]}]', FatalError),
        ('[{"QueryResponse": {"Customer": []}}]', FatalError),
        ("[7]", FatalError),
        ("[]", FatalError),
    ],
)
def test_a_feed_that_failed_within_its_answer_is_not_called_quiet(qb, said, kind):
    """The cursor would move on, and what changed would be seen by nobody until everything is read again."""
    add(qb.books, 3)
    connector = opened(qb, 5)
    qb.time.sleep(3600)
    pull = connector.pull(Entity.CUSTOMER)
    list(pull)
    body = f'{{"CDCResponse": {said}, "time": "2026-01-31T10:00:00Z"}}'
    qb.live.faults.arm("answer", path="cdc", status=200, body=body, content_type="application/json", times=0)
    delta = connector.pull(Entity.CUSTOMER, pull.cursor)
    with pytest.raises(kind):
        list(delta)
    assert not delta.complete
    assert delta.cursor is None


def test_the_cursor_is_the_servers_time_with_overlap(qb):
    connector = opened(qb, 5)
    pull = connector.pull(Entity.CUSTOMER)
    list(pull)
    at = pulling._parsed(pull.cursor)
    assert qb.time() - at >= timedelta(minutes=5)
    assert qb.time() - at < timedelta(minutes=6)


def test_a_delta_larger_than_cdc_holds_is_read_by_query(qb, monkeypatch):
    monkeypatch.setattr(pulling, "PAGE", 4)
    connector = opened(qb, 4)
    pull = connector.pull(Entity.CUSTOMER)
    list(pull)
    ids = add(qb.books, 9)
    delta = connector.pull(Entity.CUSTOMER, pull.cursor)
    assert sorted((o.id for o in delta), key=int) == ids
    assert delta.proof["source"] == "query"
    assert delta.proof["deletions"] == "not all seen"
    assert delta.complete
    assert not delta.full


@pytest.mark.parametrize("form", ["fault", "clamp"])
def test_beyond_the_window_everything_is_read(tmp_path, form):
    with bench(tmp_path, seed="empty", cdc_over_30_days=form) as qb:
        ids, connector = add(qb.books, 6), opened(qb, 5)
        pull = connector.pull(Entity.CUSTOMER)
        list(pull)
        qb.time.sleep(26 * 86400)
        late = connector.pull(Entity.CUSTOMER, pull.cursor)
        assert late.full
        assert sorted((o.id for o in late), key=int) == ids
        assert late.complete


@pytest.mark.parametrize("cursor", ["", "yesterday", "2026-02-01", "2026-02-01T00:00:00"])
def test_a_cursor_that_is_none_reads_everything(qb, cursor):
    add(qb.books, 2)
    connector = opened(qb, 5)
    assert connector.pull(Entity.CUSTOMER, cursor).full


def test_inactive_customers_are_listed_and_deltas_hold_their_second(qb):
    ids, connector = add(qb.books, 3), opened(qb, 5)
    doc = qb.books.find("Customer", ids[0])
    qb.books.apply("Customer", "update", {"Id": ids[0], "SyncToken": doc["SyncToken"], "sparse": True, "Active": False})
    seen = {o.id: o for o in connector.pull(Entity.CUSTOMER)}
    assert seen[ids[0]].existence is Existence.INACTIVE
    assert seen[ids[0]].record.name == "C 00000"
    assert len(seen) == 3


def test_the_published_limits_are_never_met(tmp_path):
    """In real time: more requests than a second allows, and none of them is throttled."""
    with bench(tmp_path, rate_limits="published") as qb:
        connector = qb.open(transport=Transport(), sleep=lambda _: pytest.fail("throttled"))
        for _ in range(22):
            connector.company()
        connector.close()
        assert {c.status for c in qb.live.faults.log if c.path.startswith("/v3")} == {200}
