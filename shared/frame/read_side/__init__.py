"""Read models: projections and their documents, queries that wait for a version, and rebuilds."""
