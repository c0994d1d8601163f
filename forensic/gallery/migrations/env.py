"""Alembic runs the migrations through this file, on the connection that ``database.migrate`` hands over."""

from alembic import context

from forensic.gallery.models import Base


def run() -> None:
    """Run the migrations, and what `database.migrate` was given to do then, in one transaction."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transactional_ddl=True,  # SQLite can, once BEGIN is ours (database._begin)
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()
        context.config.attributes["then"](connection)


if __name__ == "env_py":  # the name that alembic loads it under; whoever else imports it only reads
    run()
