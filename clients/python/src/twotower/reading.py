"""Makes dataclasses out of messages."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from numpy.typing import NDArray

from .wire import recall_pb2

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

ENUMS = recall_pb2.DESCRIPTOR.enum_types_by_name


def read(kind: type[T], message: Message, **others: Any) -> T:
    """Makes a `kind`, a dataclass: `others` as they are given, the rest from the message's fields of the same names."""
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**others, **{name: getattr(message, name) for name in names if name not in others})


def word(enum: str, number: int) -> str:
    """Names a value of RecallService's `enum` without the enum's own name, e.g. SHARD_UNREACHABLE of DegradedReason.

    One that only a newer server knows goes by its number.
    """
    values = ENUMS[enum].values_by_number
    prefix = values[0].name.removesuffix("UNSPECIFIED")
    return values[number].name.removeprefix(prefix) if number in values else str(number)


def seconds(duration: Duration) -> float:
    """Reads a duration."""
    return duration.ToNanoseconds() / 1e9


def uint64s(ids: Iterable[int]) -> NDArray[np.uint64]:
    """Reads ids."""
    return np.fromiter(ids, np.uint64)
