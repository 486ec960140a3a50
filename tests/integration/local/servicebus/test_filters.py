"""The subset of SQL that rules may be written in."""

import pytest
from proton import Message, int32

from servicebus_engine import filters
from servicebus_engine.message import Content
from servicebus_engine.topology import CorrelationFilter

CONTENT = Content(
    Message(
        subject="OrderConfirmed",
        id="m1",
        correlation_id="c1",
        group_id="s1",
        properties={"quantity": int32(11), "Region": "eu", "paid": True, "share": 0.5, "my name": "o'hara", "x": "50%"},
    ).encode()
)


@pytest.mark.parametrize(
    "expression",
    [
        "1 = 1",
        "sys.Label = 'OrderConfirmed'",
        "SYS.label = 'OrderConfirmed' AND sys.[MessageId] = 'm1' AND sys.CorrelationId = 'c1' AND sys.SessionId = 's1'",
        "quantity = 11 AND quantity <> 12 AND quantity > 10.5 AND quantity >= 11 AND quantity < 12 AND quantity <= 11",
        "user.quantity > -1",
        "region = 'eu'",
        "paid = TRUE",
        "share = 0.5",
        "[my name] = 'o''hara'",
        "region IN ('us', 'eu')",
        "region NOT IN ('us', 'asia')",
        "sys.Label LIKE 'Order%'",
        "sys.Label LIKE 'Order_onfirmed'",
        "sys.Label NOT LIKE 'order%'",
        "x LIKE '50!%' ESCAPE '!'",
        "x NOT LIKE '50!_' ESCAPE '!'",
        "missing IS NULL",
        "quantity IS NOT NULL",
        "EXISTS(quantity)",
        "NOT EXISTS(missing)",
        "quantity = 1 OR (region = 'eu' AND NOT region = 'us')",
        "missing = 1 OR quantity = 11",
    ],
)
def test_a_true_expression_lets_the_message_in(expression: str) -> None:
    assert filters.sql(expression)(CONTENT)


@pytest.mark.parametrize(
    "expression",
    [
        "1 = 2",
        "quantity > 11",
        "region = 'EU'",
        "missing = 1",
        "missing <> 1",
        "NOT missing = 1",
        "missing IN (1, 2)",
        "missing NOT IN (1, 2)",
        "missing LIKE '%'",
        "missing NOT LIKE '%'",
        "sys.Label NOT LIKE 'Order%'",
        "quantity = '11'",
        "quantity <> '11'",
        "paid = 1",
        "sys.Label LIKE 'Confirmed'",
        "EXISTS(missing)",
        "quantity IS NULL",
        "quantity = 11 AND missing = 1",
    ],
)
def test_an_expression_that_is_false_or_unknown_keeps_the_message_out(expression: str) -> None:
    assert not filters.sql(expression)(CONTENT)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "quantity",
        "quantity + 1 = 12",
        "sys.EnqueuedTimeUtc > 1",
        "other.quantity = 1",
        "quantity = @parameter",
        "newid() = 'x'",
        "region LIKE other",
        "quantity IN (SELECT 1)",
        "SELECT 1",
        "quantity BETWEEN 1 AND 2",
        "quantity = 1; DROP TABLE x",
    ],
)
def test_what_is_not_supported_is_refused(expression: str) -> None:
    with pytest.raises(filters.UnsupportedFilterError):
        filters.sql(expression)


def test_all_properties_of_a_correlation_filter_must_match() -> None:
    wanted = {"Label": "OrderConfirmed", "MessageId": "m1", "Properties": {"region": "eu", "quantity": 11}}
    assert filters.correlation(CorrelationFilter.model_validate(wanted))(CONTENT)
    for changed in ({"Label": "Order"}, {"MessageId": "m"}, {"To": "x"}, {"Properties": {"quantity": "11"}}):
        assert not filters.correlation(CorrelationFilter.model_validate(wanted | changed))(CONTENT)
