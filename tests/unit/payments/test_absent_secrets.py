"""Before Stripe's secrets are in the vault nobody is asked with, or believed for, the text of their references."""

from decimal import Decimal
from uuid import uuid4

import pytest
import stripe

from shared.frame.app import App
from shared.frame.platform.settings import Settings
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.kernel.money import Money
from shared.payments.domain.provider import NotFromProvider, ProviderUnavailable
from shared.payments.stripe_provider import StripeProvider
from tests.unit.platform.test_settings import CONNECTIONS

NOBODY_IS_THERE = "http://127.0.0.1:1"
KEY = "@Microsoft.KeyVault(SecretUri=https://kv-tandem.vault.azure.net/secrets/stripe-secret-key)"
WEBHOOK = "@Microsoft.KeyVault(SecretUri=https://kv-tandem.vault.azure.net/secrets/stripe-webhook-secret)"


@pytest.fixture
def provider() -> StripeProvider:
    """As payments get it in an app whose vault has no secrets yet."""
    references = {"STRIPE_SECRET_KEY": KEY, "STRIPE_WEBHOOK_SECRET": WEBHOOK, "STRIPE_API": NOBODY_IS_THERE}
    settings = Settings.from_environment(CONNECTIONS | references)
    return App(settings, CosmosDatabase(settings)).service(StripeProvider.from_environment)


def test_no_request_is_sent_with_a_reference_as_its_key(provider: StripeProvider) -> None:
    with pytest.raises(ProviderUnavailable, match="no account at the payment provider is set up"):
        provider.open(uuid4(), 1, Money(Decimal(1), "EUR"))


def test_a_webhook_that_is_signed_with_the_reference_is_refused(provider: StripeProvider) -> None:
    body = f'{{"id": "evt_1", "object": "event", "data": {{"object": {{"metadata": {{"payment": "{uuid4()}"}}}}}}}}'
    with pytest.raises(NotFromProvider):
        provider.payment_of_webhook(body.encode(), stripe.WebhookSignature.generate_signature_header(body, WEBHOOK))
