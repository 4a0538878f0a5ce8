"""`evidence`: prove that the audit log is what it was, hand an auditor what belongs to a run, and verify both."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from tieout.cli.output import Out, clean, common, output_option, table, when
from tieout.cli.state import by_option, config_option, log_anchor, opened
from tieout.cli.writing import write_whole, writing_whole
from tieout.plaintext import counted

if TYPE_CHECKING:
    from tieout.config import Settings
    from tieout.evidence.keys import PublicKey
    from tieout.evidence.verify import Verified

_SAID = {
    "intact": "intact: the log is what was anchored, and the state is what the log says",
    "altered": "ALTERED: events are not what was written",
    "missing": "MISSING: events were taken out",
    "rewritten": "FORGED: the log was written anew, hashes and all; the anchors show it",
    "truncated": "TRUNCATED: the end of the log was cut off",
    "rolled_back": "ROLLED BACK: the state is an older copy than what was anchored",
    "other_database": "ANOTHER DATABASE: not the one that was anchored",
    "rows": "ROWS ALTERED: the state is not what the log says of it",
    "anchors_forged": "ANCHORS FORGED: lines are signed with another key",
    "anchors_altered": "ANCHORS ALTERED: lines are not what was signed",
    "anchors_cut": "ANCHORS CUT: lines were taken out",
    "anchors_absent": "NOT PROVED: anchors are not here",
}
_SHOWN = 20
_key = click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A public key that is known from elsewhere (PEM); repeatable. Default: the one of this configuration; "
    "for a pack, the one inside, which shows that it is of one piece, not whose it is.",
)


@click.group()
def evidence() -> None:
    """Prove what was done: verify the log, pack a run."""


@evidence.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[FILE.zip]"
)
@_key
@click.option(
    "--anchors",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of anchors of the state; repeatable. Default: those of the configuration.",
)
@config_option
@common
def verify(
    out: Out, *, file: Path | None, keys: tuple[Path, ...], anchors: tuple[Path, ...], config: str | None
) -> int:
    """Verify the audit log against its anchors, or a pack.

    The state is held against the log, too. With FILE.zip a pack is verified, which needs nothing else: no
    configuration, no database, no network. Ends with 0: intact; 4: an older copy, another database, or no anchors, of
    which a person says whether that is as it should be; 5: something was altered, cut, taken out or forged.
    """
    if file is not None:
        if anchors:
            raise click.UsageError("a pack is held against the anchors inside it: give either FILE.zip or --anchors")
        return _verify_pack(out, file, keys)
    from tieout.config import load
    from tieout.evidence.verify import read_journals
    from tieout.evidence.verify import verify as verify_state

    settings = load(config)
    out.company = settings.company.name
    journals = read_journals(anchors or settings.evidence.anchors, _public(settings, keys))
    with opened(settings) as store:
        found = verify_state(store, journals)
    out.data(found.as_json())
    _show(out, found)
    return found.exit_code


def _verify_pack(out: Out, file: Path, keys: tuple[Path, ...]) -> int:
    from tieout.evidence.keys import public_key
    from tieout.evidence.unpack import verify as verify_pack

    given = [public_key(path.read_bytes(), str(path)) for path in keys]
    with file.open("rb") as body:
        found = verify_pack(body, name=str(file), keys=given)
    out.data(found.as_json())
    out.line(f"{clean(found.company)}: run {clean(found.run)} of pair {clean(found.pair)}")
    out.lines(
        table(("part", "", "what it proves, or what is wrong"), [(p.name, p.verdict, p.says) for p in found.parts])
    )
    for part in found.parts:
        if part.verdict != "proves":
            out.warn(f"{part.verdict}: {clean(part.name)}: {clean(part.says)}")
    if not found.exit_code and not found.trusted:
        out.note(f"signed with key {found.key}\n  → with the key that you were given: --key PUBLIC.pem")
    return found.exit_code


def _public(settings: Settings, keys: tuple[Path, ...]) -> dict[str, PublicKey]:
    from tieout.config.evidence import signing_key
    from tieout.evidence.keys import public_key

    given = [public_key(path.read_bytes(), str(path)) for path in keys]
    return {key.id: key for key in given or [signing_key(settings).public]}


def _show(out: Out, found: Verified) -> None:
    log = found.log
    out.line(
        f"audit log     {counted(log.events, 'event')}" + (f", the last of {when(log.last_at)}" if log.seq else "")
    )
    for journal in found.journals:
        last = journal.anchors[-1] if journal.anchors else None
        newest = f", the newest of {when(last.at)} at event {last.seq}" if last is not None and last.seq else ""
        out.line(f"anchors       {clean(journal.name)}: {len(journal.anchors):,}{newest}")
    out.line(f"proved        events 1 to {found.anchored}" if found.anchored else "proved        nothing")
    out.line(f"verdict       {_SAID[found.verdict]}")
    for finding in found.findings[:_SHOWN]:
        out.warn(f"{finding.verdict}: {clean(finding.where)}: {clean(finding.says)}")
    if len(found.findings) > _SHOWN:
        out.warn(f"and {len(found.findings) - _SHOWN:,} more; --json lists them")
    for note in found.notes:
        out.note(clean(note))
    if found.verdict in ("rolled_back", "other_database"):
        out.note("  → if it was restored on purpose: tieout evidence confirm --by NAME --reason TEXT")


@evidence.command()
@output_option()
@config_option
@common
def key(out: Out, *, output: Path | None, config: str | None) -> None:
    """Write out the public key, for an auditor to keep.

    It is made when it is first asked for; its other half stays with the sign-ins.
    """
    from tieout.config import load
    from tieout.config.evidence import signing_key

    public = signing_key(load(config)).public
    out.data({"id": public.id, "pem": public.pem(), "file": str(output) if output else None})
    if output is not None:
        write_whole(output, public.pem().encode())
        out.line(f"{output}: public key {public.id}")
    elif not out.json:
        out.raw(public.pem())


@evidence.command()
@click.argument("run")
@output_option("The file, such as run.zip.", required=True)
@config_option
@common
def pack(out: Out, *, run: str, output: Path, config: str | None) -> None:
    """Write all that belongs to a run into one file.

    The file proves itself anywhere: inputs by hash, raw payloads, plan, approvals, writes, differences, bridge,
    configuration without secrets, the events with their anchors, signed. RUN may be shortened; `tieout sync` names it.
    """
    from tieout.config import load
    from tieout.config.evidence import anchors_of
    from tieout.evidence import anchoring
    from tieout.evidence import pack as packing
    from tieout.evidence.verify import read_journals

    settings = load(config)
    anchors = anchors_of(settings, log=log_anchor)
    public = anchors.signer.public
    with opened(settings) as store, writing_whole(output) as path, path.open("wb") as target:
        anchoring.anchor(store, anchors)  # what is held by none yet
        journals = read_journals(anchors.paths, {public.id: public})
        if path != output:  # what people wrote in the books is in it: for its owner, who hands it on
            path.chmod(0o600)
        told = packing.write(target, store, journals, anchors.signer, run=run, company=settings.company.name)
    out.data({"file": str(output), "run": told["run"], "pair": told["pair"], "key": told["key"]})
    out.line(f"{output}: run {told['run']} of pair {clean(told['pair'])}, signed with key {told['key']}")
    out.note(f"  → tieout evidence verify {quote(str(output))}")


@evidence.command()
@by_option
@click.option("--reason", required=True, help="Why; kept in the audit log and beside the anchors.")
@config_option
@common
def confirm(out: Out, *, by: str, reason: str, config: str | None) -> None:
    """Confirm that the state was restored on purpose.

    It was restored from a backup, and until somebody confirms it, runs only look. Let one run first: it reads
    everything, and finds what tieout wrote by its marks.
    """
    from tieout.config import load
    from tieout.config.evidence import anchors_of
    from tieout.evidence import anchoring
    from tieout.evidence.chain import agreeing
    from tieout.evidence.verify import read_journals
    from tieout.evidence.verify import verify as verify_state

    settings = load(config)
    anchors = anchors_of(settings, log=log_anchor)
    public = anchors.signer.public
    with opened(settings) as store:
        agrees = []
        for path in anchors.paths:
            journals = read_journals((path,), {public.id: public})
            agrees.append(agreeing(verify_state(store, journals).log, journals[0]) if journals else 0)
        written = anchoring.confirm(store, anchors, agrees=agrees, by=by, reason=reason)
    out.data({"confirmed": [{"journal": a.journal, "event": a.seq, "agrees": a.agrees} for a in written]})
    for line in written:
        out.line(f"confirmed by {clean(by)}: the log goes on from event {line.seq}; given up after event {line.agrees}")
    out.note("  → tieout sync")


COMMANDS = {"evidence": evidence}
