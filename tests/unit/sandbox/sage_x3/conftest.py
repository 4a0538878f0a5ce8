"""Books, hosts and a small client for the X3 sandbox's own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pytest
import requests
import zeep
from lxml import etree

from tests.clock import Clock
from tieout.sandbox.sage_x3 import Books, Refused, Registration, Running, Switches, running
from tieout.sandbox.sage_x3.wsdl import ENCODING


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Callable[..., Books]:
    def build(seed: str = "empty", **switches: Any) -> Books:
        return Books(seed, Switches(**switches), clock)

    return build


@pytest.fixture
def books(make: Callable[..., Books]) -> Books:
    return make()


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    with ExitStack() as stack:
        yield lambda books, **more: stack.enter_context(running(books, registration=Registration(**more)))


class Offline(zeep.Transport):
    """Knows the one schema that zeep would ask the internet for."""

    def load(self, url: str) -> bytes:
        return ENCODING.encode() if "schemas.xmlsoap.org/soap/encoding" in url else super().load(url)


class Client:
    """zeep, set as it must be for this service. Calls return the result object."""

    def __init__(self, live: Running, **context: str) -> None:
        session = requests.Session()
        session.auth = (live.user, live.password)
        settings = zeep.Settings(xsd_ignore_sequence_order=True, xml_huge_tree=True, forbid_dtd=True)
        transport = Offline(session=session, timeout=10, operation_timeout=10)
        self.zeep = zeep.Client(live.wsdl_url, transport=transport, settings=settings)
        binding = "{http://www.adonix.com/WSS}CAdxWebServiceXmlCCSoapBinding"
        self.service = self.zeep.create_service(binding, live.endpoint)
        self.context = {"codeLang": "ENG", "poolAlias": live.pool} | context

    def call(self, operation: str, name: str, **parts: Any) -> Any:
        for part, value in parts.items():
            if isinstance(value, dict) and part == "objectKeys":
                parts[part] = [{"key": k, "value": v} for k, v in value.items()] or zeep.xsd.SkipValue
        return self.service[operation](callContext=self.context, publicName=name, **parts)


@pytest.fixture
def client(books: Books, serve: Callable[..., Running]) -> Client:
    return Client(serve(books))


def fields(result: str) -> dict[str, str]:
    """Every field of a RESULT by name; of grids the last line's."""
    root = etree.fromstring(result.encode(), etree.XMLParser(huge_tree=True))
    return {f.get("NAME"): f.text or "" for f in root.iter("FLD")}


def lines(result: str, id: str = "") -> list[dict[str, str]]:
    """The lines of a grid, or of a left list."""
    root = etree.fromstring(result.encode())
    place = next((t for t in root.iter("TAB") if t.get("ID") == id), None) if id else root
    assert place is not None
    return [{f.get("NAME"): f.text or "" for f in line.iter("FLD")} for line in place.iter("LIN")]


def texts(answer: Any) -> list[str]:
    assert answer.status == 0
    assert answer.resultXml is None
    return [m["message"] for m in answer.messages]


# ---- a person at a screen


def customer(books: Books, number: str = "C1", **more: Any) -> str:
    return books.save(
        "BPC", {"BCGCOD": "DOMC", "BPCNUM": number, "BPCNAM": f"Customer {number}", "CUR": "EUR", **more}
    )[0]


def line(price: str = "100", level: str = "EXO", **more: Any) -> dict[str, Any]:
    return {"ITMREF": "SERVICE", "QTY": 1, "NETPRI": Decimal(price), "VACITM1": level, **more}


def invoice(books: Books, bpr: str = "C1", price: str = "100", *, post: bool = True, **more: Any) -> str:
    fields = {"SALFCY": "HLS01", "SIVTYP": "INV", "BPCINV": bpr, "lines": [line(price)], **more}
    key = books.save("SIH", fields)
    if post:
        books.action("SIH", books.switches.post_action, key)
    return key[0]


def memo(books: Books, bpr: str = "C1", price: str = "100", **more: Any) -> str:
    return invoice(books, bpr, price, **{"SIVTYP": "CRM", **more})


def allocation(num: str, amount: str, **more: Any) -> dict[str, Any]:
    return {"DENCOD": "ALLOC", "VCRNUM": num, "AMTLIN": Decimal(amount), **more}


def pay(books: Books, bpr: str, amount: str, *lines: dict[str, Any], **more: Any) -> str:
    fields = {"FCY": "HLS01", "BPR": bpr, "CUR": "EUR", "AMTCUR": Decimal(amount), "lines": list(lines), **more}
    return books.save("PAY", fields)[0]


def item(books: Books, num: str) -> dict[str, Any]:
    """The one open item of a document."""
    (found,) = [row for row in books.open_items() if row["NUM"] == num]
    return found


def refused(act: Callable[[], Any]) -> Refused:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value
