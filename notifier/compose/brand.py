"""The sender's looks, worked out once: colours that can be read, addresses that are absolute."""

from dataclasses import dataclass
from urllib.parse import urljoin

from notifier.compose.urls import is_safe_url
from notifier.core.contrast import readable, text_on
from notifier.core.errors import Misconfigured
from notifier.settings.sections import BrandSettings

CARD_LIGHT = "#ffffff"
CARD_DARK = "#1c1e24"


@dataclass(frozen=True, slots=True)
class Brand:
    """What templates see as `brand`.

    `on_color` is the text colour on `color`; `link` and `link_dark` are `color` made readable
    (WCAG AA) on the light and the dark card. `url`, `logo` and `address` may be None.
    """

    name: str
    url: str | None
    logo: str | None
    address: str | None
    color: str
    on_color: str
    link: str
    link_dark: str


def make_brand(settings: BrandSettings, *, public_url: str | None) -> Brand:
    """The brand as templates use it. A logo may be a path below `public_url`.

    Raises `Misconfigured` when `url` or `logo` is not a usable address.
    """
    logo = settings.logo
    if logo and public_url and logo.startswith("/"):
        logo = urljoin(public_url, logo)
    problems = [
        f"NOTIFIER_BRAND__{name} must be a full https:// address."
        for name, value in (("URL", settings.url), ("LOGO", logo))
        if value and not (is_safe_url(value) and value.lower().startswith("http"))
    ]
    if problems:
        raise Misconfigured("The brand cannot be shown in a mail.", problems=problems)
    return Brand(
        name=settings.name,
        url=settings.url or None,
        logo=logo or None,
        address=settings.address or None,
        color=settings.color.lower(),
        on_color=text_on(settings.color),
        link=readable(settings.color, CARD_LIGHT),
        link_dark=readable(settings.color, CARD_DARK),
    )
