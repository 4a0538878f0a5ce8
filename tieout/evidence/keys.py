"""Ed25519: signing what leaves the database as evidence, and checking it with the public half alone."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from tieout.errors import ConfigError

SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half that anybody may have. raw: 32 bytes"""

    raw: bytes

    @property
    def id(self) -> str:
        """A short name of the key: the first half of the sha256 of its 32 bytes, in hex."""
        return hashlib.sha256(self.raw).hexdigest()[:32]

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's, of exactly this message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    def pem(self) -> str:
        """The key as other programs read it (SubjectPublicKeyInfo)."""
        key = Ed25519PublicKey.from_public_bytes(self.raw)
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def public_key(pem: bytes, where: str) -> PublicKey:
    """The key of a PEM text. Raises ConfigError, naming where it stands, for anything else than one of Ed25519."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(
            f"{where} holds no public key of Ed25519 in PEM", hint="`tieout evidence key -o FILE` writes one"
        )
    return PublicKey(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


@dataclass(frozen=True, slots=True)
class Signer:
    """The half that stays with the other secrets. seed: 32 bytes, never shown"""

    seed: bytes = field(repr=False)

    @property
    def public(self) -> PublicKey:
        key = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return PublicKey(key.public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, message: bytes) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)


def signer(text: str) -> Signer:
    """The signer whose seed is kept as base64. Raises ConfigError for anything else than 32 bytes."""
    try:
        seed = base64.b64decode(text, validate=True)
    except ValueError:
        seed = b""
    if len(seed) != SIGNATURE_BYTES // 2:
        raise ConfigError("the signing key of the evidence is damaged", hint="restore it from a backup")
    return Signer(seed)
