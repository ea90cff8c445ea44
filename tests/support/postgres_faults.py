"""The proxy of proxy.py before a PostgreSQL server, found by the URL of a store.

Rules of this file: it changes the address in the URL and nothing else.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from psycopg.conninfo import conninfo_to_dict

from stateroom.engines.postgresql_url import read_url
from support import proxy


class Proxy(proxy.Proxy):
    """One before the server of a store's URL; `url` leads through it."""

    def __init__(self, url: str) -> None:
        address = read_url(url)
        self._found = {name: str(value) for name, value in conninfo_to_dict(address.conninfo).items() if value}
        self._schema = address.schema
        host, port = self._found["host"], self._found.get("port", "5432")
        super().__init__(f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, int(port)))

    @property
    def url(self) -> str:
        found = self._found
        where = f"127.0.0.1:{self.port}/{found['dbname']}"
        return f"postgresql://{found['user']}:{found.get('password', '')}@{where}?schema={self._schema}"


def proxied(url: str) -> AbstractAsyncContextManager[Proxy]:
    """A proxy before the server of `url`."""
    return proxy.listening(Proxy(url))
