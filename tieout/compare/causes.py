"""Sentences: the likeliest causes of one finding with its evidence, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from tieout.compare.codes import is_amount, of
from tieout.compare.result import money, text
from tieout.mapping.relation import SIDES
from tieout.model import tidy

Clue = dict[str, str]
SEPARATOR = "\x1f"
_OF_MONEY = ("I1", "I2", "I7")  # invariants that are about amounts in the currency of the document
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):[\d.]+(?:Z|\+00:00)")
# What each invariant asks of a ledger by itself.
INVARIANTS = {
    "I1": "subtotal less discount plus tax is the total",
    "I2": "lines and tax lines add up to what the document says",
    "I7": "both ends of an application are there, posted, of one customer family, and agree on the amount",
    "I8": "what is voided is applied no longer",
    "I9": "the realised exchange gain is what the rates of both ends give",
    "I10": "a document in another currency has a rate of its own, one in home currency the rate 1",
    "I11": "a number is used once",
    "I12": "nothing is posted into a period that was closed already",
}


def value(field: str | None, raw: str | None) -> str | None:
    """A compared value as text: money with two places or more, no needless zeros."""
    if raw is None or field is None:
        return raw
    if field.startswith("I") and " " in field:
        field = field.split(" ", 1)[1]
    if field == "exchange_rate":
        field = "rate"
    if is_amount(field):
        return text(Decimal(raw))
    return f"{Decimal(raw).normalize():f}" if field == "rate" else raw


def clues(packed: str | None) -> Clue:
    """The `key=value` parts of a finding's clue."""
    return dict(part.split("=", 1) for part in (packed or "").split(SEPARATOR) if "=" in part)


def cause(
    code: str, clue: Clue, left: str | None, right: str | None, names: tuple[str, str], *, currency: str | None
) -> str:
    """The ranked hypotheses of a code, after what this finding shows."""
    usual = of(code).cause
    seen = _seen(code, clue, left, right, names, currency=currency)
    return f"{seen}; {usual}" if seen and usual else seen or usual


def remedy(code: str, clue: Clue) -> str:
    """What to do next: of the code, or more precisely of what this finding shows."""
    if code == "INVARIANT_BROKEN" and clue.get("invariant") == "I8":
        return (
            "take the application back in that system; where an export leaves out when it was taken back, or when the "
            "document was voided, have it say so (`reversed_on`, `voided_on`)"
        )
    if code == "INVARIANT_BROKEN" and clue.get("invariant") == "I10":
        return f"where many documents are listed so, correct the `currency` of that connection; else {of(code).remedy}"
    if code == "BALANCE_MISMATCH_INTERNAL" and "many" in clue:
        return (
            "export the payments and credits with it, and what each is applied to; until then what is settled here may "
            "stand open in the other ledger"
        )
    if code == "AMBIGUOUS_MATCH" and "number" in clue and "answers" not in clue:
        return (
            "tell them apart by a column of their own; where rows are the lines of one document, the profile is to "
            'say so (`rows = "lines"`): then what differs is the amount of that document'
        )
    if "taken" in clue:
        look = "look whether that pair is right, and correct a number that was used twice"
        return f"{look}; else {of(code).remedy}"
    if "maybe" in clue and code.startswith("MISSING_IN_"):
        return f"look whether that one is this one, and correct what was entered otherwise; else {of(code).remedy}"
    if "same" in clue:
        look = "look whether what has its number there is this one, entered otherwise, and correct it"
        return f"{look}; else {of(code).remedy}"
    return of(code).remedy


def _seen(
    code: str, clue: Clue, left: str | None, right: str | None, names: tuple[str, str], *, currency: str | None
) -> str:
    ledger = names[clue.get("side") == "right"]  # which one, where a finding is about one alone
    match code:
        case "MISSING_IN_A" | "MISSING_IN_B" | "PAYMENT_MISSING" if "same" in clue:
            return _namesake(clue, names[left is not None])
        case "MISSING_IN_A" | "MISSING_IN_B" if "taken" in clue:
            return _taken(clue["taken"], names if left is not None else names[::-1])
        case "MISSING_IN_A" | "MISSING_IN_B" if "maybe" in clue:
            *parts, customer = clue["maybe"].split("\x1e")
            there = f"{names[left is not None]} has {_document(parts)}, for {customer or 'the same customer'}"
            return f"{there}, which pairs with nothing either: it may be this one, entered otherwise"
        case "TAX_AMOUNT" if "dropped" in clue:
            return f"{names[clue['dropped'] == 'right']} has no tax on it"
        case "TAX_AMOUNT":
            rates = [_rate(tax, clue.get(net)) for tax, net in ((left, "left_net"), (right, "right_net"))]
            return f"{rates[0]} of net against {rates[1]}" if all(rates) else ""
        case "CHARGEBACK_NSF" if "memo" in clue:
            return f"the voided payment's memo reads {clue['memo']!r}"
        case "PAID_VS_OPEN" if (left is None) is not (right is None):
            says, open_ = names if left else names[::-1]
            return f"{says} says that it was settled on {left or right}; {open_} shows it open"
        case "VOID_DATE_DIFF" if "offset" in clue:
            voided, reversed_in = (names[1], names[0]) if clue["side"] == "left" else names
            return (
                f"voided in {voided} from {clue['from']} on, undone in {reversed_in} "
                f"by {clue['offset']} of {clue['to']}: "
                f"balances between the two dates differ by {money(clue['moved'], currency)}"
            )
        case "PAYMENT_DUPLICATED" if "applied_twin" in clue:
            return f"both ledgers hold it unapplied beside the equal, applied {clue['applied_twin']}"
        case "PAYMENT_DUPLICATED" | "DUPLICATE_WITHIN_LEDGER":
            return _twin(clue)
        case "UNAPPLIED_CASH" | "APPLICATION_MISSING" if "grouped" in clue:
            there, here = names if clue["grouped"] == "left" else (names[1], names[0])
            return (
                f"{there} settled it with others in one clearing, which does not say who paid what; {here} has it open"
            )
        case "UNAPPLIED_CASH" | "MISAPPLIED" | "APPLICATION_AMOUNT" | "APPLICATION_MISSING" | "APPLICATION_DATE":
            to = [clue.get("left_to", "nothing"), clue.get("right_to", "nothing")]
            return f"{names[0]} applies it to {to[0]}, {names[1]} to {to[1]}"
        case "OVER_APPLIED":
            return f"applied or adjusted beyond its amount of {money(clue['of'], currency)} in {ledger}"
        case "BALANCE_MISMATCH_INTERNAL" if "many" in clue:
            documents = "1 document" if clue["many"] == "1" else f"{int(clue['many']):,} documents"
            come = "comes" if clue["many"] == "1" else "come"
            return (
                f"{ledger} states this as open of {documents} that {come} to {money(clue['derived'], currency)}, "
                "and applies nothing to them"
            )
        case "BALANCE_MISMATCH_INTERNAL":
            return f"the documents of {ledger} give {money(clue['derived'], currency)}"
        case "INVARIANT_BROKEN":
            rule = f"{clue['invariant']}: {INVARIANTS[clue['invariant']]}"
            found = left if clue["side"] == "left" else right
            more = "" if clue["many"] == "1" else f", {clue['many']} times"
            of_money = currency if clue["invariant"] in _OF_MONEY else None
            told = _shown(str(found), of_money), _shown(clue["expected"], of_money)
            return f"{rule}; {ledger} says {told[0]}, expected {told[1]}{more}"
        case "BACKDATED_AFTER_CLOSE":
            closed = _MOMENT.sub(r"\1 \2 UTC", clue["closed"])
            return f"it moves {ledger} by {money(clue['amount'], currency)} in a period closed through {closed}"
        case "DUPLICATE_CROSS_ORIGIN":
            return f"equal to {clue['twin']}, which was born in {names[0]}, while this one was born in {names[1]}"
        case "NUMBER_REUSED":
            return f"{clue['many']} documents of {ledger}, all but one of them voided"
        case "SEQUENCE_GAP":
            more = " …" if "more" in clue else ""
            return f"missing in {ledger}: {clue['gaps']}{more}"
        case "CREDIT_UNUSED":
            return f"the oldest of it is of {clue['since']}"
        case "NON_OVERLAP":
            return f"{names[0]} covers {left}, {names[1]} {right}; {_documents(clue['outside'])} outside of that"
        case "CUSTOMER_UNMAPPED":
            return f"{clue['documents']} documents pair up between the two"
        case "NUMBER_MISMATCH" | "CUSTOMER_MISMATCH" | "CUSTOMER_FIELD_DIFF":
            return f"matched by rule {clue['rule']!r}" if "rule" in clue else ""
        case "SPLIT_OR_MERGED" | "AMBIGUOUS_MATCH":
            return _several(code, clue, left, right, names, currency=currency)
        case "TAX_INCLUSIVE_CONFUSION":
            return f"tax {money(clue['left_tax'], currency)} against {money(clue['right_tax'], currency)}"
        case _:
            return ""


def _namesake(clue: Clue, other: str) -> str:
    """Of a document whose number the other ledger has for the same customer, on one that is not its counterpart."""
    kind, number, total, currency = clue["same"].split("\x1e")
    many = int(clue.get("same_many", 1))
    more = f" and {many - 1} more of that number" if many > 1 else ""
    what = f"{kind.replace('_', ' ')} {number} over {money(total, currency)} {currency}"
    return f"{other} has {what.strip()}{more}, for the same customer, which pairs with nothing either"


def _taken(said: str, names: tuple[str, str]) -> str:
    """Of a document whose number the other ledger has for the same customer, on one that pairs with another."""
    parts = said.split("\x1e")
    there, here = _document(parts[:5]), _document(parts[5:])
    return f"{names[1]} has {there}, for the same customer, which pairs with {here} of {names[0]}"


def _document(said: Sequence[str]) -> str:
    kind, number, total, currency, issued = said
    of = f" of {issued}" if issued else ""
    return f"{kind.replace('_', ' ')} {number}{of} over {money(total, currency)} {currency}".strip()


def _twin(clue: Clue) -> str:
    """Of a document that stands in its ledger once more."""
    if "twin" not in clue:
        return ""
    of = f" of {clue['dated']}" if "dated" in clue else ""
    said = f"equal to {clue['twin']}{of} in the same ledger, which has its counterpart"
    if of:
        return f"{said}, but for the date; where numbers recur it may also be a second one"
    return f"{said}; without a number it may also be a second one" if "unsure" in clue else said


def _several(
    code: str, clue: Clue, left: str | None, right: str | None, names: tuple[str, str], *, currency: str | None
) -> str:
    """Of documents that are one in parts, or that could be each other in more than one way."""
    answers, among = clue.get("answers"), clue.get("among")
    if code == "SPLIT_OR_MERGED":
        each = f"{money(clue['sum'], currency)} on each side{_open(clue, names, currency)}"
        whole = f"{answers}, {each}: nothing else of them adds up, among {among}"
        return whole if answers else f"{left} against {right}, {each}"
    if not answers:
        return f"{left} and {right} candidates" + (f" for number {clue['number']}" if "number" in clue else "")
    if clue["ways"] == "1":
        return f"{answers}{_open(clue, names, currency)}: it adds up, but so it may by chance, among {among}"
    return f"{answers}: not all can be true; among {among}"


def _open(clue: Clue, names: tuple[str, str], currency: str | None) -> str:
    """Where the totals of a group are equal and what is open of them is not."""
    if "left_open" not in clue:
        return ""
    left, right = (money(clue[f"{side}_open"], currency) for side in SIDES)
    return f", of which {left} is open in {names[0]} and {right} in {names[1]}"


def _documents(many: str) -> str:
    return "1 document lies" if many == "1" else f"{many} documents lie"


def _rate(tax: str | None, net: str | None) -> str:
    if tax is None or net is None or not Decimal(net):
        return ""
    return f"{tidy(round(Decimal(tax) * 100 / Decimal(net), 3))} %"


def _shown(raw: str, currency: str | None) -> str:
    """A value of a broken rule without the needless zeros of its column."""
    try:
        return money(raw, currency) if "." in raw else raw
    except InvalidOperation:
        return raw
