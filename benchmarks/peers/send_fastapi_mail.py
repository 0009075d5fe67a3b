"""Send mails with fastapi-mail as its documentation does: one `send_message` for each.

`send_fastapi_mail.py PORT TASKS COUNT FILE`; prints figures as JSON. The library builds the mail
itself, from the text of the file.
"""

import asyncio
import email
import sys
from pathlib import Path

from fastapi_mail import (  # type: ignore[import-not-found]  # it is in the peers' own set
    ConnectionConfig,
    FastMail,
    MessageSchema,
    MessageType,
)

from benchmarks.peers.timed import SENDER, recipient, timed


def mailer(port: int, **more: object) -> FastMail:
    """The library's own object, for a plain relay on the loopback."""
    config = ConnectionConfig(
        MAIL_USERNAME="",
        MAIL_PASSWORD="",
        MAIL_FROM=SENDER,
        MAIL_SERVER="127.0.0.1",
        MAIL_PORT=port,
        MAIL_STARTTLS=False,
        MAIL_SSL_TLS=False,
        USE_CREDENTIALS=False,
        VALIDATE_CERTS=False,
        **more,
    )
    return FastMail(config)


async def send(port: int, tasks: int, count: int, content: bytes) -> None:
    """So many tasks at once, each a mail after the other."""
    fast_mail = mailer(port)
    found = email.message_from_bytes(content)
    subject, body = str(found["Subject"]), str(found.get_payload())
    left = iter(range(count))

    async def task() -> None:
        for number in left:
            message = MessageSchema(
                subject=subject,
                recipients=[recipient(number)],
                body=body,
                subtype=MessageType.plain,
            )
            await fast_mail.send_message(message)

    await asyncio.gather(*(task() for _ in range(tasks)))


if __name__ == "__main__":
    port_, tasks_, count_, file = sys.argv[1:]
    timed(send(int(port_), int(tasks_), int(count_), Path(file).read_bytes()), int(count_))
