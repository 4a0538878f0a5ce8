"""The open items of Sage X3 (GACCDUDATE): what is owed on a document, and what a credit memo was matched with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from tieout.connectors.sage_x3.objects import JOURNALS, KEYS, Objects
from tieout.connectors.sage_x3.settings import SageX3Settings
from tieout.errors import ConfigError, FatalError, NotFoundError
from tieout.mapping import sage_x3 as mapping
from tieout.model import ControlBalance

Native = Mapping[str, Any]
Row = Mapping[str, str]
PARTNER = {"SIH": "BPCINV", "BIC": "BPR", "PAY": "BPR"}
DAY = {"SIH": "INVDAT", "BIC": "ACCDAT", "PAY": "ACCDAT"}
_ITEM = ("TYP", "NUM", "BPR", "CUR", "SAC", "DUDDAT", "SNS", "AMTCUR", "PAYCUR", "TMPCUR")


@dataclass(frozen=True, slots=True)
class _Items:
    """Open items by document, (whether it is a payment, its number).

    settled: customer → (type, number) of his debits of which something is settled, in their order
    """

    of: dict[tuple[bool, str], list[Row]]
    settled: dict[str, dict[tuple[str, str], None]]


@dataclass
class OpenItems:
    """The open items of one connection's sites, and what else is read beside them, kept from one `forget` to the next.

    codes: lettering of documents · taken: what a payment's lines take of each document, by the payment's number
    """

    connection: str
    objects: Objects
    settings: SageX3Settings
    books: mapping.Books
    _kept: _Items | None = field(default=None, repr=False)
    _codes: dict[tuple[str, str], set[str]] = field(default_factory=dict, repr=False)
    _taken: dict[str, Mapping[str, Decimal] | None] = field(default_factory=dict, repr=False)
    _payments: list[Row] | None = field(default=None, repr=False)

    def forget(self) -> None:
        self._kept = None
        self._unmatch()

    def _unmatch(self) -> None:
        self._codes.clear()
        self._taken.clear()
        self._payments = None

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
        own = items.of.get((paid, id), [])
        told = {**told, "open_items": own}
        if JOURNALS not in self.settings.services:
            return told
        if alone:
            self._unmatch()
        return {**told, "applications": self._matched(told, own, items)}

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
                listed = "open_items" not in self.settings.services or (False, number) in self._sorted(partner).of
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

    def _matched(self, told: Native, own: list[Row], items: _Items) -> list[dict[str, str]]:
        """What a credit memo was matched with, where that is plain: the one invoice that stands under its codes.

        Where several do, nothing says how much of the memo went to each. What payments took of it, they state
        themselves. If less of the invoice is settled than of the memo, something else was matched with it.
        """
        paid = sum((mapping.paid_of(row) for row in own), Decimal(0))
        if not paid or told["object"] == "PAY" or not mapping.is_credit(told, self.books):
            return []
        memo, customer = own[0].get("NUM", "").strip(), own[0].get("BPR", "").strip()
        mine = self._coded(own[0].get("TYP", ""), memo)
        debits = items.settled.get(customer, {}) if mine else {}
        under = [(type_, number) for type_, number in debits if mine & self._coded(type_, number)]
        if len({number for _, number in under}) != 1:
            return []
        type_, invoice = under[0]
        if invoice != mapping.origin_of(told) and type_ not in self._invoice_entries:
            return []
        taken = self._taken_of(memo, customer)
        if taken is None:
            return []
        paid -= taken
        settled = sum((mapping.paid_of(row) for row in items.of.get((False, invoice), [])), Decimal(0))
        if paid <= 0 or paid > settled:
            return []
        on = str(told["fields"].get(DAY[told["object"]], ""))
        return [{"NUM": invoice, "AMTCUR": f"{paid:f}", "ON": on}]

    @property
    def _invoice_entries(self) -> tuple[str, ...]:
        return self.settings.invoice_entries or (self.settings.invoice_type,)

    def _coded(self, type_: str, number: str) -> set[str]:
        """The lettering codes of a document."""
        if (type_, number) not in self._codes:
            self._codes[type_, number] = self.objects.letters(type_, number)
        return self._codes[type_, number]

    def _taken_of(self, document: str, customer: str) -> Decimal | None:
        """What lines of the customer's payments take of a document, without sign; None where one cannot be read."""
        total = Decimal(0)
        for number in self._payments_of(customer):
            if number not in self._taken:
                self._taken[number] = self._lines_of(number)
            lines = self._taken[number]
            if lines is None:
                return None
            total += lines.get(document, Decimal(0))
        return total

    def _payments_of(self, customer: str) -> list[str]:
        """Numbers of the customer's payments, and of all that the left list shows without one."""
        if self._payments is None:
            self._payments = [row for kind in self.objects.published("PAY") for row in self.objects.listed(kind)]
        by, key = PARTNER["PAY"], KEYS["PAY"]
        return [row.get(key, "").strip() for row in self._payments if row.get(by, customer).strip() == customer]

    def _lines_of(self, number: str) -> Mapping[str, Decimal] | None:
        """What a payment's lines take of each document; None where it cannot be read."""
        try:
            told = self.objects.read("PAY", number)
            return None if "hidden" in told else mapping.taken_by(told, self.books)
        except NotFoundError:
            return {}
        except mapping.Unreadable:
            return None

    def _sorted(self, customer: str = "") -> _Items:
        """Open items by document, with the columns that are read; the entry type tells payments from invoices."""
        found = _Items({}, {})
        for row in self._own(customer):
            type_, number = row.get("TYP", ""), row.get("NUM", "").strip()
            paid = type_ in self.settings.payment_entries
            kept = {name: row[name] for name in _ITEM if name in row}
            found.of.setdefault((paid, number), []).append(kept)
            if not paid and row.get("SNS", "").strip() != "-1" and row.get("PAYCUR", "").strip() not in ("", "0"):
                found.settled.setdefault(row.get("BPR", "").strip(), {})[type_, number] = None
        return found
