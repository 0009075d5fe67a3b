"""A person shows the link or the code: confirmed together with exactly one welcome mail."""

from dataclasses import dataclass
from datetime import timedelta

from notifier.core.address import Mailbox
from notifier.core.errors import FieldError, Gone, Invalid, NotFound
from notifier.core.token import code_hmac, normalise_code, token_digest
from notifier.flows.desk import Client, Desk
from notifier.flows.mail import build, plan_of
from notifier.flows.registration import find
from notifier.observe.facts import RegistrationChanged
from notifier.store.acceptance import Acceptance
from notifier.store.events import Event
from notifier.store.registrations import (
    CONFIRM,
    Answer,
    CodePolicy,
    Confirm,
    Confirmation,
    Registration,
    find_by_id,
    find_by_token,
)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The registration afterwards; `already` when it had been confirmed before this call."""

    registration: Registration
    already: bool


async def peek(desk: Desk, token: str) -> Registration:
    """The registration that a link belongs to; changes nothing. Raises NotFound."""
    found = await desk.store.read(find_by_token, token_digest("confirm", token))
    if found is None:
        raise NotFound("This link is not known.", code="token_unknown")
    return found


async def confirm_by_token(desk: Desk, token: str, client: Client | None = None) -> Confirmed:
    """Confirm by the link's token; a second time is a success too.

    `client` limits it to one project; None is the person's own browser. Raises NotFound, Gone.
    """
    registration = await peek(desk, token)
    if client is not None and client.project != registration.project:
        raise NotFound("This token is not known.", code="token_unknown")
    return await _confirm(desk, _confirm_item(desk, registration))


async def confirm_by_code(
    desk: Desk, client: Client, registration_id: str, typed: str
) -> Confirmed:
    """Confirm by the code as a person typed it. Raises NotFound, Gone, Invalid `code_wrong`."""
    registration = await find(desk, client, registration_id)
    code = normalise_code(typed)
    if code is None:
        raise _wrong("code_malformed", "Send the six digits from the mail.")
    hmacs = tuple(code_hmac(key, registration.id, code) for key in desk.secret_keys)
    rules = desk.settings.registration
    policy = CodePolicy(timedelta(seconds=rules.code_life_s), rules.code_tries)
    return await _confirm(desk, _confirm_item(desk, registration, hmacs, policy))


def _confirm_item(
    desk: Desk,
    registration: Registration,
    code_hmacs: tuple[str, ...] = (),
    policy: CodePolicy | None = None,
) -> Confirm:
    now = desk.now()
    event = Event(
        desk.new_id.new("evt"),
        registration.project,
        "registration.confirmed",
        now,
        registration_id=registration.id,
    )
    return Confirm(registration, now, _welcome(desk, registration), event, code_hmacs, policy)


def _welcome(desk: Desk, registration: Registration) -> Acceptance:
    """The welcome mail, ready to be written if this is what confirms the address."""
    client = Client(registration.project, registration.route)
    variables = {} if registration.name is None else {"name": registration.name}
    rendered = desk.catalogue.render("welcome", variables, locale=registration.locale)
    to = Mailbox(registration.email, registration.name)
    return build(desk, plan_of(desk, client, rendered, to))


async def _confirm(desk: Desk, item: Confirm) -> Confirmed:
    registration = item.registration
    said = await desk.store.write(CONFIRM, item)
    _raise_refusal(said)
    already = said.answer is Answer.ALREADY
    if not already:
        desk.observe(RegistrationChanged(registration.id, registration.project, "confirmed"))
    after = await desk.store.read(find_by_id, registration.project, registration.id)
    return Confirmed(after or registration, already)


def _raise_refusal(said: Confirmation) -> None:
    match said.answer:
        case Answer.EXPIRED:
            raise Gone("This registration has expired; register again.", code="expired")
        case Answer.CODE_EXPIRED:
            raise Gone("This code has expired; ask for a new mail.", code="code_expired")
        case Answer.BURNT:
            raise Gone("Too many wrong codes; use the link in the mail.", code="code_burnt")
        case Answer.CODE_WRONG:
            left = "one try is left" if said.tries_left == 1 else f"{said.tries_left} tries left"
            raise CodeWrong(f"This is not the code in the mail; {left}.", said.tries_left)


class CodeWrong(Invalid):
    """A well-formed code that does not match; `tries_left` more may follow."""

    code = "code_wrong"

    def __init__(self, detail: str, tries_left: int) -> None:
        super().__init__(detail, errors=[FieldError("/code", "code_wrong", detail)])
        self.extra = {"tries_left": tries_left}


def _wrong(code: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError("/code", code, detail)])
