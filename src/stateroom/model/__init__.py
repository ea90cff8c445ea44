"""What data is: definitions, attribute types, keys, limits, errors, codec. No I/O, no clock."""
