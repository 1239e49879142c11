"""What users do to items."""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace

from .items import ItemKey, read_ref, ref
from .reading import read
from .wire import features_pb2


@dataclass(frozen=True)
class Event:
    """Something that a user did to an item.

    `type` is what was done, e.g. "rating", and `value` how much. `time` is in seconds since the Unix epoch. User, time and `event_id`
    are the event's key: recording a key again changes nothing. `Client.record` fills in the time and the id where they are missing.
    """

    item: ItemKey
    user_id: str = ""
    type: str = ""
    value: float = 0.0
    time: int = 0
    event_id: str = ""

    def to_wire(self) -> features_pb2.Event:
        """Returns the event as it goes over the wire."""
        return features_pb2.Event(
            user_id=self.user_id,
            item=ref(self.item),
            type=self.type,
            value=self.value,
            time=self.time,
            event_id=self.event_id,
        )


class EventIds:
    """Makes ids of events: UUIDv7 (RFC 9562), each greater than the one before, so that events of one second keep their order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> str:
        """Returns the next id."""
        with self._lock:
            # In 4,096ths of a millisecond, as 12 bits beside the milliseconds hold them.
            self._last = max(time.time_ns() * 4096 // 1_000_000, self._last + 1)
            milliseconds, fraction = divmod(self._last, 4096)
        bits = milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62)
        return str(uuid.UUID(int=bits))

    def complete(self, events: Iterable[Event]) -> list[Event]:
        """Returns the events with a time and an id each."""
        now = int(time.time())
        return [
            replace(event, time=event.time or now, event_id=event.event_id or self.next()) for event in events
        ]


def history(events: Iterable[Event | ItemKey]) -> list[features_pb2.Event]:
    """Returns a history as it goes over the wire; an item alone is an event of now."""
    return [(event if isinstance(event, Event) else Event(event)).to_wire() for event in events]


def read_event(event: features_pb2.Event) -> Event:
    """Reads an event."""
    return read(Event, event, item=read_ref(event.item))
