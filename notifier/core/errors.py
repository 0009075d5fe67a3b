"""The error tree, three branches by whose move it is next.

`Refused` is the caller's, `Unavailable` is ours and passes, `Misconfigured` is the operator's.
Each error carries a stable `code`; HTTP numbers live only in `notifier.api.problems`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field.

    `pointer` is an RFC 6901 JSON pointer into the body (`/to/0`), or `header:<Name>`,
    `query:<name>`, `path:<name>`. `detail` says what to do and never repeats the input.
    """

    pointer: str
    code: str
    detail: str


class NotifierError(Exception):
    """Root of everything that this package raises on purpose."""

    code = "error"
    extra: Mapping[str, int | str] = MappingProxyType({})
    """More members of the error's answer, beside those that all have (RFC 9457 §3.2)."""

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code


class Refused(NotifierError):
    """The caller has to change something; the same call again gives the same answer."""

    code = "refused"

    def __init__(
        self, detail: str, *, code: str | None = None, errors: Sequence[FieldError] = ()
    ) -> None:
        super().__init__(detail, code=code)
        self.errors = tuple(errors)


class Invalid(Refused):
    """One or more fields do not fit; `errors` holds all of them."""

    code = "validation_failed"


class NotFound(Refused):
    """No such thing in the caller's project."""

    code = "not_found"


class Conflict(Refused):
    """The thing is in a state in which this cannot be done."""

    code = "conflict"


class Gone(Refused):
    """It existed, and its time is over."""

    code = "gone"


class KeyReused(Refused):
    """An `Idempotency-Key` came back with another body."""

    code = "idempotency_key_reused"


class Unauthenticated(Refused):
    """No API key, or one that is not known (any more)."""

    code = "unauthenticated"


class Forbidden(Refused):
    """The key is known but may not do this."""

    code = "forbidden"


class RateLimited(Refused):
    """More than `limit` calls in `window_s` seconds; there is room again after `retry_after_s`."""

    code = "rate_limited"

    def __init__(self, detail: str, *, limit: int, window_s: int, retry_after_s: int) -> None:
        super().__init__(detail)
        self.limit = limit
        self.window_s = window_s
        self.retry_after_s = retry_after_s


class Unavailable(NotifierError):
    """Ours, and it passes: the same call may succeed after `retry_after_s` seconds."""

    code = "unavailable"

    def __init__(self, detail: str, *, code: str | None = None, retry_after_s: int = 1) -> None:
        super().__init__(detail, code=code)
        self.retry_after_s = retry_after_s


class Misconfigured(NotifierError):
    """The operator has to change a setting, a file or the machine; found at start.

    `problems` holds every sentence that applies, so that all can be mended in one go.
    """

    code = "misconfigured"

    def __init__(self, detail: str, *, problems: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.problems = tuple(problems) or (detail,)
