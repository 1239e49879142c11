"""Answers of recalls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .candidates import Candidates, Coverage, columns
from .errors import RecallError, of_failure
from .reading import read, seconds, uint64s, word
from .wire import recall_pb2


@dataclass(frozen=True)
class Timings:
    """Where the time of a recall went, in seconds: embedding the user, searching the shards, and all of it at the gateway."""

    embed: float
    search: float
    total: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Recall(Candidates):
    """Items recalled for a user.

    `cold_start` says that nothing was known of the user. `variant` says why this generation answered: SERVING, CANDIDATE or NAMED.
    The tokens are empty unless they were asked for, and when the answer is degraded; `next_page_token` also when nothing can come
    after.
    """

    coverage: Coverage
    timings: Timings
    cold_start: bool
    variant: str
    next_page_token: str
    recall_token: str


@dataclass(frozen=True, eq=False)
class Replay:
    """A recall answered again.

    `identical` says whether it has the same candidates with the same scores, to the bit; `overlap` is the share of the candidates of
    then that are candidates again, `entered` are ids of new ones, `left` ids of those that are none any more.
    """

    answer: Recall
    identical: bool
    overlap: float
    entered: NDArray[np.uint64]
    left: NDArray[np.uint64]


def read_recall(answer: recall_pb2.RecallResponse) -> Recall:
    """Reads an answer."""
    took = answer.timings
    return read(
        Recall,
        answer,
        **columns(answer),
        coverage=read(Coverage, answer.coverage),
        timings=Timings(seconds(took.embed), seconds(took.search), seconds(took.total)),
        variant=word("Variant", answer.variant),
    )


def read_result(result: recall_pb2.RecallResult) -> Recall | RecallError:
    """Reads what came of one of several recalls."""
    if result.WhichOneof("result") == "failure":
        return of_failure(result.failure)
    return read_recall(result.answer)


def read_replay(answer: recall_pb2.ReplayRecallResponse) -> Replay:
    """Reads an answer."""
    again = read_recall(answer.answer)
    return read(Replay, answer, answer=again, entered=uint64s(answer.entered), left=uint64s(answer.left))
