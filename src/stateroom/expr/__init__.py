"""What a condition means: a frozen tree, a Python builder, and `evaluate`, which is the definition."""
