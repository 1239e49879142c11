"""Whether an event that a user tower acknowledged is ever lost: kills, power cuts, and the order of its system calls.

Runs the tests that do it, with many more rounds than `make test`, and a user tower under strace. Merges rows into the report.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc

sys.path.insert(0, "proto/proto")
messages, services = grpc.protos_and_services("twotower/v1/event.proto")


def test(name: str, settings: dict[str, str]) -> bool:
    command = ["cargo", "test", "--release", "--quiet", "-p", "user-tower", "--", name]
    return subprocess.run(command, env=os.environ | settings).returncode == 0


def kills(count: int, events: int) -> list[tuple]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "kills"
        settings = {
            "TWOTOWER_TEST_KILLS": str(count),
            "TWOTOWER_TEST_KILL_EVENTS": str(events),
            "TWOTOWER_TEST_KILLS_REPORT": str(report),
        }
        if not test("survives_kill_9", settings) and not report.exists():
            sys.exit("the kills could not be counted")
        acknowledged, lost, twice = map(int, report.read_text().split())
    return [
        ("kills", count, ">= 200"),
        ("events_acked", acknowledged, ">= 100000"),
        ("events_lost", lost, "0"),
        ("events_twice", twice, "0"),
    ]


def moves() -> list[tuple]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "moves"
        if not test("moving_users_to_a_third_member", {"TWOTOWER_TEST_MOVE_REPORT": str(report)}) and not report.exists():
            sys.exit("the events of moved users could not be counted")
        acknowledged, lost, twice = map(int, report.read_text().split())
    return [("moved_events", acknowledged, ""), ("moved_events_lost", lost, "0"), ("moved_events_twice", twice, "0")]


def power_cuts(count: int) -> list[tuple]:
    passed = test("a_power_cut_at_any_moment", {"TWOTOWER_TEST_POWER_CUTS": str(count)})
    return [("power_cuts", count, ">= 200"), ("power_cuts_passed", int(passed), "1")]


def order(events: int) -> list[tuple]:
    """Counts the answers that a user tower sent before what they acknowledge was synced, by the order of its system calls.

    One caller, one event a call: between the request that comes in and the answer that goes out on its socket there must be
    an fdatasync of the history.
    """
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace"
        settings = {
            "USER_TOWER__STORE": f"{folder}/store",
            "USER_TOWER__HISTORY__PATH": f"{folder}/history.redb",
            "USER_TOWER__SERVER__LISTEN": "127.0.0.1:0",
            "USER_TOWER__TELEMETRY__FORMAT": "json",
        }
        calls = "trace=fdatasync,fsync,write,writev,sendto,sendmsg,read,readv,recvfrom,recvmsg,accept4"
        command = ["strace", "-f", "-yy", "-s", "0", "-o", str(trace), "-e", calls, "target/release/user-tower"]
        server = subprocess.Popen(command, env=os.environ | settings, stderr=subprocess.PIPE, text=True)
        for line in server.stderr:
            if '"listening"' in line:
                address = json.loads(line)["address"]
                break
        with grpc.insecure_channel(address) as channel:
            record = services.EventServiceStub(channel).RecordEvents
            grpc.channel_ready_future(channel).result(timeout=30)
            for number in range(events):
                event = {"user_id": "7", "item": {"id": 1 + number}, "time": 1 + number, "event_id": str(number)}
                record(messages.RecordEventsRequest(events=[event]), timeout=30, wait_for_ready=True)
        subprocess.run(["pkill", "-TERM", "-P", str(server.pid)], check=True)
        server.wait(timeout=60)
        return acknowledged_before_sync(trace.read_text().splitlines(), int(address.rsplit(":", 1)[1]), events)


def acknowledged_before_sync(lines: list[str], port: int, events: int) -> list[tuple]:
    """Counts the answers without a sync of the history since the answer before; settings and pings are shorter than an answer."""
    call = re.compile(rf"^(\d+) +(?:write|writev|sendto|sendmsg)\(\d+<TCP(?:v6)?:\[[^]]*:{port}->")
    result = re.compile(r"= (-?\d+)(?: |$)")
    synced, answered, early, waiting = 0, 0, 0, {}
    for line in lines:
        thread = line.split(" ", 1)[0]
        if re.search(r"f(data)?sync\(\d+<[^>]*history\.redb>\) += 0", line) or re.search(r"f(data)?sync resumed>.*= 0", line):
            synced += 1
            continue
        begun = call.search(line) is not None
        if begun and "<unfinished" in line:
            waiting[thread] = synced
        elif (begun or thread in waiting) and (size := result.search(line)) is not None:
            before = waiting.pop(thread, synced)
            if int(size[1]) >= 60:
                answered, early, synced = answered + 1, early + (before == 0), 0
    return [("acks_traced", answered, f">= {events}"), ("acks_before_fdatasync", early, "0")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--events", type=int, default=150, help="events that one of four callers has acknowledged before a kill")
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--traced", type=int, default=500)
    parser.add_argument("--report", type=Path, default=Path("target/report/user.json"))
    parser.add_argument("--docs", type=Path, default=Path("docs/user-tower.json"))
    arguments = parser.parse_args()
    keep(arguments, kills(arguments.kills, arguments.events))
    keep(arguments, power_cuts(arguments.cuts))
    keep(arguments, moves())
    keep(arguments, order(arguments.traced))


def keep(arguments: argparse.Namespace, found: list[tuple]) -> None:
    """Prints rows, and merges them into the report and what is kept."""
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    rows = [
        {"row": name, "value": value, "unit": "1", "goal": goal, "command": "make soak-events", "date": date}
        for name, value, goal in found
    ]
    for row in rows:
        print(f"{row['row']:<28} {row['value']:>10} {row['goal']}", flush=True)
    names = {row["row"] for row in rows}
    for file in (arguments.report, arguments.docs):
        old = json.loads(file.read_text()) if file.exists() else []
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([row for row in old if row["row"] not in names] + rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
