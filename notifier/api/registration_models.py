"""Bodies of the registration routes, in both directions."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from notifier.api.fields import BareAddress, Body, JsonMap, time_text
from notifier.flows.registration import SignUp
from notifier.store.registrations import Registration as Stored


class RegistrationBody(Body):
    """A sign-up. `data` comes back with the registration and is put into no mail."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "email": "ada@example.org",
                    "name": "Ada",
                    "locale": "de",
                    "redirect_to": "https://app.example.org/welcome",
                    "data": {"plan": "team"},
                }
            ]
        }
    )

    email: BareAddress
    name: str | None = Field(None, description="dropped when it is unfit for mail")
    locale: str | None = Field(None, max_length=35, examples=["de"])
    redirect_to: str | None = Field(
        None, max_length=2000, description="where the browser goes after the confirmation"
    )
    data: JsonMap | None = None

    def to_sign_up(self) -> SignUp:
        """The same for the flow."""
        return SignUp(self.email, self.name, self.locale, self.redirect_to, self.data)


class CodeBody(Body):
    """The code as the person typed it."""

    code: str = Field(max_length=64, examples=["493 071"])


class TokenBody(Body):
    """The token of the link, for a caller's own page."""

    token: str = Field(min_length=1, max_length=128)


class Registration(BaseModel):
    """A registration. It says nothing about whether the address was known before."""

    id: str = Field(examples=["reg_0197f0c4a1b27c3d8e4f5a6b7c8d9e0f"])
    object: Literal["registration"]
    status: Literal["pending", "confirmed", "expired"]
    resend_at: datetime | None = Field(description="from when a new mail can be asked for")
    created_at: datetime
    confirmed_at: datetime | None
    expires_at: datetime
    data: JsonMap
    hint: str | None = Field(description="the address without its likely typing error")


def registration_json(
    registration: Stored, now: datetime, resend_at: datetime | None
) -> dict[str, Any]:
    """`Registration` as a dict."""
    expired = registration.status == "pending" and registration.expires_at <= now
    return {
        "id": registration.id,
        "object": "registration",
        "status": "expired" if expired else registration.status,
        "resend_at": time_text(resend_at),
        "created_at": time_text(registration.created_at),
        "confirmed_at": time_text(registration.confirmed_at),
        "expires_at": time_text(registration.expires_at),
        "data": dict(registration.data or {}),
        "hint": None,
    }
