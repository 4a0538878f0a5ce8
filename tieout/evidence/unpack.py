"""Verify a pack without anything else: no database, no configuration, no network. It is hostile until it is proved.

Three things are asked of each part: is it the one that was packed (hash, signed manifest), do events say the same, and
are those events held by anchors. What people read first, the page, is made anew of the other parts and compared.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any, Literal

from tieout.errors import ConfigError
from tieout.evidence.agreement import CHECKS, Check, NotCompared
from tieout.evidence.keys import SIGNATURE_BYTES, PublicKey, public_key
from tieout.evidence.members import LARGEST, Pack, Wrong, parsed
from tieout.evidence.pack import DOMAIN, FORMAT, MANIFEST, MEMBERS, SIGNATURE
from tieout.evidence.tight import loose
from tieout.plaintext import counted

RATIO = 200  # how much a member may be packed; ours are far below
Says = Literal["proves", "altered", "missing", "not proved", "not compared"]
_HOLDS = ("proves", "not compared")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a pack. says: what it proves, or what is wrong with it"""

    name: str
    verdict: Says
    says: str


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a pack proves. key: that it is signed with · trusted: whether that key was known from elsewhere"""

    run: str
    pair: str
    company: str
    key: str
    trusted: bool
    parts: tuple[Part, ...]

    @property
    def exit_code(self) -> int:
        """0: every part proves what it says · 5: something is altered, missing, or not proved

        A page of another version cannot be made anew here, and is no reason to doubt the parts that it tells of.
        """
        return 0 if all(p.verdict in _HOLDS for p in self.parts) else 5

    def as_json(self) -> dict[str, Any]:
        kept = {k: getattr(self, k) for k in ("run", "pair", "company", "key")}
        parts = [{"part": p.name, "verdict": p.verdict, "says": p.says} for p in self.parts]
        return (
            {"verdict": "proves" if not self.exit_code else "altered"}
            | kept
            | {"key_known": self.trusted, "parts": parts}
        )


def verify(file: IO[bytes], *, name: str, keys: Iterable[PublicKey] = ()) -> Unpacked:
    """Verify a pack. keys: that are known from elsewhere; with none, the pack's own, which proves no origin.

    Raises ConfigError for a file that is no pack, or that no honest program packed (paths, bombs, doubled members).
    """
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, IndexError) as error:
        raise ConfigError(f"{name} is not a pack: {error}", hint="it may be cut off; fetch it again") from None
    with archive:
        _refuse_tricks(file, archive, name)
        pack = Pack(archive)
        given = list(keys)
        parts, key, trusted = _manifest(pack, given)
        parts += _members(pack)
        sound = {p.name for p in parts if p.verdict == "proves"}
        parts += [_checked(pack, check, sound, key) for check in CHECKS]
        told = pack.manifest
    run, pair, company = (str(told.get(k, "")) for k in ("run", "pair", "company"))
    return Unpacked(run, pair, company, key.id if key else "", trusted, tuple(parts))


def _refuse_tricks(file: IO[bytes], archive: zipfile.ZipFile, name: str) -> None:
    """Refuse what a pack of ours never is, before anything of it is unpacked."""
    infos = archive.infolist()
    names = [i.filename for i in infos]
    strange = [n for n in names if n not in MEMBERS]
    total = sum(i.file_size for i in infos)
    why = ""
    if strange:
        why = f"it holds {strange[0]!a}, which no pack does"
    elif len(set(names)) != len(names):
        why = "it holds a member twice"
    elif any(i.flag_bits & 1 for i in infos):
        why = "it is encrypted"
    elif total > LARGEST or any(i.file_size > RATIO * (i.compress_size + 64) for i in infos):
        why = "it unpacks to more than a pack can hold"
    else:
        why = loose(file, archive)
    if why:
        raise ConfigError(f"{name} is not a pack of tieout: {why}", hint="nothing of it was unpacked")


def _manifest(pack: Pack, given: list[PublicKey]) -> tuple[list[Part], PublicKey | None, bool]:
    """The signature, and the key that it is held against."""
    try:
        body, signature = pack.bytes_of(MANIFEST), pack.bytes_of(SIGNATURE)
        own = public_key(pack.bytes_of("public-key.pem"), "the pack")
        manifest = parsed(body)
    except KeyError as error:
        return [Part(MANIFEST, "missing", str(error.args[0]))], None, False
    except (Wrong, ConfigError) as error:
        return [Part(MANIFEST, "altered", str(error))], None, False
    if not isinstance(manifest, dict) or not isinstance(manifest.get("members"), dict):
        return [Part(MANIFEST, "altered", "it is not what a manifest holds")], None, False
    signers = given or [own]
    key = next((k for k in signers if len(signature) == SIGNATURE_BYTES and k.signed(DOMAIN + body, signature)), None)
    if key is None or manifest.get("key") != key.id or manifest.get("format") != FORMAT:
        which = "the key that was given" if given else "the key in it"
        return [Part(MANIFEST, "altered", f"it is not signed with {which}")], None, False
    pack.manifest = manifest
    if own != key:
        return [Part(MANIFEST, "altered", "the key in the pack is another one")], key, bool(given)
    said = (
        "signed with the key that was given" if given else "of one piece; whose it is, only a key known before can tell"
    )
    return [Part(MANIFEST, "proves", said)], key, bool(given)


def _members(pack: Pack) -> list[Part]:
    """Each member against its hash."""
    told = pack.manifest.get("members", {})
    there = set(pack.archive.namelist())
    parts = []
    for name in MEMBERS:
        if name in (MANIFEST, SIGNATURE):
            continue
        if name not in there:
            parts.append(Part(name, "missing", "it is not in the pack"))
            continue
        if name not in told:
            parts.append(Part(name, "not proved" if not told else "altered", "the manifest does not name it"))
            continue
        parts.append(_member(pack, name, told[name]))
    return parts


def _member(pack: Pack, name: str, told: Any) -> Part:
    hash_, size = hashlib.sha256(), 0
    try:
        for chunk in pack.chunks(name):
            hash_.update(chunk)
            size += len(chunk)
    except Wrong as error:
        return Part(name, "altered", str(error))
    if told != {"sha256": hash_.hexdigest(), "size": size}:
        return Part(name, "altered", "it is not what was packed")
    return Part(name, "proves", f"{counted(size, 'byte')}, as packed")


# ── what the parts say of each other ─────────────────────────────────────────────────────────────────────────────────


def _checked(pack: Pack, check: Check, sound: set[str], key: PublicKey | None) -> Part:
    """One check; what rests on something that does not hold is not proved."""
    part, needs, run = check
    lacking = [n for n in needs if n not in sound]
    if key is None or lacking:
        return Part(part, "not proved", f"for want of {', '.join(lacking) or 'a signature'}")
    try:
        says = run(pack, key)
    except NotCompared as error:
        return Part(part, "not compared", str(error))
    except Wrong as error:
        return Part(part, "altered", str(error))
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        return Part(part, "altered", f"it is not what such a part holds ({type(error).__name__})")
    sound.add(part)
    return Part(part, "proves", says)
