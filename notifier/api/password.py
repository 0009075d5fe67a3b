"""HTTP Basic (RFC 7617) for the dev mailbox, where it is reached from other machines."""

import base64
import binascii
import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from notifier.api.auth import PUBLIC_MOUNTS
from notifier.api.problems import send_problem
from notifier.api.refusals import PasswordNeeded
from notifier.api.wire import header


class MailboxPassword:
    """Answers 401 to a call of the mailbox without the password. Any user name will do."""

    def __init__(self, app: ASGIApp, password: str) -> None:
        self._app = app
        self._password = password.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        guarded = scope["type"] in ("http", "websocket") and is_mailbox(scope["path"])
        if guarded and not self._knows(header(scope, b"authorization") or ""):
            refusal = PasswordNeeded("The mailbox asks for NOTIFIER_MAILBOX__PASSWORD.")
            await send_problem(refusal, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, credentials: str) -> bool:
        scheme, _, token = credentials.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            _, _, password = base64.b64decode(token, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(password, self._password)


def is_mailbox(path: str) -> bool:
    """Whether a path belongs to the dev mailbox."""
    return any(path == mount or path.startswith(mount + "/") for mount in PUBLIC_MOUNTS)
