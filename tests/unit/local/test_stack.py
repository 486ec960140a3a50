"""What a running stack writes down of itself."""

import json
from pathlib import Path

from infra.local.stack import Stack


def test_nobody_else_reads_its_settings_for_one_may_have_a_password(tmp_path: Path) -> None:
    (tmp_path / "stack.json.draft").write_text("left by one that was killed")
    stack = Stack("http://127.0.0.1:1", str(tmp_path), 1, {}, settings={"SqlConnection": "mssql+pyodbc://sa:p@h/d"})
    stack.write(tmp_path)
    file = tmp_path / "stack.json"
    assert json.loads(file.read_text(encoding="utf-8"))["settings"] == stack.settings
    assert file.stat().st_mode & 0o077 == 0
