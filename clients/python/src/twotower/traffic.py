"""Which generations there are, and which of them answer."""

from __future__ import annotations

from dataclasses import dataclass

from .reading import read, seconds
from .wire import traffic_pb2


@dataclass(frozen=True)
class Generation:
    """User model, item model and index, made together and served together."""

    id: str
    space: str
    items: int
    shards: int
    serving: bool


@dataclass(frozen=True)
class Traffic:
    """Which generations answer.

    `candidate_share` is the share of experiment units that the candidate answers, `shadow_share` that of the recalls that it answers,
    too, unseen by the caller. `pinned` is what this gateway answers from by default: `serving`, once the members hold it; `laggards`
    are the addresses of those that do not yet.
    """

    serving: str
    previous: str
    candidate: str
    candidate_share: float
    shadow_share: float
    pinned: str
    laggards: list[str]


@dataclass(frozen=True)
class Figures:
    """What the recalls of one generation took and covered.

    `latency_p50` and `latency_p99` are in seconds, `coverage` is the mean, and `degraded` is the share of those that were in some way.
    """

    latency_p50: float
    latency_p99: float
    coverage: float
    degraded: float


@dataclass(frozen=True)
class Verdict:
    """The candidate compared with the generation that serves, by the recalls that one gateway answered from both.

    Of `recalls` that both answered, `overlap` is the mean share of candidates in common; `score_drift` is the mean of how far the
    candidate's mean score is off, in standard deviations, and only tells anything within one embedding space. `failed` recalls the
    candidate could not answer; `skipped` ones it was not asked for.
    """

    serving: str
    candidate: str
    recalls: int
    failed: int
    skipped: int
    overlap: float
    score_drift: float
    of_serving: Figures
    of_candidate: Figures


def read_traffic(traffic: traffic_pb2.Traffic) -> Traffic:
    """Reads which generations answer."""
    return read(Traffic, traffic, laggards=list(traffic.laggards))


def read_verdict(answer: traffic_pb2.GetVerdictResponse) -> Verdict:
    """Reads an answer."""
    of_serving, of_candidate = read_figures(answer.of_serving), read_figures(answer.of_candidate)
    return read(Verdict, answer, of_serving=of_serving, of_candidate=of_candidate)


def read_figures(figures: traffic_pb2.VariantFigures) -> Figures:
    """Reads what the recalls of one generation took and covered."""
    p50, p99 = seconds(figures.latency_p50), seconds(figures.latency_p99)
    return read(Figures, figures, latency_p50=p50, latency_p99=p99)
