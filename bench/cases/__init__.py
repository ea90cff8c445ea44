"""One file a group of claims; each case registers itself with `bench.frame.case`."""
