"""`discrepancies`: the list of differences that people work through."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tieout.cli.days import ANY_DAY
from tieout.cli.output import Out, clean, common, in_currency, output_option, table, when, words
from tieout.cli.state import by_option, clock, config_option, opened, writing
from tieout.cli.writing import write_whole
from tieout.errors import ConfigError
from tieout.jsontext import encode
from tieout.plaintext import counted, neutral

if TYPE_CHECKING:
    from tieout.config import Settings
    from tieout.sync.core.past import Story
    from tieout.sync.store import Store

_STATES = ("open", "acknowledged", "accepted", "closed")
_COLUMNS = (
    *("id", "pair", "code", "secondary", "class", "severity", "state", "kind", "customer", "left_label"),
    *("right_label", "amount", "amount_currency", "field"),
    *("left_value", "right_value", "delta", "currency", "cause", "remedy", "owner", "reason", "first_seen_at"),
    *("age_days", "last_seen_at", "closed_at", "accepted_until", "seen"),
)
_SHORTEST = 6
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@click.group()
def discrepancies() -> None:
    """Work through the differences between the books."""


_pair = click.argument("pair", required=False)
_state = click.option(
    "--state", "states", multiple=True, type=click.Choice(_STATES), help="Repeatable; default: all but closed."
)


def _found(config: str | None, pair: str | None, states: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
    from tieout.config import load
    from tieout.sync.review.differences import OPEN_STATES, listed

    settings = load(config)
    if pair is not None:
        settings.pair(pair)
    with opened(settings) as store:
        database = store.engine.url.render_as_string(hide_password=True)
        found = listed(store, pair, states=tuple(states) or OPEN_STATES)
        return _with_records(store, settings, found), database


def _with_records(store: Store, settings: Settings, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each difference with the customer and the amount of its document, "" where nobody knows them, and its age.

    The amount is that of the left book, where the document is there; with its currency. `age_days` is how long ago
    it was first seen; of a closed one, how long after that it was closed.
    """
    from tieout.sync.state import names
    from tieout.sync.store import instant

    def sides(d: dict[str, Any]) -> list[tuple[str, str, str]]:
        pair = settings.pairs.get(d["pair"])
        if pair is None:
            return []
        return [(c, d["kind"], d[s]) for s, c in (("left", pair.left), ("right", pair.right)) if d.get(s) and d["kind"]]

    known = names.of_records(store, (side for d in found for side in sides(d)))
    now, out = clock(), []
    for d in found:
        about = names.of_either(known, sides(d))
        age = ((instant(d["closed_at"]) if d["closed_at"] else now) - instant(d["first_seen_at"])).days
        money = {"amount": about.amount, "amount_currency": about.currency}
        out.append(d | {"customer": about.customer} | money | {"age_days": age})
    return out


def _codes(asked: Sequence[str]) -> set[str]:
    """The codes asked for, in capitals. Raises ConfigError for one that there is not."""
    from tieout.compare.codes import CODES, OF_SYNC
    from tieout.config.settings import suggestion
    from tieout.errors import ConfigError

    known = {**CODES, **OF_SYNC}
    for code in (one.upper() for one in asked):
        if code not in known:
            raise ConfigError(f"there is no code {code!r}{suggestion(code, known)}", hint="tieout discrepancies list")
    return {one.upper() for one in asked}


@discrepancies.command("list")
@_pair
@_state
@click.option("--code", "codes", multiple=True, help="Only this code, also where it stands beside another; repeatable.")
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most this many on the screen."
)
@config_option
@common
def list_(
    out: Out, *, pair: str | None, states: tuple[str, ...], codes: tuple[str, ...], limit: int, config: str | None
) -> None:
    """List differences, the largest movement first."""
    wanted = _codes(codes)
    found = [d for d in _found(config, pair, states)[0] if not wanted or wanted & {d["code"], *d["secondary"]}]
    out.data({"discrepancies": found})
    rows = [
        (
            d["id"][:12],
            d["state"],
            d["code"],
            words(d["kind"] or ""),
            d["left_label"],
            d["right_label"],
            d["customer"],
            _shown("amount", d),
            in_currency(d["delta"], d["currency"]),
            d["currency"],
            str(d["age_days"]),
            _ended(d) + d["cause"],
        )
        for d in found[:limit]
    ]
    left, right = _books(config, found)
    head = ("id", "state", "code", "what", left, right, "customer", "amount", "delta", "", "age, days", "cause")
    out.lines(table(head, rows, right=(7, 8, 10)))
    if len(found) > limit:
        out.line(f"… and {len(found) - limit:,} more (--limit)")
    moved = ", ".join(f"{in_currency(total, currency)} {currency}" for currency, total in sorted(_sums(found).items()))
    out.line(counted(len(found), "difference") + (f"; they move open receivables by {moved}" if moved else ""))


def _ended(d: Mapping[str, Any]) -> str:
    """That a difference was accepted until a day that is over; nobody has decided it anew."""
    from tieout.sync.review.differences import lapsed
    from tieout.sync.store import stamp

    if d["state"] not in ("open", "accepted") or not lapsed(d, stamp(clock())):
        return ""
    said = f"accepted until {when(d['accepted_until'])}, which is over; "
    return said if d["state"] == "open" else f"{said}the next run opens it again; "


def _books(config: str | None, found: list[dict[str, Any]]) -> tuple[str, str]:
    """What to call the two sides: the connections, where all the differences are of one pair."""
    from tieout.config import load

    pairs, settings = {d["pair"] for d in found}, load(config)
    pair = settings.pairs.get(pairs.pop()) if len(pairs) == 1 else None
    return (pair.left, pair.right) if pair else ("left", "right")


def _sums(found: list[dict[str, Any]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for d in found:
        if d["currency"]:
            sums[d["currency"]] = sums.get(d["currency"], Decimal(0)) + Decimal(d["delta"])
    return sums


@discrepancies.command()
@click.argument("id")
@config_option
@common
def show(out: Out, id: str, config: str | None) -> None:
    """Show one difference: values, cause, what to do.

    ID may be shortened.
    """
    found = _of_id(config, id)
    out.data({"discrepancies": found})
    for d in found:
        width = max(map(len, _COLUMNS))
        for name in _COLUMNS:
            value = _shown(name, d)
            if value:
                out.line(f"{name.replace('_', ' '):<{width}}  {clean(value)}")


@discrepancies.command()
@click.argument("id")
@config_option
@common
def history(out: Out, id: str, config: str | None) -> None:
    """Show what happened to one difference.

    When it was seen, changed, decided, resolved, there again. ID may be shortened.
    """
    from tieout.config import load
    from tieout.sync.review.history import stories

    found = {(d["pair"], d["id"]): d for d in _of_id(config, id)}
    with opened(load(config)) as store:
        told = [s for pair, known in found for s in stories(store, pair, until=clock()) if s.id == known]
    out.data({"histories": [_told(s) for s in told]})
    for story in told:
        now = found[story.pair, story.id]
        labels = (story.left_label, story.right_label, now["customer"], _shown("amount", now))
        out.line("  ".join([story.id, story.code, *(clean(label or "") for label in labels)]))
        rows = [
            (
                when(e["at"]),
                e["event"],
                e["by"],
                in_currency(e["delta"], story.currency) if e["delta"] is not None else "",
                story.currency if e["delta"] is not None else "",
                e["left_value"],
                e["right_value"],
                e["reason"],
                when(e["until"]) if e["until"] else "",
            )
            for e in _told(story)["events"]
        ]
        head = ("at", "what", "by", "delta", "", "left says", "right says", "why", "until")
        out.lines(table(head, rows, right=(3,)))


def _told(story: Story) -> dict[str, Any]:
    """A history for programs: every event with its time (UTC), money as text."""
    from tieout.sync.store import stamp

    events = [
        {
            "at": stamp(step.at),
            "event": step.action or step.happened,
            "by": step.by,
            "run": step.run,
            "delta": str(step.delta) if step.delta is not None else None,
            "left_value": step.left,
            "right_value": step.right,
            "reason": step.reason,
            "owner": step.owner,
            "until": stamp(step.until) if step.until else None,
        }
        for step in story.steps
    ]
    return {"id": story.id, "pair": story.pair, "code": story.code, "currency": story.currency, "events": events}


@discrepancies.command()
@click.argument("id")
@click.argument(
    "action", type=click.Choice(["acknowledge", "accept", "reopen", "assign", "retry", "recreate", "release"])
)
@by_option
@click.option("--reason", default="", help="Why; needed to accept, recreate and release.")
@click.option("--owner", help="Who works on it from now on.")
@click.option("--until", type=ANY_DAY, help="Accept up to this day, inclusive (UTC).")
@click.option("--pair", help="Where several pairs share the difference.")
@config_option
@common
def decide(
    out: Out,
    *,
    id: str,
    action: str,
    by: str,
    reason: str,
    owner: str | None,
    until: datetime | None,
    pair: str | None,
    config: str | None,
) -> None:
    """Answer one difference.

    An accepted one stays accepted until a value on either side changes. `retry` lets the next run try again what the
    target refused; `recreate` lets it make again what was removed there; `release` lets what is held go ahead:
    documents that could belong together (`AMBIGUOUS_MATCH`, `PAYMENT_DUPLICATED` and their like), one with a mark that
    this state does not know (`unknown_mark`), one beside what could never be read (`never_read`). ID may be shortened.
    """
    from tieout.config import load
    from tieout.sync.review import decisions

    _long_enough(id)
    last = f"{until:%Y-%m-%d}T23:59:59.999999Z" if until else None
    with writing(out, load(config)) as store:
        done = decisions.decide(store, id, action=action, by=by, reason=reason, owner=owner, until=last, pair=pair)
    out.data(done)
    out.line(f"{done['id']}: {done['state']}" + (f" (before: {clean(done['earlier'])})" if done["earlier"] else ""))


@discrepancies.command()
@_pair
@_state
@output_option()
@click.option(
    "--format", "form", type=click.Choice(["csv", "xlsx"]), default="csv", show_default=True, help="The form."
)
@config_option
@common
def export(
    out: Out, *, pair: str | None, states: tuple[str, ...], output: Path | None, form: str, config: str | None
) -> None:
    """Write the differences as CSV or as an Excel workbook.

    Text that a spreadsheet would run as a formula gets a leading apostrophe. Beside FILE, FILE.provenance.json says
    where the numbers come from.
    """
    from tieout.cli.provenance import provenance
    from tieout.reports.provenance import beside, sheet

    if output is None and out.json:
        raise click.UsageError("--json needs --output FILE: both would go to the screen")
    if output is None and form == "xlsx":
        raise click.UsageError("--format xlsx needs --output FILE")
    if output is not None and output.exists() and not beside(output).exists():
        raise ConfigError(f"{output} exists and is not an earlier export", hint="name another file")
    found, database = _found(config, pair, states)
    if output is None:
        out.raw(_csv(found))
        return
    said = provenance(database, {"pair": pair, "states": list(states) or "all but closed"}, at=clock())
    body = _csv(found).encode("utf-8-sig") if form == "csv" else _xlsx(found, pair, states, said)
    write_whole(output, body)
    sums = {c: format(v, "f") for c, v in sorted(_sums(found).items())}
    made = sheet(output, body, len(found), delta=sums)
    write_whole(beside(output), (encode(made | said) + "\n").encode())
    out.data(made)
    out.line(f"wrote {counted(len(found), 'difference')} to {output}")


@discrepancies.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@by_option
@click.option("--dry-run", is_flag=True, help="Try all of it, and keep nothing.")
@config_option
@common
def import_(out: Out, *, file: Path, by: str, dry_run: bool, config: str | None) -> None:
    """Answer many differences from a list.

    FILE is what `export` wrote, CSV or workbook, with a column `action` that a person has filled (as `decide` knows
    them; rows without one are left alone), and in `reason`, `owner` and `accepted_until` (YYYY-MM-DD) what goes with
    it. All of it is decided or nothing: a row that cannot be, or whose difference was changed or answered otherwise
    since the export, is named. A list that is imported again decides nothing twice.
    """
    from tieout.cli.answers import read
    from tieout.config import load
    from tieout.sync.review import decisions

    answers = read(file)
    with writing(out, load(config)) as store:
        told = decisions.decide_all(store, answers.decisions, by=by, keep=not dry_run)
    done, before = ([d for d in told if d["before"] is again] for again in (False, True))
    for one in told:
        del one["before"]
    out.data({"decided": done, "decided_before": before, "left_alone": answers.left_alone, "kept": not dry_run})
    for one in done:
        out.line(f"{one['id']}: {one['action']}, {one['state']}")
    would = "would be decided; nothing was kept" if dry_run else "decided"
    out.line(f"{counted(len(done), 'difference')} {would}; {counted(answers.left_alone, 'row')} without an action")
    if before:
        out.line(f"{counted(len(before), 'row')} answered so before, by this list: not decided again")


def _of_id(config: str | None, id: str) -> list[dict[str, Any]]:
    """The one difference that a shortened id names, once for each pair that has it. Raises ConfigError."""
    _long_enough(id)
    found = [d for d in _found(config, None, _STATES)[0] if d["id"].startswith(id)]
    if len({d["id"] for d in found}) != 1:
        raise ConfigError(f"{len(found) or 'no'} discrepancies match {id!r}", hint="see tieout discrepancies list")
    return found


def _shown(name: str, d: dict[str, Any]) -> str:
    """One fact of a difference for a person; "" if there is nothing to say."""
    from tieout.compare.codes import is_amount

    if name == "delta":
        return in_currency(d["delta"], d["currency"])
    if name == "amount":
        return f"{in_currency(d[name], d['amount_currency'])} {d['amount_currency']}" if d.get(name) else ""
    if name in ("left_value", "right_value") and d.get(name) and is_amount(d.get("field")):
        return in_currency(d[name], d["currency"])
    if name == "amount_currency":
        return ""
    if name == "secondary":
        return ", ".join(d[name])
    if name == "age_days":
        return counted(d[name], "day")
    value = str(d.get(name) or "")
    return when(value) if name.endswith(("_at", "_until")) else words(value) if name in ("kind", "field") else value


def _long_enough(id: str) -> None:
    """A shortened id names a difference by itself, not by being the only one there is."""
    if len(id) < _SHORTEST:
        raise ConfigError(
            f"{id!r} is too short to name a difference",
            hint=f"give at least {_SHORTEST} characters of its id; see tieout discrepancies list",
        )


def _csv(found: list[dict[str, Any]]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for d in found:
        writer.writerow([cell(", ".join(d[c]) if c == "secondary" else d.get(c)) for c in _COLUMNS])
    return buffer.getvalue()


def _xlsx(found: list[dict[str, Any]], pair: str | None, states: Sequence[str], said: dict[str, Any]) -> bytes:
    from tieout.reports.forms import workbook
    from tieout.reports.reconciliation import open_differences

    asked = {"Pair": pair or "all", "States": ", ".join(states) or "all but closed"}
    return workbook.write(open_differences.report(found, company="", parameters=asked, said=said))


def cell(value: object) -> str:
    """A cell for people's spreadsheets: what would run as a formula is text, numbers stay numbers."""
    text = "" if value is None else str(value)
    return text if _NUMBER.fullmatch(text) else neutral(text)


COMMANDS = {"discrepancies": discrepancies}
