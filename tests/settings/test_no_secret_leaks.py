"""Whatever is wrong, no sentence, no repr and nothing shown repeats a secret."""

import re

from hypothesis import given
from hypothesis import strategies as st

from notifier.core.errors import Misconfigured
from notifier.settings.catalogue import catalogue
from notifier.settings.effective import effective
from notifier.settings.load import load
from tests.settings.loading import ENOUGH

MARK = "hunter2"
SECRETS = [known.env_name("MAIN") for known in catalogue().values() if known.is_secret]
PIECES = st.sampled_from(
    ["smtp://", "smtps://", "postgresql://", "user", ":", "@", "/", "#", "?", "%", "tls=", " ",
     "host.example", "127.0.0.1", "25", ",", "[", "]", '"', "\n", "ntf_live_", "x" * 43, "é"]
)  # fmt: skip


@st.composite
def _secret(draw: st.DrawFn) -> str:
    """Something that may look like a URL, a key or a list, with the mark in it."""
    before, after = draw(st.lists(PIECES, max_size=6)), draw(st.lists(PIECES, max_size=6))
    return "".join([*before, MARK, *after])


@given(
    st.dictionaries(st.sampled_from([*SECRETS, "SMTP_URL"]), _secret(), min_size=1, max_size=4),
    st.booleans(),
)
def test_no_secret_is_repeated(secrets: dict[str, str], is_dev: bool) -> None:
    try:
        loaded = load({**ENOUGH, **secrets}, is_dev=is_dev)
    except Misconfigured as error:
        said = [error.detail, repr(error), *error.problems]
    else:
        said = [*loaded.warnings, repr(loaded), *map(str, effective(loaded))]
    # What stands where a relay's host stands is a host, and no secret.
    without_hosts = [re.sub(r"smtps?://(\*\*\*@)?[^:/?]*", "", text) for text in said]
    assert [text for text in without_hosts if MARK in text] == []
