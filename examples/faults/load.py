"""Recalls at a steady rate, however long each takes, by a process of its own: load.py RATE GATEWAY... until its input ends.

A caller gives a gateway 0.7 seconds; then, and where the connection was refused, cut or closed, it asks another one, as balancers
do for calls that may be made twice. A gateway that failed is asked last for a second.
"""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import grpc

import wire

ATTEMPT = 0.7
# After so many seconds a recall has failed.
DEADLINE = 2.5
AVOIDED = 1.0


@dataclass
class Call:
    """When it was to begin, how long it took from then, and what came of it: whole, partial, or a status."""

    due: float
    took: float
    outcome: str

    @property
    def failed(self) -> bool:
        return self.outcome not in ("whole", "partial")


class Load:
    """Asks these gateways from now on."""

    def __init__(self, gateways: list[str], rate: float):
        command = [sys.executable, __file__, str(rate), *gateways]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.begun = json.loads(self.process.stdout.readline())

    def stop(self) -> list[Call]:
        """Waits for the last answers, and returns all calls."""
        said, _ = self.process.communicate(timeout=30)
        return [Call(*call) for call in json.loads(said)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def p99(calls: list[Call]) -> float:
    """The milliseconds that 99 of 100 calls do not exceed."""
    times = sorted(call.took for call in calls)
    return 1e3 * times[min(len(times) - 1, len(times) * 99 // 100)] if times else float("nan")


def failures(calls: list[Call]) -> str:
    counts = {}
    for call in calls:
        if call.failed:
            counts[call.outcome] = counts.get(call.outcome, 0) + 1
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items())


class Gateways:
    """Connections to gateways, asked in turn."""

    def __init__(self, addresses: list[str]):
        channels = [grpc.aio.insecure_channel(address, wire.OPTIONS) for address in addresses]
        self.asks = [wire.recall_services.RecallServiceStub(channel).Recall for channel in channels]
        self.avoided = [0.0] * len(channels)
        self.turn = 0

    def order(self) -> list[int]:
        self.turn += 1
        places = range(len(self.asks))
        return sorted(places, key=lambda place: (self.avoided[place] > time.monotonic(), (place + self.turn) % len(self.asks)))

    async def recall(self, user: int, due: float) -> Call:
        outcome = "none"
        while outcome not in ("whole", "partial") and time.monotonic() < due + DEADLINE:
            for place in self.order():
                left = due + DEADLINE - time.monotonic()
                alone = len(self.asks) == 1
                try:
                    answer = await self.asks[place](wire.request(user), timeout=max(left if alone else min(left, ATTEMPT), 0.01))
                except grpc.aio.AioRpcError as error:
                    outcome = wire.code(error)
                    if not is_lost(error):
                        return Call(due, time.monotonic() - due, outcome)
                    self.avoided[place] = time.monotonic() + AVOIDED
                    continue
                outcome = "whole" if wire.is_whole(answer) else "partial"
                break
            if len(self.asks) == 1:
                break
        return Call(due, time.monotonic() - due, outcome)


def is_lost(error: grpc.aio.AioRpcError) -> bool:
    """Whether another gateway is to be asked: this one was slow, or it is no answer of its own, for those have details."""
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    lost = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED) and details is None
    return lost or error.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def ask(rate: float, addresses: list[str]) -> list[Call]:
    gateways, calls = Gateways(addresses), []
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    begun = time.monotonic()
    print(begun, flush=True)
    while not ended.done():
        due = begun + len(calls) / rate
        await asyncio.sleep(max(due - time.monotonic(), 0))
        calls.append(asyncio.create_task(gateways.recall(len(calls) % wire.USERS, due)))
    return [await call for call in calls]


if __name__ == "__main__":
    done = asyncio.run(ask(float(sys.argv[1]), sys.argv[2:]))
    print(json.dumps([[call.due, call.took, call.outcome] for call in done]))
