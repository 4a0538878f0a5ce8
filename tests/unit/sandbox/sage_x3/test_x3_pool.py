"""Pools: how many calls run at once, who waits, what a session remembers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import zeep

from tests.unit.sandbox.sage_x3.conftest import Client, customer, texts
from tieout.sandbox.sage_x3 import Pool


def ask(client, number="C1"):
    return client.call("read", "WSBPC", objectKeys={"BPCNUM": number})


def test_a_pool_runs_as_many_calls_as_it_is_wide_and_the_rest_wait(books, serve):
    customer(books)
    live = serve(books, pools=(Pool("P", width=2, work=0.2),))
    clients = [Client(live) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        told = [answer.technicalInfos for answer in threads.map(ask, clients)]
    pool = live.pools["P"]
    assert (pool.peak, pool.calls) == (2, 4)
    assert pool.waited == 2
    waits = sorted(t["poolWaitDuration"] for t in told)
    assert waits[1] < 100 <= waits[2]
    assert {t["poolEntryIdx"] for t in told} == {14901, 14902}
    assert all(t["poolExecDuration"] >= 200 for t in told)
    assert all(t["totalDuration"] >= t["poolExecDuration"] + t["poolWaitDuration"] - 2 for t in told)
    assert sum(t["nbDistributionCycle"] > 0 for t in told) == 2


def test_a_cold_session_takes_longer_and_says_so(books, serve):
    customer(books)
    live = serve(books, pools=(Pool("P", width=1, cold=0.1),))
    client = Client(live)
    cold, warm = (ask(client).technicalInfos for _ in range(2))
    assert (cold["changeUserId"], cold["reloadWebs"], cold["loadWebsDuration"] >= 100) == (True, True, True)
    assert (warm["changeUserId"], warm["reloadWebs"], warm["loadWebsDuration"]) == (False, False, 0)
    other = Client(live, codeLang="FRA")
    assert ask(other).technicalInfos["changeLanguage"] is True
    live.pools["P"].forget()
    fresh = ask(client).technicalInfos
    assert (fresh["reloadWebs"], fresh["poolEntryIdx"]) == (True, cold["poolEntryIdx"] + 1)


def test_a_session_can_be_asked_for_again(books, serve):
    customer(books)
    live = serve(books, pools=(Pool("P", width=2),))
    first = ask(Client(live)).technicalInfos["poolEntryIdx"]
    live.pools["P"].sessions[0].busy = True
    second = ask(Client(live)).technicalInfos["poolEntryIdx"]
    live.pools["P"].sessions[0].busy = False
    assert second == first + 1
    pinned = Client(live, poolId=str(second))
    assert ask(pinned).technicalInfos["poolEntryIdx"] == second
    assert ask(Client(live, poolId="?")).technicalInfos["poolEntryIdx"] == first


def test_a_stopped_pool_is_a_fault_and_names_matter_to_the_letter(books, serve):
    live = serve(books, pools=(Pool("Pool"), Pool("Other")))
    live.pools["Pool"].stopped = True
    with pytest.raises(zeep.exceptions.Fault, match="Pool Pool is stopped"):
        ask(Client(live))
    with pytest.raises(zeep.exceptions.Fault, match="Pool other not found"):
        ask(Client(live, poolAlias="other"))
    assert texts(ask(Client(live, poolAlias="Other"))) == ["BPC C1: no such record"]


def test_traces_come_back_when_they_are_asked_for(books, serve):
    customer(books)
    live = serve(books)
    told = ask(Client(live, requestConfig="adxwss.trace.on=on&adxwss.trace.size=16384")).technicalInfos
    assert told["traceRequest"] == "read WSBPC"
    assert told["traceRequestSize"] == len(told["traceRequest"])
    assert ask(Client(live)).technicalInfos["traceRequest"] is None
