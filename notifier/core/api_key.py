"""API keys: what one is, how it is minted, and the digest under which it is stored.

A key is `ntf_live_` or `ntf_test_` and 256 random bits in URL-safe base64 (43 characters). Only
its SHA-256 is kept: with that much entropy a slow hash would buy nothing (OWASP, Password Storage).
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from notifier.core.route import Route

SCOPES: Final = frozenset({"send", "read", "templates", "registrations", "admin"})
"""Everything a key can be allowed to do. `admin` includes all others."""

ENTROPY_BYTES: Final = 32
MAX_KEY_CHARS: Final = 512
"""Longer strings are no key, and are refused before they are hashed."""

_STEM: Final[dict[Route, str]] = {"live": "ntf_live_", "test": "ntf_test_"}
_SHOWN_CHARS: Final = 6
_SECRET_CHARS: Final = 43


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key, without its secret. Times are aware UTC.

    `route` is where its mail may go. `prefix` is the first characters of the plaintext, to
    recognise it by. An empty `from_domains` allows every sender domain that the settings allow.
    """

    id: str
    name: str
    project: str
    prefix: str
    scopes: frozenset[str]
    route: Route
    from_domains: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def expired(self, now: datetime) -> bool:
        """Whether its time is over at `now`."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A new key: `plaintext` is shown once, `digest` and `prefix` are stored."""

    plaintext: str
    prefix: str
    digest: str
    route: Route

    def __repr__(self) -> str:
        return f"MintedKey({self.prefix}…)"


def mint(entropy: bytes, route: Route) -> MintedKey:
    """A key made of exactly `ENTROPY_BYTES` bytes from a cryptographic source.

    Raises `ValueError` for any other length.
    """
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a key needs {ENTROPY_BYTES} bytes of entropy, got {len(entropy)}")
    secret = base64.urlsafe_b64encode(entropy).rstrip(b"=").decode("ascii")
    plaintext = _STEM[route] + secret
    return MintedKey(plaintext, shown_prefix(plaintext), digest(plaintext), route)


def digest(plaintext: str) -> str:
    """The SHA-256 of a key, 64 lower-case hex digits: the form in which it is stored."""
    return hashlib.sha256(plaintext.encode("utf-8", "surrogateescape")).hexdigest()


def route_of(plaintext: str) -> Route | None:
    """`live` or `test` for a string in the shape of a minted key, else None."""
    for route, stem in _STEM.items():
        secret = plaintext[len(stem) :]
        if plaintext.startswith(stem) and len(secret) == _SECRET_CHARS and _is_urlsafe(secret):
            return route
    return None


def shown_prefix(plaintext: str) -> str:
    """The part of a key that may be shown and logged: its stem and six characters of 43."""
    stem = next((s for s in _STEM.values() if plaintext.startswith(s)), "")
    return plaintext[: len(stem) + _SHOWN_CHARS] if stem else ""


def unknown_scopes(scopes: frozenset[str]) -> tuple[str, ...]:
    """Those that are not in `SCOPES`, sorted."""
    return tuple(sorted(scopes - SCOPES))


def allows(granted: frozenset[str], wanted: str) -> bool:
    """Whether a key with the scopes `granted` may do `wanted`; `admin` may do everything."""
    return wanted in granted or "admin" in granted


def _is_urlsafe(text: str) -> bool:
    return text.isascii() and text.replace("-", "a").replace("_", "a").isalnum()
