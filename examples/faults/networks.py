"""Members beyond loopback: a cable is pulled, packets vanish one way, an address changes; others answer, and all is well again after."""

import contextlib
import math
import os
import shutil
import subprocess
import time
from functools import partial

import wire
from house import ITEM_TOWERS, USER_TOWERS, House, Server, wait
from kills import READY
from load import Call, Load, failures, p99
from prepared import Site
from rows import Row
from watch import QUIET, is_well, watch

MEMBERS = {"item_towers": ITEM_TOWERS, "user_towers": USER_TOWERS}
RATE = 100
# How long it is looked before how fast recalls are, how long a member is cut off, and how long all is well after it was heard again.
BEFORE, AWAY, AFTER = 5.0, 8.0, 5.0
# Until a member is heard again: connections that nobody cut notice late that packets get through, and are given up after 15 s.
HEARD = 15.0
# Until gateways ask a member at its new address, from when they could read it.
FOUND = 5.0
# In how many recalls it is looked for whether they are as fast as before, and how often.
WINDOW, STEP = 2.0, 0.1
# What is as fast as before: the 99th percentile is no more than so many times that before.
NORMAL = 1.5
# Nobody's hardware address.
NOBODY = "02:00:00:00:00:01"


def waive(row: Row) -> bool:
    """Whether this machine cannot do it."""
    if os.geteuid() != 0:
        row.waived = "needs root, to make network namespaces"
    elif shutil.which("ip") is None:
        row.waived = "needs iproute2"
    return bool(row.waived)


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


class Network:
    """A switch that this machine is at, and members with a cable to it each, in network namespaces of their own."""

    def __init__(self, stack: contextlib.ExitStack, members: list[str]):
        """All of it is gone when the stack is closed."""
        self.switch, self.subnet = f"tt{os.getpid()}", f"10.77.{os.getpid() % 256}"
        # By member: its namespace, which has the name of the cable's end at the switch, and its address.
        self.places = {member: f"{self.switch}-{number}" for number, member in enumerate(members)}
        self.hosts = {member: f"{self.subnet}.{number}" for number, member in enumerate(members, 2)}
        self.make(stack, f"link add {self.switch} type bridge", f"link del {self.switch}")
        ip(f"address add {self.subnet}.1/24 dev {self.switch}")
        ip(f"link set {self.switch} up")
        for member, place in self.places.items():
            self.make(stack, f"netns add {place}", f"netns del {place}")
            self.make(stack, f"link add {place} type veth peer name eth0 netns {place}", f"link del {place}")
            ip(f"link set {place} master {self.switch} up")
            ip(f"-n {place} address add {self.hosts[member]}/24 dev eth0")
            ip(f"-n {place} link set lo up")
            ip(f"-n {place} link set eth0 up")

    @staticmethod
    def make(stack: contextlib.ExitStack, command: str, undo: str) -> None:
        ip(command)
        stack.callback(ip, undo)

    def launch(self) -> dict:
        """What stands before the members' commands, as a `House` takes it."""
        return {member: (["ip", "netns", "exec", place], {}) for member, place in self.places.items()}

    @contextlib.contextmanager
    def pulled(self, member: str):
        """No packet reaches the member or comes from it, and nobody is told: the cable's other end is up, as the switch is."""
        ip(f"link set {self.places[member]} down")
        try:
            yield
        finally:
            ip(f"link set {self.places[member]} up")

    @contextlib.contextmanager
    def mute(self, member: str):
        """What the member sends goes to nobody; what is sent to it arrives."""
        inside, neighbour = f"-n {self.places[member]}", f"{self.subnet}.1"
        ip(f"{inside} neighbour replace {neighbour} lladdr {NOBODY} dev eth0 nud permanent")
        try:
            yield
        finally:
            ip(f"{inside} neighbour del {neighbour} dev eth0")

    def move(self, member: str) -> str:
        """Gives the member another address, and returns it; nobody has the old one any more."""
        inside, old = f"-n {self.places[member]}", self.hosts[member]
        new = self.hosts[member] = f"{self.subnet}.{100 + int(old.rsplit('.', 1)[1])}"
        ip(f"{inside} address del {old}/24 dev eth0")
        ip(f"{inside} address add {new}/24 dev eth0")
        return new


@contextlib.contextmanager
def networked(site: Site, kind: str, **options):
    """A network, and a house whose members of a kind are in it."""
    with contextlib.ExitStack() as stack:
        network = Network(stack, MEMBERS[kind])
        yield network, stack.enter_context(site.house(hosts=network.hosts, launch=network.launch(), **options))


def hears(house: House, member: Server) -> bool:
    """Whether the member answered each gateway when it was last asked, by their logs, which tell each change."""
    name = f'"member":"http://{member.address}"'

    def last(gateway: Server) -> str:
        lines = (line for line in gateway.log.read_text().splitlines() if name in line and " answer" in line)
        return next(reversed(list(lines)), "")

    return all('"member answers"' in last(gateway) for gateway in house.gateways)


def cut(kind: str, fault, share: str, soon: float, site: Site, row: Row, meanwhile=lambda house, row: None) -> None:
    """One of two is cut off: `share` is the goal for recalls that fail, `soon` how long after it they are whole and as fast as before."""
    if waive(row):
        return
    with networked(site, kind) as (network, house):
        member = getattr(house, kind)[0]
        with Load(house.addresses(), RATE) as load:
            time.sleep(QUIET + BEFORE)
            gone = time.monotonic()
            with fault(network, member.name):
                time.sleep(AWAY / 2)
                meanwhile(house, row)
                time.sleep(max(gone + AWAY - time.monotonic(), 0))
                row.holds("missed", not hears(house, member))
            back = time.monotonic()
            heard = wait(f"gateways hear {member.name}", lambda: hears(house, member), 2 * HEARD)
            time.sleep(AFTER)
            calls = load.stop()
        tell(row, calls, gone, back, share, soon)
        row.figure("seconds until heard", heard, "s", f"<= {HEARD:.0f}")
        is_well(house, row)


def tell(row: Row, calls: list[Call], gone: float, back: float, share: str, soon: float) -> None:
    """What callers noticed."""
    before, since = between(calls, gone - BEFORE, gone), between(calls, gone, math.inf)
    row.figure("failed share", sum(call.failed for call in since) / len(since), "1", share)
    row.figure("recalls", len(since))
    row.figure("partial", sum(call.outcome == "partial" for call in since))
    row.figure("p99 ms before", p99(before), "ms")
    row.figure("p99 ms meanwhile", p99(between(calls, gone, back)), "ms")
    row.figure("seconds until whole", until_whole(calls, back), "s", f"<= {soon:.0f}")
    row.figure("seconds until fast", until_fast(calls, back, NORMAL * p99(before)), "s", f"<= {soon:.0f}")
    if failed := failures(calls):
        row.note(failed)


def between(calls: list[Call], begin: float, end: float) -> list[Call]:
    return [call for call in calls if begin <= call.due < end]


def until_whole(calls: list[Call], moment: float) -> float:
    """How long after the moment the last recall came that was not whole."""
    return max([call.due + call.took - moment for call in calls if call.outcome != "whole"] + [0.0])


def until_fast(calls: list[Call], moment: float, most: float) -> float:
    """How long after the moment recalls are as fast as that, by their 99th percentile in milliseconds."""
    for step in range(int((calls[-1].due - WINDOW - moment) / STEP)):
        begin = moment + step * STEP
        if p99(between(calls, begin, begin + WINDOW)) <= most:
            return begin - moment
    return math.inf


def flagged(house: House, row: Row) -> None:
    """Recalls that lack their user's tower say so; there are some, and the others are whole."""
    told = wire.degraded(house.addresses()[0])
    row.holds("flagged", any(told) and all("USER_TOWER_DOWN" in reasons for reasons in told if reasons))
    row.note(f"{sum(map(bool, told))} of {len(told)} lack their user's tower: {', '.join(sorted(set().union(*told)))}")


def address_changes(site: Site, row: Row) -> None:
    """One of two comes back at another address, which gateways read in a file; then the other ends, and it answers alone."""
    if waive(row):
        return
    with networked(site, "item_towers", listed=True) as (network, house):
        moved, other = house.item_towers

        def act() -> None:
            serving = house.current()["serving"]
            moved.stop()
            moved.host = network.move(moved.name)
            moved.start()
            moved.wait_for(serving)
            row.holds("unknown before", not hears(house, moved))
            house.list_item_towers()
            heard = wait(f"gateways hear {moved.name}", lambda: hears(house, moved), 2 * FOUND)
            row.figure("seconds until heard", heard, "s", f"<= {FOUND:.0f}")
            time.sleep(READY)
            other.stop()
            row.figure("seconds until whole alone", house.is_whole(), "s", f"<= {FOUND:.0f}")
            other.start()
            other.wait_for(serving)

        watch(house, row, act)


CASES = {
    "network_cable_pulled": partial(cut, "item_towers", Network.pulled, "<= 0.001", 3.0),
    "network_one_way": partial(cut, "item_towers", Network.mute, "<= 0.001", 3.0),
    "network_address_changes": address_changes,
    "network_user_tower_cut": partial(cut, "user_towers", Network.pulled, "0", 10.0, meanwhile=flagged),
}
