"""Definitions written down: Slack's manifest, TypeScript, Python and a JSON of our own. Text and values, no files."""
