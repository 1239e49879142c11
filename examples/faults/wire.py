"""What the programs here say to servers, as any gRPC client would."""

import sys
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "proto" / "proto"))
recalls, recall_services = grpc.protos_and_services("twotower/v1/recall.proto")
events, event_services = grpc.protos_and_services("twotower/v1/event.proto")
catalog, catalog_services = grpc.protos_and_services("twotower/v1/catalog.proto")
generation, generation_services = grpc.protos_and_services("twotower/v1/generation.proto")

USERS = 200
# Another channel to the same address must be another connection, and must try at once after a failure.
OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.enable_http_proxy", 0),
]


def channel(address: str) -> grpc.Channel:
    return grpc.insecure_channel(address, OPTIONS)


def request(user: int, page_size: int = 10):
    """A user with three events, told with the call; every other one is stored as well, and so has an owner."""
    items = [user + 1, user * 7 + 30, user * 5 + 400]
    history = [{"item": {"id": item}, "time": 1_000 + place, "event_id": str(place)} for place, item in enumerate(items)]
    user_id = f"user-{user}" if user % 2 == 0 else ""
    return recalls.RecallRequest(user_id=user_id, context={"history": history}, page_size=page_size)


def is_whole(answer) -> bool:
    return bool(answer.candidates) and not answer.degraded_reasons and answer.coverage.fraction == 1


def whole_recalls(address: str, count: int = 20) -> int:
    """How many of some recalls are answered whole, over a connection of their own."""
    good = 0
    with channel(address) as open_channel:
        ask = recall_services.RecallServiceStub(open_channel).Recall
        for user in range(count):
            try:
                good += is_whole(ask(request(user), timeout=2, wait_for_ready=True))
            except grpc.RpcError:
                pass
    return good


def degraded(address: str, count: int = 20) -> list[set[str]]:
    """Why each of some recalls may be worse than it could be."""
    with channel(address) as open_channel:
        ask = recall_services.RecallServiceStub(open_channel).Recall
        answers = [ask(request(user), timeout=2, wait_for_ready=True) for user in range(count)]
    name = lambda reason: recalls.DegradedReason.Name(reason).removeprefix("DEGRADED_REASON_")
    return [{name(reason) for reason in answer.degraded_reasons} for answer in answers]


def generations(address: str) -> dict[str, bool] | None:
    """The generations that a server holds, and whether each serves; none if it does not answer."""
    with channel(address) as open_channel:
        ask = generation_services.GenerationServiceStub(open_channel).ListGenerations
        try:
            answer = ask(generation.ListGenerationsRequest(), timeout=2)
        except grpc.RpcError:
            return None
    return {held.id: held.serving for held in answer.generations}


def code(error: grpc.RpcError) -> str:
    return error.code().name


class Recorder:
    """Records events at one address, and remembers which were acknowledged."""

    def __init__(self, address: str, prefix: str):
        self.channel, self.prefix = channel(address), prefix
        self.stub = event_services.EventServiceStub(self.channel)
        self.acknowledged, self.refused, self.number = [], {}, 0

    def record(self, timeout: float = 5.0, size: int = 8) -> bool:
        """Records events of a user of their own; whether they were acknowledged."""
        self.number += 1
        user = f"{self.prefix}-{self.number}"
        sent = [
            {"user_id": user, "item": {"id": 1 + place}, "type": "x" * 60, "time": 1_000 + place, "event_id": str(place)}
            for place in range(size)
        ]
        try:
            self.stub.RecordEvents(events.RecordEventsRequest(events=sent), timeout=timeout, wait_for_ready=True)
        except grpc.RpcError as error:
            self.refused[code(error)] = self.refused.get(code(error), 0) + 1
            return False
        self.acknowledged.append((user, size))
        return True

    def lost(self) -> int:
        """How many of the events that were acknowledged are not there now, or are there twice."""
        lost = 0
        for user, size in self.acknowledged:
            found = self.stub.GetUser(events.GetUserRequest(user_id=user, newest=size + 1), timeout=5, wait_for_ready=True)
            lost += abs(size - len(found.history))
        return lost

    def close(self) -> None:
        self.channel.close()
