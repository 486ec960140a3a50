"""What SQLAlchemy knows of Azure SQL without asking it.

SQLAlchemy asks a new server for its version and the like, and all other connections wait meanwhile; that a server is
silent then, they find out one after the other. It writes other T-SQL for a server whose version it does not know.
"""

from typing import Any

from sqlalchemy.dialects.mssql.pyodbc import MSDialect_pyodbc

VERSION = (12, 0, 2000, 8)
"""Azure SQL's, whatever is new in it. What SQLAlchemy does otherwise for later servers, the product does not use."""


def azure_sql_dialect(paramstyle: str) -> MSDialect_pyodbc:
    """Make the dialect that writes T-SQL for Azure SQL, without a connection."""
    # SQLAlchemy has not annotated its dialects
    dialect = MSDialect_pyodbc(paramstyle=paramstyle)  # type: ignore[no-untyped-call]
    tell_of_azure_sql(dialect)
    return dialect


def tell_of_azure_sql(dialect: Any) -> None:
    """Tell a dialect what it would ask a server; from then on it asks nothing."""
    dialect.server_version_info = VERSION
    dialect._setup_version_attributes()  # noqa: SLF001  # what connecting would do
    dialect._supports_nvarchar_max = True  # noqa: SLF001  # as above
    dialect.initialize = lambda _connection: None
