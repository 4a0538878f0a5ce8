"""The demo's third system: a Sage X3 over SOAP, paired with QuickBooks while SAP stays paired with it as before."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tieout.config import load
from tieout.config.opening import open_connection, to_pair
from tieout.connectors import Connector
from tieout.demo.stage import Stage
from tieout.sandbox import sage_x3
from tieout.sync.engine import Pair

SITE = "HLS01"
D = Decimal


@dataclass(slots=True)
class Branch:
    """Sage X3 beside the stage. connectors: those of the pair with QuickBooks."""

    live: sage_x3.Running
    connectors: dict[str, Connector]
    pair: Pair

    @property
    def books(self) -> sage_x3.Books:
        return self.live.books

    def customer(self, name: str) -> str:
        """An X3 clerk opens an account; returns its code."""
        given = {"BCGCOD": "US", "BPCNAM": name, "BPRNAM": [name], "BPCSTA": "2"}
        return self.books.save("BPC", given | {"CUR": "USD", "VACBPR": "DOM", "PTE": "NET30"})[0]

    def invoice(self, code: str, amount: Decimal, day: str) -> str:
        """An X3 clerk bills and validates; returns the number."""
        line = {"ITMREF": "SERVICE", "QTY": "1", "GROPRI": str(amount), "VACITM1": "EXO"}
        head = {"SALFCY": SITE, "SIVTYP": "INV", "BPCINV": code, "INVDAT": day, "CUR": "USD"}
        key = self.books.save("SIH", head | {"lines": [line]})
        self.books.action("SIH", "POST", key)
        return key[0]

    def payment(self, invoice: str, amount: Decimal, day: str) -> str:
        """An X3 clerk enters a payment on an invoice; returns its number."""
        owed = self._document(invoice)
        line = {"DENCOD": "ALLOC", "VCRNUM": owed["NUM"], "AMTLIN": str(amount)}
        head = {"FCY": SITE, "BPR": owed["BPCINV"], "ACCDAT": day, "CUR": "USD", "BAN": "BANK1"}
        return self.books.save("PAY", head | {"AMTCUR": str(amount), "lines": [line]})[0]

    def _document(self, number: str) -> dict[str, Any]:
        """The invoice with this number, its own or the one that it had elsewhere."""
        found = [d for d in self.books.rows("SIH") if number in (d["NUM"], d.get("ORIDOCNUM"))]
        assert len(found) == 1, f"{number}: {len(found)}"
        return found[0]

    def copies(self, number: str) -> int:
        return sum(number in (d["NUM"], d.get("ORIDOCNUM")) for d in self.books.rows("SIH"))

    def receivables(self) -> Decimal:
        """What customers owe in X3, from its own open items."""
        items = self.books.open_items()
        return sum((i["SNS"] * (i["AMTCUR"] - i["PAYCUR"] - i["TMPCUR"]) for i in items), D(0))


@contextlib.contextmanager
def joined(stage: Stage) -> Iterator[Branch]:
    """Start X3 beside the stage, configure it as a user would, and pair it with QuickBooks from the month's start."""
    books = sage_x3.Books("empty", sage_x3.Switches(company_currency="USD"), stage.clock)
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(sage_x3.running(books))
        secret = stage.folder / "sage-password"
        secret.write_text(live.password, "utf-8")
        secret.chmod(0o600)
        file = stage.folder / "tieout.toml"
        file.write_text(file.read_text("utf-8") + _configuration(live, str(secret.resolve())), "utf-8")
        settings = load(file)
        sage = open_connection(settings, "sage", clock=stage.clock, sleep=stage.clock.sleep)
        stack.callback(sage.close)
        connectors = {"quickbooks": stage.connectors["quickbooks"], "sage": sage}
        yield Branch(live, connectors, to_pair(settings, "branch"))


def _configuration(live: sage_x3.Running, secret: str) -> str:
    return f"""
# Sage X3 (a stand-in on this machine) joins in February, paired with QuickBooks.
[connection.sage]
kind = "sage-x3"
url = "{live.endpoint}"
user = "{live.user}"
password = {{ command = ["cat", "{secret}"] }}
pool = "{live.pool}"
currency = "USD"
post_action = "POST"
{sage_x3.SETTINGS}
[pair.branch]
left = "quickbooks"
right = "sage"
mode = "propose"
cutover = 2026-02-01        # what is older stays where it is: it is linked if it is there, never created

# QuickBooks' codes on the left, X3's on the right.
[pair.branch.codes.items]
"1" = "SERVICE"
[pair.branch.codes.taxes]
"NON" = "EXO"
[pair.branch.codes.accounts]
"4" = "BANK1"
[pair.branch.codes.terms]
"3" = "NET30"
"""
