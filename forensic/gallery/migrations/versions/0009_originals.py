"""Where the originals lie, and where a move of them may have left some."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table: originals lie in the gallery's folder until another place is chosen."""
    op.create_table(
        "originals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("claim", sa.String(), nullable=True),
        sa.Column("unfinished", sa.Boolean(), nullable=False),
        sa.Column("left", sa.String(), nullable=True),
        sa.Column("left_claim", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_originals"),
    )
