"""A PostgreSQL store's URL: what psycopg is to have of it, what is ours, and what may be shown.

Rules of this file: pure. A URL holds a password, and an error about a URL that cannot be read would show it: so no
error of a parser is passed on, and what is shown (`place`) is made of the parts that hold none.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from stateroom.model.errors import WrongUse

SCHEMA: Final = "stateroom"
TIMEOUT: Final = 30.0  # seconds that one call may take
POOLERS: Final = ("", "session", "transaction")
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS; a URL may say otherwise.
NETWORK: Final = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


class Address(NamedTuple):
    """A store's address. `pooled`: a transaction-mode pooler stands before the server; `timeout` in seconds."""

    conninfo: str
    schema: str
    pooled: bool
    timeout: float
    place: str  # for errors, without credentials


def read_url(url: str) -> Address:
    """The parts of `postgresql://user:password@host:port/database?schema=&pooler=&timeout=`. WrongUse."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        schema, pooler = options.pop("schema", SCHEMA), options.pop("pooler", "")
        timeout = _seconds(options.pop("timeout", str(TIMEOUT)))
        clean = urlunsplit(parts._replace(scheme="postgresql", query=urlencode(options, quote_via=quote)))
        given = {name: value for name, value in conninfo_to_dict(clean).items() if value is not None}
        ports = str(given.get("port", "")).replace(",", "")
        if "@" in parts.path or parts.netloc.count("@") > 1 or parts.fragment or (ports and not ports.isdecimal()):
            raise ValueError  # a password that was cut at a sign of its own, and would be shown
        if not str(given.get("connect_timeout", "10")).isdecimal():
            raise WrongUse("?connect_timeout= takes whole seconds")
        conninfo = make_conninfo("", **{**NETWORK, **given})
    except WrongUse:
        raise
    except (ValueError, psycopg.Error):
        raise WrongUse(
            "the PostgreSQL URL cannot be read; it is postgresql://user:password@host:port/database, each of / ? # "
            "[ ] @ % in a password is written as %2F and so on; its options are schema, pooler, timeout, libpq's own"
        ) from None
    if not schema or len(schema.encode()) > 63 or "\0" in schema or schema.startswith("pg_"):
        raise WrongUse("?schema= takes the name of a schema, 63 bytes at most, and not pg_…, which are the server's")
    if pooler not in POOLERS:
        raise WrongUse("?pooler= is `transaction` (PgBouncer, Supavisor) or `session`")
    where = f"{given.get('host', '')}/{given.get('dbname', '')}"
    return Address(conninfo, schema, pooler == "transaction", timeout, f"postgresql://{where}?schema={schema}")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86400:
        raise WrongUse("?timeout= takes seconds, more than 0")
    return seconds
