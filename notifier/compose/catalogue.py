"""All templates: loaded and proven once, afterwards a pure function from variables to words."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from notifier.compose.brand import make_brand
from notifier.compose.contract import did_you_mean
from notifier.compose.loading import load_mails
from notifier.compose.mail_template import MailTemplate
from notifier.compose.rendered import Rendered
from notifier.compose.sources import read_tree
from notifier.core.errors import FieldError, Invalid, Misconfigured
from notifier.settings.sections import BrandSettings

__all__ = ["Catalogue", "Rendered", "shipped_templates_dir"]


class Catalogue:
    """The templates by name. Immutable after `load`; may be used from several threads."""

    def __init__(self, mails: Mapping[str, MailTemplate]) -> None:
        self._mails = mails

    @classmethod
    def load(
        cls, dirs: Sequence[Path], brand: BrandSettings, *, public_url: str | None
    ) -> "Catalogue":
        """The templates of `dirs`, the first winning, and behind them the shipped set.

        Raises `Misconfigured` as `of_dirs` does.
        """
        shipped = shipped_templates_dir()
        known = {folder.resolve() for folder in dirs}
        all_dirs = [*dirs, *([] if shipped.resolve() in known else [shipped])]
        return cls.of_dirs(all_dirs, brand, public_url=public_url)

    @classmethod
    def of_dirs(
        cls, dirs: Sequence[Path], brand: BrandSettings, *, public_url: str | None
    ) -> "Catalogue":
        """The templates of `dirs` and no others.

        Every template is compiled and rendered with its samples. Raises `Misconfigured` with
        all problems, each naming file and, where it can be told, line.
        """
        tree = read_tree(dirs)
        mails = load_mails(tree, make_brand(brand, public_url=public_url))
        if tree.problems:
            raise Misconfigured("Templates cannot be used.", problems=tree.problems)
        return cls(mails)

    def names(self) -> tuple[str, ...]:
        """All templates, sorted."""
        return tuple(sorted(self._mails))

    def get(self, name: str) -> MailTemplate:
        """One template with its contract and samples. Raises `Invalid` at `/template/name`."""
        mail = self._mails.get(name)
        if mail is None:
            detail = f"There is no such template.{did_you_mean(name, self._mails)}"
            error = FieldError("/template/name", "unknown_template", detail)
            raise Invalid("There is no such template.", errors=[error])
        return mail

    def render(
        self, name: str, variables: Mapping[str, object], *, locale: str | None = None
    ) -> Rendered:
        """The words of one mail.

        Raises `Invalid` with pointers `/template/name`, `/template/locale` or, one for each
        fault, `/template/variables/<name>`.
        """
        return self.get(name).render(variables, locale)


def shipped_templates_dir() -> Path:
    """The templates that come with Notifier: beside the package in a checkout, else inside it."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "_templates"
    return inside if inside.is_dir() else package.parent / "templates"
