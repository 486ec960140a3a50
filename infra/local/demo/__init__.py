"""A shop's day through the public HTTP API, with a book of what must be true: `python3 dev.py demo`.

`goods` makes up customers, products and addresses; `opening` brings them to the shop and `day` lets them order; `rush`
is a run on the last pieces of one product; `shop` speaks HTTP; `book` is what must be true afterwards, and `audit`
compares every read model with it.
"""
