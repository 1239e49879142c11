"""Deadlines, tries and errors of the client, against a server of a few lines that fails as it is told to."""

from __future__ import annotations

import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Detail
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from twotower import Client, Event, TwoTowerError
from twotower.wire import event_pb2, recall_pb2
from twotower.wire.event_pb2_grpc import EventServiceServicer, add_EventServiceServicer_to_server
from twotower.wire.recall_pb2_grpc import RecallServiceServicer, add_RecallServiceServicer_to_server

ANSWERS = {
    "Recall": recall_pb2.RecallResponse(candidates=[recall_pb2.Candidate(id=7, score=0.5)], generation="g"),
    "RecordEvents": event_pb2.RecordEventsResponse(recorded=1, consistency_token="t"),
    "DeleteUser": event_pb2.DeleteUserResponse(events=1),
}


def status(code: grpc.StatusCode, reason: str, *details: Any, domain: str = "twotower") -> Status:
    """A status as a gateway sends it."""
    made = Status(code=code.value[0], message="not now")
    for detail in (ErrorInfo(reason=reason, domain=domain), *details):
        packed = Detail()
        packed.Pack(detail)
        made.details.append(packed)
    return made


UNREACHABLE = status(grpc.StatusCode.UNAVAILABLE, "MEMBER_UNREACHABLE")


def overloaded(seconds: float) -> Status:
    """A status that says when to try again."""
    after = Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
    return status(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", RetryInfo(retry_delay=after))


class Server(RecallServiceServicer, EventServiceServicer):
    """Answers calls with `failures`, one after the other, then as ANSWERS says; remembers what came."""

    def __init__(self, failures: list[Status]) -> None:
        self.failures = failures
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []

    def answer(self, name: str, request: Any, context: grpc.ServicerContext) -> Any:
        """Answers one call."""
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        if not self.failures:
            return ANSWERS[name]
        failure = self.failures.pop(0)
        code = next(code for code in grpc.StatusCode if code.value[0] == failure.code)
        context.set_trailing_metadata((("grpc-status-details-bin", failure.SerializeToString()),))
        context.abort(code, failure.message)

    def Recall(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self.answer("Recall", request, context)

    def RecordEvents(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self.answer("RecordEvents", request, context)

    def DeleteUser(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self.answer("DeleteUser", request, context)


class CallsTest(unittest.TestCase):
    def serve(self, *failures: Status, **options: Any) -> tuple[Server, Client]:
        """Starts a server that fails so, and a client of it."""
        service = Server(list(failures))
        server = grpc.server(ThreadPoolExecutor(1))
        add_RecallServiceServicer_to_server(service, server)
        add_EventServiceServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.addCleanup(server.stop, None)
        client = Client(f"127.0.0.1:{port}", **options)
        self.addCleanup(client.close)
        return service, client

    def error_of(self, client: Client, **query: Any) -> TwoTowerError:
        """The error of a recall that fails."""
        with self.assertRaises(TwoTowerError) as raised:
            client.recall(user_id="1", **query)
        return raised.exception

    def test_a_member_that_is_unreachable_twice_is_asked_a_third_time(self) -> None:
        server, client = self.serve(UNREACHABLE, UNREACHABLE)
        self.assertEqual(client.recall(user_id="1").ids.tolist(), [7])
        self.assertEqual(len(server.requests), 3)

    def test_tries_are_counted(self) -> None:
        server, client = self.serve(*[UNREACHABLE] * 5, retries=1)
        error = self.error_of(client)
        self.assertEqual((error.code, error.reason), (grpc.StatusCode.UNAVAILABLE, "MEMBER_UNREACHABLE"))
        self.assertEqual(str(error), "UNAVAILABLE MEMBER_UNREACHABLE: not now")
        self.assertEqual(len(server.requests), 2)

    def test_an_overloaded_server_is_left_alone_for_as_long_as_it_asks(self) -> None:
        server, client = self.serve(overloaded(0.3))
        began = time.monotonic()
        client.recall(user_id="1")
        self.assertGreaterEqual(time.monotonic() - began, 0.3)
        self.assertEqual(len(server.requests), 2)

    def test_no_try_begins_that_the_deadline_leaves_no_time_for(self) -> None:
        server, client = self.serve(overloaded(30), timeout=2)
        began = time.monotonic()
        self.assertEqual(self.error_of(client).retry_after, 30)
        self.assertLess(time.monotonic() - began, 2)
        self.assertEqual(len(server.requests), 1)

    def test_a_refused_call_is_made_once(self) -> None:
        bad = BadRequest(field_violations=[BadRequest.FieldViolation(field="page_size", description="is 2000")])
        server, client = self.serve(status(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", bad))
        error = self.error_of(client)
        self.assertEqual(error.fields, {"page_size": "is 2000"})
        self.assertFalse(error.is_temporary)
        self.assertEqual(len(server.requests), 1)

    def test_a_reason_of_somebody_else_is_none(self) -> None:
        elsewhere = status(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", domain="elsewhere")
        server, client = self.serve(elsewhere)
        self.assertEqual(self.error_of(client).reason, "")
        self.assertEqual(len(server.requests), 1)

    def test_a_deletion_is_tried_once(self) -> None:
        server, client = self.serve(UNREACHABLE)
        with self.assertRaises(TwoTowerError):
            client.delete_user("1")
        self.assertEqual(len(server.requests), 1)

    def test_events_keep_their_key_from_try_to_try(self) -> None:
        server, client = self.serve(UNREACHABLE)
        events = [Event(7, user_id="1"), Event("key", user_id="1", time=5)]
        self.assertEqual(client.record(events).consistency_token, "t")
        first, second = server.requests
        self.assertEqual(first, second)
        one, other = first.events
        self.assertLess(one.event_id, other.event_id)
        self.assertAlmostEqual(one.time, time.time(), delta=60)
        self.assertEqual((other.time, other.item.key), (5, "key"))

    def test_a_server_that_is_not_there_is_a_temporary_error_without_a_reason(self) -> None:
        with Client("127.0.0.1:1", retries=0) as client:
            error = self.error_of(client)
        self.assertEqual((error.code, error.reason), (grpc.StatusCode.UNAVAILABLE, ""))
        self.assertTrue(error.is_temporary)

    def test_the_token_goes_along(self) -> None:
        server, client = self.serve(token="secret")
        client.recall(user_id="1")
        self.assertEqual(server.metadata[0]["authorization"], "Bearer secret")

    def test_an_argument_that_no_query_has_is_a_mistake_of_the_program(self) -> None:
        _, client = self.serve()
        with self.assertRaises(TypeError):
            client.recall(user_id="1", page=2)  # type: ignore[call-arg]
