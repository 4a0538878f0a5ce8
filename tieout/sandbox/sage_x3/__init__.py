"""A Sage X3 that runs on this machine: the SOAP service CAdxWebServiceXmlCC, its books, and the ways it can fail.

Start it in a test, and drive it from both ends:

    books = Books("empty", Switches(posting_delay=30), clock)     # or "small", or generate(100, 1000, seed=1)
    with running(books) as live:
        live.wsdl_url, live.endpoint, live.user, live.password, live.pool   # what a client is given
        live.faults.arm("drop", when="after", operation="save")             # the answer is lost, the work is not
        live.faults.arm("quirk", form="nil", entity="WSSIH")                # status 1 without a result
        books.save("SIH", {...}); books.action("SIH", "POST", key)          # a person at a screen
        books.forward(60); books.stop_tasks(); books.close_through(day)     # clock, task server, periods
        books.open_record("SIH", num); books.close_record("SIH", num)       # somebody looks at it: locked
        live.renumber("WSSIH", {"SIH1_5": "SIH1_6"})                        # another entry transaction
        books.effects, books.open_items(), books.read("SIH", num)           # the truth
        books.check()                                                       # every invariant

Public names are WS + object (WSBPC WSSIH WSBIC WSPAY WSGAS), AOWSEXPORT, AOWSIMPORT, AOWSBATGET, ZARDUD, ZARDELTA,
ZARMATCH; `Registration` publishes others, sets up pools and a licence. `entity` of a fault rule is the public name,
`operation` one of the twelve, or `wsdl`. Quirks are rules of the kind `quirk` by their `form`; with `seconds` the
session is held as long:

    nil        the work is done, status 1, no result       nothing   the same, and nothing is done
    messages   status 0 with several messages              locked    status 0, the record is another's
    huge       a result of over ten million characters     language  labels in a language not asked for
    pool-full  refused as switch pool_full says            login     status 0, the session changed users in vain
    slow       only the time

Forms of `answer` rules: unauthorized, no-web-services, html, html-200, empty, pool-stopped. What nobody has verified
about X3 is in `Switches`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from .app import Licence, Registration, app
from .books import Books, Effect, system_clock
from .company import SETTINGS
from .faults import Refused
from .pool import Pool
from .publications import Publication
from .server import Running, running, serve
from .switches import Switches


def generate(
    n_customers: int,
    n_invoices: int,
    seed: int,
    *,
    switches: Switches | None = None,
    clock: Callable[[], datetime] = system_clock,
) -> Books:
    """Books of any size, the same for the same arguments and day: about six payments to ten invoices."""
    return Books(f"generate:{n_customers}:{n_invoices}:{seed}", switches, clock)


__all__ = [
    "SETTINGS",
    "Books",
    "Effect",
    "Licence",
    "Pool",
    "Publication",
    "Refused",
    "Registration",
    "Running",
    "Switches",
    "app",
    "generate",
    "running",
    "serve",
]
