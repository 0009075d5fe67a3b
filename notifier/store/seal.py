"""Encryption of what must not be readable in the database: Fernet under SECRET_KEY."""

from base64 import urlsafe_b64encode
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from notifier.core.errors import Misconfigured

_PURPOSE = b"notifier content v1"


class Seal:
    """Seals with the newest key and opens with any of them, so that keys can be rotated."""

    def __init__(self, secret_keys: Sequence[bytes]) -> None:
        if not secret_keys:
            raise Misconfigured("NOTIFIER_SECRET_KEY holds no key")
        self._fernet = MultiFernet([Fernet(_derive(key)) for key in secret_keys])

    def seal(self, plain: bytes) -> bytes:
        """Ciphertext with its own authentication, about 4/3 of the size."""
        return self._fernet.encrypt(plain)

    def unseal(self, sealed: bytes) -> bytes:
        """The plain bytes. Raises Misconfigured when none of the keys fits."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            raise Misconfigured(
                "a stored mail was sealed under a key that NOTIFIER_SECRET_KEY no longer lists; "
                "add the old key behind the new one"
            ) from None


def _derive(key: bytes) -> bytes:
    return urlsafe_b64encode(HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(key))
