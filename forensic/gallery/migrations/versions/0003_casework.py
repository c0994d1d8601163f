"""Tables for casework, seals of templates, and hashes of index files."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables, and seal the templates that are there."""
    _log()
    _people()
    _cases()
    op.create_table(
        "index_files",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_index_files"),
    )
    op.add_column("templates", sa.Column("seal", sa.LargeBinary(), nullable=True))
    _seal()
    with op.batch_alter_table("templates") as table:
        table.alter_column("seal", nullable=False)


def _seal() -> None:
    """As `forensic.gallery.templates.seal` did it when this was written."""
    connection, last = op.get_bind(), 0
    some = sa.text(
        "SELECT templates.id, template_spaces.digest, photos.sha256, templates.vector FROM templates"
        " JOIN template_spaces ON template_spaces.id = templates.space_id"
        " JOIN photos ON photos.id = templates.photo_id"
        " WHERE templates.id > :last ORDER BY templates.id LIMIT 4096"
    )
    while rows := connection.execute(some, {"last": last}).fetchall():
        seals = [
            {"number": number, "seal": hashlib.sha256(f"{space} {photo}\n".encode() + bytes(vector)).digest()}
            for number, space, photo, vector in rows
        ]
        connection.execute(sa.text("UPDATE templates SET seal = :seal WHERE id = :number"), seals)
        last = rows[-1][0]


def _log() -> None:
    op.create_table(
        "identity",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("gallery", sa.String(32), nullable=False),
        sa.Column("public_key", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity"),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("signature", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
    )


def _people() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )


def _cases() -> None:
    op.create_table(
        "cases",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("legal_basis", sa.String(), nullable=False),
        sa.Column("opened_by", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cases"),
        sa.UniqueConstraint("reference", name="uq_cases_reference"),
    )
    op.create_table(
        "sketches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("file_name", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("made_by", sa.String(), nullable=True),
        sa.Column("described_by", sa.String(), nullable=True),
        sa.Column("drawn_on", sa.String(), nullable=True),
        sa.Column("added_by", sa.String(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], "fk_sketches_case_id_cases"),
        sa.PrimaryKeyConstraint("id", name="pk_sketches"),
        sa.UniqueConstraint("case_id", "sha256", name="uq_sketches_case_id_sha256"),
    )
    op.create_index("ix_sketches_case_id", "sketches", ["case_id"])
    op.create_table(
        "searches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=True),
        sa.Column("record", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], "fk_searches_case_id_cases"),
        sa.PrimaryKeyConstraint("id", name="pk_searches"),
    )
    op.create_index("ix_searches_case_id", "searches", ["case_id"])
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("search_id", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("examiner", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("salt", sa.String(32), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["search_id"], ["searches.id"], "fk_decisions_search_id_searches"),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
        sa.UniqueConstraint("search_id", "rank", "examiner", name="uq_decisions_search_id_rank_examiner"),
    )
    op.create_index("ix_decisions_search_id", "decisions", ["search_id"])
