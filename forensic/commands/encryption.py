"""``forensic gallery encrypt`` and ``forensic gallery key``: encryption at rest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensic.commands.options import Place, gallery_option, open_gallery
from forensic.commands.printing import echo_json
from forensic.errors import UsageError
from forensic.text import printable

if TYPE_CHECKING:
    from forensic.gallery.cipher.keys import UserKey

keyring_option = click.option("--keyring", is_flag=True, help="Make a new key, and keep it in the system's key ring.")


@click.command()
@gallery_option
@keyring_option
def encrypt(gallery: Path, keyring: bool) -> None:
    """Encrypt a plain gallery, or make an empty encrypted one where there is none.

    The key is that of the file which FORENSIC_KEY_FILE names, or FORENSIC_KEY itself; or a new one in the system's key
    ring. Every later command needs it. Whoever loses the key, or the file gallery.key in the gallery's folder, has lost
    the gallery: keep a copy of each, in two places.

    Nobody else may use the gallery meanwhile, and no job may wait for its server: what the server keeps is deleted, so
    that everybody signs in anew. A kill leaves the plain gallery or the encrypted one. The plain files are
    deleted; on SSDs, in snapshots and in backups their bytes may stay.

    \b
    forensic gallery key new --out ~/gallery-key
    FORENSIC_KEY_FILE=~/gallery-key forensic gallery encrypt
    """
    from forensic.gallery.address import FILE, RECORD
    from forensic.gallery.cipher import encrypting
    from forensic.gallery.cipher.encryption import KEY_FILE, SEALED
    from forensic.gallery.database import in_words

    with in_words(str(gallery)):
        there = any((gallery / name).exists() for name in (FILE, f"{SEALED}/{FILE}", RECORD))
    if there:
        with open_gallery(gallery) as opened:
            encrypting.encrypt(opened, _key(keyring))
    else:
        encrypting.create(gallery, _key(keyring))
    click.echo(f"The gallery {gallery} is encrypted. Keep a copy of its {KEY_FILE}, and, elsewhere, one of the key.")


@click.group()
def key() -> None:
    """The key to an encrypted gallery: 256 random bits, never a passphrase.

    It is looked for in the file that FORENSIC_KEY_FILE names, then in FORENSIC_KEY (64 hexadecimal digits or base64),
    then in the system's key ring. What the first of them says counts, right or wrong.
    """


@key.command("new")
@click.option("--out", type=Place(dir_okay=False), help="A new file's name.")
@keyring_option
def new_key(out: Path | None, keyring: bool) -> None:
    """Make a key in a new private file, or in the system's key ring.

    \b
    forensic gallery key new --out /mnt/keys/gallery
    forensic gallery key new --keyring
    """
    from forensic.gallery import address
    from forensic.gallery.cipher import keys

    if (out is None) is not keyring:
        raise UsageError("Say where the key is to be kept: either --out FILE or --keyring.")
    if out is not None:
        address.check_outside(out)  # a key beside what it opens keeps nobody out
    made = keys.new_in_ring() if out is None else keys.new_file(out)
    click.echo(f"{printable(made.source)} holds the new key {made.id}. Keep a copy where only you can reach it.")


@key.command()
@gallery_option
@click.option("--new-key-file", type=Place(dir_okay=False), help="A file with the new key.")
@keyring_option
def rotate(gallery: Path, new_key_file: Path | None, keyring: bool) -> None:
    """Let another key open a gallery, and the present one no more.

    Only gallery.key is written anew. An old copy of it opens with the old key still: destroy such copies too, and if
    both may be in strange hands, export the gallery into a new encrypted one.

    \b
    forensic gallery key new --out /mnt/keys/gallery-2
    forensic gallery key rotate --new-key-file /mnt/keys/gallery-2
    """
    from forensic.gallery.cipher import encrypting, keys

    if (new_key_file is None) is not keyring:
        raise UsageError("Say which key is to open the gallery: either --new-key-file FILE or --keyring.")
    with open_gallery(gallery) as opened:
        made = keys.new_in_ring() if new_key_file is None else keys.UserKey.read(new_key_file)
        encrypting.rotate(opened, made)
    click.echo(f"The key {made.id} opens the gallery {gallery} now, and no other one.")


@key.command()
@gallery_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(gallery: Path, as_json: bool) -> None:
    """Show whether a gallery is encrypted, which key it needs, and where that was found.

    \b
    forensic gallery key show
    """
    from forensic.gallery.cipher import keys
    from forensic.gallery.cipher.encryption import Envelope, unlock

    envelope = Envelope.read(gallery)
    if envelope is None:
        open_gallery(gallery).close()  # or there is none
        record = {"encrypted": False, "keys": [], "source": None}
    else:
        found = keys.find(envelope.ids, gallery)
        unlock(gallery, found)
        record = {"encrypted": True, "keys": envelope.ids, "source": found.source}
    if as_json:
        echo_json(record)
    elif envelope is None:
        click.echo("Not encrypted; 'forensic gallery encrypt' does that.")
    else:
        click.echo(f"Encrypted. {printable(found.source)} holds the key {found.id}, which opens it.")


def _key(keyring: bool) -> UserKey:
    from forensic.gallery.cipher import keys

    if keyring:
        return keys.new_in_ring()
    if (given := keys.of_environment()) is None:
        raise UsageError(
            f"A key is needed: name its file in {keys.FILE_VARIABLE} ({keys.MAKE_ONE}), or give --keyring to keep one "
            "in the system's key ring."
        )
    return given
