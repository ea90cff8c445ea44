"""What a class asks of a field beyond its type is seen, also where it stands inside."""

from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

import stateroom as sr
from stateroom.model.constraints import constrained


class Label(BaseModel):
    text: str


class Mixed(sr.Datastore, name="mixed"):
    id: str = sr.key()
    count: int = 0
    share: float | None = None
    tags: list[str] = []
    people: list[sr.UserId] = []
    kind: Literal["a", "b"] = "a"
    positive: int = Field(0, ge=0)
    few: list[str] = Field(default_factory=list, max_length=3)
    short: list[Annotated[str, Field(max_length=5)]] = []
    even: Annotated[int, AfterValidator(lambda n: n - n % 2)] = 0
    labels: list[Label] = []
    exact: Decimal = Decimal(0)


def test_constraints_are_seen_and_plain_fields_are_not_taken_for_constrained() -> None:
    found = constrained(Mixed)
    assert {"positive", "few", "short", "even", "labels"} <= found
    assert not {"id", "count", "share", "tags", "people", "kind"} & found


class Named(sr.Datastore, name="named"):
    id: str = sr.key()
    count: int = 0
    other: int = 0

    @field_validator("count")
    @classmethod
    def small(cls, value: int) -> int:
        assert value < 10
        return value


class Whole(sr.Datastore, name="whole"):
    id: str = sr.key()
    low: int = 0
    high: int = 9

    @model_validator(mode="after")
    def ordered(self) -> Any:
        assert self.low <= self.high
        return self


class Strict(sr.Datastore, name="strict"):
    model_config = ConfigDict(str_max_length=5)
    id: str = sr.key()
    tags: list[str] = []


@pytest.mark.parametrize(
    ("cls", "expected"), [(Named, {"count"}), (Whole, {"id", "low", "high"})], ids=["field", "class"]
)
def test_validators_are_seen(cls: type[Any], expected: set[str]) -> None:
    assert constrained(cls) == expected
