"""What a role needs: SQL for whoever administers the server, to be read before it is run.

Rules of this file: pure. The app may read and write rows and change no table. A reader of one team is held to it by
row-level security, which PostgreSQL asks for every statement of that role, whatever it connects through; why the app's
own role is not is told in docs/adr/0010-row-level-security.md. Each script may be run again, and is when a reader is to
see tables that were made since.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from stateroom.engines.postgresql_tables import Layout, fit, identifier

OWN: Final = ("sr_meta", "sr_tables")  # what `migrate` alone writes


def grants(schema: str, layouts: Iterable[Layout], role: str, team: str | None) -> list[str]:
    """The statements for the app's role, or for a reader of `team`."""
    name, who = _plain(identifier(schema)), _plain(identifier(role))
    if team is None:
        return _app(name, who)
    statements = ["BEGIN", f"GRANT USAGE ON SCHEMA {name} TO {who}"]
    statements += [f"GRANT SELECT ON {name}.{table} TO {who}" for table in OWN]
    for layout in sorted(layouts, key=lambda one: one.name):
        statements += _reader(layout, who, _plain(identifier(fit(f"stateroom_{role}"))), team)
    return [*statements, "COMMIT"]  # else there would be a moment without a policy, in which nobody sees a row


def _app(name: str, who: str) -> list[str]:
    return [
        f"GRANT USAGE ON SCHEMA {name} TO {who}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {who}",
        f"REVOKE INSERT, UPDATE, DELETE ON {', '.join([f'{name}.{table}' for table in OWN])} FROM {who}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {name} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {who}",
    ]


def _reader(layout: Layout, who: str, policy: str, team: str) -> list[str]:
    """Everybody else sees all rows as before (PUBLIC, within their grants); the reader what its own policy leaves."""
    mine = f"team = '{team}'"  # an id of Slack's: letters and digits
    tables = [(_plain(layout.sql), mine)]
    if layout.log:
        streams = _plain(layout.streams)
        whose = f"EXISTS (SELECT FROM {streams} s WHERE s.stream_no = {_plain(layout.sql)}.stream_no)"
        tables = [(streams, mine), (_plain(layout.sql), whose)]  # of streams the reader sees its own
    statements: list[str] = []
    for table, rows in tables:
        statements += [
            f"GRANT SELECT ON {table} TO {who}",
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"DROP POLICY IF EXISTS stateroom_all ON {table}",
            f"CREATE POLICY stateroom_all ON {table} USING (true) WITH CHECK (true)",
            f"DROP POLICY IF EXISTS {policy} ON {table}",
            f"CREATE POLICY {policy} ON {table} AS RESTRICTIVE TO {who} USING ({rows})",
        ]
    return statements


def _plain(quoted: str) -> str:
    """Without the doubled % of statements that have values."""
    return quoted.replace("%%", "%")
