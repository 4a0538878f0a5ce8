"""What one Sage X3 connection is set up with; docs/reference/config.md tells each key to users."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tieout.mapping import sage_x3 as mapping


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KnownCustomer(_Settings):
    """A customer by whom the company is known: another name under its code is another company's books."""

    code: str
    name: str


class Export(_Settings):
    """An export template of the installation. mark: the indicator of its first record, which begins an object.

    key, changed, type: where in that record the key, the time of the last change and (of open items) the entry type
    stand, counted from 1 behind the indicator · field: the column that the criterion names
    """

    template: str
    mark: str
    key: int = Field(ge=1)
    changed: int = Field(ge=1)
    type: int | None = Field(default=None, ge=1)
    field: str = "UPDDATTIM"


class SageX3Settings(_Settings):
    """One connection; see docs/reference/config.md for each key."""

    url: str
    on_premises: bool = False
    ca_file: Path | None = None
    user: str
    pool: str
    language: str = "ENG"
    width: int = Field(default=2, ge=1, le=30)
    timeout_seconds: int = Field(default=120, ge=5)
    list_limit: int = Field(default=200_000, ge=1)
    temporary: tuple[str, ...] = ()
    company: str
    known_customer: KnownCustomer | None = None
    currency: str
    closed_through: date | None = None
    time_zone: str | None = None
    services: dict[str, str]
    strategy: Literal["key_sweep", "subprogram", "export_template"] = "key_sweep"
    exports: dict[str, Export] = {}
    export_mode: str = "REALTIME"
    export_dates: Literal["yyyymmdd", "dd/mm/yyyy"] = "yyyymmdd"
    export_wait_seconds: int = Field(default=900, ge=0)
    overlap_seconds: int = Field(default=900, ge=0)
    site: str = ""
    sites: tuple[str, ...] = ()
    customer_category: str = ""
    tax_rule: str = ""
    terms: str = ""
    due_term: str | None = None
    invoice_type: str = ""
    credit_type: str = ""
    invoice_types: dict[str, str] = {}
    enter_as: Literal["SIH", "BIC"] = "SIH"
    revenue_accounts: dict[str, str] = {}
    post_action: str | None = None
    bank: str = ""
    applied_as: str = ""
    attributes: dict[str, str] = {}
    cancelled: tuple[str, ...] = ()
    payment_entries: tuple[str, ...] = ("PAY",)
    invoice_entries: tuple[str, ...] = ()

    @property
    def own_sites(self) -> tuple[str, ...]:
        """Sites whose documents belong to this connection; empty for all of the folder."""
        return tuple(dict.fromkeys((*self.sites, *([self.site] if self.site else ()))))

    def problems(self) -> Iterator[str]:
        """What keys say against one another."""
        there = self.services.keys()
        if self.strategy == "subprogram" and "changes" not in there:
            yield "strategy: `subprogram` needs the service `changes`"
        if self.strategy == "export_template":
            needed = there & {"BPC", "SIH", "BIC", "PAY"} | ({"DUD"} if "open_items" in there else set())
            if "export" not in there:
                yield "strategy: `export_template` needs the service `export`"
            if self.export_mode != "REALTIME" and "batch" not in there:
                yield "export_mode: a batch request needs the service `batch`"
            if missing := sorted(needed - self.exports.keys()):
                yield f"exports: has no template for {', '.join(missing)}"
            if "DUD" in self.exports and self.exports["DUD"].type is None:
                yield "exports.DUD: `type` says where the entry type stands"
        if "PAY" in there and not self.cancelled:
            yield "cancelled: name the values of STA2 that stand for payments taken back"
        for pattern in self.temporary:
            try:
                re.compile(pattern)
            except re.error as why:
                yield f"temporary: {pattern!r} is not a regular expression: {why}"


def books_of(name: str, own: SageX3Settings) -> mapping.Books:
    """What the mapping needs to know of the installation."""
    return mapping.Books(
        name,
        own.currency,
        site=own.site,
        sites=frozenset(own.own_sites),
        category=own.customer_category,
        tax_rule=own.tax_rule,
        terms=own.terms,
        invoice_type=own.invoice_type,
        credit_type=own.credit_type,
        ledger_invoices=own.enter_as == "BIC",
        revenue_accounts=own.revenue_accounts,
        due_term=own.due_term if "open_items" in own.services else None,
        types=own.invoice_types,
        attributes=own.attributes,
        applied_as=own.applied_as,
        bank=own.bank,
        cancelled=frozenset(own.cancelled),
    )
