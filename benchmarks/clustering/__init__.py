"""A Ray cluster on one machine, in a network of its own, and a painter that only counts, for tests and measurements."""
