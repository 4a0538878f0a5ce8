"""What no one has verified about Sage X3, as switches; the first value of each is the default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tieout.sandbox.switching import choices, parsed


@dataclass(frozen=True, slots=True)
class Switches:
    """One setting of every undecided behaviour. A connector must be right under each of them.

    company_currency: of the first company; its sites' documents may have others.
    posting_delay, matching_delay, batch_delay: seconds of the books' clock until the task server has worked.
    posting: manual, by the object's action; batch: the task server validates documents by itself after the delay.
    payment_posting: auto, as payments advance by themselves; manual, by action.
    payment_hold: when an allocation first shows on the open item (TMPCUR).
    duplicate_reference: whether a second document with the same INVREF/BPRVCR/REF of a customer is taken.
    duplicate_message: the refusal's text, {num} the document that holds the reference; "" the sandbox's own.
    given_number: what happens to a NUM that the caller gives with a new document.
    unposted_status: STA of a document that is not posted. credit_category: INVTYP of a credit memo.
    credit_matching: whether a posted credit memo is matched with its invoice by itself.
    partial_codes: what becomes of lower-case lettering codes when the rest is paid.
    delete_unposted: SIVSUP, whether a document that is not posted can be deleted.
    modify_stamp: whether a modify with another WW_MODSTAMP than the object's is refused.
    update_time: UPDDATTIM of exports, to the second, or the day alone (classic objects).
    export_dates: the date literal of selection criteria. null_dates: an empty date in an export.
    list_zero: what listSize 0 asks for. list_order: of a left list, by key or as entered.
    list_sizes: whether DIM and SIZE stand on a left list. wildcards: whether * matches in query keys.
    error_type: `type` of an error message. notes_on_success: status 1 carries an information message.
    pool_full: a call more than the pool is wide waits, or is refused by message or fault.
    unknown_pool: refused by a SOAP fault or by message. lost_session: a poolId of a session that is gone.
    read_locks: whether a read by a session with a poolId keeps others from modifying.
    undeclared_prefix: whether an undeclared namespace prefix is tolerated.
    input_dates: whether dd/mm/yyyy is taken beside yyyymmdd. unknown_field: a field that the screen has not.
    blocks: the entry transaction's block numbers, those first seen or those after a change of the transaction.
    fault_status: HTTP status of a SOAP fault.
    """

    company_currency: Literal["EUR", "USD", "GBP"] = "EUR"
    posting_delay: int = 0
    matching_delay: int = 0
    batch_delay: int = 0
    posting: Literal["manual", "batch"] = "manual"
    payment_posting: Literal["auto", "manual"] = "auto"
    payment_hold: Literal["at_entry", "at_posting"] = "at_entry"
    post_action: Literal["POST", "VALID"] = "POST"
    duplicate_reference: Literal["accept", "reject", "warn"] = "accept"
    duplicate_message: str = ""
    given_number: Literal["accept", "refuse", "ignore"] = "accept"
    unposted_status: Literal["1", "2"] = "1"
    credit_category: Literal["2", "4"] = "2"
    credit_matching: Literal["auto", "manual"] = "auto"
    partial_codes: Literal["replaced", "remain"] = "replaced"
    delete_unposted: Literal["allow", "refuse"] = "allow"
    modify_stamp: Literal["ignored", "checked"] = "ignored"
    update_time: Literal["second", "day"] = "second"
    export_dates: Literal["either", "yyyymmdd", "dd/mm/yyyy"] = "either"
    null_dates: Literal["empty", "17530101"] = "empty"
    list_zero: Literal["all", "none", "default"] = "all"
    list_order: Literal["key", "entered"] = "key"
    list_sizes: Literal["shown", "absent"] = "shown"
    wildcards: Literal["star", "none"] = "star"
    error_type: Literal["3", "4"] = "3"
    notes_on_success: bool = False
    pool_full: Literal["wait", "message", "fault"] = "wait"
    unknown_pool: Literal["fault", "message"] = "fault"
    lost_session: Literal["another", "message"] = "another"
    read_locks: bool = False
    undeclared_prefix: Literal["tolerated", "refused"] = "tolerated"
    input_dates: Literal["both", "yyyymmdd"] = "both"
    unknown_field: Literal["reject", "ignore"] = "reject"
    blocks: Literal["first", "later"] = "first"
    fault_status: Literal["500", "200"] = "500"

    @classmethod
    def parse(cls, settings: list[str] | tuple[str, ...]) -> Switches:
        """From `name=value` texts; every wrong one is named in one ConfigError."""
        return parsed(cls, settings)

    @classmethod
    def choices(cls) -> dict[str, tuple[Any, ...]]:
        """Every switch with its settings: `switching.choices`."""
        return choices(cls, text=("", "ja registada no documento: {num}"))
