"""`plan`: look at what is to be written, approve it or reject it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import click

from tieout.cli.output import Out, clean, common, in_currency, table, when, words
from tieout.cli.state import by_option, config_option, opened, writing

_TELLING = ("email", "issued", "received", "due", "method", "reference", "po_number", "memo", "applications")


@click.group()
def plan() -> None:
    """Look at a plan, approve it or reject it. An id may be shortened."""


@plan.command()
@click.argument("id", required=False)
@click.option("--all", "everything", is_flag=True, help="Without ID: applied and outdated plans too.")
@config_option
@common
def show(out: Out, *, id: str | None, everything: bool, config: str | None) -> None:
    """Show one plan; without ID list those that wait."""
    from tieout.config import load
    from tieout.sync.review import plans
    from tieout.sync.state import names

    with opened(load(config)) as store:
        if id is None:
            found = plans.listed(store, everything=everything)
            out.data({"plans": found})
            if not found:
                out.line("no plan waits")
            rows = [
                (
                    p["id"],
                    p["pair"],
                    p["status"],
                    f"{len(p['operations']):,}",
                    *map(when, (p["created_at"], p["expires_at"])),
                )
                for p in found
            ]
            out.lines(table(("id", "pair", "status", "operations", "made", "expires"), rows, right=(3,)))
            return
        one = plans.show(store, id)
        known = names.of_subjects(store, _named(one["operations"]))
    out.data(one)
    _show_plan(out, one, known)


def _named(operations: list[dict[str, Any]]) -> set[str]:
    """The subjects that a plan shows by name: customers, and what money is applied to."""
    changes = [(o, f) for o in operations for f in o["fields"]]
    customers = {f["after"] for o, f in changes if _names_customer(o, f)}
    applied = [v or () for _, f in changes if f["name"] == "applications" for v in (f["before"], f["after"])]
    return customers.union(*applied)


def _names_customer(operation: dict[str, Any], change: dict[str, Any]) -> bool:
    return operation["entity"] != "customer" and change["name"] == "customer" and isinstance(change["after"], str)


def _show_plan(out: Out, one: dict[str, Any], known: dict[str, str]) -> None:
    """One plan for the person who approves it; `known`: names and numbers by subject."""
    out.line(f"plan {one['id']} of pair {one['pair']}: {one['status']}, expires {when(one['expires_at'])}")
    out.line(f"hash {one['hash']}")
    for approval in one["approvals"]:
        lifted = f", accepting {', '.join(approval['guards'])}" if approval["guards"] else ""
        out.line(f"approved by {clean(approval['by'])} at {when(approval['at'])}{lifted}")
    rows = [
        (
            i,
            o["op"],
            words(o["entity"]),
            o["connection"],
            o["label"],
            _customer(o, known),
            *_delta(o),
            _fields(o, known),
        )
        for i, o in enumerate(one["operations"], start=1)
    ]
    out.line()
    out.lines(table(("", "do", "what", "in", "which", "customer", "delta", "", "fields"), rows, right=(0, 6)))
    out.line()
    for (connection, currency), moved in sorted(_moved(one["operations"]).items()):
        out.line(f"in {connection}, open receivables move by {in_currency(moved, currency)} {currency}")
    for guard in one["guards"]:
        out.line(f"guard {guard['name']}: {clean(guard['message'])}")
    if one["status"] == "draft":
        guards = "".join(f" --accept-guard {g['name']}" for g in one["guards"])
        out.note(f"  → tieout plan approve {one['id']} --by NAME{guards}")


def _customer(operation: dict[str, Any], customers: dict[str, str]) -> str:
    return next((customers.get(f["after"], "") for f in operation["fields"] if _names_customer(operation, f)), "")


def _delta(operation: dict[str, Any]) -> tuple[str, str]:
    """What it moves receivables by, and the currency; nothing for a customer, who moves none."""
    if operation["entity"] == "customer":
        return "", ""
    return in_currency(operation["delta"], operation["currency"]), operation["currency"]


def _moved(operations: list[dict[str, Any]]) -> dict[tuple[str, str], Decimal]:
    """Per book and currency the sum of all deltas."""
    sums: dict[tuple[str, str], Decimal] = {}
    for o in operations:
        if o["entity"] != "customer":
            key = o["connection"], o["currency"]
            sums[key] = sums.get(key, Decimal(0)) + Decimal(o["delta"])
    return sums


def _fields(operation: dict[str, Any], known: dict[str, str]) -> str:
    """What changes; of a new record what tells it from others."""
    currency = operation["currency"] or ""
    if operation["op"] == "create":
        told = {f["name"]: f["after"] for f in operation["fields"]}
        shown = [n for n in _TELLING if told.get(n) not in (None, "", [], {}) and told[n] != operation["label"]]
        return ", ".join(f"{words(name)} {_value(name, told[name], known, currency)}" for name in shown)
    changes = []
    for f in operation["fields"]:
        before, after = (_value(f["name"], f[when_], known, currency) for when_ in ("before", "after"))
        changes.append(f"{words(f['name'])}: {before} → {after}")
    return "; ".join(changes)


def _value(name: str, value: Any, known: dict[str, str], currency: str) -> str:
    """A field's value for people; of money that is applied, how much to which document."""
    if name == "applications" and value:
        applied = sorted((known.get(id, id), in_currency(amount, currency)) for id, amount in value.items())
        more = f" and {len(applied) - 5:,} more" if len(applied) > 5 else ""
        return ", ".join(f"{amount} to {document}" for document, amount in applied[:5]) + more
    text = "nothing" if value in (None, "", [], {}) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"


@plan.command()
@click.argument("id")
@by_option
@click.option("--accept-guard", "guards", multiple=True, metavar="GUARD", help="Lift this guard; repeatable.")
@config_option
@common
def approve(out: Out, *, id: str, by: str, guards: tuple[str, ...], config: str | None) -> None:
    """Approve a plan for the next `sync --apply`.

    Only what is still as planned is written.
    """
    from tieout.config import load
    from tieout.sync.review import plans

    with writing(out, load(config)) as store:
        one = plans.approve(store, id, by=by, guards=guards)
    out.data(one)
    out.line(f"plan {one['id']}: {one['status']} by {clean(by)}")
    out.note(f"  → tieout sync {one['pair']} --apply")


@plan.command()
@click.argument("id")
@by_option
@click.option("--reason", required=True, help="Why; kept in the audit log.")
@config_option
@common
def reject(out: Out, *, id: str, by: str, reason: str, config: str | None) -> None:
    """Reject a plan; a run that carries it out stops."""
    from tieout.config import load
    from tieout.sync.review import plans

    with writing(out, load(config)) as store:
        one = plans.reject(store, id, by=by, reason=reason)
    out.data(one)
    out.line(f"plan {one['id']}: {one['status']} by {clean(by)}")


COMMANDS = {"plan": plan}
