"""The pack of a run: a zip of all that belongs to it, hashed member by member, signed; the same bytes every time."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from tieout import __version__
from tieout.errors import FatalError
from tieout.evidence import index
from tieout.evidence.chain import Examined
from tieout.evidence.gather import Gathered, text
from tieout.evidence.keys import Signer
from tieout.evidence.verify import verify
from tieout.sync.core.facts import canonical
from tieout.sync.store import Store

FORMAT = "tieout pack 1"
PROGRAM = f"tieout {__version__}"
DOMAIN = b"tieout pack 1\n"
MANIFEST, SIGNATURE, SUMS = "manifest.json", "manifest.sig", "SHA256SUMS"
# Every name that a pack may hold, in the order in which they stand in it.
MEMBERS = (
    "index.html",
    "HOW-TO-VERIFY.txt",
    "run.json",
    "configuration.json",
    "inputs/reads.json",
    "inputs/records.jsonl",
    "inputs/payloads.jsonl",
    "plans.json",
    "decisions.json",
    "writes.json",
    "differences.json",
    "bridge.json",
    "events.jsonl",
    "anchors.jsonl",
    "public-key.pem",
    SUMS,
    MANIFEST,
    SIGNATURE,
)
_MADE = (1980, 1, 1, 0, 0, 0)  # the same run, the same bytes
PAGE, HOW = "index.html", "HOW-TO-VERIFY.txt"
_HOW = """\
How to verify this pack
=======================

With tieout (pip install tieout; no configuration, no database, no network):

    tieout evidence verify {name} --key PUBLIC.pem

PUBLIC.pem is the key that you were given before, not the one in this file: that one only shows that the pack is of one
piece. Without tieout, the parts are checked one by one:

    unzip {name}
    sha256sum -c SHA256SUMS                      every part is the one that was packed
    sha256sum manifest.json SHA256SUMS           manifest.json names the hash of SHA256SUMS, too
    (printf 'tieout pack 1\\n'; cat manifest.json) > signed
    openssl pkeyutl -verify -pubin -inkey PUBLIC.pem -rawin -in signed -sigfile manifest.sig

Each line of events.jsonl is an event of the audit log: hash = sha256 of the canonical JSON (keys sorted, no spaces) of
seq, at, actor, action, object_type, object_id, run and payload, followed by prev_hash. Each line of anchors.jsonl is
signed: sig is of 'tieout anchor 1\\n' and the canonical JSON of all its other fields. The first event of a stretch
follows from the anchor before it, the last one has the hash of the anchor at its end.
"""


@dataclass(slots=True)
class _Writer:
    """Writes members one after the other, and remembers what they were."""

    archive: zipfile.ZipFile
    told: dict[str, dict[str, Any]]

    def put(self, name: str, parts: Iterable[bytes]) -> None:
        hash_, size = hashlib.sha256(), 0
        member = zipfile.ZipInfo(name, _MADE)
        member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
        member.create_system = 3
        with self.archive.open(member, "w", force_zip64=True) as out:
            for part in parts:
                out.write(part)
                hash_.update(part)
                size += len(part)
        self.told[name] = {"sha256": hash_.hexdigest(), "size": size}


def how_to_verify() -> bytes:
    return _HOW.format(name="FILE.zip").encode()


def lines(rows: Iterable[Any]) -> Iterator[bytes]:
    """One line of canonical JSON for each."""
    return (canonical(row).encode() + b"\n" for row in rows)


def write(
    target: IO[bytes], store: Store, journals: Sequence[Examined], signer: Signer, *, run: str, company: str
) -> dict[str, Any]:
    """Write the pack of a run that has ended and is anchored; returns its manifest.

    Raises ConfigError for a run that is not there, RefusedError for one that has not ended or is held by no anchor,
    FatalError where the state was altered so that a part of it cannot be read any more.
    """
    try:
        return _written(target, store, journals, signer, run=run, company=company)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, zlib.error) as error:
        altered = verify(store, journals).findings
        if not altered:  # then it is a defect of ours
            raise
        raise FatalError(
            f"a part of run {run} cannot be read ({type(error).__name__}): the state was altered: {altered[0].says}",
            hint="tieout evidence verify tells all that was altered",
        ) from error


def _written(
    target: IO[bytes], store: Store, journals: Sequence[Examined], signer: Signer, *, run: str, company: str
) -> dict[str, Any]:
    with store.reading():
        gathered = Gathered(store, journals, run)
        with zipfile.ZipFile(target, "w") as archive:
            writer = _Writer(archive, {})
            _parts(writer, gathered, company, signer)
            sums = "".join(f"{m['sha256']}  {name}\n" for name, m in writer.told.items())
            writer.put(SUMS, [sums.encode()])
            manifest = {
                "format": FORMAT,
                "company": company,
                "run": gathered.id,
                "pair": gathered.row["pair"],
                "program": PROGRAM,
                "key": signer.public.id,
                "members": dict(writer.told),
            }
            body = text(manifest)
            writer.put(MANIFEST, [body])
            writer.put(SIGNATURE, [signer.sign(DOMAIN + body)])
    return manifest


def _parts(writer: _Writer, of: Gathered, company: str, signer: Signer) -> None:
    run, reads, writes = of.run(), of.reads(), of.writes()
    decisions, differences, bridge, plans = of.decisions(), of.differences(), of.bridge(), of.plans()
    configuration = of.configuration()
    raw: set[str] = set()

    def records() -> Iterator[Any]:
        for one in of.records():
            raw.add(one["raw_hash"] or "")
            yield one

    made: dict[str, Callable[[], Iterable[bytes]]] = {
        PAGE: lambda: [
            index.page(
                company=company,
                run=run,
                report=of.report,
                reads=reads,
                plans=plans,
                decisions=decisions,
                writes=writes,
                differences=differences,
                anchors=of.anchors(),
                configured=configuration is not None,
                key=signer.public.id,
            ).encode()
        ],
        HOW: lambda: [how_to_verify()],
        "run.json": lambda: [text(run)],
        "configuration.json": lambda: [(configuration or "null").encode()],
        "inputs/reads.json": lambda: [text(reads)],
        "inputs/records.jsonl": lambda: lines(records()),
        "inputs/payloads.jsonl": lambda: lines(of.payloads(raw - {""})),
        "plans.json": lambda: [text(plans)],
        "decisions.json": lambda: [text(decisions)],
        "writes.json": lambda: [text(writes)],
        "differences.json": lambda: [text(differences)],
        "bridge.json": lambda: [text(bridge)],
        "events.jsonl": lambda: lines(of.events()),
        "anchors.jsonl": lambda: (a.line.encode() + b"\n" for a in of.anchors()),
        "public-key.pem": lambda: [signer.public.pem().encode()],
    }
    for name in MEMBERS:
        if name in made:
            writer.put(name, made[name]())
