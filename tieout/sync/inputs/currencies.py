"""Whether a side takes a record in its currency: known before anything is sent, and said alike of all that share it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from tieout.connectors import Dealing
from tieout.model import Company, Customer, Entity
from tieout.sync.core.facts import LEFT, RIGHT, Which
from tieout.sync.core.operations import SubjectState
from tieout.sync.inputs.sides import Sides, foretold, other

_ONE_HOME = (
    "have it take several currencies (in QuickBooks that cannot be switched off again); if nothing here is in {code}, "
    "correct where the currency comes from: the export, or its profile"
)
_LISTED = (
    "add {code} to the currencies of {name} (in QuickBooks: the gear, Currencies): what is in it follows by itself; if "
    "nothing is, correct where the currency comes from: the export, or its profile"
)
_OF_ITS_OWN = (
    "bill {code} to a customer of its own where the document was born, kept in {code}: both follow by themselves; or "
    "enter it in {name} by hand, and accept the difference with a reason"
)
_STATED = (
    "have the export of customers state the currency, or enter the customer in {name} in the right currency under the "
    "same name: the two are matched"
)


@dataclass(frozen=True)
class Currencies:
    """Both sides of a pair, and what their systems say of currencies."""

    sides: Sides
    companies: Mapping[Which, Company]
    _read: dict[Which, Collection[str] | None] = field(default_factory=dict)

    def why_not(self, s: SubjectState, target: Which) -> tuple[str, str] | None:
        """Why the target would refuse a one-sided record in its currency, and the ways out; None if it takes it."""
        only = s.left or s.right
        shared = (only.shared if only else None) or {}
        name, home = self.sides.names[target], self.companies[target].home_currency
        code = shared.get("currency")
        if code not in (None, home) and self.companies[target].other_currencies is False:
            return f"{name} keeps its books in {home} alone, and this is in {code}", _ONE_HOME.format(code=code)
        if code not in (None, home) and (listed := self._listed(target)) is not None and code not in listed:
            return f"{name} does not list the currency {code}", _LISTED.format(code=code, name=name)
        if not self.sides.connectors[target].capabilities.one_currency:
            return None
        if s.entity is Entity.CUSTOMER:
            return self._unstated(only.id, target) if only and code is None else None
        customer = shared.get("customer", "")
        kept = self._kept_in(customer, target)
        if code in (None, home, kept):
            return None
        if (there := self._customer(customer, target)) is None and (not_made := self._unmade(customer, target)):
            return not_made
        who = f"{self._name(customer)} {'is' if there else 'would be'} kept in {kept} in {name}"
        return f"{who}, where a customer has one currency, and this is in {code}", _OF_ITS_OWN.format(
            code=code, name=name
        )

    def _listed(self, target: Which) -> Collection[str] | None:
        """The currencies that the target lists beside the home one; None where it does not say."""
        connector = self.sides.connectors[target]
        if not isinstance(connector, Dealing):
            return None
        if target not in self._read:
            self._read[target] = foretold(connector.currencies)
        return self._read[target]

    def _kept_in(self, customer: str, target: Which) -> str:
        """The currency of a customer there, or that it would get."""
        record = self._customer(customer, target) or self._customer(customer, other(target))
        return (record.currency if record else None) or self.companies[target].home_currency

    def _name(self, customer: str) -> str:
        record = self._customer(customer, LEFT) or self._customer(customer, RIGHT)
        return record.name if record else "its customer"

    def _customer(self, subject: str, which: Which) -> Customer | None:
        book = self.sides.books[which]
        held = book.held.get((Entity.CUSTOMER, book.natives.get(subject, "")))
        return held.record if held is not None and isinstance(held.record, Customer) else None

    def _unmade(self, customer: str, target: Which) -> tuple[str, str] | None:
        """Why a customer that is not there is not created for want of a currency; None if it is."""
        born = self._customer(customer, other(target))
        return self._unstated(born.ref.id, target) if born is not None and born.currency is None else None

    def _unstated(self, id: str, target: Which) -> tuple[str, str] | None:
        """Why a customer of no stated currency is not created: it would get the home one, and is billed in others."""
        home, billed = self.companies[target].home_currency, self._billed[other(target)].get(id, set())
        if not billed or home in billed:
            return None
        name, source = self.sides.names[target], self.sides.names[other(target)]
        why = (
            f"{source} does not say in which currency the customer is kept; {name} would keep it in {home} for good, "
            f"and its documents are in {', '.join(sorted(billed))}"
        )
        return why, _STATED.format(name=name)

    @cached_property
    def _billed(self) -> dict[Which, dict[str, set[str]]]:
        """By side and customer the currencies of its documents."""
        found: dict[Which, dict[str, set[str]]] = {LEFT: {}, RIGHT: {}}
        for which, book in self.sides.books.items():
            for document in book.moving():
                found[which].setdefault(document.customer, set()).add(document.currency)
        return found
