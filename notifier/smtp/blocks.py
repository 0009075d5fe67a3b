"""A body on its way: a block whenever the relay has room for one, but for the last one."""

from notifier.smtp.wire import BLOCK_BYTES, Wire


class Blocks:
    """Sends all of `body` but its last block, which goes out with the final dot."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._body = b""
        self._sent = 0
        self._last = 0
        self._writing = False

    def begin(self, body: bytes) -> None:
        """A new body."""
        self._body, self._sent = body, 0
        self._last = max(0, (len(body) - 1) // BLOCK_BYTES * BLOCK_BYTES)

    def go_on(self) -> bytes | None:
        """Send what there is room for. The last block when nothing else is left; None: not yet,
        or the connection broke.
        """
        if self._writing:
            return None
        self._writing = True
        view = memoryview(self._body)
        while self._sent < self._last and not self._wire.is_full and not self._wire.has_failed():
            self._wire.send_block(view[self._sent : self._sent + BLOCK_BYTES])
            self._sent += BLOCK_BYTES
        self._writing = False
        if self._sent < self._last or self._wire.is_full or self._wire.has_failed():
            return None
        return self._body[self._last :] if self._last else self._body
