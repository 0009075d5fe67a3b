"""A sign-up begins: one registration, one confirmation mail, the same answer for everybody."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from notifier.core.address import Mailbox
from notifier.core.errors import FieldError, Invalid, NotFound
from notifier.core.text import untrusted_fault
from notifier.core.token import TOKEN_BYTES, code_hmac, encode_code, encode_token, token_digest
from notifier.flows.desk import Client, Desk
from notifier.flows.mail import build, plan_of
from notifier.observe.facts import RegistrationChanged
from notifier.store.events import Event
from notifier.store.registrations import REGISTER, NewRegistration, Registration, find_by_id

_CODE_ENTROPY_BYTES = 8


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
    _check_redirect(desk, sign_up.redirect_to)
    registration = _registration(desk, client, sign_up)
    token = encode_token(desk.entropy(TOKEN_BYTES))
    code = encode_code(desk.entropy(_CODE_ENTROPY_BYTES))
    rules = desk.settings.registration
    variables = {
        "link": _link(desk, token),
        "code": code,
        "link_hours": max(1, int(rules.life_s // 3600)),
        "code_minutes": max(1, int(rules.code_life_s // 60)),
    }
    rendered = desk.catalogue.render("verify_email", variables, locale=sign_up.locale)
    new = NewRegistration(
        registration=registration,
        mail=build(desk, plan_of(desk, client, rendered, sign_up.email)),
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
    found = await desk.store.read(find_by_id, client.project, registration_id)
    if found is None:
        raise NotFound("There is no such registration in this project.")
    return found


def _registration(desk: Desk, client: Client, sign_up: SignUp) -> Registration:
    now = desk.now()
    # A name that could carry a message of its own is dropped: refusing it would tell a
    # stranger's form what to try next, and the registration does not need it.
    fit = sign_up.name and untrusted_fault(sign_up.name) is None
    return Registration(
        id=desk.new_id.new("reg"),
        project=client.project,
        route=client.route,
        email=sign_up.email.address,
        email_key=sign_up.email.address.casefold(),
        name=sign_up.name if fit else None,
        locale=sign_up.locale,
        data=sign_up.data,
        redirect_to=sign_up.redirect_to,
        status="pending",
        created_at=now,
        confirmed_at=None,
        expires_at=now + timedelta(seconds=desk.settings.registration.life_s),
    )


def _link(desk: Desk, token: str) -> str:
    own_page = desk.settings.registration.link_url
    if own_page is not None:
        return own_page.replace("{token}", token)
    return f"{desk.public_url.rstrip('/')}/confirm?t={token}"


def _check_redirect(desk: Desk, target: str | None) -> None:
    if target is None or _allowed(target, desk.settings.registration.redirect_to):
        return
    error = FieldError(
        "/redirect_to",
        "redirect_not_allowed",
        "Use a target that NOTIFIER_REGISTRATION__REDIRECT_TO allows.",
    )
    raise Invalid("The registration does not fit.", errors=[error])


def _allowed(target: str, allow_list: tuple[str, ...]) -> bool:
    """Exact origin and a path prefix that ends at a slash; app schemes match exactly."""
    if target in allow_list:
        return True
    if any(char <= " " or char == "\\" for char in target):
        return False
    wanted = urlsplit(target)
    if wanted.scheme not in {"http", "https"} or "/../" in f"{wanted.path}/":
        return False
    for allowed in map(urlsplit, allow_list):
        prefix = allowed.path.rstrip("/") + "/"
        same_origin = (wanted.scheme, wanted.netloc) == (allowed.scheme, allowed.netloc)
        if same_origin and f"{wanted.path}/".startswith(prefix):
            return True
    return False
