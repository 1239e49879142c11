"""What is stored of users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .events import Event, read_event
from .items import FeatureValue, read_features
from .reading import read
from .wire import event_pb2


@dataclass(frozen=True)
class User:
    """A user as stored: the profile, None for a user without one; the newest events, oldest first; how many different items were seen."""

    profile: Mapping[str, FeatureValue] | None
    history: list[Event]
    seen_items: int


@dataclass(frozen=True)
class Recorded:
    """What became of events: how many were new, how many were known already. A recall that brings the token includes them."""

    recorded: int
    duplicates: int
    consistency_token: str


@dataclass(frozen=True)
class StoredProfile:
    """What the serving model makes of a profile that was stored.

    `unread_features` are names of features that it does not read, `unseen_values` of those with a value that it does not know. A
    recall that brings the token includes the profile.
    """

    unread_features: list[str]
    unseen_values: list[str]
    consistency_token: str


@dataclass(frozen=True)
class DeletedUser:
    """What was removed: how many events and seen items, and whether there was a profile."""

    events: int
    seen_items: int
    profile: bool


def read_user(answer: event_pb2.GetUserResponse) -> User:
    """Reads an answer."""
    profile = read_features(answer.profile) if answer.HasField("profile") else None
    return read(User, answer, profile=profile, history=[read_event(event) for event in answer.history])


def read_stored_profile(answer: event_pb2.PutUserProfileResponse) -> StoredProfile:
    """Reads an answer."""
    return StoredProfile(list(answer.unread_features), list(answer.unseen_values), answer.consistency_token)
