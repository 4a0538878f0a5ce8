"""Books and sites for the sandbox's own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pytest

from tests.clock import Clock
from tieout.sandbox.quickbooks import Books, Refused, Running, Switches, running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Callable[..., Books]:
    """Books without customers; switches by name; without automatic application unless asked for."""

    def build(seed: str = "empty", **switches: Any) -> Books:
        return Books(seed, Switches(**{"auto_apply_credit": False} | switches), clock)

    return build


@pytest.fixture
def books(make: Callable[..., Books]) -> Books:
    return make()


@pytest.fixture
def serve() -> Iterator[Callable[[Books], Running]]:
    with ExitStack() as stack:
        yield lambda books: stack.enter_context(running(books))


def customer(books: Books, name: str = "Alder & Finch", **more: Any) -> str:
    return str(books.apply("Customer", "create", {"DisplayName": name, **more})["Id"])


def line(amount: str | Decimal = "100", item: str = "1", **detail: Any) -> dict[str, Any]:
    return {
        "Amount": Decimal(amount),
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {"ItemRef": {"value": item}, **detail},
    }


def invoice(books: Books, who: str, amount: str = "100", **more: Any) -> dict[str, Any]:
    return books.apply("Invoice", "create", {"CustomerRef": {"value": who}, "Line": [line(amount)], **more})


def memo(books: Books, who: str, amount: str = "100", **more: Any) -> dict[str, Any]:
    return books.apply("CreditMemo", "create", {"CustomerRef": {"value": who}, "Line": [line(amount)], **more})


def to(kind: str, id: str, amount: str) -> dict[str, Any]:
    return {"Amount": Decimal(amount), "LinkedTxn": [{"TxnId": id, "TxnType": kind}]}


def pay(books: Books, who: str, total: str, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"CustomerRef": {"value": who}, "TotalAmt": Decimal(total), "Line": list(lines), **more}
    return books.apply("Payment", "create", body)


def refused(act: Callable[[], Any]) -> Refused:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value
