"""`/mailbox/api`: what tests and scripts ask the mailbox. Reading changes nothing."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from notifier.core.errors import FieldError, Invalid, NotFound
from notifier.mailbox import documents
from notifier.mailbox.apart import apart
from notifier.mailbox.desk import Desk
from notifier.mailbox.models import (
    MailboxCursor,
    MailboxDelete,
    MailboxDeleted,
    MailboxHeaders,
    MailboxMessage,
    MailboxMessageDetail,
    MailboxMessages,
    headers_model,
    message_fields,
    part_model,
)
from notifier.mailbox.records import Captured, Deleted
from notifier.mailbox.search import parse_query
from notifier.mailbox.summary import highlights
from notifier.mailbox.waiting import Wish, wait_for

PAGE_MAX = 500
WAIT_COUNT_MAX = 100
WAIT_MAX_S = 120
CURSOR_DIGITS = 18

Search = Annotated[str, Query(description="words, `from:`, `to:`, `subject:`, quotes")]
Cursor = Annotated[str | None, Query(description="a cursor from an earlier answer")]


def create_api(desk: Desk) -> APIRouter:
    """Routes with prefix `/mailbox/api`."""
    router = APIRouter(prefix="/mailbox/api", tags=["mailbox"])
    _add_lists(router, desk)
    _add_waiting(router, desk)
    _add_message(router, desk)
    _add_contents(router, desk)
    return router


def _add_lists(router: APIRouter, desk: Desk) -> None:
    @router.get("/messages", operation_id="mailbox_list_messages")
    async def list_messages(
        query: Search = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
        after: Cursor = None,
    ) -> MailboxMessages:
        """Captured mails, newest first."""
        before = _place(after)
        found = await desk.store.page(parse_query(query), limit + 1, before=before)
        return _page(found[:limit], has_more=len(found) > limit)

    @router.delete("/messages", operation_id="mailbox_delete_messages")
    async def delete_messages(body: MailboxDelete) -> MailboxDeleted:
        """Deletes by exactly one of `ids`, `query`, `all`."""
        outcome = await _delete(desk, body)
        return MailboxDeleted(deleted=outcome.deleted, not_found=list(outcome.not_found))


def _add_waiting(router: APIRouter, desk: Desk) -> None:
    @router.get("/cursor", operation_id="mailbox_cursor")
    async def cursor() -> MailboxCursor:
        """Take it before the action, give it to `wait`: no mail can slip between."""
        _, newest = await desk.store.feed_bounds()
        return MailboxCursor(cursor=str(newest))

    @router.get("/wait", operation_id="mailbox_wait")
    async def wait(
        query: Search = "",
        count: Annotated[int, Query(ge=1, le=WAIT_COUNT_MAX)] = 1,
        timeout_s: Annotated[float, Query(alias="timeout", ge=0, le=WAIT_MAX_S)] = 10,
        after: Cursor = None,
    ) -> MailboxMessages:
        """Holds until `count` mails match; 404 `no_match` with an explanation after `timeout` s."""
        wish = Wish(parse_query(query), count, _place(after) or 0, timeout_s)
        return _page(await wait_for(desk.store, wish), has_more=False)


def _add_message(router: APIRouter, desk: Desk) -> None:
    @router.get("/messages/{message_id}", operation_id="mailbox_get_message")
    async def get_message(message_id: str) -> MailboxMessageDetail:
        """One mail, without its content."""
        captured = await desk.store.get(message_id)
        mail = await desk.store.mail(message_id)
        found = await apart(captured.size_bytes, highlights, mail)
        return MailboxMessageDetail.model_validate(
            {
                **message_fields(captured),
                "parts": [part_model(part) for part in mail.parts],
                "problems": mail.problems,
                "code": found.code,
                "link": found.link.href if found.link else None,
            }
        )

    @router.get("/messages/{message_id}/headers", operation_id="mailbox_get_headers")
    async def get_headers(message_id: str) -> MailboxHeaders:
        """All headers, decoded, in their order."""
        return headers_model(await desk.store.mail(message_id))


def _add_contents(router: APIRouter, desk: Desk) -> None:
    @router.get(
        "/messages/{message_id}/raw", operation_id="mailbox_get_raw", response_class=Response
    )
    async def get_raw(message_id: str) -> Response:
        """The bytes exactly as they were received."""
        raw = await desk.store.raw(message_id)
        return documents.download(raw, "message/rfc822", f"{message_id}.eml")

    @router.get(
        "/messages/{message_id}/html", operation_id="mailbox_get_html", response_class=Response
    )
    async def get_html(message_id: str) -> Response:
        """The HTML part as it stands, as a download: a browser must not open it unguarded."""
        html = (await desk.store.mail(message_id)).html
        if html is None:
            raise NotFound("This mail has no HTML part.")
        content = html.encode("utf-8", "replace")
        return documents.download(content, "text/html; charset=utf-8", f"{message_id}.html")

    @router.get(
        "/messages/{message_id}/text", operation_id="mailbox_get_text", response_class=Response
    )
    async def get_text(message_id: str) -> Response:
        """The text part as it stands."""
        text = (await desk.store.mail(message_id)).text
        if text is None:
            raise NotFound("This mail has no text part.")
        return documents.plain(text)

    @router.get(
        "/messages/{message_id}/parts/{number}",
        operation_id="mailbox_get_part",
        response_class=Response,
    )
    async def get_part(message_id: str, number: int) -> Response:
        """The decoded content of one part, as a download."""
        part = await documents.part_of(desk, message_id, number)
        return documents.download(
            part.content, part.content_type, part.filename or f"part-{number}"
        )


async def _delete(desk: Desk, body: MailboxDelete) -> Deleted:
    if body.ids is not None:
        return await desk.store.delete_ids(body.ids)
    if body.query is None:
        return await desk.store.delete_all()
    query = parse_query(body.query)
    if not query.terms:
        raise Invalid(
            "A query that names nothing deletes nothing.",
            errors=[FieldError("/query", "query_empty", "Use `all` to delete every mail.")],
        )
    return await desk.store.delete_matching(query)


def _page(found: list[Captured], *, has_more: bool) -> MailboxMessages:
    data = [MailboxMessage.model_validate(message_fields(each)) for each in found]
    return MailboxMessages(
        data=data, has_more=has_more, next_cursor=str(found[-1].seq) if has_more else None
    )


def _place(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= CURSOR_DIGITS):
        raise Invalid(
            "This is no cursor.",
            errors=[FieldError("query:after", "cursor_invalid", "Use `next_cursor` as it came.")],
        )
    return int(cursor)
