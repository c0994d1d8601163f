"""``forensic backup``: copies of a gallery that an expunge reaches wherever they lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from forensic.commands.options import Place, gallery_option, open_gallery, say_plain
from forensic.commands.printing import Column, echo_json, held, print_problems, print_table
from forensic.progress import bar
from forensic.text import counted, printable

Command = TypeVar("Command", bound=Callable[..., Any])
FOLDER = Place()  # what it is, the gallery says better than click
MIB = 2**20


def keys_option(command: Command) -> Command:
    """Add ``--keys FILE``; the command gets it as ``keys``."""
    return click.option("--keys", required=True, type=FOLDER, help="The backup's key file.")(command)


def number_option(command: Command) -> Command:
    """Add ``--number N``; the command gets it as ``number``, or None for the newest snapshot."""
    help = "The snapshot; else the newest one."
    return click.option("--number", type=click.IntRange(min=1), help=help)(command)


@click.group()
def backup() -> None:
    """Copies of a gallery, of which an expunge reaches each one.

    A backup is a folder, DEST, which may be copied as often and to wherever you like; and a key file, which must lie
    apart, in one place that the gallery can reach. Each person and each photo has a key of its own. Expunging takes
    that key out of the key file, and what was sealed with it can be opened nowhere any more.

    \b
    forensic backup make /mnt/backup/gallery --keys /mnt/stick/gallery.keys
    forensic backup make /mnt/backup/gallery
    forensic backup restore /mnt/backup/gallery --keys /mnt/stick/gallery.keys --gallery NEW
    """


@backup.command()
@click.argument("destination", metavar="DEST", type=FOLDER)
@gallery_option
@click.option("--keys", type=FOLDER, help="Where the keys lie: a new file, at a place apart; later it is known.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def make(destination: Path, gallery: Path, keys: Path | None, as_json: bool) -> None:
    """Add a snapshot of the gallery to DEST. Others may work meanwhile; what DEST holds already is not written again.

    Everything that is written is read back from the disk before the snapshot counts.

    \b
    forensic backup make /mnt/backup/gallery --keys /mnt/stick/gallery.keys     the first one
    forensic backup make /mnt/backup/gallery                                    each later one
    """
    from forensic.gallery.backup import backups

    with open_gallery(gallery) as opened, bar("Backing up") as shown:
        made = backups.make(opened, destination, keys, progress=shown)
    if as_json:
        echo_json(made._asdict())
        return
    gone = f" {made.left_out} photos were expunged meanwhile, and are not in it." if made.left_out else ""
    click.echo(
        f"Snapshot {made.number}: {held(made.people, made.photos)}. Written and read back: "
        f"{counted(made.files, 'file')}, {made.size / MIB:.1f} MiB.{gone}"
    )


@backup.command("list")
@click.argument("destination", metavar="DEST", type=FOLDER)
@keys_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_snapshots(destination: Path, keys: Path, as_json: bool) -> None:
    """List the snapshots in DEST, the oldest first. No gallery is needed.

    \b
    forensic backup list /mnt/backup/gallery --keys /mnt/stick/gallery.keys
    """
    from forensic.gallery.backup import restoring

    found = restoring.listed(destination, keys)
    if as_json:
        for snapshot in found:
            echo_json(snapshot._asdict())
        return
    rows = [[str(one.number), one.at[:19], str(one.people), str(one.photos), str(one.head), one.fault] for one in found]
    numbers = [Column(title, right=True) for title in ("people", "photos", "log entries")]
    print_table([Column("snapshot", right=True), Column("at (UTC)"), *numbers, Column("fault")], rows)


@backup.command()
@click.argument("destination", metavar="DEST", type=FOLDER)
@keys_option
@number_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a problem, a line each.")
def verify(destination: Path, keys: Path, number: int | None, as_json: bool) -> None:
    """Decrypt and hash all of a snapshot in DEST; exit status 4 if something is missing or was altered.

    No gallery is needed.

    \b
    forensic backup verify /mnt/backup/gallery --keys /mnt/stick/gallery.keys
    """
    from forensic.gallery.backup import restoring

    with bar("Verifying") as shown:
        found = restoring.check(destination, keys, number, progress=shown)
    print_problems(found.problems, as_json=as_json)
    if not as_json:
        gone = f" {found.destroyed} people and photos in it are expunged: their keys are gone." * bool(found.destroyed)
        click.echo(f"Sound: snapshot {found.number}, {found.blobs} blobs opened.{gone}")


@backup.command()
@click.argument("destination", metavar="DEST", type=FOLDER)
@keys_option
@click.option("--gallery", required=True, type=FOLDER, help="A new folder for the gallery.")
@number_option
@click.option("--incomplete", is_flag=True, help="Leave out what is damaged, and name it, instead of stopping.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def restore(destination: Path, keys: Path, gallery: Path, number: int | None, incomplete: bool, as_json: bool) -> None:
    """Make a gallery anew from a snapshot in DEST, without the people who were expunged since.

    The log says which photos are left out.

    \b
    forensic backup restore /mnt/backup/gallery --keys /mnt/stick/gallery.keys --gallery NEW
    """
    from forensic.gallery.backup import restoring

    with bar("Restoring") as shown:
        restored = restoring.restore(destination, keys, gallery, number, incomplete=incomplete, progress=shown)
    say_plain(gallery)
    if as_json:
        echo_json(restored._asdict() | {"problems": [problem._asdict() for problem in restored.problems]})
        return
    click.echo(
        f"Restored from snapshot {restored.number}: {held(restored.people, restored.photos)}. Left out: "
        f"{held(restored.people_left_out, restored.photos_left_out)}, which are expunged or named below."
    )
    print_problems(restored.problems, as_json=False)


@backup.command()
@click.argument("destination", metavar="DEST", type=FOLDER)
@gallery_option
@click.option("--keep", required=True, type=click.IntRange(min=1), help="So many of the newest snapshots stay.")
def prune(destination: Path, gallery: Path, keep: int) -> None:
    """Remove older snapshots from DEST, and what nobody can open any more.

    \b
    forensic backup prune /mnt/backup/gallery --keep 12
    """
    from forensic.gallery.backup import backups

    with open_gallery(gallery) as opened:
        snapshots, files, size = backups.prune(opened, destination, keep)
    click.echo(f"Removed: {counted(snapshots, 'snapshot')}, {counted(files, 'file')}, {size / MIB:.1f} MiB.")


@backup.command()
@gallery_option
def shred(gallery: Path) -> None:
    """Destroy, in all key files, the keys of who is expunged; exit status 4 if a file cannot be reached.

    An expunge does that by itself. This is for a key file that was out of reach then.

    \b
    forensic backup shred
    """
    from forensic.gallery.backup import backups

    with open_gallery(gallery) as opened:
        print_problems(backups.shred(opened), as_json=False)
    click.echo("The key files hold no key that the gallery has no more.")


@backup.command()
@gallery_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a folder, a line each.")
def status(gallery: Path, as_json: bool) -> None:
    """Show where backups went, where their keys lie, and which keys outlast somebody's expunge; exit status 4 then.

    \b
    forensic backup status
    """
    from forensic.gallery.backup import backups

    with open_gallery(gallery) as opened:
        found, problems = backups.recorded(opened), backups.remaining(opened)
    if as_json:
        for one in found:
            at = one.made_at and one.made_at.isoformat()
            faults = [problem.message for problem in problems if problem.subject == one.destination]
            place = {"destination": one.destination, "keys": one.key_file}
            echo_json(place | {"number": one.number, "at": at, "owes": one.owes, "problems": faults})
        raise click.exceptions.Exit(4 if problems else 0)
    rows = [
        [one.destination, one.key_file, str(one.number or "none"), one.made_at.isoformat()[:19] if one.made_at else ""]
        for one in found
    ]
    if not rows:
        click.echo("No backup was made: forensic backup make DEST --keys FILE")
        return
    print_table([*map(Column, ("folder", "key file")), Column("snapshot", right=True), Column("at (UTC)")], rows)
    print_problems(problems, as_json=False)


@backup.command()
@click.argument("destination", metavar="DEST", type=FOLDER)
@gallery_option
@click.option("--destroyed", is_flag=True, help="You know that the key file, which is out of reach, is destroyed.")
def forget(destination: Path, gallery: Path, destroyed: bool) -> None:
    """Take DEST, whose key file you deleted, off the record: without its keys, nobody opens it again.

    A key file that is out of reach may be there still: that it is destroyed is then for you to say (--destroyed), and
    'expunge prove' tells it as your word.

    \b
    forensic backup forget /mnt/backup/gallery
    """
    from forensic.gallery.backup import backups

    with open_gallery(gallery) as opened:
        backups.forget(opened, destination, destroyed=destroyed)
    click.echo(f"{printable(str(destination))} is no backup of this gallery any more.")
