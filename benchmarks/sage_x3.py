"""10,000 Sage X3 documents over SOAP: what the connector takes beside plain requests and lxml for the same answers.

First the stand-in takes no time for a call, so that what is left is the processor time of both; then 20 ms, as little
as a real X3 could.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import requests
from lxml import etree

from benchmarks.measure import Figure
from tieout.connectors.sage_x3 import SageX3Connector, open_sage_x3
from tieout.model import Entity

COUNT = 10_000
WIDTH = 2
ROUNDS = 3
TAKES = 0.02  # seconds of X3 for a call
ENVELOPE = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:wss="http://www.adonix.com/WSS">'
    "<soapenv:Body><wss:{operation}><callContext><codeLang>ENG</codeLang><poolAlias>{pool}</poolAlias></callContext>"
    "<publicName>WSSIH</publicName><objectKeys><keys><key>NUM</key><value>{key}</value></keys></objectKeys>"
    "<listSize>200000</listSize></wss:{operation}></soapenv:Body></soapenv:Envelope>"
)


@contextlib.contextmanager
def sandbox() -> Iterator[dict[str, str]]:
    """The stand-in in a process of its own, so that its work is nobody's but its own; ended by its id."""
    command = [sys.executable, "-m", "tieout", "sandbox", "sage-x3", "--port", "0", "--width", str(WIDTH)]
    command += ["--seed", f"generate:200:{COUNT}:7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told: dict[str, str] = {}
        try:
            for line in process.stdout:
                name, _, value = line.strip().partition(" ")
                told[name] = value.strip()
                if name == "control":
                    break
            yield told
        finally:
            process.terminate()
            process.wait(20)


def opened(told: dict[str, str]) -> SageX3Connector:
    settings = {
        "url": told["endpoint"],
        "user": told["user"],
        "pool": told["pool"],
        "width": WIDTH,
        "company": "HLS",
        "currency": "EUR",
        "services": {"SIH": "WSSIH"},
    }
    return open_sage_x3(
        "x3", settings=settings, secrets={"password": told["password"]}, clock=lambda: datetime.now(UTC)
    )


def ours(told: dict[str, str]) -> tuple[float, float]:
    """(seconds, seconds of CPU) of a pull of all documents, made into records."""
    connector = opened(told)
    wall, cpu = time.perf_counter(), time.process_time()
    read = sum(1 for entity in (Entity.INVOICE, Entity.CREDIT_MEMO) for seen in connector.pull(entity) if seen.record)
    spent = time.perf_counter() - wall, time.process_time() - cpu
    connector.close()
    if read != COUNT:
        raise RuntimeError(f"{read} of {COUNT} documents were read")
    return spent


def plain(told: dict[str, str]) -> tuple[float, float]:
    """The same answers with a session per thread and lxml for envelope and payload; nothing is made of them.

    The list stands before and after the documents, as it proves to the connector that it has seen them all.
    """
    sessions = [requests.Session() for _ in range(WIDTH)]
    for session in sessions:
        session.auth = (told["user"], told["password"])
        session.trust_env = False

    def asked(session: requests.Session, operation: str, key: str = "") -> Any:
        body = ENVELOPE.format(operation=operation, pool=told["pool"], key=key).encode()
        answer = session.post(told["endpoint"], data=body, headers={"Content-Type": "text/xml"}, timeout=60)
        return etree.fromstring(etree.fromstring(answer.content).findtext(".//resultXml").encode())

    def listed() -> list[str]:
        return [e.text for e in asked(sessions[0], "query").iter("FLD") if e.get("NAME") == "NUM"]

    def share(keys: list[str], n: int) -> int:
        return sum(any(True for _ in asked(sessions[n], "read", key).iter("FLD")) for key in keys[n::WIDTH])

    wall, cpu = time.perf_counter(), time.process_time()
    keys = listed()
    with ThreadPoolExecutor(WIDTH) as pool:
        read = sum(pool.map(lambda n: share(keys, n), range(WIDTH)))
    listed()
    spent = time.perf_counter() - wall, time.process_time() - cpu
    for session in sessions:
        session.close()
    if read != COUNT:
        raise RuntimeError(f"{read} of {COUNT} documents were read")
    return spent


def control(told: dict[str, str], what: str) -> dict[str, dict[str, int]]:
    with urlopen(Request(told["control"] + what), timeout=10) as answer:
        found: dict[str, dict[str, int]] = json.load(answer)
        return found


def slow(told: dict[str, str], seconds: float) -> None:
    rule = {"kind": "quirk", "form": "slow", "seconds": seconds, "times": 0}
    requests.post(told["control"] + "faults", json=rule, timeout=10).raise_for_status()


def beside(told: dict[str, str], what: str, rounds: int) -> Figure:
    """The median over rounds of the ratio by the clock, with the seconds of the fastest round of each."""
    of = [(ours(told), plain(told)) if n % 2 else (plain(told), ours(told))[::-1] for n in range(rounds)]
    (wall, cpu), (their_wall, their_cpu) = (tuple(map(min, zip(*side, strict=True))) for side in zip(*of, strict=True))
    return Figure(
        f"{COUNT:,} Sage X3 invoices and credit memos into records, {what}",
        "requests and lxml, same answers",
        statistics.median(mine[0] / theirs[0] for mine, theirs in of),
        1.5,
        note=f"{wall:.1f} s ÷ {their_wall:.1f} s; CPU {cpu:.1f} s ÷ {their_cpu:.1f} s = {cpu / their_cpu:.2f}",
    )


def run(_folder: Path) -> list[Figure]:
    with sandbox() as told:
        at_once = beside(told, "0 ms a call", ROUNDS)
        slow(told, TAKES)
        unhurried = beside(told, f"{TAKES * 1000:.0f} ms a call", 1)
        pool = control(told, "pools")[told["pool"]]
    return [
        unhurried,
        at_once,
        Figure("calls at once, at most", f"the pool's width of {WIDTH}", pool["peak"] / WIDTH, 1),
        Figure("calls at once, at most", f"the pool's width of {WIDTH}", pool["peak"] / WIDTH, 1, least=True),
        Figure("calls that had to wait for the pool", "one", float(pool["waited"]), 0),
    ]
