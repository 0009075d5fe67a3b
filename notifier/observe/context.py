"""Which request is being served, so that every line logged meanwhile can name it."""

from contextvars import ContextVar

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Set for the time of one HTTP request. Store threads do not inherit it."""
