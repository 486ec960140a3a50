"""HTTP conduct, the same for every route: parsing, idempotency, ETags, errors, and the description of it all."""
