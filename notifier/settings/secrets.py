"""The keys that seal secrets and sign codes; dev makes one of its own."""

import fcntl
import os
import secrets
from pathlib import Path
from typing import Final

from notifier.core.errors import Misconfigured
from notifier.settings.sections import Settings

KEY_FILE: Final = "secret.key"
"""Name of dev's own key in the data folder."""

WEAK_CHARS: Final = 32
"""A key has to have at least as many characters outside dev: 128 bits, if they are hex digits."""

_OWN_BYTES: Final = 48
_MODE: Final = 0o600


def secret_keys(settings: Settings) -> tuple[bytes, ...]:
    """All keys, the newest first. In dev, where none is set, one is made and kept in a file.

    Of several processes that start at once all get the same key. Raises `Misconfigured`.
    """
    if settings.secret_key:
        return tuple(key.get_secret_value().encode() for key in settings.secret_key)
    if not settings.is_dev:
        raise Misconfigured("NOTIFIER_SECRET_KEY is missing.")
    path = settings.data_dir / KEY_FILE
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return (_kept(path),)
    except OSError as error:
        raise Misconfigured(
            f"The secret key cannot be kept in {path} ({error.strerror}): make the folder writable,"
            " or set NOTIFIER_DATA_DIR to one that is."
        ) from error


def _kept(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    with os.fdopen(descriptor, "r+b") as file:
        # The first starter writes under the lock. A crash leaves the file empty, never half full,
        # as far as the next starter is concerned: nobody used a key that was not synced.
        fcntl.flock(file, fcntl.LOCK_EX)
        os.fchmod(descriptor, _MODE)
        text = file.read()
        if text.endswith(b"\n"):
            return text.strip()
        key = secrets.token_urlsafe(_OWN_BYTES).encode()
        file.seek(0)
        file.truncate()
        file.write(key + b"\n")
        file.flush()
        os.fsync(descriptor)
        return key
