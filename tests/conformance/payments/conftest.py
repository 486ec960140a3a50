"""Stripe's own client on the laptop's provider, or, with CONFORMANCE_STRIPE_KEY, on Stripe's own test mode."""

import os
from collections.abc import Iterator

import pytest
import stripe

from infra.local.payments.running import running


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stripe.StripeClient]:
    key = os.environ.get("CONFORMANCE_STRIPE_KEY", "")
    if key:
        if not key.startswith("sk_test_"):
            pytest.fail("CONFORMANCE_STRIPE_KEY is no key of Stripe's test mode: it does not begin with sk_test_")
        yield stripe.StripeClient(key, max_network_retries=2)
    else:
        with running(tmp_path_factory.mktemp("payments")) as engine:
            yield stripe.StripeClient(engine.key, base_addresses={"api": engine.url}, max_network_retries=0)
