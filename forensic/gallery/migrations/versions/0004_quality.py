"""What was measured of each photo, and people who are known to be two."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the column and the table; photos that are there have no measures yet."""
    # Added in place: to write the table anew would drop the old one, and its templates with it (ON DELETE CASCADE).
    op.add_column("photos", sa.Column("quality", sa.JSON(), nullable=True))
    op.create_table(
        "distinct_people",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("first_id", sa.Integer(), nullable=False),
        sa.Column("second_id", sa.Integer(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["first_id"], ["people.id"], "fk_distinct_people_first_id_people", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["second_id"], ["people.id"], "fk_distinct_people_second_id_people", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_distinct_people"),
        sa.UniqueConstraint("first_id", "second_id", name="uq_distinct_people_first_id_second_id"),
    )
    op.create_index("ix_distinct_people_second_id", "distinct_people", ["second_id"])
