"""Durable state for Slack apps, and an AI assistant that runs on it.

Rules of this file: names only; each is imported on first use, so that `import stateroom` costs nothing.
"""

TYPE_CHECKING = False  # typing's own costs 8 ms to import; checkers know the name

if TYPE_CHECKING:
    from stateroom.expr.builder import attr
    from stateroom.model.annotations import (
        CanvasId,
        CanvasTemplateId,
        ChannelCanvasId,
        ChannelId,
        ExpandedRichText,
        FileId,
        ListId,
        MessageTs,
        RichText,
        SalesforceRecordId,
        TeamId,
        Timestamp,
        UsergroupId,
        UserId,
        custom,
    )
    from stateroom.model.content import Content
    from stateroom.model.datastore import (
        Datastore,
        encrypted,
        key,
        personal,
        ttl,
        upgrade,
    )
    from stateroom.model.definition import Definition
    from stateroom.model.errors import (
        BulkFailed,
        ConditionFailed,
        CorruptData,
        DefinitionWarning,
        FormatTooNew,
        IdempotencyMismatch,
        IllegalTransition,
        InvalidCondition,
        InvalidCursor,
        InvalidDefinition,
        InvalidId,
        InvalidValue,
        ItemTooLarge,
        KeyMissing,
        KeyServiceError,
        LeaseLost,
        MigrationNeeded,
        MigrationRefused,
        SealBroken,
        StateroomError,
        StoreUnavailable,
        Throttled,
        TransactionConflict,
        UniqueViolation,
        UnknownDatastore,
        Unsupported,
        WrongUse,
    )
    from stateroom.model.index import Index
    from stateroom.model.lifecycle import Lifecycle
    from stateroom.store import Store, Team, open

__version__ = "0.1.0"

_WHERE = {
    "stateroom.expr.builder": ("attr",),
    "stateroom.model.annotations": (
        *(
            "CanvasId",
            "CanvasTemplateId",
            "ChannelCanvasId",
            "ChannelId",
            "ExpandedRichText",
            "FileId",
            "ListId",
            "MessageTs",
        ),
        *("RichText", "SalesforceRecordId", "TeamId", "Timestamp", "UsergroupId", "UserId", "custom"),
    ),
    "stateroom.model.content": ("Content",),
    "stateroom.model.datastore": ("Datastore", "encrypted", "key", "personal", "ttl", "upgrade"),
    "stateroom.model.definition": ("Definition",),
    "stateroom.model.errors": (
        *("BulkFailed", "ConditionFailed", "CorruptData", "DefinitionWarning", "FormatTooNew", "IdempotencyMismatch"),
        *(
            "IllegalTransition",
            "InvalidCondition",
            "InvalidCursor",
            "InvalidDefinition",
            "InvalidId",
            "InvalidValue",
            "ItemTooLarge",
        ),
        *(
            "KeyMissing",
            "KeyServiceError",
            "LeaseLost",
            "MigrationNeeded",
            "MigrationRefused",
            "SealBroken",
            "StateroomError",
            "StoreUnavailable",
            "Throttled",
        ),
        *("TransactionConflict", "UniqueViolation", "UnknownDatastore", "Unsupported", "WrongUse"),
    ),
    "stateroom.model.index": ("Index",),
    "stateroom.model.lifecycle": ("Lifecycle",),
    "stateroom.store": ("Store", "Team", "open"),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "BulkFailed",
    "CanvasId",
    "CanvasTemplateId",
    "ChannelCanvasId",
    "ChannelId",
    "ConditionFailed",
    "Content",
    "CorruptData",
    "Datastore",
    "Definition",
    "DefinitionWarning",
    "ExpandedRichText",
    "FileId",
    "FormatTooNew",
    "IdempotencyMismatch",
    "IllegalTransition",
    "Index",
    "InvalidCondition",
    "InvalidCursor",
    "InvalidDefinition",
    "InvalidId",
    "InvalidValue",
    "ItemTooLarge",
    "KeyMissing",
    "KeyServiceError",
    "LeaseLost",
    "Lifecycle",
    "ListId",
    "MessageTs",
    "MigrationNeeded",
    "MigrationRefused",
    "RichText",
    "SalesforceRecordId",
    "SealBroken",
    "StateroomError",
    "Store",
    "StoreUnavailable",
    "Team",
    "TeamId",
    "Throttled",
    "Timestamp",
    "TransactionConflict",
    "UniqueViolation",
    "UnknownDatastore",
    "Unsupported",
    "UserId",
    "UsergroupId",
    "WrongUse",
    "attr",
    "custom",
    "encrypted",
    "key",
    "open",
    "personal",
    "ttl",
    "upgrade",
]


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'stateroom' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
