"""Items of the catalog: their names, their features, and what is read and written of them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from .wire import catalog_pb2, features_pb2

ItemKey = Union[int, "np.integer[Any]", str]
"""How a caller names an item: by its id, or by its key in catalogs with string keys."""

FeatureValue = Union[str, float, "np.number[Any]", Sequence[str]]
"""A raw feature: a category or text, a number, or several categories."""


@dataclass(frozen=True)
class Item:
    """An item of the catalog. One with a key needs no id, for the key makes it. Features that are read are str, float or list[str]."""

    id: int = 0
    key: str = ""
    title: str = ""
    features: Mapping[str, FeatureValue] = field(default_factory=dict)

    def to_wire(self) -> catalog_pb2.Item:
        """Returns the item as it goes over the wire."""
        return catalog_pb2.Item(id=self.id, key=self.key, title=self.title, features=features(self.features))


@dataclass(frozen=True)
class Found:
    """Items that were asked for: those found, in the order asked, and the names of those that the catalog does not have."""

    items: list[Item]
    missing: list[int | str]


@dataclass(frozen=True, eq=False)
class Popular:
    """Popular items, most popular first: how often each was chosen when the generation was made, and how many could be listed."""

    generation: str
    ids: NDArray[np.uint64]
    counts: NDArray[np.uint64]
    eligible: int


@dataclass(frozen=True, eq=False)
class Upserted:
    """The delta that holds the items, and ids of those that the serving model makes no vector of."""

    delta: int
    not_embedded: NDArray[np.uint64]


def ref(item: ItemKey) -> features_pb2.ItemRef:
    """Returns an item's name as it goes over the wire."""
    if isinstance(item, str):
        return features_pb2.ItemRef(key=item)
    return features_pb2.ItemRef(id=operator.index(item))


def refs(items: Iterable[ItemKey]) -> list[features_pb2.ItemRef]:
    """Returns items' names as they go over the wire."""
    return [ref(item) for item in items]


def read_item(item: catalog_pb2.Item) -> Item:
    """Reads an item."""
    return Item(item.id, item.key, item.title, read_features(item.features))


def read_ref(item: features_pb2.ItemRef) -> int | str:
    """Reads an item's name."""
    return item.key if item.WhichOneof("name") == "key" else item.id


def features(values: Mapping[str, FeatureValue]) -> features_pb2.Features:
    """Returns raw features as they go over the wire."""
    return features_pb2.Features(values={name: feature(value) for name, value in values.items()})


def feature(value: FeatureValue) -> features_pb2.FeatureValue:
    """Returns a raw feature as it goes over the wire."""
    if isinstance(value, str):
        return features_pb2.FeatureValue(text=value)
    if isinstance(value, (int, float, np.number)):
        return features_pb2.FeatureValue(number=float(value))
    return features_pb2.FeatureValue(list=features_pb2.TextList(values=value))


def read_features(features: features_pb2.Features) -> dict[str, FeatureValue]:
    """Reads raw features."""
    return {name: read_feature(value) for name, value in features.values.items()}


def read_feature(value: features_pb2.FeatureValue) -> FeatureValue:
    """Reads a raw feature."""
    kind = value.WhichOneof("kind")
    if kind == "list":
        return list(value.list.values)
    return value.number if kind == "number" else value.text
