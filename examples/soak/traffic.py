"""What users and editors do at a gateway, by a process of its own: traffic.py GATEWAY until its input ends; then it prints what it counted.

Recalls, the next pages of some of them, events, profiles, items that come, change and go, at steady rates.
"""

import asyncio
import json
import random
import re
import sys
import time
import zlib
from collections import Counter
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
import wire

# Few users who come back to few items each, so that all that is kept of them is there soon, and what grows then is a leak.
USERS, ITEMS, OWN = 300, 2_000, 40
# Calls a second of each kind.
RATES = {"recall": 60.0, "pages": 8.0, "events": 12.0, "profile": 2.0, "upsert": 1.0, "delete": 0.2, "items": 4.0}
DEADLINE = 5.0


class Traffic:
    """The calls, and what came of them."""

    def __init__(self, channel: grpc.aio.Channel):
        self.recalls = wire.recall_services.RecallServiceStub(channel)
        self.users = wire.event_services.EventServiceStub(channel)
        self.catalog = wire.catalog_services.CatalogServiceStub(channel)
        self.draw = random.Random(1)
        self.calls, self.failures, self.partial, self.event = Counter(), Counter(), 0, 0
        self.begun = time.monotonic()

    def user(self) -> str:
        return f"user-{self.draw.randrange(USERS)}"

    def item(self) -> int:
        return 1 + self.draw.randrange(ITEMS)

    async def ask(self, request):
        answer = await self.recalls.Recall(request, timeout=DEADLINE)
        self.partial += not wire.is_whole(answer)
        return answer

    async def recall(self) -> None:
        await self.ask(wire.recalls.RecallRequest(user_id=self.user(), page_size=20))

    async def pages(self) -> None:
        """A page, and the two after it, of a user who comes with the call: pages of others end where their history is written over."""
        request = wire.request(2 * self.draw.randrange(USERS) + 1, page_size=20)
        request.options.with_tokens = request.options.with_item = True
        answer = await self.ask(request)
        for _ in range(2):
            if answer.next_page_token:
                request.page_token = answer.next_page_token
                self.calls["pages"] += 1
                answer = await self.ask(request)

    async def events(self) -> None:
        user, sent = self.user(), []
        for _ in range(3):
            self.event += 1
            item = 1 + (zlib.crc32(user.encode()) + self.draw.randrange(OWN)) % ITEMS
            event = {"user_id": user, "item": {"id": item}, "type": "rating", "value": 4}
            sent.append(event | {"time": int(time.time()), "event_id": str(self.event)})
        await self.users.RecordEvents(wire.events.RecordEventsRequest(events=sent), timeout=DEADLINE)

    async def profile(self) -> None:
        profile = {"values": {"age": {"number": self.draw.randrange(18, 80)}}}
        await self.users.PutUserProfile(wire.events.PutUserProfileRequest(user_id=self.user(), profile=profile), timeout=DEADLINE)

    async def upsert(self) -> None:
        features = {"values": {"year": {"number": self.draw.randrange(1950, 2026)}, "genres": {"list": {"values": ["Drama"]}}}}
        items = [{"id": number, "title": f"Item {number}", "features": features} for number in {self.item() for _ in range(3)}]
        await self.catalog.UpsertItems(wire.catalog.UpsertItemsRequest(items=items), timeout=DEADLINE)

    async def delete(self) -> None:
        await self.catalog.DeleteItems(wire.catalog.DeleteItemsRequest(items=[{"id": self.item()}]), timeout=DEADLINE)

    async def items(self) -> None:
        items = [{"id": self.item()} for _ in range(10)]
        await self.catalog.GetItems(wire.catalog.GetItemsRequest(items=items), timeout=DEADLINE)

    async def call(self, kind: str) -> None:
        self.calls[kind] += 1
        try:
            await getattr(self, kind)()
        except grpc.aio.AioRpcError as error:
            minute = int((time.monotonic() - self.begun) / 60)
            self.failures[f"minute {minute}, {kind}: {wire.code(error)} {re.sub('[0-9]+', 'N', error.details()[:120])}"] += 1

    async def steady(self, kind: str, ended: asyncio.Future) -> None:
        begun, made, under_way = time.monotonic(), 0, set()
        while not ended.done():
            await asyncio.sleep(max(begun + made / RATES[kind] - time.monotonic(), 0))
            task = asyncio.create_task(self.call(kind))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            made += 1
        await asyncio.gather(*under_way)


async def main(gateway: str) -> None:
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    async with grpc.aio.insecure_channel(gateway, wire.OPTIONS) as channel:
        traffic = Traffic(channel)
        await asyncio.gather(*(traffic.steady(kind, ended) for kind in RATES))
    print(json.dumps({"calls": traffic.calls, "failures": traffic.failures, "partial": traffic.partial}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
