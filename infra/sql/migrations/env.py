"""How Alembic reaches the database, or writes T-SQL for Azure SQL without one."""

from alembic import context
from sqlalchemy.engine import make_url

from infra.sql.migrate import OWNERS, VERSIONS, migrating, take_turn

url = context.config.get_main_option("sqlalchemy.url") or ""

if context.is_offline_mode():
    context.configure(
        dialect_name=make_url(url).get_backend_name(),
        target_metadata=[tables.METADATA for tables in OWNERS],
        version_table_schema=VERSIONS,
        include_schemas=True,
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    # one transaction around all of it: what has been applied is read after the turn is taken
    with migrating(url) as connection:
        take_turn(connection)
        context.configure(
            connection=connection,
            target_metadata=[tables.METADATA for tables in OWNERS],
            version_table_schema=VERSIONS,
            include_schemas=True,
        )
        context.run_migrations()
