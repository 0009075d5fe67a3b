"""Templates proven at start: compiled, merged, inlined and rendered with every sample.

What is found wrong is a sentence with file and line, and all sentences come at once.
"""

import hashlib
import json
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

from jinja2 import Environment, Template, TemplateSyntaxError, meta, nodes

from notifier.compose.brand import Brand
from notifier.compose.contract import RESERVED, Contract, did_you_mean, read_contract
from notifier.compose.environment import (
    RENDER_ERRORS,
    compile_source,
    make_environment,
    render_bounded,
)
from notifier.compose.inlining import InlineError, inline_css
from notifier.compose.mail_template import MailTemplate, Variant, render_variant
from notifier.compose.merge import MergeError, merged, source_of
from notifier.compose.sources import MailSources, Source, Tree
from notifier.compose.variables import check_variables
from notifier.core.errors import Invalid, Misconfigured

_VERSION_DIGITS = 12
_GLOBALS = RESERVED | {"namespace"}


def load_mails(tree: Tree, brand: Brand) -> dict[str, MailTemplate]:
    """Every mail of `tree`, ready. Adds what cannot be used to `tree.problems`."""
    loader = _Loader(tree, brand)
    mails = {name: loader.load(mail) for name, mail in sorted(tree.mails.items())}
    return {name: mail for name, mail in mails.items() if mail is not None}


@dataclass(frozen=True, slots=True)
class _Compiled:
    template: Template
    names: frozenset[str]


def _names_in(environment: Environment, source: str) -> frozenset[str]:
    """Names that `source` expects from outside; what it sets itself, in any branch, is not one."""
    tree = environment.parse(source)
    own = {name.name for name in tree.find_all(nodes.Name) if name.ctx == "store"}
    return frozenset(meta.find_undeclared_variables(tree) - own)


class _Loader:
    """Loads one mail after the other; problems go to the tree."""

    def __init__(self, tree: Tree, brand: Brand) -> None:
        self._tree = tree
        self._environment = make_environment(tree, brand)
        self._brand = repr(astuple(brand))

    def load(self, mail: MailSources) -> MailTemplate | None:
        found_before = len(self._tree.problems)
        contract = self._contract(mail)
        if contract is None:
            return None
        variants: dict[str | None, Variant] = {}
        for locale, files in mail.bodies.items():
            if variant := self._variant(mail, contract, locale, files):
                variants[locale and locale.lower()] = variant
        samples = dict(self._samples(mail, contract))
        template = MailTemplate(contract, variants, samples)
        # Rendering would only repeat what is known by now.
        if len(self._tree.problems) == found_before:
            self._tree.problems.extend(self._prove(mail, template))
        return template

    def _contract(self, mail: MailSources) -> Contract | None:
        try:
            return read_contract(mail.name, mail.contract.text, str(mail.contract.path))
        except Misconfigured as error:
            self._tree.problems.extend(error.problems)
            return None

    def _samples(
        self, mail: MailSources, contract: Contract
    ) -> Iterator[tuple[str, dict[str, object]]]:
        for name, source in mail.samples.items():
            try:
                variables = json.loads(source.text)
                check_variables(contract, variables)
            except ValueError as error:
                self._tree.problems.append(f"{source.path}: not JSON: {error}.")
            except (Invalid, AttributeError) as error:
                errors = getattr(error, "errors", ())
                told = [f"{each.pointer}: {each.detail}" for each in errors]
                for problem in told or ["must hold an object of variables."]:
                    self._tree.problems.append(f"{source.path}: {problem}")
            else:
                yield name, variables

    def _variant(
        self,
        mail: MailSources,
        contract: Contract,
        locale: str | None,
        files: Mapping[str, Source],
    ) -> Variant | None:
        compiled = {name: self._compile(source, contract) for name, source in sorted(files.items())}
        if None in compiled.values() or not {"subject.txt", "body.txt"} <= compiled.keys():
            return None
        done = {name: each for name, each in compiled.items() if each is not None}
        language = locale or contract.locale
        html = done.get("body.html")
        return Variant(
            locale=language,
            version=self._version(mail, language, files),
            subject=done["subject.txt"].template,
            text=done["body.txt"].template,
            html=html.template if html else None,
            preheader=self._preheader(mail, contract, language),
            subject_variables=done["subject.txt"].names,
        )

    def _compile(self, source: Source, contract: Contract) -> _Compiled | None:
        """The template as mails use it: merged, inlined, and free of undeclared names."""
        environment = self._environment
        try:
            environment.get_template(source.name)
            chunks = merged(environment, source.name)
            text = source_of(chunks)
            names = _names_in(environment, text)
            if source.name.endswith(".html"):
                text = inline_css(chunks)
            template = compile_source(environment, text, source.name, str(source.path))
        except TemplateSyntaxError as error:
            self._problem(Path(error.filename or source.path), error.lineno, error.message or "")
        except (InlineError, MergeError) as error:
            self._problem(source.path, None, str(error))
        except RENDER_ERRORS as error:
            self._problem(source.path, None, f"{type(error).__name__}: {error}")
        else:
            known = contract.variables.keys() | _GLOBALS
            for name in sorted(names - known):
                hint = did_you_mean(name, known)
                self._problem(source.path, None, f"{name} is not declared in mail.toml.{hint}")
            return _Compiled(template, names)
        return None

    def _preheader(self, mail: MailSources, contract: Contract, locale: str) -> Template | None:
        source = contract.preheaders.get(locale)
        if source is None:
            return None
        path = str(mail.contract.path)
        try:
            template = compile_source(self._environment, source, "preheader.txt", path)
            names = _names_in(self._environment, source)
        except TemplateSyntaxError as error:
            self._problem(mail.contract.path, None, f"preheader: {error.message}")
            return None
        for name in sorted(names - contract.variables.keys() - _GLOBALS):
            self._problem(mail.contract.path, None, f"preheader: {name} is not declared.")
        return template

    def _prove(self, mail: MailSources, template: MailTemplate) -> Iterator[str]:
        """Renders every language with every sample, and with its required variables alone."""
        contract = template.contract
        needed = {name for name, variable in contract.variables.items() if variable.required}
        for sample, variables in template.samples.items():
            bare = {name: value for name, value in variables.items() if name in needed}
            for given in (variables, bare):
                values = check_variables(contract, given)
                for locale, variant in template.variants.items():
                    problem = self._prove_files(mail, locale, variant, values)
                    if problem is None:
                        try:
                            render_variant(contract, variant, values)
                        except Invalid as error:
                            problem = f"{mail.contract.path.parent}: {error.errors[0].detail}"
                    if problem:
                        left_out = " without its optional variables" if given is bare else ""
                        yield f"{problem} (with samples/{sample}.json{left_out})"

    def _prove_files(
        self, mail: MailSources, locale: str | None, variant: Variant, values: dict[str, object]
    ) -> str | None:
        """Renders the files as they were written: only these know their lines."""
        files = next(f for tag, f in mail.bodies.items() if (tag and tag.lower()) == locale)
        context = {**values, "locale": variant.locale, "subject": "", "preheader": ""}
        for source in files.values():
            try:
                render_bounded(self._environment.get_template(source.name), context)
            except RENDER_ERRORS as error:
                return f"{self._location(error, source)}: {error}"
        return None

    def _location(self, error: Exception, source: Source) -> str:
        paths = {str(each.path) for each in self._tree.sources()}
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in paths]
        return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(source.path)

    def _version(self, mail: MailSources, locale: str, files: Mapping[str, Source]) -> str:
        """A hash over every file that can have a part in the mail, its language and the brand."""
        parts = [mail.contract, *files.values(), *self._tree.shared.values()]
        told = sorted((part.name, part.text) for part in parts)
        digest = hashlib.sha256(repr((locale, told, self._brand)).encode("utf-8"))
        return digest.hexdigest()[:_VERSION_DIGITS]

    def _problem(self, path: Path, line: int | None, text: str) -> None:
        at = f"{path}:{line}" if line else str(path)
        problem = f"{at}: {text}"
        # A fault in a shared file shows in every mail; once is enough.
        if problem not in self._tree.problems:
            self._tree.problems.append(problem)
