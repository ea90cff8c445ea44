"""How deep JSON may be nested on the doors of the local Slack."""

import json

import pytest

from stateroom.emulator.nesting import DEEPEST, shallow


@pytest.mark.parametrize("text", ['"[[["', r'"a\"["', '"[', r'"\\", [', "]]]", "{}", "\x00"])
def test_brackets_inside_of_texts_do_not_count(text: str) -> None:
    data = (text * 300).encode()
    within = text in ('"[[["', r'"a\"["', '"[', "]]]", "{}", "\x00")
    if within:
        assert shallow(data) is data
    else:
        with pytest.raises(RecursionError):
            shallow(data)


def test_the_deepest_that_is_taken() -> None:
    data = json.dumps([[1] for _ in range(1000)]).encode()
    assert shallow(data) is data
    assert shallow(b"[{" * (DEEPEST // 2) + b"}]" * (DEEPEST // 2))
    with pytest.raises(RecursionError):
        shallow(b"[" * (DEEPEST + 1))
