"""docs/payment-provider.md names what the laptop's payment provider has."""

import re
from contextlib import closing

from infra.local.payments.app import FAULTS, Api
from infra.local.payments.cards import AUTHENTICATE, DECLINED, GOOD
from infra.local.payments.ledger import Ledger
from tests.support.stack import ROOT

PAGE = (ROOT / "docs" / "payment-provider.md").read_text(encoding="utf-8")


def test_it_names_every_card_and_no_other() -> None:
    assert set(re.findall(r"`(pm_card_\w+)`", PAGE)) == {*GOOD, *AUTHENTICATE, *DECLINED}


def test_it_names_every_fault() -> None:
    table = PAGE.partition("| fault |")[2]
    assert set(re.findall(r"`([a-z-]+)`", "".join(re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)))) == set(FAULTS)


def test_it_names_every_request_beside_stripes_api() -> None:
    with closing(Ledger(":memory:")) as ledger:
        app = Api(ledger, "sk_test_local", lambda: None).app()
    paths = {getattr(route, "path", "") for route in app.routes}
    served = {re.sub(r"\{.*", "", path) for path in paths if path.startswith("/engine/")}
    assert set(re.findall(r"`(?:GET|POST|DELETE) (/engine/\w+/?)", PAGE)) == served
