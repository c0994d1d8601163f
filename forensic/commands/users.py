"""``forensic user``: who may use a gallery, and for what."""

import os
from pathlib import Path

import click

from forensic.commands.options import open_place, place_option, prompt
from forensic.commands.printing import Column, echo_json, print_table
from forensic.text import printable

ROLES = ("analyst", "investigator", "examiner", "auditor", "administrator")
NEW_PASSWORD = "FORENSIC_NEW_PASSWORD"  # noqa: S105 - the variable's name

role_option = click.option("--role", required=True, type=click.Choice(ROLES), help="What they may do.")


@click.group()
def user() -> None:
    """Who may use a gallery, and for what.

    A gallery without users asks nobody. The first user has to be an administrator; from then on every command needs
    --as NAME and a role that has the right to it.

    \b
    analyst        enrolls, changes and expunges people, repairs
    investigator   opens cases and searches
    examiner       the same, and decides on candidates
    auditor        reads cases and the audit log, proves that people are expunged
    administrator  changes users, encrypts, backs up, expunges, reads the audit log
    """


@user.command("add")
@click.argument("name")
@place_option
@role_option
def add_user(name: str, gallery: Path, role: str) -> None:
    """Name somebody a user; the password is asked for, or taken from FORENSIC_NEW_PASSWORD.

    \b
    forensic user add m.ito --role administrator               the first one
    forensic user add k.sato --role examiner --as m.ito
    """
    from forensic.gallery.rights import Role

    with open_place(gallery) as opened:
        opened.users.add(name, Role(role), _new_password(name))
    click.echo(f"{printable(name)} is {role} now.")


@user.command("list")
@place_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_users(gallery: Path, as_json: bool) -> None:
    """List the users, removed ones too.

    \b
    forensic user list --as m.ito
    """
    with open_place(gallery) as opened:
        found = opened.users.listed()
    if as_json:
        for row in found:
            echo_json({"user": row.name, "role": row.role, "active": row.active})
        return
    rows = [[row.name, row.role, "" if row.active else "removed"] for row in found]
    print_table([Column("user"), Column("role"), Column("")], rows)


@user.command("role")
@click.argument("name")
@place_option
@role_option
def set_role(name: str, gallery: Path, role: str) -> None:
    """Give a user another role; nobody changes their own.

    \b
    forensic user role k.sato --role auditor --as m.ito
    """
    from forensic.gallery.rights import Role

    with open_place(gallery) as opened:
        opened.users.set_role(name, Role(role))
    click.echo(f"{printable(name)} is {role} now.")


@user.command("password")
@click.argument("name")
@place_option
def set_password(name: str, gallery: Path) -> None:
    """Give a user another password: your own, or anybody's as an administrator.

    \b
    forensic user password k.sato --as k.sato
    """
    with open_place(gallery) as opened:
        opened.users.set_password(name, _new_password(name))
    click.echo(f"{printable(name)} has a new password.")


@user.command("remove")
@click.argument("name")
@place_option
def remove_user(name: str, gallery: Path) -> None:
    """Let a user in no more; what they did stays on record.

    \b
    forensic user remove k.sato --as m.ito
    """
    with open_place(gallery) as opened:
        opened.users.remove(name)
    click.echo(f"{printable(name)} is removed.")


def _new_password(name: str) -> str:
    given = os.environ.get(NEW_PASSWORD)
    if given:
        return given
    return prompt(f"A new password of {name}", NEW_PASSWORD, confirmed=True)
