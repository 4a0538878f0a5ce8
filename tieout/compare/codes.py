"""The codes of a comparison: class, severity, what usually causes each and what to do next.

docs/reference/discrepancies.md says what each means. A is the left ledger, B the right one. Class T changes the total
of receivables, Z only moves between documents, customers or dates, G lies between documents and general ledger, N has
no ledger effect. `confirmed` codes name what happened; the others say only that something differs, so their amounts
stand as `unconfirmed` beside the bridge.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """cause: hypotheses, likeliest first · remedy: the next step"""

    class_: str
    severity: str
    confirmed: bool
    cause: str
    remedy: str


def _t(severity: str, cause: str, remedy: str, *, confirmed: bool = True) -> Code:
    return Code("T", severity, confirmed, cause, remedy)


def _z(severity: str, cause: str, remedy: str) -> Code:
    return Code("Z", severity, confirmed=True, cause=cause, remedy=remedy)


def _n(severity: str, cause: str, remedy: str, *, confirmed: bool = True) -> Code:
    return Code("N", severity, confirmed, cause, remedy)


# In order of precedence: existence, lifecycle, currency, sign, timing, then the split of the amount; then what moves
# no money.
CODES: dict[str, Code] = {
    "SYNC_IN_FLIGHT": _t("low", "on its way: planned or sent, not yet seen", "none now; the next run checks it"),
    "SYNC_BLOCKED": _t("high", "the sync holds it back", "mend what blocks it, then run the sync again"),
    "PERIOD_LOCKED": _t(
        "high", "the target's books are closed for its date", "re-date with approval, or open the period"
    ),
    "OUT_OF_SCOPE": _t("low", "left out by a documented rule of scope", "confirm the rule"),
    "AMBIGUOUS_MATCH": _n(
        "medium",
        "several documents are equally good candidates for each other",
        "give those that belong together the same number",
        confirmed=False,
    ),
    "SPLIT_OR_MERGED": _t(
        "medium",
        "one document here, several there, or several on both sides, of one customer and equal in total: "
        "consolidated or split billing, receipts entered together",
        "confirm that they are the same; enter them alike on one side if they are to be kept in step",
        confirmed=False,
    ),
    "PAYMENT_DUPLICATED": _t(
        "high",
        "one receipt entered twice: by two people, or again after a lost answer",
        "check the bank statement; void the extra one",
    ),
    "DUPLICATE_WITHIN_LEDGER": _t(
        "high",
        "one event booked twice: entered again, or sent again after a lost answer",
        "void the extra one and keep the one that has a counterpart",
    ),
    "PAYMENT_MISSING": _t(
        "high",
        "never synced; entered by hand on one side; booked under another customer",
        "check the bank statement; enter it where it is missing, or void it",
        confirmed=False,
    ),
    "MISSING_IN_A": _t(
        "high",
        "never synced; filtered out; entered by hand on the right only",
        "create it on the left, or void it on the right",
        confirmed=False,
    ),
    "MISSING_IN_B": _t(
        "high",
        "never synced; filtered out; entered by hand on the left only",
        "create it on the right, or void it on the left",
        confirmed=False,
    ),
    "WRITEOFF_ONE_SIDE": _t(
        "high", "written off in one ledger only", "post the write-off on the other side, with approval, or reverse it"
    ),
    "DISCOUNT_TAKEN_DIFF": _t(
        "medium",
        "a discount accepted in one ledger only, or with another amount",
        "post it on the other side, or collect the short payment",
    ),
    "REFUND_MISMATCH": _t(
        "high",
        "a refund booked in one ledger only, or with another amount",
        "check the bank statement; post it on the other side",
    ),
    "WITHHOLDING_DIFF": _t(
        "medium", "withholding booked in one ledger only, or with another amount", "map withholding, or post it",
    ),
    "FX_REALIZED": _t("medium", "exchange gain or loss booked on one side", "agree rate and date of the payment"),
    "CHARGEBACK_NSF": _t(
        "high",
        "the payment came back (insufficient funds, chargeback) and only one ledger shows it",
        "reverse the payment on the other side and collect again",
    ),
    "DRAFT_VS_POSTED": _t("medium", "posted in one ledger, a draft in the other", "approve and post the draft"),
    "VOID_DATE_DIFF": _t(
        "medium",
        "undone in both ledgers, effective on different dates",
        "none for today's balance; agree which period bears it, and adjust the opening if that period is closed",
    ),
    "VOID_VS_OPEN": _t(
        "high",
        "voided in one ledger only",
        "void it in the other; where its period is closed, post a credit memo",
    ),
    "DELETED_VS_OPEN": _t(
        "high",
        "removed from one ledger only: a posted document is voided, never deleted",
        "find out who removed it and why; restore it there, or void the other one",
    ),
    "PAID_INFERRED": _t(
        "high",
        "no longer among the open items: a payment, a credit, a write-off or a correction that the list cannot show",
        "find out what settled it, and enter that on the other side",
        confirmed=False,
    ),
    "PAID_VS_OPEN": _t(
        "high",
        "settled in one ledger only: the payment or its application is missing in the other",
        "find the payment; enter or apply it where it is missing",
    ),
    "CURRENCY_MISMATCH": _t(
        "high", "the same document in two currencies", "void it and create it in the right currency"
    ),
    "AMOUNT_SIGN": _t(
        "high",
        "an invoice on one side, a credit memo on the other: a sign lost or misread",
        "mend the mapping of sign or document type",
    ),
    "CUTOFF": _t(
        "medium",
        "posted on opposite sides of the comparison date",
        "none if it reverses next period; else re-date with approval",
    ),
    "TAX_INCLUSIVE_CONFUSION": _t(
        "high",
        "one rate, but what is gross in one ledger is net in the other: the flag for prices that include tax",
        "mend the mapping of net and gross; correct the side that is wrong",
    ),
    "TAX_AMOUNT": _t(
        "medium",
        "tax differs, net is equal: another rate, another taxable base, or recalculation by one system",
        "take the owner's tax; correct the other side",
    ),
    "AMOUNT_NET": _t(
        "high",
        "edited on one side after it was copied; a line, quantity, price, freight or discount differs",
        "compare the lines; update the copy, or post a credit or debit memo",
        confirmed=False,
    ),
    "PAYMENT_AMOUNT": _t(
        "high",
        "gross on one side, net of a fee on the other; keyed differently",
        "check the bank statement; book the fee, or correct the amount",
        confirmed=False,
    ),
    "ROUNDING": _t("low", "within the rounding policy", "accept, or book a rounding line"),
    "FX_RATE_DEFAULTED": _t(
        "high",
        "one side has the rate 1: none was entered and it was defaulted; or that ledger is kept in this currency",
        "enter the document's rate where it is missing",
    ),
    "FX_RATE": _t(
        "medium",
        "same amount, another exchange rate: daily against document rate, or the direction",
        "agree the source of rates",
    ),
    "UNAPPLIED_CASH": _z(
        "medium", "applied on one side, on account on the other", "apply it, or take the application back"
    ),
    "MISAPPLIED": _z("medium", "applied to different invoices", "re-apply on the side that is wrong"),
    "APPLICATION_AMOUNT": _z("medium", "applied with different amounts", "re-apply on the side that is wrong"),
    "APPLICATION_MISSING": _z("medium", "an application exists on one side only", "apply it on the other side"),
    "APPLICATION_DATE": _z("low", "applied on different dates", "none unless aging at the date between matters"),
    "CROSS_CUSTOMER": _z(
        "medium",
        "who paid is not who owes: one ledger has the payment on the payer, the other on the invoice's customer",
        "link the two customers as parent and child, or move the payment on one side",
    ),
    "CUSTOMER_MISMATCH": _z(
        "high", "the same document on two customers", "move it to the right customer on one side"
    ),
    "OVER_APPLIED": _z(
        "high",
        "more is applied than there is: an application doubled, or a credit and a payment for one debt",
        "take the excess application back",
    ),
    "ENTITY_DIFF": _z(
        "high", "booked under two entities of the company", "move it to the right entity on one side"
    ),
    "AR_ACCOUNT_DIFF": _z(
        "medium", "booked on two control accounts", "move it on one side, or map the accounts to each other"
    ),
    "CREDIT_UNUSED": _z(
        "low",
        "paid twice or too much; a credit memo that nobody applied; money on account",
        "apply it to what is open, or pay it back",
    ),
    "NEGATIVE_BALANCE": _z(
        "low",
        "overpaid, paid in advance, or credited after payment",
        "apply it or pay it back; until then show it as a liability, not among receivables",
    ),
    "TERMS_DIFF": _z("low", "payment terms changed on one side", "agree the terms: due dates and aging follow them"),
    "DUE_DATE_DIFF": _z("low", "other payment terms, or a due date changed by hand", "agree the terms"),
    "DATE_DIFF": _z("low", "entered with another date", "correct the copy, unless a closed period forbids it"),
    "DISCOUNT_DIFF": _n(
        "low", "another discount, or one that is part of the lines' amounts", "align how discounts are entered"
    ),
    "NUMBER_MISMATCH": _n("low", "renumbered on entry, or keyed wrongly", "confirm that they are one document"),
    "NUMBER_REUSED": _n(
        "low",
        "voided and entered again under the same number",
        "confirm that the voided one is replaced by the other, and say so on both",
    ),
    "SEQUENCE_GAP": _n(
        "medium",
        "a document deleted, or never posted; a number taken and given up; a document that was not exported",
        "account for each number that is left out",
    ),
    "ID_REPLACED": _n(
        "low", "the same document under a new id: deleted and entered again, or re-keyed", "extend the link"
    ),
    "STATUS_MISMATCH": _n("low", "the same balance under another label", "align the label"),
    "TAX_CODE": _n(
        "medium",
        "the same tax booked under another code, or an item mapped to another one",
        "correct the side that is wrong: the tax return is made from codes",
    ),
    "TAX_ID_DIFF": _n(
        "medium", "keyed wrongly, changed on one side, or two companies of one name", "agree which one is right"
    ),
    "PARENT_DIFF": _n(
        "low", "the customer was moved below another on one side", "agree who stands above whom, and move it there"
    ),
    "CUSTOMER_FIELD_DIFF": _n("low", "master data changed on one side", "agree which one is right"),
    "CUSTOMER_DUPLICATE": _n(
        "medium",
        "several customers of one name in a ledger, and nothing that tells which of them this one is",
        "give them numbers or tax ids, or merge them; until then none is linked or made",
        confirmed=False,
    ),
    "CUSTOMER_UNMAPPED": _n(
        "medium",
        "two customers share documents but neither number nor name",
        "confirm that they are one customer",
        confirmed=False,
    ),
    "BALANCE_MISMATCH_INTERNAL": _n(
        "high",
        "the ledger's reported balance is not what its own documents give: an unseen payment, credit or adjustment",
        "find the document that was not exported",
    ),
    "INVARIANT_BROKEN": _n(
        "high",
        "a document changed behind the program's back, half exported, or read by a wrong mapping",
        "look at the document in that system and mend it there, or mend the mapping; sign nothing off until then",
    ),
    "NON_OVERLAP": _n(
        "high",
        "an extract of another period, cut short, or made on another day",
        "export both ledgers again for the same period; until then what is missing says nothing",
    ),
}  # fmt: skip
# These say something of a ledger by itself; they do not account for a difference between the two.
OF_ONE = frozenset(
    {"INVARIANT_BROKEN", "NUMBER_REUSED", "SEQUENCE_GAP", "CREDIT_UNUSED", "NEGATIVE_BALANCE", "NON_OVERLAP"}
)
# What only a sync can tell: two ledgers beside each other do not show it.
OF_SYNC: dict[str, Code] = {
    "UNCERTAIN_WRITE": _t(
        "medium",
        "the answer was lost; the target cannot be searched reliably",
        "none at first: the next run reads back; where a person is to look, look there, then decide the discrepancy",
        confirmed=False,
    ),
    "DUPLICATE_CROSS_ORIGIN": _t(
        "high",
        "one event entered in both ledgers before either knew of the other's, and carried over twice",
        "look whether they are one; void one of the two where it was born, and its copy follows",
        confirmed=False,
    ),
    "BACKDATED_AFTER_CLOSE": _t(
        "high",
        "entered with a date of a period that was closed already: the books were opened for it, or do not forbid it",
        "find out who entered it and why; re-date it, or sign the period off again",
    ),
    "RESURRECTED": _t(
        "high",
        "restored, entered again under its old id, or un-voided",
        "if it is to stand, decide `retry`; else remove or void it again",
    ),
    "UNTRACED_TIE_OUT": Code(
        "G",
        "high",
        confirmed=False,
        cause="a journal on the control account; a document of a kind that is not read; a filter on what is read",
        remedy="open the report and the account in that system, and find what moved it without a document",
    ),
    "VOID_VS_DELETED": _n(
        "high",
        "a posted document was deleted, where it should have been voided",
        "a control exception: find out who deleted it and why, and keep the evidence",
    ),
    "UNAUTHORISED_EDIT_AFTER_POST": _n(
        "medium",
        "an edit by hand; another program",
        "decide which is right; correct the other side, or accept the difference with a reason",
    ),
    "LINE_STRUCTURE": _n(
        "low",
        "lines entered or grouped in another way; edited on one side",
        "decide which is right, or accept the difference with a reason",
    ),
    "CUSTOMER_INACTIVE": _n(
        "medium", "merged, or deleted by hand", "restore it there, or deactivate the other one"
    ),
    "PARSE_REJECT": _n(
        "high",
        "an amount or a date in another form than the profile says; a shape that the vendor does not document",
        "mend the record where it is kept; until then nothing is written to it, and it is not taken as gone",
    ),
    "STALE_VERSION": _n(
        "low",
        "somebody changed it there between the plan and the write",
        "none: it is planned again in the next run, from what is there now",
    ),
    "EDIT_OVERWRITTEN": _n(
        "medium",
        "somebody typed at the ERP after a file was handed over and before it was loaded",
        "if what was typed is right, enter it again; then accept this with a reason, and the next run takes it off",
    ),
    "WRITE_ALTERED": _n(
        "high",
        "a rule, a default or a calculation of the target",
        "look at it there; correct it, map the field otherwise, or accept the difference with a reason",
    ),
    "WRITE_DROPPED_FIELD": _n(
        "medium",
        "the target does not take the field, or its form does not show it",
        "enter it there by hand, or give its owner in `policy` as `ignore`",
    ),
    "STALE_SNAPSHOT": _n(
        "high",
        "the export job has stopped, or drops its files elsewhere",
        "see to it that the ERP exports again; until then nothing of the last days is compared or written",
    ),
    "TRUNCATED_EXTRACT": _n(
        "high",
        "an export cut short: fewer rows or another sum than its manifest states, or a rejected row",
        "export again; until then nothing that is missing from it is taken as gone",
    ),
    "FALSE_DELETE_SUSPECTED": _n(
        "high",
        "a filter, a permission or an empty answer, rather than so many deletions",
        "look in that system; if they are gone indeed, void their copies by hand",
    ),
    "MISSED_CHANGE": _n(
        "medium",
        "the system's feed of changes left it out",
        "none for these, they are read now; if it recurs, read everything more often: `tieout sync --full`",
    ),
    "EXPIRED_ACKNOWLEDGEMENT": _n(
        "medium", "accepted until a day that has passed", "decide it anew, or settle what is behind it"
    ),
    "AGED_RECON_ITEM": _n(
        "medium", "nobody took care of it", "give it an owner: `tieout discrepancies decide ID assign`"
    ),
    "MASS_CHANGE_GUARD": _n(
        "high",
        "a first sync; a format, a sign or a mapping gone wrong; an export that is cut short",
        "look at the plan; if it is right: `tieout plan approve ID --by NAME --accept-guard GUARD`",
    ),
}  # fmt: skip
ORDER = {code: place for place, code in enumerate([*CODES, *OF_SYNC])}
UNTRACED = "UNTRACED_TIE_OUT"  # what a system states and no document of it shows
EXPLAINING = frozenset({"SYNC_IN_FLIGHT", "SYNC_BLOCKED", "PERIOD_LOCKED", "OUT_OF_SCOPE"})
MONEY_FIELDS = frozenset(
    {"total", "net", "tax", "open", "amount", "applied", "balance", "unapplied", "subtotal", "discount", "fx_realized"}
)


def is_amount(field: str | None) -> bool:
    """Whether what a ledger says of a compared field is an amount; of `existence` it is the document's own."""
    return field in MONEY_FIELDS or field == "existence"


def of(code: str) -> Code:
    """The catalogue entry; a code of a caller's own, with which it explains a document, counts as T, supposed."""
    return CODES.get(code) or OF_SYNC.get(code) or Code("T", "medium", confirmed=False, cause="", remedy="")
