"""A mail of the tests' own, to be broken in one place at a time."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from notifier.compose.catalogue import Catalogue
from notifier.settings.sections import BrandSettings

Files = dict[str, str]
Load = Callable[..., Catalogue]

MAIL: Files = {
    "mail.toml": """
        preheader = "For {{ who }}"
        [variables.who]
        [variables.link]
        type = "url"
        required = false
        [variables.items]
        type = "list"
        default = []
    """,
    "subject.txt": "Hello {{ who }}\n",
    "body.txt": "Dear {{ who }} & co{% if link %}, {{ link }}{% endif %}\n",
    "body.html": """<html><body><p>{{ who }} & co</p>
        {% if link %}<a href="{{ link }}">x</a>{% endif %}
        {% for item in items %}<i>{{ item.name }}</i>{% endfor %}</body></html>""",
    "samples/one.json": '{"who": "Jane", "link": "https://example.org", "items": [{"name": "a"}]}',
}


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Writes the files of a mail `mail` (and, by paths with `../`, beside it) and loads them.

    The shipped set stays away, except for `_base.txt`.
    """
    (tmp_path / "own").mkdir()
    base = "{% block content %}{% endblock %}"
    (tmp_path / "own" / "_base.txt").write_text(base, "utf-8")

    def write_and_load(changes: Mapping[str, str | None] | None = None) -> Catalogue:
        for name, text in {**MAIL, **(changes or {})}.items():
            path = tmp_path / "own" / "mail" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                path.write_text(text, "utf-8")
        return Catalogue.of_dirs([tmp_path / "own"], BrandSettings(), public_url=None)

    return write_and_load
