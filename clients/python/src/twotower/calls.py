"""Makes a call: by its deadline, and again where that is safe and may help."""

from __future__ import annotations

import random
import time
from typing import Any

import grpc

from . import errors

FIRST_WAIT = 0.05
LONGEST_WAIT = 2.0


class Calls:
    """Makes calls that name the caller, take `timeout` seconds at most unless they say otherwise, and are tried again `retries` times."""

    def __init__(self, token: str | None, timeout: float, retries: int) -> None:
        self._metadata = [("authorization", f"Bearer {token}")] if token is not None else []
        self._timeout = timeout
        self._retries = retries

    def make(self, rpc: Any, request: Any, timeout: float | None = None, *, idempotent: bool = True) -> Any:
        """Returns the answer to `request`.

        All tries together end by the deadline. A call that is not idempotent is made once.

        Raises `TwoTowerError` if there is no answer.
        """
        until = time.monotonic() + (self._timeout if timeout is None else timeout)
        retries = self._retries if idempotent else 0
        tried = 0
        while True:
            try:
                return rpc(request, timeout=until - time.monotonic(), metadata=self._metadata)
            except grpc.RpcError as failure:
                error = errors.of_call(failure)
                pause = wait(tried, error.retry_after)
                if tried == retries or not error.is_temporary or time.monotonic() + pause >= until:
                    raise error from failure
            time.sleep(pause)
            tried += 1


def wait(tried: int, retry_after: float | None) -> float:
    """Returns how many seconds to wait after the try of that number, from 0: what the server asks for, and a random part of a time
    that doubles, so that callers who failed together come back apart."""
    return (retry_after or 0.0) + random.uniform(0.5, 1.0) * min(FIRST_WAIT * 2.0**tried, LONGEST_WAIT)
