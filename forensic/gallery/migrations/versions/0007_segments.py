"""When each segment of a space changed last, and each index file: so that little is made anew, and hashed again."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table and the column; segments enter the one as they change, files the other as they are written."""
    op.create_table(
        "segments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["space_id"], ["template_spaces.id"], "fk_segments_space_id_template_spaces", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_segments"),
        sa.UniqueConstraint("space_id", "number", name="uq_segments_space_id_number"),
    )
    op.add_column("index_files", sa.Column("modified_ns", sa.BigInteger(), nullable=True))
