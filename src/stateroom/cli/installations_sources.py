"""Where installations are taken over from: slack_sdk's tables through SQLAlchemy, and a DynamoDB table.

Rules of this file: it reads and judges nothing; a row comes with a name by which its owner finds it again, and never
with a token in an error. Client libraries are imported when their source is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from stateroom.model.errors import StateroomError, WrongUse

BOTS: Final = "slack_bots"
INSTALLATIONS: Final = "slack_installations"
# The table of seed 002's design: its attributes, and ours.
_DYNAMODB: Final = {
    "team_id": "team_id",
    "bot_token": "bot_token",
    "installation_timestamp": "installed_at",
    "bot_user_id": "bot_user_id",
    "scope": "bot_scopes",
}


class SourceUnreadable(StateroomError):
    """The source cannot be reached, or is none that holds installations."""


class Found(NamedTuple):
    """A row: its table and name there, which app's it is (None: the source does not say), whether a person's."""

    place: str
    client_id: str | None
    person: bool
    values: Mapping[str, Any]


def rows(url: str) -> Iterator[Found]:
    """Every row of a source. WrongUse for an address that is none, SourceUnreadable."""
    scheme = urlsplit(url).scheme
    if scheme == "dynamodb":
        yield from _dynamodb(url)
    elif scheme:
        yield from _tables(url)
    else:
        raise WrongUse("--from takes sqlite:///path, an SQLAlchemy URL, or dynamodb://region/table?endpoint=")


def _tables(url: str) -> Iterator[Found]:
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    path = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not path.is_file():
        raise SourceUnreadable(f"{path.name}: there is no such file; sqlite:////absolute.db has four slashes")
    try:
        engine = sqlalchemy.create_engine(url)
    except (SQLAlchemyError, ModuleNotFoundError):
        raise WrongUse("--from: SQLAlchemy does not know this kind of URL; is its driver installed?") from None
    try:
        present = set(sqlalchemy.inspect(engine).get_table_names())
        if not present & {BOTS, INSTALLATIONS}:
            raise SourceUnreadable(f"there is neither {INSTALLATIONS} nor {BOTS} in it")
        for table in (INSTALLATIONS, BOTS):
            if table in present:
                yield from _rows_of(sqlalchemy, engine, table)
    except SQLAlchemyError as error:  # its words hold the statement, and may hold the address
        raise SourceUnreadable(f"the tables cannot be read: {type(error).__name__}") from None
    finally:
        engine.dispose()


def _rows_of(sqlalchemy: Any, engine: Any, table: str) -> Iterator[Found]:
    """As the database has them, without conversion: two ways to keep a time are in use."""
    with engine.connect() as connection:
        for row in connection.execute(sqlalchemy.text(f"SELECT * FROM {table} ORDER BY id")).mappings():
            if table == BOTS and row["bot_token"] is None:
                continue  # what slack_sdk's SQLAlchemy store writes beside an install of a person's token alone
            yield Found(f"{table} {row['id']}", row.get("client_id"), table == INSTALLATIONS, dict(row))


def _dynamodb(url: str) -> Iterator[Found]:
    parts = urlsplit(url)
    table = parts.path.strip("/")
    if not parts.netloc or not table:
        raise WrongUse("--from dynamodb:// takes a region and a table: dynamodb://eu-central-1/slack-workspace-tokens")
    import boto3  # type: ignore[import-untyped]
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

    endpoint = parse_qs(parts.query).get("endpoint", [None])[0]
    client = boto3.client("dynamodb", region_name=parts.netloc, endpoint_url=endpoint)
    try:
        for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
            for item in page["Items"]:
                yield _item(table, item)
    except ClientError as error:
        raise SourceUnreadable(f"{table}: {error.response['Error']['Code']}") from None
    except BotoCoreError as error:
        raise SourceUnreadable(f"{table}: {type(error).__name__}") from None


def _item(table: str, item: Mapping[str, Mapping[str, Any]]) -> Found:
    """Strings and numbers are what the design has; anything else is left to be refused by its name."""
    plain = {name: next(iter(typed.values())) for name, typed in item.items()}
    values = {ours: plain[theirs] for theirs, ours in _DYNAMODB.items() if theirs in plain}
    return Found(f"{table} {plain.get('team_id', '?')}", None, False, values)
