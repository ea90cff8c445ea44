"""The storage port, the datastore handle over it, leases, one file an engine, and the conformance suite."""
