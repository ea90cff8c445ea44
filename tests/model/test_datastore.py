"""The pydantic face: a class becomes a definition, its objects are kept as they are and come back equal."""

import enum
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

import stateroom as sr
from stateroom.model.attributes import Attribute
from stateroom.model.codec import decode, encode
from stateroom.model.datastore import definition_of
from support.tables import each

SECRET = "hunter2"
Points = NewType("Points", int)


class Priority(enum.Enum):
    HIGH = "high"
    LOW = "low"


class Level(enum.IntEnum):
    ONE = 1
    TWO = 2


class Label(BaseModel):
    model_config = ConfigDict(extra="forbid")

    label: str = Field(max_length=8)
    by: Annotated[sr.UserId, sr.personal()] | None
    since: date | None = None


class Ticket(sr.Datastore, name="tickets", version=2, changes=True, keep_deleted=60):
    id: str = sr.key(description="which one")
    status: Literal["open", "approved", "done"] = "open"
    owner: sr.UserId = sr.personal()
    watchers: list[sr.UserId] = []
    labels: list[Annotated[Label, sr.custom("Label")]] = []
    priority: Priority = Priority.LOW
    level: Level | None = None
    votes: int = Field(0, ge=0, le=10, description="how many want it")
    points: Points = Points(0)
    price: Decimal | None = None
    weight: float | None = None
    due: Optional[date] = None  # noqa: UP045  both ways of writing it
    meta: dict[str, Any] = {}
    pair: tuple[int, ...] = ()
    parent: str | None
    source: str = Field("mail", alias="from")
    token: SecretStr | None = sr.encrypted()
    expires_at: sr.Timestamp | None = sr.ttl()

    __indexes__ = [sr.Index("status", "votes"), sr.Index("from", unique=True)]
    __lifecycle__ = sr.Lifecycle("status", initial="open", open=["approved"], approved=["done"])

    @sr.upgrade(from_version=1)
    @staticmethod
    def with_votes(item: dict[str, Any]) -> dict[str, Any]:
        return {**item, "votes": item.pop("likes", 0)}


DEFINITION = definition_of(Ticket)


def ticket(**changes: Any) -> Ticket:
    return Ticket(**{"id": "T-1", "owner": "U00000001", "parent": None, **changes})


def test_every_option_of_a_class_reaches_its_definition() -> None:
    assert (DEFINITION.name, DEFINITION.key, DEFINITION.ttl, DEFINITION.version) == ("tickets", "id", "expires_at", 2)
    assert (DEFINITION.changes, DEFINITION.keep_deleted, DEFINITION.profile) == (True, 60, "open")
    assert DEFINITION.indexes == (sr.Index("status", "votes"), sr.Index("from", unique=True))
    assert DEFINITION.lifecycle == Ticket.__lifecycle__
    assert DEFINITION.encrypted == {"token"}
    assert DEFINITION.personal == {"owner", "labels"}
    assert list(DEFINITION.upgrades) == [1]


@each(
    ("name", "attribute"),
    [
        ("id", Attribute("string", required=True, description="which one")),
        ("status", Attribute("string", values=("open", "approved", "done"))),
        ("owner", Attribute("slack#/types/user_id", required=True, personal=True)),
        ("watchers", Attribute("array", items=Attribute("slack#/types/user_id"))),
        ("priority", Attribute("string", values=("high", "low"))),
        ("level", Attribute("integer", values=(1, 2))),
        ("votes", Attribute("integer", description="how many want it")),
        ("points", Attribute("integer")),
        ("price", Attribute("number")),
        ("due", Attribute("slack#/types/date")),
        ("meta", Attribute("object")),
        ("pair", Attribute("array", items=Attribute("integer"))),
        ("parent", Attribute("string")),
        ("from", Attribute("string")),
        ("token", Attribute("string", encrypted=True)),
    ],
)
def test_an_annotation_becomes_slack_s_type(name: str, attribute: Attribute) -> None:
    assert DEFINITION.attributes[name] == attribute


def test_a_nested_model_becomes_an_object_with_properties_and_a_custom_type_by_name() -> None:
    label = DEFINITION.attributes["labels"].items
    assert label is not None
    assert (label.type, label.custom) == ("object", "Label")
    assert label.properties == {
        "label": Attribute("string", required=True),
        "by": Attribute("slack#/types/user_id", personal=True),
        "since": Attribute("slack#/types/date"),
    }


FULL = ticket(
    labels=[Label(label="a", by=None), Label(label="b", by="W00000001", since=date(2026, 1, 2))],
    priority=Priority.HIGH,
    level=Level.TWO,
    price=Decimal("1.10"),
    weight=0.25,
    due=date(2026, 11, 21),
    meta={"any": [1, {"x": None}]},
    pair=(1, 2),
    source="web",
    expires_at=1_800_000_000,
)


def test_an_object_is_kept_as_plain_canonical_values_and_comes_back_equal() -> None:
    kept = DEFINITION.stored(FULL)
    assert kept == {
        "id": "T-1",
        "status": "open",
        "owner": "U00000001",
        "watchers": [],
        "labels": [{"label": "a"}, {"label": "b", "by": "W00000001", "since": "2026-01-02"}],
        "priority": "high",
        "level": 2,
        "votes": 0,
        "points": 0,
        "price": Decimal("1.1"),
        "weight": Decimal("0.25"),
        "due": "2026-11-21",
        "meta": {"any": [1, {"x": None}]},
        "pair": [1, 2],
        "from": "web",
        "expires_at": 1_800_000_000,
        "$v": 2,
    }
    assert DEFINITION.load(decode(encode(kept))) == FULL


texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
people = st.from_regex(r"[UW][A-Z0-9]{8}", fullmatch=True)
labels = st.builds(Label, label=texts, by=st.none() | people, since=st.none() | st.dates())
tickets = st.builds(
    ticket,
    id=texts.filter(bool),
    owner=people,
    parent=st.none() | texts,
    watchers=st.lists(people, max_size=3),
    labels=st.lists(labels, max_size=3),
    priority=st.sampled_from(Priority),
    level=st.none() | st.sampled_from(Level),
    votes=st.integers(0, 10),
    price=st.none() | st.decimals(-1000, 1000, places=4),
    weight=st.none() | st.floats(-1e20, 1e20).filter(lambda f: f == 0 or abs(f) > 1e-100),
    due=st.none() | st.dates(),
    pair=st.lists(st.integers(-(10**30), 10**30), max_size=3).map(tuple),
    expires_at=st.none() | st.integers(0, 2**40),
)


@given(tickets)
def test_any_object_comes_back_equal_from_what_is_stored(given_ticket: Ticket) -> None:
    assert DEFINITION.load(decode(encode(DEFINITION.stored(given_ticket)))) == given_ticket


def changed(**values: Any) -> Ticket:
    """An object that was sound when it was made."""
    made = FULL.model_copy(deep=True)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def with_label(**values: Any) -> Ticket:
    made = changed()
    for name, value in values.items():
        setattr(made.labels[1], name, value)
    return made


@pytest.mark.parametrize(
    ("item", "field", "words"),
    [
        (changed(votes=11), "votes", "less than or equal to 10"),
        (changed(votes="many"), "votes", "must be a whole number"),
        (changed(owner="u1"), "owner", "must be a user id"),
        (changed(status="gone"), "status", "should be 'open', 'approved' or 'done'"),
        (changed(priority="odd"), "priority", "should be 'high' or 'low'"),
        (changed(watchers=["U00000001", 5]), "watchers[1]", "valid string"),
        (changed(watchers=["U00000001", "nobody"]), "watchers[1]", "must be a user id"),
        (changed(due="tomorrow"), "due", "must be a date"),
        (changed(weight=float("nan")), "weight", "NaN"),
        (changed(meta={"a": b"x"}), "meta", "no JSON form"),
        (changed(source="a\0"), "from", "U+0000"),
        (changed(expires_at=-1), "expires_at", "whole seconds"),
        (with_label(label="much too long"), "labels[1].label", "at most 8 characters"),
        (with_label(by="nobody"), "labels[1].by", "must be a user id"),
        (with_label(since="x"), "labels[1].since", "must be a date"),
        (Ticket.model_construct(id="T-1"), "owner", "is required"),
        ({"id": "T-1", "owner": "U00000001", "parent": None, "typo": 1}, "typo", "is not declared"),
        ({"owner": "U00000001", "parent": None}, "id", "is required"),
        ({"id": "T-1", "owner": 5, "parent": None}, "owner", "valid string"),
    ],
)
def test_what_does_not_fit_is_refused_on_put_by_path(item: Any, field: str, words: str) -> None:
    with pytest.raises(sr.InvalidValue) as refused:
        DEFINITION.stored(item)
    assert refused.value.field == f"tickets.{field}"
    assert words in refused.value.detail


def test_a_dict_is_taken_like_an_object_by_stored_or_field_name() -> None:
    for name in ("from", "source"):
        item = {"id": "T-1", "owner": "U00000001", "parent": None, name: "web", "due": date(2026, 1, 2)}
        assert DEFINITION.stored(item) == DEFINITION.stored(ticket(source="web", due=date(2026, 1, 2)))


def test_changes_are_checked_one_by_one_and_become_plain() -> None:
    given_changes = {
        "priority": Priority.HIGH,
        "due": date(2026, 1, 2),
        "source": "web",
        "labels": [Label(label="a", by=None)],
    }
    assert DEFINITION.changed(given_changes) == {
        "priority": "high",
        "due": "2026-01-02",
        "from": "web",
        "labels": [{"label": "a"}],
    }


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"votes": 11}, "votes", "less than or equal to 10"),
        ({"votes": "5"}, "votes", "whole number"),
        ({"owner": "nobody"}, "owner", "user id"),
        ({"labels": [{"label": "x"}, {"label": "much too long"}]}, "labels[1].label", "at most 8"),
        ({"status": "gone"}, "status", "should be"),
        ({"typo": 1}, "typo", "is not declared"),
        ({"$v": 1}, "$v", "is not declared"),
        ({"due": None}, "due", "is null"),
    ],
)
def test_changes_that_do_not_fit_are_refused_by_path(changes: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(sr.InvalidValue) as refused:
        DEFINITION.changed(changes)
    assert refused.value.field == f"tickets.{field}"
    assert words in refused.value.detail


def stored(**changes: Any) -> dict[str, Any]:
    return {"id": "T-1", "owner": "U00000001", "$v": 2, **changes}


@pytest.mark.parametrize(
    ("item", "names"),
    [
        ({"id": "T-1", "$v": 2}, "owner"),
        (stored(votes="many"), "votes"),
        (stored(votes=11, status="gone"), "status, votes"),
        (stored(votes=Decimal("1.5")), "votes"),
        (stored(labels=[{"label": "a"}, {"label": 5}]), "labels[1].label"),
        (stored(labels={"label": "a"}), "labels"),
        (stored(due="tomorrow"), "due"),
        (stored(due=[]), "due"),
    ],
)
def test_a_stored_item_that_does_not_fit_is_corrupt_data_by_path(item: dict[str, Any], names: str) -> None:
    with pytest.raises(sr.CorruptData, match=rf"does not fit \({names.replace('[', chr(92) + '[')}\)"):
        DEFINITION.load(item)


def test_what_newer_additive_code_wrote_is_left_out_at_every_depth() -> None:
    item = stored(added=1, labels=[{"label": "a", "added": {"b": 1}}, {"label": "b", "since": "2026-01-02", "more": 2}])
    loaded = DEFINITION.load(item)
    assert loaded.labels == [Label(label="a", by=None), Label(label="b", by=None, since=date(2026, 1, 2))]
    assert item["labels"][0]["added"] == {"b": 1}


def test_an_old_item_is_upgraded_before_the_class_sees_it() -> None:
    assert DEFINITION.load({"id": "T-1", "owner": "U00000001", "likes": 7}).votes == 7


def test_no_error_tells_a_value() -> None:
    class Guarded(sr.Datastore, name="guarded"):
        id: str = sr.key()
        word: str = Field("", pattern="^[a-z]*$")
        secret: SecretStr | None = None
        number: int = 0

        @field_validator("word")
        @classmethod
        def no_words(cls, word: str) -> str:
            if word:
                raise ValueError(f"{word} is not allowed")
            return word

    guarded = definition_of(Guarded)
    lowered = SECRET.strip("2")
    for name, value in [("word", SECRET), ("word", lowered), ("secret", [SECRET]), ("number", SECRET)]:
        item = Guarded(id="x")
        setattr(item, name, value)
        for attempt in (
            lambda item=item: guarded.stored(item),
            lambda n=name, v=value: guarded.load({"id": "x", n: v}),
        ):
            with pytest.raises(sr.StateroomError) as refused:
                attempt()
            assert lowered not in repr(refused.value)
            assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_validators_of_a_whole_class_see_whole_objects_only() -> None:
    class Span(sr.Datastore, name="spans"):
        id: str = sr.key()
        low: int
        high: int

        @model_validator(mode="after")
        def in_order(self) -> "Span":
            if self.low > self.high:
                raise ValueError("low is over high")
            return self

    spans = definition_of(Span)
    assert spans.changed({"low": 9}) == {"low": 9}
    span = Span(id="x", low=1, high=2)
    span.low = 3
    with pytest.raises(sr.InvalidValue, match="validator"):
        spans.stored(span)


def test_a_strict_class_loads_what_it_stored() -> None:
    class Strict(sr.Datastore, name="strict"):
        model_config = ConfigDict(strict=True)
        id: str = sr.key()
        due: date
        price: Decimal

    item = Strict(id="x", due=date(2026, 1, 2), price=Decimal("1.5"))
    assert definition_of(Strict).load(decode(encode(definition_of(Strict).stored(item)))) == item
    with pytest.raises(ValidationError):
        Strict(id="x", due="2026-01-02", price=Decimal(1))


class Foreign:
    """No type that pydantic knows."""


class Loop(BaseModel):
    inner: "Loop | None" = None


class Marked(BaseModel):
    secret: str | None = sr.encrypted()


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int = 0


class Shade(enum.Enum):
    RED = "red"
    NUMBER = 1


class Bits(enum.Flag):
    A = 1


@each(
    ("annotation", "path", "words"),
    [
        (complex, "x", "no Slack attribute type"),
        (bytes, "x", "no Slack attribute type"),
        (set[str], "x", "no Slack attribute type"),
        (Foreign, "x", "no Slack attribute type"),
        ("NotDefinedYet", "x", "define that class before this one"),
        (datetime, "x", "sr.Timestamp"),
        (int | str, "x", "several types"),
        (dict[int, str], "x", "keys are no strings"),
        (list[str | None], "x[]", "may be None"),
        (list[complex], "x[]", "no Slack attribute type"),
        (tuple[int, str], "x", "several types"),
        (Literal["a", 1], "x", "neither all strings"),
        (Shade, "x", "neither all strings"),
        (Bits, "x", "no Slack attribute type"),
        (Loop, "x.inner", "contains itself"),
        (Marked, "x.secret", "marks attributes of the datastore"),
        (Open, "x.a", "allows undeclared"),
        (Annotated[str, Field(alias="y", serialization_alias="z")], "x", "several aliases"),
        (Annotated[str, Field(alias="$v")], "$v", "Stateroom's own"),
        (Annotated[str, Field(alias="id")], "id", "the name of two attributes"),
    ],
)
def test_an_annotation_that_cannot_be_kept_is_refused_by_path(annotation: Any, path: str, words: str) -> None:
    with pytest.raises(sr.InvalidDefinition) as refused:
        type("Odd", (sr.Datastore,), {"__annotations__": {"id": str, "x": annotation}, "id": sr.key()}, name="odd")
    assert refused.value.attribute == path
    assert words in str(refused.value)


def test_an_option_that_does_not_exist_is_refused_and_not_lost() -> None:
    with pytest.raises(sr.InvalidDefinition, match=r"bare: there is no option keepdeleted; there are name, version"):
        type("Bare", (sr.Datastore,), {"__module__": __name__}, name="bare", keepdeleted=60)


@pytest.mark.parametrize(
    "body",
    [{"__indexes__": "id"}, {"__indexes__": [("id",)]}, {"__indexes__": sr.Index("id")}, {"__lifecycle__": {"a": []}}],
    ids=repr,
)
def test_indexes_and_lifecycles_of_the_wrong_form_are_refused_with_the_right_one(body: dict[str, Any]) -> None:
    body |= {"__module__": __name__, "__annotations__": {"id": str}, "id": sr.key()}
    with pytest.raises(sr.InvalidDefinition, match=r"sr\.(Index|Lifecycle)\("):
        type("Bare", (sr.Datastore,), body, name="bare")


def test_a_class_that_contains_itself_is_refused() -> None:
    with pytest.raises(sr.InvalidDefinition, match="Tree contains itself"):

        class Tree(sr.Datastore, name="trees"):
            id: str = sr.key()
            parent: "Tree | None" = None


def test_the_class_of_a_lifecycle_begins_in_an_initial_state() -> None:
    with pytest.raises(sr.InvalidDefinition, match="no state to begin in"):

        class Done(sr.Datastore, name="done"):
            id: str = sr.key()
            status: Literal["open", "done"] = "done"
            __lifecycle__ = sr.Lifecycle("status", initial="open", open=["done"])


def test_upgrade_steps_are_inherited_overridden_and_never_doubled() -> None:
    class Later(Ticket, name="later", version=3):
        @sr.upgrade(from_version=2)
        def more(item: dict[str, Any]) -> dict[str, Any]:
            return {**item, "votes": item["votes"] + 1}

    assert definition_of(Later).load({"id": "T-1", "owner": "U00000001", "likes": 1}).votes == 2

    class First(Ticket, name="first"):
        pass

    assert definition_of(First).upgrades == {}
    with pytest.raises(sr.InvalidDefinition, match="two upgrade steps from version 1"):

        class Double(sr.Datastore, name="double", version=2):
            id: str = sr.key()

            @sr.upgrade(from_version=1)
            @staticmethod
            def one(item: dict[str, Any]) -> dict[str, Any]:
                return item

            @staticmethod
            @sr.upgrade(from_version=1)
            def two(item: dict[str, Any]) -> dict[str, Any]:
                return item


def test_a_key_may_be_made_by_default() -> None:
    class Auto(sr.Datastore, name="auto"):
        id: str = sr.key(default_factory=lambda: "made")
        note: str = sr.personal("", max_length=3)

    assert definition_of(Auto).stored(Auto()) == {"id": "made", "note": ""}
    with pytest.raises(ValidationError):
        Auto(note="long")


def test_definitions_without_classes_do_not_load_pydantic() -> None:
    """Only a fresh interpreter can tell: this one has loaded it."""
    code = (
        "import sys, stateroom as sr\nfrom stateroom.model.attributes import Attribute\n"
        "d = sr.Definition('x', 'id', {'id': Attribute('string')}, version=2, lifecycle=None)\n"
        "d.load(d.stored({'id': 'a'})); sr.Lifecycle('a', b=['c']), sr.Index('id')\n"
        "print([m for m in sys.modules if m.startswith('pydantic')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", ["sr_mine", "trash_tickets"])
def test_names_that_stateroom_uses_itself_are_refused(name: str) -> None:
    with pytest.raises(sr.InvalidDefinition, match="Stateroom's own"):

        class Mine(sr.Datastore, name=name):
            id: str = sr.key()
