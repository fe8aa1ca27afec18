"""Frozen dataclasses back from their fields."""

from dataclasses import FrozenInstanceError, dataclass, field

import pytest

from rnnbench.frozen import revive


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 2
    tags: dict[str, int] = field(default_factory=dict)


@pytest.mark.parametrize("data", [{"x": 1}, {"x": 1, "y": 5}, {"x": 1, "y": 5, "tags": {"a": 1}}])
def test_it_is_what_the_constructor_makes(data):
    found = revive(Point, {**data, "unknown": 1})
    assert found == Point(**data)
    assert vars(found) == vars(Point(**data))
    assert hash(found.x) == hash(1)


def test_it_is_still_frozen_and_shares_no_default():
    one, other = revive(Point, {"x": 1}), revive(Point, {"x": 1})
    assert one.tags is not other.tags
    with pytest.raises(FrozenInstanceError):
        one.x = 3  # type: ignore[misc]


def test_what_is_missing_is_named():
    with pytest.raises(TypeError, match="Point lacks x"):
        revive(Point, {"y": 1})
