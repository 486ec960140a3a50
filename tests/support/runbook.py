"""The statements in SQL that docs/operations.md gives an administrator of the database."""

import re
from datetime import UTC, datetime

from infra.sql.run import Statement
from tests.support.pages import sections
from tests.support.stack import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
STATEMENTS = {
    section.heading: [statement.text for block in section.blocks("sql") for statement in Statement.all_of(block)]
    for section in sections(PAGE)
    if section.blocks("sql")
}
"""By the heading of their section, in order, as `python -m infra.sql.run` takes them apart."""

SOMEBODY = "00000000-0000-0000-0000-000000000001"


def filled(
    statement: str,
    *,
    SINCE: datetime | None = None,  # noqa: N803  # as there
    LATER: datetime | None = None,  # noqa: N803  # as there
    RESTORED_TO: datetime | None = None,  # noqa: N803  # as there
    customer_id: object = SOMEBODY,
    product_id: object = SOMEBODY,
) -> str:
    """Write the operator's values into a statement, as the page says."""
    now = datetime.now(UTC)
    times = {"SINCE": SINCE, "LATER": LATER, "RESTORED_TO": RESTORED_TO}
    values = {name: f"{time or now:%Y-%m-%d %H:%M:%S}" for name, time in times.items()}
    values |= {"CUSTOMER_ID": f"{customer_id}", "PRODUCT_ID": f"{product_id}"}
    return re.sub(f"'({'|'.join(values)})'", lambda name: f"'{values[name[1]]}'", statement)
