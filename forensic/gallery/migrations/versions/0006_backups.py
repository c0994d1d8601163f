"""Keys that seal people and photos in backups, and where the backups are."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables; keys are made by the first backup."""
    op.create_table(
        "backup_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("photo_id", sa.Integer(), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], "fk_backup_keys_person_id_people", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["photo_id"], ["photos.id"], "fk_backup_keys_photo_id_photos", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_backup_keys"),
    )
    op.create_index("ix_backup_keys_person_id", "backup_keys", ["person_id"])
    op.create_index("ix_backup_keys_photo_id", "backup_keys", ["photo_id"])
    op.create_table(
        "backups",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("key_file", sa.String(), nullable=False),
        sa.Column("owes", sa.Boolean(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("head", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_backups"),
        sa.UniqueConstraint("name", name="uq_backups_name"),
    )
