"""The open items of Sage X3 (GACCDUDATE): what is owed on a document, and what a credit memo was matched with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from tieout.connectors.sage_x3_objects import Objects
from tieout.connectors.sage_x3_settings import SageX3Settings
from tieout.errors import ConfigError, FatalError, NotFoundError
from tieout.mapping import sage_x3 as mapping
from tieout.model import ControlBalance

Native = Mapping[str, Any]
Row = Mapping[str, str]
Sorted = dict[tuple[bool, str], list[Row]]
PARTNER = {"SIH": "BPCINV", "BIC": "BPR", "PAY": "BPR"}
DAY = {"SIH": "INVDAT", "BIC": "ACCDAT", "PAY": "ACCDAT"}
_ITEM = ("TYP", "NUM", "CUR", "SAC", "DUDDAT", "SNS", "AMTCUR", "PAYCUR", "TMPCUR")


@dataclass
class OpenItems:
    """The open items of one connection's sites, kept from one `forget` to the next."""

    connection: str
    objects: Objects
    settings: SageX3Settings
    books: mapping.Books
    _kept: Sorted | None = field(default=None, repr=False)

    def forget(self) -> None:
        self._kept = None

    def balances(self, as_of: date) -> list[ControlBalance]:
        """What the open items of each control account add up to now, signed as the account is, said of `as_of`.

        Raises FatalError for an item that cannot be read: a sum without it would be wrong.
        """
        sums: dict[tuple[str, str], Decimal] = {}
        for row in self._own():
            key = row.get("SAC", ""), row.get("CUR", "")
            try:
                sums[key] = sums.get(key, Decimal(0)) + mapping.owed_of(row)
            except mapping.Unreadable as why:
                raise FatalError(f"{self.connection}: {why}", hint="let `open_items` show it") from None
        report = self.settings.services.get("open_items", "")
        return [
            ControlBalance(
                connection=self.connection,
                account=account,
                as_of=as_of,
                amount=amount,
                currency=currency,
                report=f"open items (GACCDUDATE) by {report}",
                parameters={"account": account, "currency": currency},
            )
            for (account, currency), amount in sorted(sums.items())
        ]

    def beside(self, told: Native, id: str, *, alone: bool) -> Native:
        """The document or payment with its open items, and for a credit memo what it was matched with.

        alone: ask for the items of its customer now, not for those of everybody once a round
        """
        if "open_items" not in self.settings.services:
            return told
        paid = told["object"] == "PAY"
        partner = str(told["fields"].get(PARTNER[told["object"]], "")).strip()
        if alone and partner:
            items = self._sorted(partner)
        else:
            if self._kept is None:
                self._kept = self._sorted()
            items = self._kept
        own = items.get((paid, id), [])
        told = {**told, "open_items": own}
        if "GAS" not in self.settings.services:
            return told
        origin = items.get((False, mapping.origin_of(told) or ""), [])
        return {**told, "applications": self._matched(told, own, origin)}

    def not_posted(self, numbers: Iterable[str]) -> str:
        """The first of these invoices that X3 holds and has not posted yet, "" if there is none.

        X3 posts in the background: between its validation and its journal an invoice has no open items, and what is to
        settle it is refused.
        """
        for number in numbers:
            for kind in self.objects.published("SIH", "BIC"):
                try:
                    told = self.objects.read(kind, number)
                except NotFoundError:
                    continue
                partner = str(told["fields"].get(PARTNER[kind], "")).strip()
                listed = "open_items" not in self.settings.services or (False, number) in self._sorted(partner)
                if not listed or mapping.is_unposted(told):
                    return number
                break
        return ""

    def _own(self, customer: str = "") -> Iterator[Row]:
        """Open items of our sites. Raises ConfigError where several companies have some, and `sites` names none."""
        sites, companies = self.books.sites, set[str]()
        for row in self.objects.open_items(customer):
            site = row.get("FCY", "").strip()
            if sites and site and site not in sites:
                continue
            companies.add(row.get("CPY", ""))
            if not sites and len(companies) > 1:
                raise ConfigError(
                    f"{self.connection}: X3 shows open items of the companies {', '.join(sorted(companies))}",
                    hint="name the sites of this connection's company in `sites`",
                )
            yield row

    def _matched(self, told: Native, own: list[Row], items: list[Row]) -> list[dict[str, str]]:
        """What a credit memo was matched with, where that is plain: the invoice that it names, under the same code.

        items: of that invoice. If less of it is settled than of the memo, the memo was matched with something else too.
        """
        origin = mapping.origin_of(told)
        paid, settled = (sum((mapping.paid_of(row) for row in rows), Decimal(0)) for rows in (own, items))
        if origin is None or not paid or paid > settled:
            return []
        entry = own[0].get("TYP", "")
        mine = self.objects.letters(entry, own[0].get("NUM", "").strip())
        for type_ in self.settings.invoice_entries or (self.settings.invoice_type,):
            if mine & self.objects.letters(type_, origin):
                on = str(told["fields"].get(DAY[told["object"]], ""))
                return [{"NUM": origin, "AMTCUR": f"{paid:f}", "ON": on}]
        return []

    def _sorted(self, customer: str = "") -> Sorted:
        """Open items by document, with the columns that are read; the entry type tells payments from invoices."""
        found: Sorted = {}
        for row in self._own(customer):
            paid = row.get("TYP", "") in self.settings.payment_entries
            kept = {name: row[name] for name in _ITEM if name in row}
            found.setdefault((paid, row.get("NUM", "").strip()), []).append(kept)
        return found
