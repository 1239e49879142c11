"""Items found, best first, and what was searched for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from .items import Item, read_item, read_ref
from .reading import read, uint64s, word
from .wire import recall_pb2

CandidatesAnswer = Union[
    recall_pb2.RecallResponse, recall_pb2.SimilarItemsResponse, recall_pb2.ScoreItemsResponse
]


@dataclass(frozen=True, eq=False, kw_only=True)
class Candidates:
    """Items found, best first: place i of each column belongs to candidate i.

    `sources` tells how each was found: ANN, EXACT, FRESH or POPULAR. `items` has titles and features; None where they were not asked
    for, or are missing. `degraded` says why the answer may be worse than it could be, and is empty when it is whole.
    """

    ids: NDArray[np.uint64]
    scores: NDArray[np.float32]
    interests: NDArray[np.uint32]
    sources: list[str]
    items: list[Item | None]
    generation: str
    space: str
    degraded: list[str]


@dataclass(frozen=True)
class Coverage:
    """What was searched.

    `fraction` is searched over eligible items; `exact` says that every item that could be returned was compared. `items_fresh` came
    since the generation was made, up to `delta` of the catalog's log.
    """

    fraction: float
    items_searched: int
    items_eligible: int
    items_total: int
    items_fresh: int
    shards_answered: int
    shards_total: int
    exact: bool
    delta: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Similar(Candidates):
    """Items near to those named: `interests` has the place of the nearest of them. `missing` names those without a vector."""

    missing: list[int | str]
    coverage: Coverage


@dataclass(frozen=True, eq=False, kw_only=True)
class Scores(Candidates):
    """Items scored for a user.

    `missing` names those without a vector; it is all of them when nothing was known of the user, as `cold_start` says. `variant` says
    why this generation answered.
    """

    missing: list[int | str]
    cold_start: bool
    variant: str


def columns(answer: CandidatesAnswer) -> dict[str, Any]:
    """Reads those fields of `Candidates` whose names or types are not the wire's."""
    found = answer.candidates
    return {
        "ids": uint64s(candidate.id for candidate in found),
        "scores": np.fromiter((candidate.score for candidate in found), np.float32),
        "interests": np.fromiter((candidate.interest for candidate in found), np.uint32),
        "sources": [word("Source", candidate.source) for candidate in found],
        "items": [item_of(candidate) for candidate in found],
        "degraded": [word("DegradedReason", reason) for reason in answer.degraded_reasons],
    }


def item_of(candidate: recall_pb2.Candidate) -> Item | None:
    """Reads the item of a candidate, if it has one."""
    return read_item(candidate.item) if candidate.HasField("item") else None


def read_similar(answer: recall_pb2.SimilarItemsResponse) -> Similar:
    """Reads an answer."""
    missing = [read_ref(item) for item in answer.missing]
    return read(Similar, answer, **columns(answer), missing=missing, coverage=read(Coverage, answer.coverage))


def read_scores(answer: recall_pb2.ScoreItemsResponse) -> Scores:
    """Reads an answer."""
    missing = [read_ref(item) for item in answer.missing]
    return read(Scores, answer, **columns(answer), missing=missing, variant=word("Variant", answer.variant))
