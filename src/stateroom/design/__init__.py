"""The design compiler: a design file in; schemas, access map, capacity, findings and runbooks out. Pure."""
