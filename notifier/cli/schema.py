"""`notifier migrate`."""

import typer

from notifier.assembly.process import migrate as bring_up_to_date
from notifier.cli.settings import AsJson, Dev, load_here
from notifier.cli.terminal import HELP_OPTIONS, example, put_json, say, working

app = typer.Typer(context_settings=HELP_OPTIONS, rich_markup_mode=None, add_completion=False)


@app.command(epilog=example("notifier migrate"))
def migrate(*, dev: Dev = False, as_json: AsJson = False) -> None:
    """Bring the database's schema up to date.

    Waits for another process that is at it. On SQLite every start does this by itself; on
    PostgreSQL the others wait for this command, unless NOTIFIER_DATABASE__MIGRATE=auto.
    """
    settings = load_here(is_dev=dev, purpose="manage").settings
    with working("Migrating ..."):
        report = bring_up_to_date(settings)
    if as_json:
        put_json({"before": report.before, "after": report.after})
    elif report.before == report.after:
        say(f"The schema is at revision {report.after}; nothing was to be done.")
    else:
        say(f"The schema went from {report.before or 'nothing'} to revision {report.after}.")
