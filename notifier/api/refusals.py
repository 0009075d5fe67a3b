"""Refusals that the HTTP door itself makes, before any flow is asked."""

from notifier.core.errors import FieldError, Refused, Unauthenticated, Unavailable


class Malformed(Refused):
    """The request cannot be read: bad JSON, a bad header, a bad `Host`."""

    code = "malformed_request"


class HostNotAllowed(Malformed):
    """The `Host` header names a host that this service does not answer to."""

    code = "host_not_allowed"


class OriginNotAllowed(Refused):
    """A browser page of another origin tried to change or follow something."""

    code = "origin_not_allowed"


class PasswordNeeded(Unauthenticated):
    """The mailbox has a password, and this was not it."""

    code = "password_needed"


class MethodNotAllowed(Refused):
    """The path exists, the method does not; `allow` lists those that do."""

    code = "method_not_allowed"

    def __init__(self, allow: str) -> None:
        super().__init__(
            "This path does not take that method; the Allow header lists those it takes."
        )
        self.allow = allow


class BodyTooLarge(Refused):
    """The body is over the limit; nothing of it was parsed."""

    code = "body_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The body is larger than {limit_bytes:,} bytes, the most taken here.")


class TooSlow(Refused):
    """A part of the request did not arrive in time."""

    code = "request_too_slow"

    def __init__(self, what: str, limit_s: float) -> None:
        super().__init__(f"{what} did not arrive within {limit_s:g} s.")


class UnsupportedBody(Refused):
    """The body is not plain JSON: another media type, or compressed."""

    code = "unsupported_media_type"


class HeadersTooLarge(Refused):
    """The request line and headers are over the limit."""

    code = "headers_too_large"


class UnreadableJson(Malformed):
    """The body is not JSON as RFC 8259 has it, read strictly."""

    code = "malformed_json"

    def __init__(self, detail: str, code: str = "malformed_json") -> None:
        super().__init__(detail, errors=[FieldError("", code, detail)])


class Overloaded(Unavailable):
    """As many requests as allowed are under way."""

    code = "overloaded"
