"""10,000 Sage X3 documents over SOAP: what the connector takes beside plain requests and lxml for the same answers.

The stand-in takes 20 ms for a call, as little as a real X3 could; and nothing at all for a fifth of the documents, so
that what is left is the processor time of both.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import Request, urlopen

import requests
from lxml import etree

from benchmarks.measure import Figure
from tieout.connectors.sage_x3 import SageX3Connector, open_sage_x3
from tieout.model import Entity

COUNT = 10_000
WIDTH = 2
TAKES = 0.02  # seconds of X3 for a call
NAMESPACE = "http://www.adonix.com/WSS"
ENVELOPE = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:wss="http://www.adonix.com/WSS">'
    "<soapenv:Body><wss:read><callContext><codeLang>ENG</codeLang><poolAlias>{pool}</poolAlias></callContext>"
    "<publicName>WSSIH</publicName><objectKeys><keys><key>NUM</key><value>{key}</value></keys></objectKeys>"
    "</wss:read></soapenv:Body></soapenv:Envelope>"
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


def ours(told: dict[str, str], keys: list[str]) -> tuple[float, float]:
    """(seconds, seconds of CPU) of reading the documents as the connector reads them, into records."""
    connector = opened(told)
    wall, cpu = time.perf_counter(), time.process_time()
    read = 0
    for _, native in connector._objects.each("SIH", keys):  # noqa: SLF001  one share of a sweep at a time
        read += native is not None and len(list(connector._observed(native)))  # noqa: SLF001
    spent = time.perf_counter() - wall, time.process_time() - cpu
    connector.close()
    if read != len(keys):
        raise RuntimeError(f"{read} of {len(keys)} documents were read")
    return spent


def plain(told: dict[str, str], keys: list[str]) -> tuple[float, float]:
    """The same answers with a session per thread and lxml for envelope and payload; nothing is made of them."""
    sessions = [requests.Session() for _ in range(WIDTH)]
    for session in sessions:
        session.auth = (told["user"], told["password"])
        session.trust_env = False

    def share(n: int) -> int:
        found = 0
        for key in keys[n::WIDTH]:
            body = ENVELOPE.format(pool=told["pool"], key=key).encode()
            answer = sessions[n].post(told["endpoint"], data=body, headers={"Content-Type": "text/xml"}, timeout=60)
            envelope = etree.fromstring(answer.content)
            found += sum(1 for _ in etree.fromstring(envelope.findtext(".//resultXml").encode()).iter("FLD"))
        return found

    wall, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(WIDTH) as pool:
        if not all(pool.map(share, range(WIDTH))):
            raise RuntimeError("nothing was read")
    spent = time.perf_counter() - wall, time.process_time() - cpu
    for session in sessions:
        session.close()
    return spent


def control(told: dict[str, str], what: str) -> dict[str, dict[str, int]]:
    with urlopen(Request(told["control"] + what), timeout=10) as answer:
        found: dict[str, dict[str, int]] = json.load(answer)
        return found


def slow(told: dict[str, str], seconds: float) -> None:
    rule = {"kind": "quirk", "form": "slow", "seconds": seconds, "times": 0}
    requests.post(told["control"] + "faults", json=rule, timeout=10).raise_for_status()


def in_turns(told: dict[str, str], keys: list[str]) -> tuple[list[float], list[float]]:
    """[seconds, seconds of CPU] of ours and of theirs, a tenth of the documents at a time, which share a slow spell."""
    size = len(keys) // 10
    mine, theirs = [0.0, 0.0], [0.0, 0.0]
    for n in range(10):
        part = keys[n * size : (n + 1) * size]
        for total, work in ((mine, ours), (theirs, plain)) if n % 2 else ((theirs, plain), (mine, ours)):
            wall, cpu = work(told, part)
            total[0] += wall
            total[1] += cpu
    return mine, theirs


def run(_folder: Path) -> list[Figure]:
    with sandbox() as told:
        connector = opened(told)
        keys = sorted(row["NUM"] for row in connector._objects.listed("SIH"))  # noqa: SLF001
        connector.close()
        at_once = in_turns(told, keys[: len(keys) // 5])
        slow(told, TAKES)
        mine, theirs = in_turns(told, keys)
        pool = control(told, "pools")[told["pool"]]
    over = "requests and lxml, same answers"
    return [
        Figure(
            f"{len(keys):,} Sage X3 {Entity.INVOICE}s and credit memos into records, 20 ms a call",
            over,
            mine[0] / theirs[0],
            1.5,
            note=f"{mine[0]:.0f} s ÷ {theirs[0]:.0f} s; CPU {mine[1]:.0f} s ÷ {theirs[1]:.0f} s",
        ),
        Figure(
            "a fifth of them, 0 ms a call",
            over,
            at_once[0][0] / at_once[1][0],
            1.5,
            note=f"{at_once[0][0]:.0f} s ÷ {at_once[1][0]:.0f} s",
        ),
        Figure("calls at once, at most", f"the pool's width of {WIDTH}", pool["peak"] / WIDTH, 1),
        Figure("calls that had to wait for the pool", "one", float(pool["waited"]), 0),
    ]
