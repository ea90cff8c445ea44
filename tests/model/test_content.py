"""The content setting as text."""

import pytest

from stateroom.model.content import FULL, NONE, Content
from stateroom.model.errors import WrongUse


@pytest.mark.parametrize(
    ("text", "seconds"), [("ttl:30d", 2_592_000), ("ttl:12h", 43_200), ("ttl:5m", 300), ("ttl:90s", 90)]
)
def test_a_time_to_live_is_read_in_seconds(text: str, seconds: int) -> None:
    content = Content.parse(text)
    assert content == Content("ttl", seconds)
    assert content.expires_at(100.0) == 100.0 + seconds
    assert Content.parse(str(content)) == content


def test_full_and_none_never_end_by_themselves() -> None:
    assert Content.parse("full") == FULL
    assert Content.parse("none") == NONE
    assert FULL.expires_at(1.0) is None


@pytest.mark.parametrize(
    "text", ["", "FULL", "ttl", "ttl:", "ttl:0d", "ttl:-1d", "ttl:1.5d", "ttl:30", "30d", "ttl:1y"]
)
def test_any_other_setting_is_wrong_use_and_says_what_to_give(text: str) -> None:
    with pytest.raises(WrongUse, match="ttl:30d"):
        Content.parse(text)
