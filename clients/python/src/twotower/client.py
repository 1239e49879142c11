"""The client of a gateway."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import grpc
from typing_extensions import Unpack

from .calls import Calls
from .candidates import Scores, Similar, read_scores, read_similar
from .errors import RecallError
from .events import Event, EventIds
from .explanations import Explained, read_explained
from .filters import Filter
from .items import FeatureValue, Found, Item, ItemKey, Popular, Upserted, features, read_item, read_ref, refs
from .query import Query, context, recall_request
from .reading import read, uint64s
from .recalls import Recall, Replay, read_recall, read_replay, read_result
from .traffic import Generation, Traffic, Verdict, read_traffic, read_verdict
from .users import DeletedUser, Recorded, StoredProfile, User, read_stored_profile, read_user
from .wire import catalog_pb2, event_pb2, generation_pb2, recall_pb2, traffic_pb2
from .wire.catalog_pb2_grpc import CatalogServiceStub
from .wire.event_pb2_grpc import EventServiceStub
from .wire.generation_pb2_grpc import GenerationServiceStub
from .wire.recall_pb2_grpc import RecallServiceStub
from .wire.traffic_pb2_grpc import TrafficServiceStub

# A gateway that is back is found within a second. Sixty-four answers with titles are long.
CHANNEL_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
]


class Client:
    """Calls a gateway.

    Use it in a `with` statement, or `close` it; threads may share one. Every call takes `timeout` seconds at most, the client's unless
    it names its own, and raises `TwoTowerError` when it fails. Calls that may be made twice without harm are tried again up to
    `retries` times, within that time, when the error is temporary.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        tls: bytes | None = None,
        timeout: float = 5.0,
        retries: int = 3,
    ) -> None:
        """Prepares to call `address`, "host:port" or any name that gRPC resolves; connects with the first call.

        `token` goes along with every call as a bearer token. `tls` has the PEM certificates of the authorities that the gateway's is
        checked against, or is empty for those that gRPC knows; None calls without TLS.
        """
        if tls is None:
            self._channel = grpc.insecure_channel(address, CHANNEL_OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(tls or None)
            self._channel = grpc.secure_channel(address, credentials, CHANNEL_OPTIONS)
        self._calls = Calls(token, timeout, retries)
        self._event_ids = EventIds()
        self._recalls = RecallServiceStub(self._channel)
        self._events = EventServiceStub(self._channel)
        self._catalog = CatalogServiceStub(self._channel)
        self._generations = GenerationServiceStub(self._channel)
        self._traffic = TrafficServiceStub(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection, and calls under way with it."""
        self._channel.close()

    def recall(self, *, timeout: float | None = None, **query: Unpack[Query]) -> Recall:
        """Finds the items that a user is likely to want next; `Query` names the arguments."""
        request = recall_request(**query)
        return read_recall(self._calls.make(self._recalls.Recall, request, timeout))

    def pages(self, *, timeout: float | None = None, **query: Unpack[Query]) -> Iterator[Recall]:
        """Yields one page after the other until nothing can come after; no item comes twice.

        All pages are of one generation, history and catalog. Each is a call of its own, with `timeout` seconds. A page that is degraded
        is the last one, for nothing goes on from it.
        """
        query["with_tokens"] = True
        request = recall_request(**query)
        while True:
            page = read_recall(self._calls.make(self._recalls.Recall, request, timeout))
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def recall_many(self, queries: Iterable[Query], *, timeout: float | None = None) -> list[Recall | RecallError]:
        """Answers up to 64 recalls in one call; each has an answer or an error of its own, in the order asked."""
        request = recall_pb2.BatchRecallRequest(recalls=[recall_request(**query) for query in queries])
        answer: recall_pb2.BatchRecallResponse = self._calls.make(self._recalls.BatchRecall, request, timeout)
        return [read_result(result) for result in answer.results]

    def similar(
        self,
        items: Iterable[ItemKey],
        *,
        page_size: int = 0,
        exclude: Iterable[ItemKey] = (),
        filter: Filter | None = None,
        exact: bool = False,
        with_item: bool = False,
        min_coverage: float = 0.0,
        generation: str = "",
        timeout: float | None = None,
    ) -> Similar:
        """Finds items that are near to some of 1 to 16 items; the arguments are as those of a recall."""
        request = recall_pb2.SimilarItemsRequest(
            items=refs(items),
            page_size=page_size,
            exclude=refs(exclude),
            filter=filter.to_wire() if filter else None,
            options=recall_pb2.RecallOptions(exact=exact, with_item=with_item, min_coverage=min_coverage),
            generation=generation,
        )
        return read_similar(self._calls.make(self._recalls.SimilarItems, request, timeout))

    def score(
        self,
        items: Iterable[ItemKey],
        *,
        user_id: str = "",
        history: Iterable[Event | ItemKey] | None = None,
        features: Mapping[str, FeatureValue] | None = None,
        with_item: bool = False,
        reproducible: bool = False,
        generation: str = "",
        experiment_unit: str = "",
        consistency_token: str = "",
        timeout: float | None = None,
    ) -> Scores:
        """Scores 1 to 1,000 items for a user, seen ones too; the arguments are as those of a recall."""
        request = recall_pb2.ScoreItemsRequest(
            items=refs(items),
            user_id=user_id,
            context=context(history, features),
            with_item=with_item,
            reproducible=reproducible,
            generation=generation,
            experiment_unit=experiment_unit,
            consistency_token=consistency_token,
        )
        return read_scores(self._calls.make(self._recalls.ScoreItems, request, timeout))

    def explain(
        self,
        *,
        items: Iterable[ItemKey] = (),
        reasons: int = 0,
        timeout: float | None = None,
        **query: Unpack[Query],
    ) -> Explained:
        """Tells why up to 10 items stand where they do in a recall, its first ones unless `items` names others.

        Each gets up to `reasons` reasons, at most 10; 0 means 3. The recall has no diversity, blend or page_token.
        """
        request = recall_pb2.ExplainRecallRequest(
            recall=recall_request(**query), items=refs(items), reasons=reasons
        )
        return read_explained(self._calls.make(self._recalls.ExplainRecall, request, timeout))

    def replay(
        self,
        recall_token: str,
        *,
        answer_from: str = "",
        timeout: float | None = None,
        **query: Unpack[Query],
    ) -> Replay:
        """Answers a recall again, from the history and the catalog as they were; the query must be as it was.

        `answer_from` names the generation to answer from; empty means the one that answered then.
        """
        query["with_tokens"] = True
        request = recall_pb2.ReplayRecallRequest(
            recall=recall_request(**query), recall_token=recall_token, generation=answer_from
        )
        return read_replay(self._calls.make(self._recalls.ReplayRecall, request, timeout))

    def popular(
        self,
        k: int = 0,
        *,
        filter: Filter | None = None,
        shards: Sequence[int] = (),
        generation: str = "",
        timeout: float | None = None,
    ) -> Popular:
        """Lists the `k` most popular items, at most 1,000; 0 means 100. `shards` keeps to items of these shards."""
        request = catalog_pb2.ListPopularItemsRequest(
            generation=generation, k=k, filter=filter.to_wire() if filter else None, shards=shards
        )
        answer: catalog_pb2.ListPopularItemsResponse
        answer = self._calls.make(self._catalog.ListPopularItems, request, timeout)
        return Popular(answer.generation, uint64s(answer.ids), uint64s(answer.counts), answer.eligible)

    def items(self, items: Iterable[ItemKey], *, generation: str = "", timeout: float | None = None) -> Found:
        """Reads up to 1,000 items of the catalog."""
        request = catalog_pb2.GetItemsRequest(generation=generation, items=refs(items))
        answer: catalog_pb2.GetItemsResponse = self._calls.make(self._catalog.GetItems, request, timeout)
        return Found([read_item(item) for item in answer.items], [read_ref(item) for item in answer.missing])

    def upsert_items(self, items: Iterable[Item], *, timeout: float | None = None) -> Upserted:
        """Puts 1 to 1,000 items into the catalog, in place of what it has of their ids; recalls find them within a second."""
        request = catalog_pb2.UpsertItemsRequest(items=[item.to_wire() for item in items])
        answer: catalog_pb2.UpsertItemsResponse = self._calls.make(self._catalog.UpsertItems, request, timeout)
        return Upserted(answer.delta, uint64s(answer.not_embedded))

    def delete_items(self, items: Iterable[ItemKey], *, timeout: float | None = None) -> int:
        """Takes 1 to 1,000 items out of the catalog, and returns the delta that does; unknown ones do no harm."""
        request = catalog_pb2.DeleteItemsRequest(items=refs(items))
        answer: catalog_pb2.DeleteItemsResponse = self._calls.make(self._catalog.DeleteItems, request, timeout)
        return answer.delta

    def record(self, events: Iterable[Event], *, timeout: float | None = None) -> Recorded:
        """Records up to 1,000 events, each of which names its user; they are on disk when this returns.

        An event without a time happens now, and one without an id gets one, before the first try: trying again records nothing twice,
        but events that an earlier try recorded are counted as duplicates then.
        """
        completed = self._event_ids.complete(events)
        request = event_pb2.RecordEventsRequest(events=[event.to_wire() for event in completed])
        return read(Recorded, self._calls.make(self._events.RecordEvents, request, timeout))

    def user(self, user_id: str, *, newest: int = 0, timeout: float | None = None) -> User:
        """Reads a user's profile and `newest` events; 0 means 50."""
        request = event_pb2.GetUserRequest(user_id=user_id, newest=newest)
        return read_user(self._calls.make(self._events.GetUser, request, timeout))

    def put_profile(
        self, user_id: str, profile: Mapping[str, FeatureValue], *, timeout: float | None = None
    ) -> StoredProfile:
        """Replaces a user's profile."""
        request = event_pb2.PutUserProfileRequest(user_id=user_id, profile=features(profile))
        return read_stored_profile(self._calls.make(self._events.PutUserProfile, request, timeout))

    def delete_user(self, user_id: str, *, timeout: float | None = None) -> DeletedUser:
        """Removes all that is stored of a user. It is tried once: a second deletion would also hold for events of in between."""
        request = event_pb2.DeleteUserRequest(user_id=user_id)
        answer = self._calls.make(self._events.DeleteUser, request, timeout, idempotent=False)
        return read(DeletedUser, answer)

    def generations(self, *, timeout: float | None = None) -> list[Generation]:
        """Lists the generations held, newest first."""
        request = generation_pb2.ListGenerationsRequest()
        answer: generation_pb2.ListGenerationsResponse
        answer = self._calls.make(self._generations.ListGenerations, request, timeout)
        return [read(Generation, generation) for generation in answer.generations]

    def traffic(self, *, timeout: float | None = None) -> Traffic:
        """Tells which generations answer. This and the calls below need a gateway that serves TrafficService."""
        request = traffic_pb2.GetTrafficRequest()
        return read_traffic(self._calls.make(self._traffic.GetTraffic, request, timeout).traffic)

    def promote(self, generation: str = "", *, timeout: float | None = None) -> Traffic:
        """Lets a generation serve, the candidate if none is named; the one that serves becomes the previous. It is tried once."""
        request = traffic_pb2.PromoteGenerationRequest(generation=generation)
        return self._change_traffic(self._traffic.PromoteGeneration, request, timeout)

    def rollback(self, serving: str = "", *, timeout: float | None = None) -> Traffic:
        """Lets the previous generation serve again. It is tried once.

        If `serving` is named and another one serves, nothing changes, so that a call made again goes back once.
        """
        request = traffic_pb2.RollbackGenerationRequest(**{"from": serving})
        return self._change_traffic(self._traffic.RollbackGeneration, request, timeout)

    def set_traffic(
        self,
        candidate: str = "",
        *,
        candidate_share: float = 0.0,
        shadow_share: float = 0.0,
        timeout: float | None = None,
    ) -> Traffic:
        """Gives a candidate a share of the experiment units, and of the recalls to answer unseen; no candidate ends the experiment.

        It is tried once.
        """
        request = traffic_pb2.SetTrafficPolicyRequest(
            candidate=candidate, candidate_share=candidate_share, shadow_share=shadow_share
        )
        return self._change_traffic(self._traffic.SetTrafficPolicy, request, timeout)

    def verdict(self, *, timeout: float | None = None) -> Verdict:
        """Compares the candidate with the generation that serves."""
        request = traffic_pb2.GetVerdictRequest()
        return read_verdict(self._calls.make(self._traffic.GetVerdict, request, timeout))

    def _change_traffic(self, rpc: Any, request: Any, timeout: float | None) -> Traffic:
        """Makes a change once: a second try could undo what somebody else decided in between."""
        return read_traffic(self._calls.make(rpc, request, timeout, idempotent=False).traffic)
