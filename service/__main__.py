"""`ownhand`: every command. What computes is imported by the command that needs it."""

import asyncio
import gc
import sys
import warnings
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from licensing.money import Money
from service.accounts import Role
from service.clock import clock_of
from service.errors import OwnhandError
from service.logs import log_as
from service.settings import Settings, read_settings

T = TypeVar("T")


class Objected(click.ClickException):
    """A check objected to a picture."""

    exit_code = 3


class Commands(click.Group):
    """Turns what a person can cause into one sentence and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        from inference.errors import InferenceError, PictureRefused
        from licensing.errors import LicensingError
        from training.errors import TrainingError

        try:
            return super().invoke(ctx)
        except PictureRefused as error:
            raise Objected(str(error)) from error
        except (OwnhandError, LicensingError, InferenceError, TrainingError, ValueError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Personal style models that their makers own, license and can switch off."""
    # Said by a library of the embedded database at every start, and true of every machine without a desktop.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")


def home_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--home", type=Path, help="Folder of everything the embedded default writes.")(function)


def device_option(function: Callable[..., Any]) -> Callable[..., Any]:
    words = "Where to compute: cpu, cuda or cuda:1; default: a GPU if there is one."
    return click.option("--device", help=words)(function)


@main.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
@home_option
@click.option("--demo", is_flag=True, help="Show the whole path once on the sample portfolio, then go on serving.")
@click.option("--no-worker", is_flag=True, help="Web and database alone; workers run elsewhere.")
def serve(host: str | None, port: int | None, home: Path | None, demo: bool, no_worker: bool) -> None:
    """Run everything: embedded database, web, one worker."""
    from service.serve import run_serve

    settings = settings_for(host=host, port=port, home=home)
    run_serve(settings, roles=("web",) if no_worker else ("web", "worker"), with_demo=demo)


@main.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
@home_option
def web(host: str | None, port: int | None, home: Path | None) -> None:
    """Run the web process alone."""
    # Until it serves (`service.web.Server`): what is imported stays, and looking for garbage in it takes a tenth.
    gc.disable()
    from service.postgres import database
    from service.web import run_web

    settings = settings_for(host=host, port=port, home=home)
    with database(settings) as database_url:
        run_web(settings, database_url)


@main.command()
@home_option
@device_option
def worker(home: Path | None, device: str | None) -> None:
    """Run one worker alone."""
    from service.postgres import database
    from service.worker import run_worker

    settings = settings_for(home=home, device=device)
    with database(settings) as database_url:
        asyncio.run(run_worker(settings, database_url))


@main.command(hidden=True)
@home_option
def demo(home: Path | None) -> None:
    """The demonstration alone, against a running service."""
    from service.demo import run_demo

    settings = settings_for(home=home)
    in_database(settings, lambda database_url: asyncio.run(run_demo(settings, database_url)))


@main.command()
@click.option("--anyway", is_flag=True, help="Do not look whether processes of the version before still run.")
@home_option
def migrate(home: Path | None, anyway: bool) -> None:
    """Bring the database up to date. Processes of the version before go on where all that changes is additions."""
    from service.db.prepare import prepare_database

    in_database(settings_for(home=home), partial(prepare_database, anyway=anyway))
    click.echo("The database is up to date.")


@main.command("set-up-bucket")
@home_option
def set_up_bucket(home: Path | None) -> None:
    """Have the bucket of OWNHAND_STORAGE_URL delete uploads that nobody finished. Its other rules stay."""
    settings = settings_for(home=home)
    if settings.storage_url is None or not settings.storage_url.startswith("s3:"):
        raise click.ClickException("OWNHAND_STORAGE_URL names no bucket; write it like s3://bucket/prefix")
    from service.storage.bucket_rules import set_rule
    from service.storage.s3 import open_bucket

    click.echo(set_rule(open_bucket(settings.storage_url)))


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--keep", type=click.IntRange(min=1), help="Then delete all backups there but so many, the newest.")
@home_option
def backup(folder: Path, keep: int | None, home: Path | None) -> None:
    """Back up the database, objects and keys to FOLDER, encrypted, while everything runs.

    The keys that decrypt it lie in the folder of OWNHAND_BACKUP_KEYS; keep that apart from both.
    """
    from service.backups.keys import BackupKeys
    from service.backups.shelf import Shelf
    from service.backups.taking import take_backup

    settings = settings_for(home=home)
    shelf, now = Shelf(folder=folder, keys=BackupKeys(folder=settings.backup_keys_folder)), clock_of(settings)()
    taken = in_database(settings, lambda url: take_backup(settings, url, shelf, now=now))
    click.echo(f"{taken.folder}: {taken.num_objects} objects, of which {taken.num_new} are new here")
    click.echo(f"The keys that decrypt it are in {settings.backup_keys_folder}.")
    if keep is not None:
        click.echo(
            "Deleted {} earlier backup(s) and {} object(s) that no backup has any more.".format(*shelf.prune(keep))
        )


@main.command()
@click.argument("backup", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--drill", is_flag=True, help="Into a folder that is deleted again: whether the backup is good.")
@home_option
def restore(backup: Path, drill: bool, home: Path | None) -> None:
    """Make an empty place out of BACKUP, one folder that `ownhand backup` wrote, and look whether it is well.

    What was switched off or destroyed since stays so. Exits with 1 where something is not well.
    """
    from service.backups.drill import restore_and_look

    settings = settings_for(home=home)
    findings = restore_and_look(settings, backup, is_drill=drill, now=clock_of(settings)())
    for finding in findings:
        click.echo(f"{'ok ' if finding.is_well else '!! '} {finding.subject}: {finding.sentence}")
    sys.exit(0 if all(finding.is_well for finding in findings) else 1)


@main.command()
@home_option
@click.option("--ledger", is_flag=True, help="Also recompute the whole ledger and hold it against its checkpoints.")
@click.option(
    "--checkpoints",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with copies of checkpoints that were kept elsewhere; goes with --ledger.",
)
@click.option("--style", default="", help="A destroyed style: also look whether anything of it is left.")
@click.option("--self-test", is_flag=True, help="Also train a tiny model here, draw one picture, seal and verify it.")
@device_option
def doctor(
    home: Path | None, ledger: bool, checkpoints: Path | None, style: str, self_test: bool, device: str | None
) -> None:
    """Look for what is wrong and say how to mend it."""
    from service.doctor import examine

    settings = settings_for(home=home, device=device)
    asked: dict[str, Any] = {"with_ledger": ledger or checkpoints is not None, "elsewhere": checkpoints}
    findings = asyncio.run(examine(settings, style_id=style, with_self_test=self_test, **asked))
    for finding in findings:
        click.echo(f"{'ok ' if finding.is_well else '!! '} {finding.subject}: {finding.sentence}")
    sys.exit(0 if all(finding.is_well for finding in findings) else 1)


@main.command()
@click.argument("month")
@home_option
def report(month: str, home: Path | None) -> None:
    """Count a month's public report again from the rows, and say what differs from what was published.

    Exits with 1 where something differs.
    """
    from service import desk

    settings = settings_for(home=home)
    is_same, lines = run(settings, lambda conn: desk.count_report(conn, settings, month))
    for line in lines:
        click.echo(line)
    sys.exit(0 if is_same else 1)


@main.command()
@click.option("--role", type=click.Choice(["creator", "client", "operator"]), required=True)
@click.option("--email", required=True)
@click.option("--name", help="How people see it; default: the address before the @.")
@home_option
def invite(role: Role, email: str, name: str | None, home: Path | None) -> None:
    """Make an account if needed and print a sign-in link that works once."""
    from service import desk

    settings = settings_for(home=home)
    now = clock_of(settings)()
    click.echo(run(settings, lambda conn: desk.invite(conn, settings, role=role, email=email, name=name, now=now)))


@main.command("reset-sign-in")
@click.option("--email", required=True)
@home_option
def reset_sign_in(email: str, home: Path | None) -> None:
    """For somebody who lost their second factor: take it and the password away, end all sessions, print a link."""
    from service import desk

    settings = settings_for(home=home)
    now = clock_of(settings)()
    click.echo(run(settings, lambda conn: desk.reset_sign_in(conn, settings, email=email, now=now)))


@main.command()
@click.option("--email", required=True)
@click.option("--test", is_flag=True, help="A client's key for trying: marked pictures, no cost.")
@click.option("--scopes", default="", help="What it may do, separated by commas; default: all of its role.")
@click.option("--cap", type=click.IntRange(min=0), help="The most it may spend, in minor units.")
@click.option("--days", type=click.IntRange(min=1), help="After how many days it ends; default: when it is revoked.")
@home_option
def token(email: str, test: bool, scopes: str, cap: int | None, days: int | None, home: Path | None) -> None:
    """Print a new API token of an account, once, alone on standard output."""
    from service import desk

    settings = settings_for(home=home)
    named, now = [scope.strip() for scope in scopes.split(",") if scope.strip()], clock_of(settings)()

    def make(conn: Any) -> Any:
        return desk.token(conn, settings, email=email, test=test, scopes=named, cap=cap, days=days, now=now)

    click.echo(run(settings, make))


@main.command()
@click.option("--email", required=True)
@click.option("--amount", type=click.IntRange(min=1), required=True, help="In minor units: 500 is 5.00.")
@click.option("--currency", default="EUR", show_default=True)
@click.option("--reference", help="The payment's own name; the same one is never booked twice.")
@home_option
def credit(email: str, amount: int, currency: str, reference: str | None, home: Path | None) -> None:
    """Book prepaid money that a client paid by other ways."""
    from service import desk

    settings = settings_for(home=home)
    money, now = Money(amount, currency), clock_of(settings)()
    booked = run(settings, lambda conn: desk.credit(conn, email=email, money=money, reference=reference, now=now))
    click.echo(booked)


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@home_option
def verify(file: Path, home: Path | None) -> None:
    """Say what a file's seal and certificate prove."""
    from service import desk

    settings = settings_for(home=home)
    now = clock_of(settings)()
    click.echo(run(settings, lambda conn: desk.verdict(conn, settings, file, now=now)))


@main.command()
@click.option("--email", required=True)
@click.option("--confirm", required=True, help="The address again: there is no way back.")
@click.option("--give-up", is_flag=True, help="Let go of money and paid periods that are left.")
@home_option
def erase(email: str, confirm: str, give_up: bool, home: Path | None) -> None:
    """Erase a client's or creator's account: whoever they were, nothing here tells it any more."""
    from service import desk

    settings = settings_for(home=home)
    now = clock_of(settings)()

    def close(conn: Any) -> Any:
        return desk.erase(conn, settings, email=email, confirm=confirm, gives_up=give_up, now=now)

    click.echo(run(settings, close))


@main.command("rotate-keys")
@click.option("--only", type=click.Choice(["seal", "documents"]), help="One of the two; default: both.")
@home_option
def rotate_keys(only: str | None, home: Path | None) -> None:
    """Sign with new keys from now on, while everything runs. What was signed before stays valid."""
    from service import desk

    for sentence in desk.rotate_keys(settings_for(home=home), seal=only != "documents", documents=only != "seal"):
        click.echo(sentence)


@main.command()
@click.option("--base", default="openicons", show_default=True, help="An id in configs/bases.")
@click.option("--works", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--recipe", default="", help="A name in configs/recipes; default: the base's own.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--max-minutes", type=float, default=0, help="A hard limit of its time; default: none.")
@home_option
@device_option
def train(home: Path | None, device: str | None, **asked: Any) -> None:
    """Train an adapter from a folder of works, without the service. Whoever runs this attests the rights to them.

    Exits with 0 where the release gate passed it, 3 where it refused.
    """
    from service.shell import train_here

    settings = settings_for(home=home, device=device)
    ended = train_here(settings, say=click.echo, **asked)
    sys.exit({"passed": 0, "refused": 3, "interrupted": 75}[ended])


@main.command()
@click.option("--base", default="openicons", show_default=True, help="An id in configs/bases.")
@click.option("--adapter", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--prompt")
@click.option("--seed", type=int, help="The same seed makes the same picture; default: one by chance.")
@click.option("--image", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A picture to vary.")
@click.option("--strength", type=float, help="How far from the picture to go, 0 to 1.")
@click.option("--no-trigger", is_flag=True, help="Leave the adapter's trigger out of the prompt.")
@click.option("--enlarge", is_flag=True, help="Draw the edges anew, larger, as paid pictures are delivered.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--receipt", type=click.Path(dir_okay=False, path_type=Path), help="Where to write how it was made.")
@click.option(
    "--again",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A receipt, instead of a prompt: make that picture again, with the adapter and image it names.",
)
@device_option
def generate(out: Path, device: str | None, receipt: Path | None, again: Path | None, **asked: Any) -> None:
    """Make one picture, without the service.

    Exits with 3 where the content check of OWNHAND_CONTENT_CHECKER objects to it.
    """
    from inference.checkers import open_checker
    from inference.devices import choose_device
    from inference.run import generate_file, make_again, require_folder, said_beside, write_receipt

    settings = settings_for(device=device)
    chosen = choose_device(settings.device)
    checkers = [open_checker(settings.content_checker)] if settings.content_checker else []
    if receipt is not None:
        require_folder(receipt)
    if again is not None:
        if said := said_beside(asked):
            raise click.UsageError(f"The receipt says what {said} was; leave that out.")
        adapters = [asked["adapter"]] if asked["adapter"] else []
        given = {"adapters": adapters, "image": asked["image"], "device": chosen, "checkers": checkers}
        picture = make_again(receipt=again, out=out, **given)
    elif asked["prompt"] is not None:
        picture = generate_file(out=out, device=chosen, checkers=checkers, **asked)
    else:
        raise click.UsageError("Name a --prompt, or --again with a receipt.")
    if receipt is not None:
        write_receipt(picture, receipt)
    click.echo(f"{out}: {picture.width} x {picture.height}, seed {picture.seed}, {picture.seconds:.1f} s")
    for note in picture.notes:
        click.echo(note)


def settings_for(**given: Any) -> Settings:
    """Settings from the environment and the command line, with logging set up accordingly."""
    settings = read_settings(**given)
    log_as(settings.log_format, settings.log_level.upper())
    return settings


def in_database(settings: Settings, do: Callable[[str], T]) -> T:
    """`do` with the URL of the database, which is started if it does not run."""
    from service.postgres import database

    with database(settings) as database_url:
        return do(database_url)


def run(settings: Settings, do: Callable[[Any], Awaitable[T]]) -> T:
    """`do` with a connection to the migrated database."""
    from service.db.connections import connect
    from service.db.prepare import prepare_database

    async def connected(database_url: str) -> T:
        conn = await connect(database_url)
        try:
            return await do(conn)
        finally:
            await conn.close()

    def prepared(database_url: str) -> T:
        prepare_database(database_url)
        return asyncio.run(connected(database_url))

    return in_database(settings, prepared)


if __name__ == "__main__":
    main()
