"""Which engine holds the gallery's templates, and which photos it still has to forget."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the tables: a gallery searches in memory until an engine is chosen."""
    op.create_table(
        "engine",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_engine"),
    )
    op.create_table(
        "engine_debts",
        sa.Column("photo", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("photo", name="pk_engine_debts"),
    )
