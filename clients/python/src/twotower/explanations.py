"""Why items stand where they do in a recall."""

from __future__ import annotations

from dataclasses import dataclass

from .candidates import item_of
from .items import Item, read_item, read_ref
from .reading import read, word
from .wire import recall_pb2


@dataclass(frozen=True)
class Reason:
    """An item of the history, and what it does for the explained item.

    `similarity` is the cosine of the two items' vectors; `attention` is how much the model looked at the events with this item.
    `score_without` and `rank_without` are the explained item's had the user never had an event with this one. None stands for what
    the server cannot tell.
    """

    item: Item
    similarity: float
    attention: float | None
    score_without: float | None
    rank_without: int


@dataclass(frozen=True)
class Explanation:
    """Why an item stands where it does.

    `rank` is its place among all that the recall could have returned, from 1; 0 if that is beyond 1,000, or if it could not be
    returned. `reasons` are the items of the history that are nearest to it, nearest first.
    """

    id: int
    score: float
    interest: int
    source: str
    item: Item | None
    rank: int
    reasons: list[Reason]


@dataclass(frozen=True)
class Explained:
    """Explanations in the order asked, and the names of items that the generation has no vector of."""

    explanations: list[Explanation]
    missing: list[int | str]
    generation: str
    space: str
    variant: str


def read_explained(answer: recall_pb2.ExplainRecallResponse) -> Explained:
    """Reads an answer."""
    return read(
        Explained,
        answer,
        explanations=[read_explanation(explanation) for explanation in answer.explanations],
        missing=[read_ref(item) for item in answer.missing],
        variant=word("Variant", answer.variant),
    )


def read_explanation(explanation: recall_pb2.Explanation) -> Explanation:
    """Reads what is said of one item."""
    candidate = explanation.candidate
    return read(
        Explanation,
        candidate,
        source=word("Source", candidate.source),
        item=item_of(candidate),
        rank=explanation.rank,
        reasons=[read_reason(reason) for reason in explanation.reasons],
    )


def read_reason(reason: recall_pb2.Reason) -> Reason:
    """Reads what one item of the history does."""
    return read(
        Reason,
        reason,
        item=read_item(reason.item),
        attention=reason.attention if reason.HasField("attention") else None,
        score_without=reason.score_without if reason.HasField("score_without") else None,
    )
