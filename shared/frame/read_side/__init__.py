"""Read models: projections, their documents, how long a query waits for one, and how one is made anew."""
