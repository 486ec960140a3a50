"""A machine without Microsoft's ODBC driver migrates with the one that comes with the packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.sql.driver import NAME, packaged
from tests.infra.tools import ROOT

CONNECT = """
import pyodbc
try:
    pyodbc.connect("Driver={ODBC Driver 18 for SQL Server};Server=127.0.0.1,1;Encrypt=yes", timeout=1)
except pyodbc.Error as error:
    print(error)
"""
needs_driver = pytest.mark.skipif(packaged() is None, reason="the packaged driver is for Linux on x86-64")


def python(*arguments: str, folder: Path) -> str:
    """Run Python as where no driver is registered but what the folder says."""
    environment = {**os.environ, "ODBCSYSINI": str(folder), "ODBCINI": "/dev/null", "HOME": str(folder)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@needs_driver
def test_a_machine_without_it_gets_the_packaged_one_and_unixodbc_loads_it(tmp_path: Path) -> None:
    assert python("-m", "infra.sql.driver", str(tmp_path), folder=tmp_path).strip() == str(tmp_path)
    assert f"[Microsoft][{NAME}]" in python("-c", CONNECT, folder=tmp_path)  # its own answer, not unixODBC's IM002


@needs_driver
def test_a_machine_with_it_keeps_its_own(tmp_path: Path) -> None:
    (tmp_path / "odbcinst.ini").write_text(f"[{NAME}]\nDriver=/its/own\n")
    assert python("-m", "infra.sql.driver", str(tmp_path), folder=tmp_path) == ""
    assert "/its/own" in (tmp_path / "odbcinst.ini").read_text()
