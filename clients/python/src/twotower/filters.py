"""What an item must be to be returned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .items import ItemKey, refs
from .wire import filter_pb2

Condition = filter_pb2.Condition
"""What may hold of an item; made by `keyword_in`, `number_range` and `has_id`. It does not hold of an item that lacks the attribute."""


@dataclass(frozen=True)
class Filter:
    """All of `must`, one of `should` if there are any, and none of `must_not` have to hold."""

    must: Sequence[Condition] = ()
    should: Sequence[Condition] = ()
    must_not: Sequence[Condition] = ()

    def to_wire(self) -> filter_pb2.Filter:
        """Returns the filter as it goes over the wire."""
        return filter_pb2.Filter(must=self.must, should=self.should, must_not=self.must_not)


def keyword_in(attribute: str, values: Iterable[str]) -> Condition:
    """Holds of an item whose attribute is, or whose list has, one of the texts."""
    return Condition(keyword=filter_pb2.KeywordIn(attribute=attribute, values=values))


def number_range(attribute: str, min: float | None = None, max: float | None = None) -> Condition:
    """Holds of an item whose attribute is a number within bounds, both included; None leaves a side open."""
    return Condition(range=filter_pb2.NumberRange(attribute=attribute, min=min, max=max))


def has_id(items: Iterable[ItemKey]) -> Condition:
    """Holds of these items."""
    return Condition(has_id=filter_pb2.HasId(items=refs(items)))
