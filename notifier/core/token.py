"""Secrets that travel in mails: link tokens and typed codes, and the forms they are stored in.

A token is 256 random bits; its SHA-256 is stored. A code is six digits, far too few for a plain
hash, so its HMAC under SECRET_KEY is stored, bound to the registration it belongs to.
"""

import base64
import hashlib
import hmac
import unicodedata
from collections.abc import Sequence
from typing import Final, Literal

TOKEN_BYTES: Final = 32
CODE_DIGITS: Final = 6

_SEPARATORS: Final = "-.\N{EN DASH}"

Purpose = Literal["confirm"]


def encode_token(entropy: bytes) -> str:
    """43 URL-safe characters for exactly `TOKEN_BYTES` random bytes."""
    if len(entropy) != TOKEN_BYTES:
        raise ValueError(f"a token is made of {TOKEN_BYTES} bytes")
    return base64.urlsafe_b64encode(entropy).rstrip(b"=").decode("ascii")


def token_digest(purpose: Purpose, token: str) -> str:
    """64 hex digits: the stored form. A token of another purpose has another digest."""
    return hashlib.sha256(f"{purpose}:{token}".encode("utf-8", "surrogatepass")).hexdigest()


def encode_code(entropy: bytes) -> str:
    """Six digits, each value equally likely to within one part in 10**12 for 8 random bytes."""
    return f"{int.from_bytes(entropy) % 10**CODE_DIGITS:0{CODE_DIGITS}d}"


def normalise_code(typed: str) -> str | None:
    """The six digits in what a person typed (blanks, dashes, full-width digits), or None."""
    kept = [char for char in typed if not char.isspace() and char not in _SEPARATORS]
    digits = [unicodedata.decimal(char, -1) for char in kept]
    if len(digits) != CODE_DIGITS or -1 in digits:
        return None
    return "".join(str(digit) for digit in digits)


def code_hmac(secret_key: bytes, registration_id: str, code: str) -> str:
    """64 hex digits: the stored form of a code."""
    text = f"code:{registration_id}:{code}"
    return hmac.new(secret_key, text.encode("ascii"), hashlib.sha256).hexdigest()


def is_one_of(digest: str, candidates: Sequence[str]) -> bool:
    """Constant-time membership; several candidates stem from rotated secret keys."""
    found = False
    for candidate in candidates:
        found |= hmac.compare_digest(digest, candidate)
    return found
