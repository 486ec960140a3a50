"""A payment provider for a laptop: the part of Stripe's protocol that card payments take, for its own clients.

No money moves, and it is not for production. It knows nothing of the shop.
"""

KEY = "sk_test_local"
SECRET = "whsec_local"  # noqa: S105 -- of a development engine, and printed in its help
