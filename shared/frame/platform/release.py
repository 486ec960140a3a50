"""Which release runs: the commit that the deployed package was made of (infra/package.py writes it down)."""

from pathlib import Path

_WRITTEN = Path(__file__).parents[3] / "release.txt"
RELEASE = _WRITTEN.read_text(encoding="ascii").strip() if _WRITTEN.exists() else "unreleased"
"""The commit's name; `unreleased` where the code runs from a working tree."""
