"""A sign-up begins: one registration, one confirmation mail, the same answer for everybody."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from notifier.compose.rendered import Rendered
from notifier.core.address import Mailbox
from notifier.core.errors import FieldError, Invalid, NotFound
from notifier.core.ids import is_id
from notifier.core.text import untrusted_fault
from notifier.core.token import TOKEN_BYTES, code_hmac, encode_code, encode_token, token_digest
from notifier.flows.desk import Client, Desk
from notifier.flows.mail import build, plan_of
from notifier.observe.facts import RegistrationChanged
from notifier.store.events import Event
from notifier.store.registrations import REGISTER, NewRegistration, Registration, find_by_id

DATA_BYTES: Final = 4096

_CODE_ENTROPY_BYTES: Final = 8
_DOES_NOT_FIT: Final = "The registration does not fit."


@dataclass(frozen=True, slots=True)
class SignUp:
    """What the calling service hands over. `data` comes back to it with the state."""

    email: Mailbox
    name: str | None = None
    locale: str | None = None
    redirect_to: str | None = None
    data: Mapping[str, Any] | None = None


async def register(desk: Desk, client: Client, sign_up: SignUp) -> Registration:
    """Commit a registration with its confirmation mail. Raises Invalid, Unavailable."""
    registration = _registration(desk, client, sign_up)
    token = encode_token(desk.entropy(TOKEN_BYTES))
    code = encode_code(desk.entropy(_CODE_ENTROPY_BYTES))
    rendered = _render(desk, sign_up, token, code)
    plan = plan_of(desk, client, rendered, sign_up.email)
    # A mail whose link is dead need not arrive any more.
    plan = replace(plan, expires_at=min(plan.expires_at, registration.expires_at))
    new = NewRegistration(
        registration=registration,
        mail=build(desk, plan),
        token_sha256=token_digest("confirm", token),
        code_hmac=code_hmac(desk.secret_keys[0], registration.id, code),
        event=Event(
            desk.new_id.new("evt"),
            client.project,
            "registration.created",
            registration.created_at,
            registration_id=registration.id,
        ),
    )
    await desk.store.write(REGISTER, new)
    desk.observe(RegistrationChanged(registration.id, client.project, "created"))
    return registration


async def find(desk: Desk, client: Client, registration_id: str) -> Registration:
    """The registration as it stands. Raises NotFound."""
    found = None
    if is_id(registration_id, "reg"):
        found = await desk.store.read(find_by_id, client.project, registration_id)
    if found is None:
        raise NotFound("There is no such registration in this project.")
    return found


def _render(desk: Desk, sign_up: SignUp, token: str, code: str) -> Rendered:
    """The confirmation mail's words. Raises Invalid with all that is wrong with the sign-up."""
    rules = desk.settings.registration
    variables = {
        "link": _link(desk, token),
        "code": code,
        "link_hours": max(1, int(rules.life_s // 3600)),
        "code_minutes": max(1, int(rules.code_life_s // 60)),
    }
    faults = [*_faults(desk, sign_up)]
    try:
        rendered = desk.catalogue.render("verify_email", variables, locale=sign_up.locale)
    except Invalid as error:
        faults += (_of_sign_up(fault) for fault in error.errors)
        raise Invalid(_DOES_NOT_FIT, errors=faults) from error
    if faults:
        raise Invalid(_DOES_NOT_FIT, errors=faults)
    # Sealed even if a template of the operator's own forgot to say that it holds secrets.
    return replace(rendered, secret=True)


def _of_sign_up(fault: FieldError) -> FieldError:
    """A template's fault, named by the field of the sign-up that it came from."""
    return replace(fault, pointer=fault.pointer.replace("/template/locale", "/locale"))


def _faults(desk: Desk, sign_up: SignUp) -> Iterator[FieldError]:
    target = sign_up.redirect_to
    if target is not None and not _allowed(target, desk.settings.registration.redirect_to):
        detail = "Use a target that NOTIFIER_REGISTRATION__REDIRECT_TO allows."
        yield FieldError("/redirect_to", "redirect_not_allowed", detail)
    data = json.dumps(sign_up.data, separators=(",", ":"), ensure_ascii=False)
    if sign_up.data is not None and len(data.encode()) > DATA_BYTES:
        yield FieldError("/data", "too_long", f"At most {DATA_BYTES} bytes as JSON.")


def _registration(desk: Desk, client: Client, sign_up: SignUp) -> Registration:
    now = desk.now()
    return Registration(
        id=desk.new_id.new("reg"),
        project=client.project,
        route=client.route,
        email=sign_up.email.address,
        email_key=sign_up.email.address.casefold(),
        name=_fit_name(sign_up.name),
        locale=sign_up.locale,
        data=sign_up.data,
        redirect_to=sign_up.redirect_to,
        status="pending",
        created_at=now,
        confirmed_at=None,
        expires_at=now + timedelta(seconds=desk.settings.registration.life_s),
    )


def _fit_name(name: str | None) -> str | None:
    """The name, if a mail may greet with it.

    One that could carry a message of its own is dropped: refusing it would tell a stranger's
    form what to try next, and the registration does not need it.
    """
    name = (name or "").strip()
    fit = any(map(str.isalnum, name)) and untrusted_fault(name) is None
    return name if fit else None


def _link(desk: Desk, token: str) -> str:
    own_page = desk.settings.registration.link_url
    if own_page is not None:
        return own_page.replace("{token}", token)
    return f"{desk.public_url.rstrip('/')}/confirm?t={token}"


def _allowed(target: str, allow_list: tuple[str, ...]) -> bool:
    """Exact origin and a path prefix that ends at a slash; app schemes match exactly.

    What browsers read otherwise than it looks is refused: backslashes, blanks, dot segments
    also where they are percent-encoded.
    """
    if target in allow_list:
        return True
    if not target.isprintable() or " " in target or "\\" in target:
        return False
    try:
        wanted = urlsplit(target)
    except ValueError:
        return False
    if wanted.scheme not in {"http", "https"} or not wanted.netloc or _climbs(wanted.path):
        return False
    for allowed in map(urlsplit, allow_list):
        prefix = allowed.path.rstrip("/") + "/"
        same_origin = (wanted.scheme, wanted.netloc) == (allowed.scheme, allowed.netloc)
        if same_origin and f"{wanted.path}/".startswith(prefix):
            return True
    return False


def _climbs(path: str) -> bool:
    """Whether some reader could take a segment of it for `.` or `..`."""
    segments = re.split(r"[/\\]", unquote(path))
    return any(segment.partition(";")[0] in {".", ".."} for segment in segments)
