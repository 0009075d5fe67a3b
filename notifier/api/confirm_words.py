"""What the confirmation page says, in the languages it speaks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

State = Literal["ask", "done", "already", "dead", "unknown", "later"]


@dataclass(frozen=True, slots=True)
class Words:
    """Texts of one state of the page; `button` and `small` where there is a button."""

    title: str
    text: str
    button: str = ""
    small: str = ""


TONES: Final[Mapping[State, str]] = {
    "ask": "plain",
    "done": "good",
    "already": "good",
    "dead": "bad",
    "unknown": "bad",
    "later": "bad",
}

_ENGLISH: Final[Mapping[State, Words]] = {
    "ask": Words(
        "Confirm your address",
        "One click, and your address is confirmed.",
        "Confirm address",
        "If you did not ask for this, close the page. Nothing will happen.",
    ),
    "done": Words("Address confirmed", "Thank you. You can close this page."),
    "already": Words("Already confirmed", "This address is confirmed. You can close this page."),
    "dead": Words("This link has expired", "Please sign up again to get a new one."),
    "unknown": Words(
        "This link does not work",
        "It may be incomplete. Open it from the mail again, or sign up once more.",
    ),
    "later": Words(
        "Not possible right now",
        "Please open the link in the mail again in a few minutes. It stays valid.",
    ),
}
_GERMAN: Final[Mapping[State, Words]] = {
    "ask": Words(
        "Adresse bestätigen",
        "Ein Klick, und Ihre Adresse ist bestätigt.",
        "Adresse bestätigen",
        "Haben Sie das nicht angefordert? Dann schließen Sie die Seite, es geschieht nichts.",
    ),
    "done": Words("Adresse bestätigt", "Vielen Dank. Sie können diese Seite schließen."),
    "already": Words(
        "Schon bestätigt", "Diese Adresse ist bestätigt. Sie können diese Seite schließen."
    ),
    "dead": Words(
        "Dieser Link ist abgelaufen", "Bitte registrieren Sie sich noch einmal für einen neuen."
    ),
    "unknown": Words(
        "Dieser Link funktioniert nicht",
        "Vielleicht ist er unvollständig. Öffnen Sie ihn noch einmal aus der Mail, "
        "oder registrieren Sie sich noch einmal.",
    ),
    "later": Words(
        "Im Moment nicht möglich",
        "Bitte öffnen Sie den Link in der Mail in einigen Minuten noch einmal. Er bleibt gültig.",
    ),
}
LANGUAGES: Final[Mapping[str, Mapping[State, Words]]] = {"en": _ENGLISH, "de": _GERMAN}


def language_of(locale: str | None, accepted: str) -> str:
    """The page's language: the registration's locale, else the first of `Accept-Language` that
    it speaks, else English.
    """
    wanted = [locale or "", *(part.partition(";")[0] for part in accepted[:200].split(","))]
    for tag in wanted:
        language = tag.strip().lower().replace("_", "-").partition("-")[0]
        if language in LANGUAGES:
            return language
    return "en"
