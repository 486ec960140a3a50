"""The whole system over HTTP: real processes, started as a developer starts them."""
