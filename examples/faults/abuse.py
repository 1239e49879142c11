"""Watches a gateway while somebody abuses it: its memory, what other callers notice, and that the abuser gets no further than bounds."""

import multiprocessing
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Callable

from house import Broken
from load import Load, failures, p99
from prepared import Site
from rows import Row
from watch import is_well

# Before what is counted; then in turn nothing, and the attack, for so long each.
WARM, FLOOD = 2.0, 3.0
RATE = 100
# Of these it is the most that counts, of all else the sum.
MOST = {"allowed at once", "seconds until ended"}


@dataclass
class Attack:
    """What is done to the gateway at a port until a time; `tally` counts what came of it, some of it with a goal."""

    act: Callable[[int, float, Counter], None]
    goals: dict[str, str] = field(default_factory=dict)
    rounds: int = 5
    quiet: float = FLOOD
    # Settings of the gateway.
    gateway: dict = field(default_factory=dict)

    def __call__(self, site: Site, row: Row) -> None:
        with site.house(item_towers=1, user_towers=1, gateways=1, settings={"gateway": self.gateway}) as house:
            gateway, tally, times = house.gateways[0], Counter(), []
            with Load(house.addresses(), RATE) as load:
                time.sleep(WARM)
                before = most = 0.0
                for _ in range(self.rounds):
                    quiet = time.monotonic()
                    time.sleep(self.quiet)
                    before = before or gateway.anon()
                    still, abuser = time.monotonic(), Abuser(self.act, gateway.port)
                    begun = time.monotonic()
                    while not abuser.has_ended() and gateway.lives():
                        most = max(most, gateway.anon())
                        time.sleep(0.02)
                    times.append((quiet, still, begun, time.monotonic()))
                    for name, value in abuser.told().items():
                        tally[name] = max(tally[name], value) if name in MOST else tally[name] + value
                calls = load.stop()
            alone = [call for quiet, still, _, _ in times for call in calls if quiet <= call.due < still]
            beside = [call for _, _, begun, ended in times for call in calls if begun <= call.due < ended]
            row.figure("memory MB", most - before, "MB", "< 20")
            row.figure("failed", sum(call.failed for call in calls), "1", "0")
            row.figure("p99 ratio", p99(beside) / p99(alone), "1", "<= 1.5")
            row.note(f"p99 {p99(alone):.1f} to {p99(beside):.1f} ms")
            for name, goal in self.goals.items():
                row.figure(name, tally.pop(name, 0), "1", goal)
            row.note(", ".join(f"{count} {name}" for name, count in tally.items()) or "nothing else")
            if failed := failures(calls):
                row.note(failed)
            is_well(house, row)


class Abuser:
    """Attacks for a while, as a process that takes only CPU time that nobody else here wants: it stands for another machine."""

    def __init__(self, act, port: int):
        context = multiprocessing.get_context("spawn")
        self.end, end = context.Pipe()
        self.process = context.Process(target=attack, args=(act, port, end), daemon=True)
        self.process.start()
        end.close()
        self.end.recv()

    def has_ended(self) -> bool:
        return self.end.poll() or not self.process.is_alive()

    def told(self) -> Counter:
        """What came of it."""
        try:
            return self.end.recv()
        except EOFError:
            raise Broken("the attack failed") from None
        finally:
            self.process.kill()


def attack(act, port: int, end) -> None:
    os.nice(19)
    tally = Counter()
    end.send("it begins")
    act(port, time.monotonic() + FLOOD, tally)
    end.send(tally)

