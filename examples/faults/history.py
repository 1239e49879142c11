"""A history file that is damaged while its user tower is down: what is read of it is what was recorded, or nothing is, loudly."""

import random
import shutil
from collections import Counter
from functools import partial

import grpc

from house import Server, wait
from prepared import Site
from rows import Row
from wire import channel, event_services, events, generations

USERS, EVENTS, MUTATIONS = 150, 8, 40
BLOCK = 4_096


def flipped(data: bytearray, draw: random.Random) -> None:
    """One bit, where there is something."""
    at = next(at for at in iter(lambda: draw.randrange(len(data)), -1) if data[at])
    data[at] ^= 1 << draw.randrange(8)


def zeroed(data: bytearray, draw: random.Random) -> None:
    """A block, where there is something."""
    at = next(at for at in iter(lambda: draw.randrange(len(data) // BLOCK) * BLOCK, -1) if any(data[at : at + BLOCK]))
    data[at : at + BLOCK] = bytes(BLOCK)


def torn(data: bytearray, draw: random.Random) -> None:
    """The tail is cut off."""
    del data[draw.randrange(len(data) // 2, len(data)) :]


def recorded(address: str) -> dict[str, bytes]:
    """What is read of each user."""
    with channel(address) as open_channel:
        read = event_services.EventServiceStub(open_channel).GetUser
        ask = lambda user: read(events.GetUserRequest(user_id=user), timeout=5, wait_for_ready=True)
        return {user: ask(user).SerializeToString(deterministic=True) for user in users()}


def users() -> list[str]:
    return [f"user-{number}" for number in range(USERS)]


def record(address: str) -> None:
    """Records events of all users, each by a write of its own."""
    with channel(address) as open_channel:
        record_events = event_services.EventServiceStub(open_channel).RecordEvents
        for number, user in enumerate(users()):
            items = [1 + (number * 7 + place) % 1_700 for place in range(EVENTS)]
            sent = [
                {"user_id": user, "item": {"id": item}, "type": "rating", "value": place, "time": 1_000 + place, "event_id": str(place)}
                for place, item in enumerate(items)
            ]
            record_events(events.RecordEventsRequest(events=sent), timeout=5, wait_for_ready=True)


def put_profile(address: str) -> None:
    """The last write of all."""
    with channel(address) as open_channel:
        put = event_services.EventServiceStub(open_channel).PutUserProfile
        put(events.PutUserProfileRequest(user_id=users()[-1], profile={"values": {"age": {"number": 7}}}), timeout=5, wait_for_ready=True)


def damaged(damage, clean: bool, site: Site, row: Row) -> None:
    """Each mutation is of the file as the tower left it when it ended, or when it was killed."""
    draw, outcomes = random.Random(4), Counter()
    with site.house(user_towers=1, item_towers=1, gateways=0) as house:
        tower, path = house.user_towers[0], house.history("user-tower-0")
        record(tower.address)
        truth = Truth(recorded(tower.address))
        put_profile(tower.address)
        truth.whole = recorded(tower.address)
        tower.stop() if clean else tower.kill()
        kept = path.with_suffix(".kept")
        shutil.copy(path, kept)
        for _ in range(MUTATIONS):
            data = bytearray(kept.read_bytes())
            damage(data, draw)
            path.write_bytes(data)
            begun = tower.log.stat().st_size
            tower.start()
            wait("the tower answers or ends", lambda: not tower.lives() or generations(tower.address) is not None, 20)
            outcomes[truth.outcome(tower, begun)] += 1
            tower.kill()
        shutil.copy(kept, path)
        tower.start()
        tower.wait_for(None)
        row.figure("silent", outcomes.pop("silent", 0), "1", "0")
        row.figure("crashes", outcomes.pop("crash", 0), "1", "0")
        row.holds("whole again", recorded(tower.address) == truth.whole)
        row.note(", ".join(f"{count} {what}" for what, count in outcomes.items()))


class Truth:
    """What was recorded, before the last write and after it."""

    def __init__(self, before: dict[str, bytes]):
        self.before, self.whole = before, {}

    def outcome(self, tower: Server, begun: int) -> str:
        """Whether all is read as it was recorded, or something not at all and it says so; its log of this start begins there."""
        if not tower.lives():
            return "refused at the start" if tower.process.returncode > 0 else "crash"
        try:
            read = recorded(tower.address)
        except grpc.RpcError as error:
            return f"refused: {error.code().name}" if tower.lives() else "crash"
        told = b'"level":"ERROR"' in tower.log.read_bytes()[begun:]
        if read == self.before and told:
            return "the last write dropped, with an error in the log"
        return "unharmed" if read == self.whole else "silent"


CASES = {
    f"history_{damage.__name__}_{'closed' if clean else 'killed'}": partial(damaged, damage, clean)
    for damage in (torn, flipped, zeroed)
    for clean in (True, False)
}
