"""A payment provider for a laptop: the part of Stripe's protocol that card payments take, for its own clients.

No money moves, and it is not for production. It knows nothing of the shop.
"""
