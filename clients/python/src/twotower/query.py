"""What a caller asks of a recall."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import TypedDict

from . import events, items
from .events import Event
from .filters import Filter
from .items import FeatureValue, ItemKey
from .wire import features_pb2, recall_pb2


class Query(TypedDict, total=False):
    """Names the arguments of a recall; all may be left out, but somebody must be described by `user_id`, `history` or `features`.

    - `user_id`: the stored user
    - `history`: events or items, oldest first; with a user_id they are appended to what is stored, for this call only
    - `features`: the user's raw features by name; with a user_id they override the stored profile
    - `page_size`: how many items, 1 to 1,000; 0 means as many as the server is set to
    - `page_token`: the `next_page_token` of an answer: goes on after it; all else but page_size must be as it was
    - `filter`: what the items must be
    - `exclude`: items to leave out, at most 10,000
    - `exclude_seen`: whether to leave out what the user has seen, as is done by default
    - `diversity`: how the candidates are to differ from each other
    - `blend`: what else has places on the page
    - `exact`: scan every row
    - `with_item`: return each candidate's title and features
    - `min_coverage`: fail when a smaller share of the eligible items was searched, 0 to 1
    - `reproducible`: equal requests get answers equal to the bit
    - `with_tokens`: return a next_page_token and a recall_token
    - `generation`: answer from this one; empty means the one that serves
    - `experiment_unit`: whom a traffic policy treats alike; empty means the user_id
    - `consistency_token`: what recording returned: the answer includes it, or is degraded by STALE_HISTORY
    """

    user_id: str
    history: Iterable[Event | ItemKey]
    features: Mapping[str, FeatureValue]
    page_size: int
    page_token: str
    filter: Filter
    exclude: Iterable[ItemKey]
    exclude_seen: bool
    diversity: Diversity
    blend: Blend
    exact: bool
    with_item: bool
    min_coverage: float
    reproducible: bool
    with_tokens: bool
    generation: str
    experiment_unit: str
    consistency_token: str


@dataclass(frozen=True)
class Diversity:
    """How candidates are to differ.

    `interest_weights` multiply the scores of each interest, by its number. `interest_quota` is how many places each interest has at
    least. `mmr_lambda` from 1 (scores only) to 0 (difference only) is maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).
    `caps` says how many candidates may have one value of an attribute, by the attribute's name.
    """

    interest_weights: Sequence[float] = ()
    interest_quota: int = 0
    mmr_lambda: float | None = None
    caps: Mapping[str, int] = field(default_factory=dict)

    def to_wire(self) -> recall_pb2.Diversity:
        """Returns the wish as it goes over the wire."""
        caps = [recall_pb2.AttributeCap(attribute=name, most=most) for name, most in self.caps.items()]
        return recall_pb2.Diversity(
            interest_weights=self.interest_weights,
            interest_quota=self.interest_quota,
            mmr_lambda=self.mmr_lambda,
            caps=caps,
        )


@dataclass(frozen=True)
class Blend:
    """Places for the most popular items, and for the best of those that came since the generation was made."""

    popular: int = 0
    fresh: int = 0

    def to_wire(self) -> recall_pb2.Blend:
        """Returns the wish as it goes over the wire."""
        return recall_pb2.Blend(popular=self.popular, fresh=self.fresh)


def recall_request(
    *,
    user_id: str = "",
    history: Iterable[Event | ItemKey] | None = None,
    features: Mapping[str, FeatureValue] | None = None,
    page_size: int = 0,
    page_token: str = "",
    filter: Filter | None = None,
    exclude: Iterable[ItemKey] = (),
    exclude_seen: bool = True,
    diversity: Diversity | None = None,
    blend: Blend | None = None,
    exact: bool = False,
    with_item: bool = False,
    min_coverage: float = 0.0,
    reproducible: bool = False,
    with_tokens: bool = False,
    generation: str = "",
    experiment_unit: str = "",
    consistency_token: str = "",
) -> recall_pb2.RecallRequest:
    """Returns a query as it goes over the wire."""
    return recall_pb2.RecallRequest(
        user_id=user_id,
        context=context(history, features),
        page_size=page_size,
        page_token=page_token,
        filter=filter.to_wire() if filter else None,
        exclude=recall_pb2.Exclude(items=items.refs(exclude), allow_seen=not exclude_seen),
        diversity=diversity.to_wire() if diversity else None,
        blend=blend.to_wire() if blend else None,
        options=recall_pb2.RecallOptions(
            exact=exact,
            with_item=with_item,
            min_coverage=min_coverage,
            reproducible=reproducible,
            with_tokens=with_tokens,
        ),
        generation=generation,
        experiment_unit=experiment_unit,
        consistency_token=consistency_token,
    )


def context(
    history: Iterable[Event | ItemKey] | None, features: Mapping[str, FeatureValue] | None
) -> features_pb2.UserContext | None:
    """Returns what a caller tells of a user as it goes over the wire; None if that is nothing."""
    if history is None and features is None:
        return None
    return features_pb2.UserContext(
        history=events.history(() if history is None else history),
        features=items.features(features or {}),
    )
