"""The TLS side of one relay: one context, made once (making one costs 50 ms)."""

import asyncio
import ssl

from notifier.settings.relay import RelayTarget


class Trust:
    """The relay's `SSLContext`, made in a thread when it is first needed and then kept.

    It verifies chain and host name, but for `tls=opportunistic`, which is no promise to anyone:
    there an unverified encrypted link beats a plain one.
    """

    def __init__(self, target: RelayTarget) -> None:
        self._target = target
        self._lock = asyncio.Lock()
        self._context: ssl.SSLContext | None = None

    async def context(self) -> ssl.SSLContext:
        """The context. Raises SSLCertVerificationError when `ca_file` is of no use."""
        async with self._lock:
            if self._context is None:
                self._context = await asyncio.to_thread(_build, self._target)
            return self._context


def _build(target: RelayTarget) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if target.limits.ca_file is not None:
        try:
            context.load_verify_locations(cafile=target.limits.ca_file)
        except OSError as error:
            raise ssl.SSLCertVerificationError(f"ca_file cannot be used: {error}") from error
    if target.tls == "opportunistic":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
