"""Why a call failed, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from .reading import seconds
from .wire import recall_pb2

M = TypeVar("M", bound=Message)

DOMAIN = "twotower"
DETAILS = "grpc-status-details-bin"
CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

TEMPORARY = frozenset(
    {
        "QUEUE_FULL",
        "OVERLOADED",
        "RATE_EXCEEDED",
        "TOO_MANY_CALLS",
        "MEMBER_UNREACHABLE",
        "COVERAGE_TOO_LOW",
        "NO_GENERATION",
        "STORE_FAILED",
    }
)
"""Reasons that may be gone when the same call is made a little later."""


class TwoTowerError(Exception):
    """A call failed.

    `code` is the gRPC status code and `message` is for people. `reason` is one of the closed list that servers document, empty if
    something else than a server of the house answered. `fields` says what is wrong with which field of the request. `retry_after`
    is how many seconds to wait before another try, if the server said so.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        reason: str = "",
        fields: dict[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, message, reason, fields, retry_after)
        self.code = code
        self.message = message
        self.reason = reason
        self.fields = fields or {}
        self.retry_after = retry_after

    def __str__(self) -> str:
        kind = f"{self.code.name} {self.reason}" if self.reason else self.code.name
        return f"{kind}: {self.message}" if self.message else kind

    @property
    def is_temporary(self) -> bool:
        """Whether the same call may succeed a little later. UNAVAILABLE without a reason is a connection that broke."""
        lost = not self.reason and self.code is grpc.StatusCode.UNAVAILABLE
        return lost or self.reason in TEMPORARY


class RecallError(TwoTowerError):
    """Why one of several recalls has no answer; `Client.recall_many` returns it in the answer's place."""


def of_failure(failure: recall_pb2.RecallFailure) -> RecallError:
    """Reads why one of several recalls has no answer."""
    after = seconds(failure.retry_after) if failure.HasField("retry_after") else None
    code = CODES.get(failure.code, grpc.StatusCode.UNKNOWN)
    return RecallError(code, failure.message, failure.reason, retry_after=after)


def of_call(call: grpc.RpcError) -> TwoTowerError:
    """Reads the error of a call that failed."""
    assert isinstance(call, grpc.Call)
    status = Status()
    for key, value in call.trailing_metadata() or ():
        if key == DETAILS and isinstance(value, bytes):
            status = parsed(value)
    error = TwoTowerError(call.code(), call.details() or "")
    for info in unpacked(status, ErrorInfo):
        if info.domain == DOMAIN:
            error.reason = info.reason
    for bad in unpacked(status, BadRequest):
        error.fields.update((found.field, found.description) for found in bad.field_violations)
    for retry in unpacked(status, RetryInfo):
        error.retry_after = seconds(retry.retry_delay)
    return error


def parsed(details: bytes) -> Status:
    """Parses a status; whatever else a proxy may have put there counts as none."""
    try:
        return Status.FromString(details)
    except DecodeError:
        return Status()


def unpacked(status: Status, kind: type[M]) -> Iterator[M]:
    """Yields the details that are of a kind."""
    for detail in status.details:
        message = kind()
        if detail.Is(kind.DESCRIPTOR) and detail.Unpack(message):
            yield message
