"""The demo's stage: a QuickBooks sandbox over HTTP, a file ERP in a folder, and tieout configured as a user would.

Time is the stage's own: it starts on the first working day after the month end and moves when something waits, so
that a story of several days is told in seconds. Everything else is what runs in production.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from tieout.config import Settings, load
from tieout.config.opening import open_connection, options_of, secret_store, state_url, to_pair
from tieout.connectors import Connector
from tieout.connectors.http import Pace, Transport
from tieout.connectors.quickbooks.oauth import authorize
from tieout.errors import ConfigError
from tieout.sandbox import file_erp
from tieout.sandbox import quickbooks as qbo
from tieout.sync.engine import Pair
from tieout.sync.store import Store, open_store

COMPANY = "Alder Ridge Supply Co."
MONTH_END = date(2026, 1, 31)
START = datetime(2026, 2, 2, 8, 0, tzinfo=UTC)


class StageClock:
    """The time on stage. `sleep` is what waits; it costs no real time."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def __call__(self) -> datetime:
        return self._now

    def seconds(self) -> float:
        """The same time as a number of seconds, for what only measures waiting."""
        return (self._now - START).total_seconds()

    def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@dataclass(slots=True)
class Stage:
    """Both systems and tieout between them. `export` is the ERP's nightly job, `load` its import job."""

    folder: Path
    clock: StageClock
    sap: file_erp.FileErp
    quickbooks: qbo.Books
    server: qbo.Running
    settings: Settings
    store: Store
    connectors: dict[str, Connector]
    pair: Pair

    def export(self, as_of: date) -> None:
        """SAP drops its line items and customers, as of a day; then the files rest until they count as finished."""
        self.clock.sleep(3600)
        self.sap.export(self.folder / "sap" / "export", as_of, layouts=("customers", "sap-fbl5n-en"))
        self.clock.sleep(300)

    def load(self) -> file_erp.LoadReport:
        """SAP loads what waits in the outbox."""
        self.clock.sleep(3600)
        return self.sap.load_outbox(self.folder / "sap" / "import", rejected=self.folder / "sap" / "rejected")


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Set the stage in an empty folder of its own; everything that was started ends with the block."""
    _clear(folder)
    clock = StageClock()
    sap = file_erp.FileErp(
        file_erp.Books(company_code="1000", name=COMPANY), folder=folder / "sap" / "books", clock=clock
    )
    switches = qbo.Switches(auto_apply_credit=False, custom_txn_numbers=True)
    books = qbo.Books("empty", switches, clock=clock)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(qbo.running(books))
        (folder / "tieout.toml").write_text(_configuration(server, folder.resolve()), "utf-8")
        (folder / "client-secret").write_text(server.client_secret, "utf-8")
        (folder / "client-secret").chmod(0o600)
        settings = load(folder / "tieout.toml")
        _sign_in(settings, clock)
        store = open_store(state_url(settings), clock=clock)
        stack.callback(store.close)
        pace = Pace(clock=clock.seconds, sleep=clock.sleep)
        connectors = {
            "sap": open_connection(settings, "sap", clock=clock),
            "quickbooks": open_connection(
                settings, "quickbooks", clock=clock, sleep=clock.sleep, transport=Transport(pace=pace)
            ),
        }
        for connector in connectors.values():
            stack.callback(connector.close)
        yield Stage(folder, clock, sap, books, server, settings, store, connectors, to_pair(settings, "month-end"))


def _clear(folder: Path) -> None:
    """Empty a folder that an earlier demo made; refuse any other that is not empty."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "tieout.toml").is_file() or not (folder / "sap").is_dir():
            raise ConfigError(
                f"{folder} is not empty, and no demo made it", hint="name another folder: tieout demo --folder NEW"
            )
        shutil.rmtree(folder)
    for part in ("sap/export", "sap/import"):
        (folder / part).mkdir(parents=True)


def _sign_in(settings: Settings, clock: StageClock) -> None:
    """Sign in through the sandbox's consent page, as `tieout connect quickbooks` does; a person presses Allow."""
    plain, secret = options_of(settings, "quickbooks")

    def press_allow(url: str) -> None:
        with requests.Session() as browser:
            page = browser.get(url, timeout=10)
            page.raise_for_status()
            form = dict(_hidden(page.text))
            browser.post(url, data=form | {"decision": "allow"}, timeout=10).raise_for_status()

    authorize(
        "quickbooks",
        settings=plain,
        secrets_=secret,
        store=secret_store(settings),
        open_browser=press_allow,
        say=lambda _text: None,
        clock=clock,
    )


def _hidden(page: str) -> Iterator[tuple[str, str]]:
    for tag in re.findall(r"<input[^>]*type=\"?hidden\"?[^>]*>", page):
        found: dict[str, Any] = dict(re.findall(r'(name|value)="([^"]*)"', tag))
        yield found.get("name", ""), found.get("value", "")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _configuration(server: qbo.Running, folder: Path) -> str:
    return f"""\
# Written by `tieout demo`: SAP by files on the left, QuickBooks Online (a stand-in on this machine) on the right.
[company]
name = "{COMPANY}"

[state]
url = "sqlite:///state.db"

[secrets]
store = "file"
folder = "secrets"

[connection.sap]
kind = "tabular"
folder = "sap/export"
outbox = "sap/import"
currency = "USD"
entity_code = "1000"
exports = [
  {{ glob = "customers_*", profile = "customers" }},
  {{ glob = "fbl5n_*", profile = "sap-fbl5n-en" }},
]

[connection.sap.imports]
customer = "import-customers"
invoice = "import-sap-posting"
credit_memo = "import-sap-posting"
payment = "import-sap-posting"

[connection.quickbooks]
kind = "quickbooks"
company_id = "{server.realm}"
client_id = "{server.client_id}"
client_secret = {{ command = ["cat", "{folder}/client-secret"] }}
api_base = "{server.base_url}"
discovery_url = "{server.base_url}/.well-known/openid_sandbox_configuration"
redirect_uri = "http://localhost:{_free_port()}/callback"

[pair.month-end]
left = "sap"
right = "quickbooks"
mode = "propose"

# SAP's codes on the left, QuickBooks' on the right. R9 is not mapped: its invoice waits.
[pair.month-end.codes.items]
"" = "1"
[pair.month-end.codes.taxes]
"O0" = "NON"
"I1" = "2"
"I2" = "5"
[pair.month-end.codes.terms]
"NT30" = "3"

[pair.month-end.limits]
creates = 25
"""
