"""The body of a DATA command, read whole or refused, and the memory that bodies may take."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from notifier.mailbox.store import Store
from notifier.observe.door_facts import CaptureRefused
from notifier.observe.facts import Observer
from notifier.settings.sections import MailboxSettings

END_OF_DATA = b"\r\n.\r\n"
BODIES_AT_ONCE = 4  # whole bodies of the largest size that may be in memory together


@dataclass(slots=True)
class Gate:
    """What all connections share."""

    store: Store
    limits: MailboxSettings
    observe: Observer
    body_bytes: int = 0
    closing: bool = False

    def has_memory(self, size: int) -> bool:
        """Whether `size` more bytes of bodies may be held."""
        return self.body_bytes + size <= BODIES_AT_ONCE * self.limits.max_message_bytes


class BodyReader:
    """Reads one DATA body in blocks, not in lines: no line is too long, and lone CR or LF stay."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._limit = gate.limits.max_message_bytes
        # The end of the DATA line counts: a body may be nothing but the dot.
        self._seen = bytearray(b"\r\n")
        self._held = 0
        self._refusal: str | None = None

    async def read(self, reader: asyncio.StreamReader, progress: Callable[[], None]) -> str | None:
        """None once the whole body is held, or the reply that refuses it (RFC 5321 §4.2.5)."""
        self._add(await reader.readexactly(3))
        while not self._seen.endswith(END_OF_DATA):
            progress()
            if any(self._seen.endswith(END_OF_DATA[:n]) for n in range(1, len(END_OF_DATA))):
                self._add(await reader.readexactly(1))
            else:
                self._add(await _block(reader))
        return self._refusal

    def _add(self, block: bytes) -> None:
        self._seen += block
        self._account()
        if self._refusal is None:
            self._refusal = self._too_much()
        if self._refusal is not None:
            # Drained but not kept; the tail is what the end is recognised by.
            del self._seen[: -len(END_OF_DATA)]
            self._account()

    def _account(self) -> None:
        self._gate.body_bytes += len(self._seen) - self._held
        self._held = len(self._seen)

    def _too_much(self) -> str | None:
        if len(self._seen) - len(END_OF_DATA) > self._limit:
            self._gate.observe(CaptureRefused("size", f"Larger than {self._limit} bytes."))
            return f"552 5.3.4 Message is larger than {self._limit} bytes"
        if not self._gate.has_memory(0):
            self._gate.observe(CaptureRefused("memory", "Too many large mails at once."))
            return "452 4.3.1 Too many large mails at once, try again later"
        return None

    def content(self) -> bytes:
        """The mail without the dots that transparency added (RFC 5321 §4.5.2)."""
        return bytes(self._seen[: -len(b".\r\n")].replace(b"\r\n.", b"\r\n")[2:])

    def release(self) -> None:
        """Gives its share of the memory back."""
        self._gate.body_bytes -= self._held
        self._held = 0


async def _block(reader: asyncio.StreamReader) -> bytes:
    """What has come of the body, at most to its end; never splits the end of the data."""
    try:
        return await reader.readuntil(END_OF_DATA)
    except asyncio.LimitOverrunError as overrun:
        return await reader.readexactly(overrun.consumed)
