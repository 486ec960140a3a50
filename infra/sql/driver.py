"""Find Microsoft's ODBC driver: `python -m infra.sql.driver FOLDER` prints what ODBCSYSINI must be, or nothing.

Nothing, if the driver is installed. If it is not, the one that comes with requirements-dev.txt (Linux on x86-64) does:
unixODBC is told where it lies by an odbcinst.ini in the folder.
"""

import argparse
import importlib.util
import sys
from pathlib import Path

NAME = "ODBC Driver 18 for SQL Server"
"""What the database's URL asks for."""


def packaged() -> Path | None:
    """Find the driver among the installed packages."""
    package = importlib.util.find_spec("mssql_python_odbc")
    if package is None or package.origin is None:
        return None
    system = "debian_ubuntu" if Path("/etc/debian_version").exists() else "rhel"
    libraries = Path(package.origin).parent / "libs" / "linux" / system / "x86_64" / "lib"
    return next(libraries.glob("libmsodbcsql-18.*.so.*"), None)


def main() -> None:
    """Print the folder, if it is needed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    import pyodbc  # noqa: PLC0415  # loads unixODBC, whose absence is an error of its own

    if NAME in pyodbc.drivers():
        return
    driver = packaged()
    if driver is None:
        sys.exit(
            f"There is no {NAME} here, and the packages bring it for Linux on x86-64 only: https://learn.microsoft.com/sql/connect/odbc/download-odbc-driver-for-sql-server"
        )
    (folder / "odbcinst.ini").write_text(f"[{NAME}]\nDriver={driver}\n", encoding="utf-8")
    print(folder)  # a command's answer


if __name__ == "__main__":
    main()
