"""Measurements against the raw limits and the peers: `make bench`. Never timed tests: they say ratios, not times."""
