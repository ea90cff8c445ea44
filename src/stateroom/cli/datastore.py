"""`stateroom datastore`: items of your datastores, and the datastores themselves.

Rules of this file: it only gathers the commands; docs/datastore-cli.md shows them together.
"""

from __future__ import annotations

import click

from stateroom.cli.datastore_bulk import bulk_delete, bulk_get, bulk_put
from stateroom.cli.datastore_export import export_items
from stateroom.cli.datastore_import import import_items
from stateroom.cli.datastore_items import delete, get, put, update
from stateroom.cli.datastore_query import count, query
from stateroom.cli.datastore_schema import schema


@click.group()
def datastore() -> None:
    """Items of your datastores: get, put, update, delete, query, count, in bulk, export and import; their schema.

    Commands on items take the Slack CLI's JSON argument, or the same as words and flags.
    """


for command in (
    get,
    put,
    update,
    delete,
    query,
    count,
    bulk_get,
    bulk_put,
    bulk_delete,
    export_items,
    import_items,
    schema,
):
    datastore.add_command(command)
