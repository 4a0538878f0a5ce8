"""What no one has verified about QuickBooks Online, as switches; the first value of each is the default."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from tieout.sandbox.switching import choices, parsed


@dataclass(frozen=True, slots=True)
class Switches:
    """One setting of every undecided behaviour. A connector must be right under each of them.

    `book_close_date` seeds Preferences; later changes go through Preferences.
    `rate_limits` published: 500 requests a minute, 10 a second, 40 batches a minute.
    `currencies`: what the company deals in, where it deals in several; every_exponent has JPY and KWD, too.
    `currency_places`: how many decimals an amount is kept with: those of its currency (JPY none, KWD three), or two.
    `user`: what whoever signed in may use (5020): everything, no payments at all, or nothing that writes.
    `unusable_customer`: of a sales form. 2500: unknown ones 2500, inactive ones 610; or 6250 for both.
    `wrong_deposit_account`: money received into an account that is neither bank nor other current asset.
    `line_without_item`: of a sales form. filled: with the default item, as seen live; or 6440.
    """

    delete_invoice_with_payment: Literal["reject", "unlink"] = "reject"
    void_invoice_with_payment: Literal["unlink", "reject"] = "unlink"
    refresh_old_token: Literal["valid_24h", "invalid"] = "valid_24h"  # noqa: S105  (a switch, no secret)
    rotate_refresh: Literal["every_24h", "every_call", "never"] = "every_24h"
    throttle_format: Literal["xml-429", "json-429", "lower-json-429", "html-503"] = "xml-429"
    retry_after: Literal["none", "60"] = "none"
    auto_apply_credit: bool = True
    auto_apply_payment_api: bool = False
    apply_to_closed_invoice: Literal["reject", "drop_line"] = "reject"
    payment_bumps_invoice_token: bool = True
    numeric_filter_unquoted: Literal["accept", "4000"] = "accept"
    total_count_on_rows: bool = False
    requestid_changed_payload: Literal["replay", "600"] = "replay"
    cdc_over_30_days: Literal["fault", "clamp", "ignore"] = "fault"
    custom_txn_numbers: bool = False
    warn_duplicates: bool = True
    book_close_date: date | None = None
    book_close_code: Literal["6200", "6210"] = "6200"
    country: Literal["US", "CA", "FR"] = "US"
    ast: bool = False
    legacy_tax_override: Literal["ignore", "honour"] = "ignore"
    multicurrency: bool = False
    currencies: Literal["usual", "every_exponent"] = "usual"
    currency_places: Literal["own", "two"] = "own"
    subscription: Literal["active", "expired"] = "active"
    filter_private_note: Literal["accept", "4001"] = "accept"
    void_note_separator: Literal["space", "newline", "dash"] = "space"
    second_void: Literal["no_op", "reject"] = "no_op"
    rate_limits: Literal["off", "published"] = "off"
    user: Literal["all", "no_payments", "view_only"] = "all"
    inactivate_with_balance: Literal["accept", "reject"] = "accept"
    unusable_customer: Literal["2500", "6250"] = "2500"
    wrong_deposit_account: Literal["6430", "accept"] = "6430"
    line_without_item: Literal["filled", "6440"] = "filled"

    @classmethod
    def parse(cls, settings: list[str] | tuple[str, ...]) -> Switches:
        """From `name=value` texts; every wrong one is named in one ConfigError."""
        return parsed(cls, settings)

    @classmethod
    def choices(cls) -> dict[str, tuple[Any, ...]]:
        """Every switch with its settings: `switching.choices`."""
        return choices(cls)
