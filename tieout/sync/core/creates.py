"""What only one side holds, made on the other: the operations of it, or why nothing is made."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tieout.model import Entity, Method
from tieout.sync.core.facts import COMPARED, LEFT, RIGHT, Shared, Which, applications, canonical, digest, needs
from tieout.sync.core.operations import (
    Draft,
    FieldChange,
    Finding,
    Operation,
    OpKind,
    Rules,
    SideState,
    SubjectState,
    after_refusal,
    day_of,
    key_of,
    signed,
)


def create(s: SubjectState, only: SideState, target: Which, rules: Rules, draft: Draft) -> None:
    """Plan to make a posted record on the target as well, or list why it is not made.

    only: the side that holds it, whose facts are readable
    """
    assert only.shared is not None
    assert only.facts is not None
    blocked = _why_not(s, only, target, rules)
    if blocked is not None:
        if blocked.code or blocked.cause:
            draft.findings.append(blocked)
        return
    record = rules.encode(s.entity, only.shared, target)
    if record.get("stated_by_source"):
        record = _as_a_payment(record, only.connection)
    amount = signed(s.entity, record)
    held = rules.fields(target, s.entity)
    later: list[dict[str, Any]] = []
    if s.entity is Entity.CREDIT_MEMO and rules.can(target, s.entity, OpKind.APPLY) and rules.applies_later(target):
        later, record = record["applications"], record | {"applications": []}
    fields = tuple(
        FieldChange(name, None, only.facts[name], f"born in {only.connection}")
        for name in COMPARED[s.entity]
        if name in held and only.facts.get(name) not in (None, [], {}, "")
    )
    draft.operations.append(
        Operation(
            op=OpKind.CREATE,
            entity=s.entity,
            subject=s.id,
            target=target,
            connection=rules.connections[target],
            key=key_of(s, rules.connections[target], OpKind.CREATE, ""),
            label=only.number or only.id,
            fields=fields,
            record=record,
            delta=amount[0],
            currency=amount[1],
            expects={"absent": True, "facts": digest(only.facts)},
            needs=_needed(s.entity, record),
            generation=s.generation,
        )
    )
    if later:
        _apply_later(s, record | {"applications": later}, target, rules, draft)


def _as_a_payment(stated: Shared, connection: str) -> Shared:
    """The payment that stands for a settlement which the source only states; it says so itself."""
    told = {
        "method": Method.OTHER.value,
        "reference": None,
        "memo": f"Settlement stated by {connection}, no payment seen",
    }
    return {k: v for k, v in stated.items() if k != "stated_by_source"} | told


def _apply_later(s: SubjectState, record: Shared, target: Which, rules: Rules, draft: Draft) -> None:
    """The applications of a credit memo that this plan creates: a write of their own, after it."""
    wanted = applications(record["applications"])
    connection = rules.connections[target]
    draft.operations.append(
        Operation(
            op=OpKind.APPLY,
            entity=s.entity,
            subject=s.id,
            target=target,
            connection=connection,
            key=key_of(s, connection, OpKind.APPLY, canonical(wanted)),
            label=(s.left or s.right).number or s.id,  # type: ignore[union-attr]
            fields=(FieldChange("applications", {}, wanted, "applied where it was born"),),
            record=record,
            delta=Decimal(0),
            currency=record["currency"],
            expects={"absent": True},
            needs=(s.id, *wanted),
            generation=s.generation,
        )
    )


def _why_not(s: SubjectState, only: SideState, target: Which, rules: Rules) -> Finding | None:
    """Why a one-sided record is not created on the other side; None if it may be.

    A finding without code and cause says that it is not to be created and that there is nothing to tell a person.
    """

    def because(code: str, cause: str, remedy: str, *, refused: bool = False) -> Finding:
        side: Which = RIGHT if target == LEFT else LEFT
        return Finding(s.id, s.entity, code, cause, remedy, side=side, refused=refused)

    if (told := rules.stated(s)) is not None:
        return because(*told, _REMEDIES.get(told[0], ""))
    if not rules.can(target, s.entity, OpKind.CREATE):
        return because("", "", "")
    if not rules.flows(s.entity, target):
        if s.entity is Entity.ADJUSTMENT:
            return because("", "", "")
        there = rules.connections[target]
        return because("OUT_OF_SCOPE", f"the pair carries no {_words(s.entity)} over to {there}", _CONFIRM)
    refusal = rules.creatable(s)
    if refusal is not None:
        return because(*refusal, "mend the cause; it is tried again when the document or the cause changes")
    shared = only.shared or {}
    day = day_of(shared)
    if day and rules.cutover and day < rules.cutover:
        return because(
            "OUT_OF_SCOPE",
            f"historic_unmatched: dated {day}, before the cut-over {rules.cutover}; never created",
            "link it by hand if it has a counterpart, or carry it in the opening balance",
        )
    if s.entity is Entity.PAYMENT and not Decimal(shared.get("amount", "0")) and shared.get("credits"):
        return because("", "", "")
    try:
        encoded = rules.encode(s.entity, shared, target)
    except LookupError as error:
        return because("SYNC_BLOCKED", str(error.args[0]), "map the code in tieout.toml, then run again")
    if (told := rules.currency(s, target) or rules.items(encoded, target)) is not None:
        return because("SYNC_BLOCKED", *told)
    key = key_of(s, rules.connections[target], OpKind.CREATE, "")
    # Of an inactive customer that is said, and not what was refused before: it may be the consequence.
    held = rules.inactive(target, s.entity, frozenset({OpKind.CREATE}), shared.get("customer")) is not None
    if not held and (refusal := rules.refused(key, digest(only.facts))) is not None:
        return because(*refusal, after_refusal(refusal[1]), refused=True)
    if closed := rules.locked(target, day):
        return because(
            "PERIOD_LOCKED",
            f"closed_period: dated {day}, the books there are closed through {closed}",
            "re-date it at its origin, or enter it in an open period; tieout never re-dates by itself",
        )
    return None


_CONFIRM = "confirm the rule (`flows` of the pair), or enter it there by hand"


def _words(entity: Entity) -> str:
    return entity.value.replace("_", " ")


_REMEDIES = {
    "PAID_VS_OPEN": "enter the payment where the settlement is only stated, or accept the difference with a reason",
    "PAYMENT_DUPLICATED": "check the bank statement: void the extra one, or apply it to what it pays",
}


def _needed(entity: Entity, record: Shared) -> tuple[str, ...]:
    return tuple(dict.fromkeys(id for _, id in needs(entity, record)))
