"""Files in a mail: what may be attached, and its MIME part (RFC 2045, RFC 2183, RFC 2231)."""

import base64
import functools
import mimetypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from notifier.compose.headers import verify_block
from notifier.core.errors import FieldError
from notifier.core.text import header_fault, name_fault

_FILENAME_CHARS = 200
_OCTETS = "application/octet-stream"
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_NOT_A_FILE = ("multipart/", "message/")  # RFC 2046 §5: these may not be base64
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}")
_SEGMENT_CHARS = 60


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file. `content_type` is `type/subtype` or None to go by the name.

    With a `content_id` (without `<>`) it is shown in the HTML, as `cid:…`, instead of listed.
    """

    filename: str
    content: bytes
    content_type: str | None = None
    content_id: str | None = None


def check_attachments(
    attachments: Sequence[Attachment], *, pointer: str = "/attachments"
) -> Iterator[FieldError]:
    """All that is wrong with names, types and ids; sizes are the caller's to bound."""
    seen: set[str] = set()
    for index, attachment in enumerate(attachments):
        yield from _check_one(attachment, f"{pointer}/{index}")
        content_id = attachment.content_id
        if content_id is not None and content_id in seen:
            detail = "Give each inline file its own id."
            yield FieldError(f"{pointer}/{index}/content_id", "duplicate", detail)
        seen.add(content_id or "")


def _check_one(attachment: Attachment, pointer: str) -> Iterator[FieldError]:
    name, kind, content_id = attachment.filename, attachment.content_type, attachment.content_id
    if fault := name_fault(name) or header_fault(name):
        yield FieldError(f"{pointer}/filename", fault.code, fault.detail)
    elif not name.strip(". ") or len(name) > _FILENAME_CHARS or re.search(r"[/\\]", name):
        detail = f"Give a bare file name of at most {_FILENAME_CHARS} characters, without a folder."
        yield FieldError(f"{pointer}/filename", "bad_filename", detail)
    if kind is not None and (not _TYPE.fullmatch(kind) or kind.lower().startswith(_NOT_A_FILE)):
        detail = "Give a type such as application/pdf; multipart and message are not files."
        yield FieldError(f"{pointer}/content_type", "bad_content_type", detail)
    if content_id is not None and not _CONTENT_ID.fullmatch(content_id):
        detail = "Use letters, digits, dots and @, without < and >."
        yield FieldError(f"{pointer}/content_id", "bad_content_id", detail)


def file_part(attachment: Attachment) -> bytes:
    """The part: headers, blank line, base64 in lines of 76, without the last CRLF."""
    kind = attachment.content_type or _guess(attachment.filename)
    shown = attachment.content_id is not None
    disposition = "inline" if shown else "attachment"
    parameters = ";\r\n".join(_filename_parameters(attachment.filename))
    headers = [
        f"Content-Type: {kind}",
        "Content-Transfer-Encoding: base64",
        *([f"Content-ID: <{attachment.content_id}>"] if shown else ()),
        f"Content-Disposition: {disposition};\r\n{parameters}",
    ]
    block = "\r\n".join(headers).encode("ascii")
    verify_block(block, [header.partition(":")[0] for header in headers])
    body = base64.encodebytes(attachment.content).rstrip(b"\n").replace(b"\n", b"\r\n")
    return block + b"\r\n\r\n" + body


def _filename_parameters(name: str) -> Iterator[str]:
    """`filename=` in RFC 2231 form where ASCII does not do, in segments that fit a line."""
    if name.isascii() and len(name) <= _SEGMENT_CHARS and not re.search(r'["\\]', name):
        yield f' filename="{name}"'
        return
    encoded = quote(name, safe="!#$&+-.^_`|~")
    if len(encoded) <= _SEGMENT_CHARS:
        yield f" filename*=utf-8''{encoded}"
        return
    segments = re.findall(rf"(?:%..|.){{1,{_SEGMENT_CHARS // 3}}}", encoded)
    for index, segment in enumerate(segments):
        yield f" filename*{index}*={'' if index else chr(39).join(('utf-8', '', ''))}{segment}"


def _guess(filename: str) -> str:
    """By Python's own table: the machine's `mime.types` must not change what is sent."""
    kind, encoding = _table().guess_type(filename, strict=True)
    return _OCTETS if kind is None or encoding or kind.startswith(_NOT_A_FILE) else kind


@functools.cache
def _table() -> mimetypes.MimeTypes:
    return mimetypes.MimeTypes()
