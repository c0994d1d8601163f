"""Until when a person may be kept; and how far the wiping of what was expunged has come."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

NAME = "keep_until"
EARLIER = "keep_until (earlier column)"


def upgrade() -> None:
    """Make the columns. Nobody has a date yet: what a user's own column of that name says was never meant to delete."""
    # Added in place: to write the table anew would drop the old one, and its photos with it (ON DELETE CASCADE).
    op.add_column("people", sa.Column(NAME, sa.Date(), nullable=True))
    op.add_column("loose_objects", sa.Column("rewritten", sa.Boolean(), nullable=True))
    op.execute(sa.update(sa.table("loose_objects", sa.column("rewritten", sa.Boolean()))).values(rewritten=False))
    with op.batch_alter_table("loose_objects") as table:
        table.alter_column("rewritten", nullable=False)
    people = sa.table("people", sa.column("id", sa.Integer()), sa.column("extra", sa.JSON()))
    connection = op.get_bind()
    named = sa.cast(people.c.extra, sa.Text()).ilike("%keep%until%")
    for number, extra in connection.execute(sa.select(people.c.id, people.c.extra).where(named)).fetchall():
        renamed = {EARLIER if _folded(key) == NAME else key: value for key, value in extra.items()}
        if renamed != extra:
            connection.execute(sa.update(people).where(people.c.id == number).values(extra=renamed))


def _folded(column: str) -> str:
    """As `forensic.gallery.records` compared columns' names when this was written."""
    return re.sub(r"[\s-]+", "_", column.strip()).lower()
