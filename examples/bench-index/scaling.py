"""Measures how the cost of a shard grows with its rows, fits slopes, and writes `docs/scaling.md` with what follows for large catalogs.

A slope is the exponent `b` of `cost = a n^b`, by least squares over the logarithms.
"""

import argparse
import json
import math
import statistics
import sys
from pathlib import Path

import numpy as np

from bench import RECALL, Ours, Vectors, merge, row, today

HERE = Path(__file__).parent
EFFORTS = [100, 128, 160, 200, 256, 320, 400, 512, 640, 800, 1024]


def measure(count: int, arguments: argparse.Namespace) -> dict:
    """What building, holding and searching a shard of `count` rows costs."""
    print(f"{count:,} rows", flush=True)
    vectors = Vectors(count, arguments)
    ours = Ours(arguments.program, vectors, arguments)
    graph = count <= arguments.graph_rows
    if not graph:
        # It is soon made, and finds little: what is planned must not be a walk of it.
        ours.tell("graph 2 2")
    built, divided = ours.tell("build"), ours.tell("divide")
    opened = ours.tell("plan" if graph else "cells")
    found = {"rows": count, "cells_cpu_s": divided, "open_cpu_s": opened, "bytes_a_row": memory(ours) / count}
    found["plan"] = search(ours, vectors, arguments)
    if graph:
        found["build_cpu_s"] = built
        for effort in EFFORTS:
            ours.tell(f"walk {effort}")
            found["graph"] = search(ours, vectors, arguments) | {"effort": effort}
            if found["graph"]["recall"] >= RECALL:
                break
    ours.close()
    print(json.dumps(found), flush=True)
    return found


def search(ours: Ours, vectors: Vectors, arguments: argparse.Namespace) -> dict:
    seconds = [ours.cpu() / arguments.users for _ in range(arguments.pairs)]
    return {"micros": 1e6 * statistics.median(seconds), "recall": ours.recall(vectors.truth)}


def memory(ours: Ours) -> int:
    """Bytes that the process of the shard has in memory, but for what it was given."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{ours.process.pid}/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024 + int(fields["RssFile"].split()[0]) * 1024


def slope(points: list[tuple[float, float]]) -> tuple[float, float]:
    """`a` and `b` of `cost = a n^b`."""
    x, y = np.log(np.array(points, dtype=float)).T
    b, a = np.polyfit(x, y, 1)
    return math.exp(a), b


def page(kept: dict) -> str:
    sizes, dim = kept["sizes"], kept["settings"]["dim"]
    text = (HERE / "scaling.md").read_text()
    text += f"\n## Measured\n\n{kept['date']}, {kept['machine']}: {dim} numbers a vector, {kept['settings']['interests']} interests, the best {kept['settings']['k']}.\n\n"
    text += "| rows | search as planned, CPU us | recall | walk of the graph, CPU us (effort) | recall | build of the graph, CPU s | cells, CPU s | opening, CPU s | bytes a row |\n|---|---|---|---|---|---|---|---|---|\n"
    for size in sizes:
        graph = size.get("graph")
        walk = f"{graph['micros']:.0f} ({graph['effort']}) | {graph['recall']:.4f} | {size['build_cpu_s']:.1f}" if graph else "| |"
        plan = size["plan"]
        # Sizes of before were divided when they were opened.
        cells = f"{size['cells_cpu_s']:.1f}" if "cells_cpu_s" in size else ""
        text += f"| {size['rows']:,} | {plan['micros']:.0f} | {plan['recall']:.4f} | {walk} | {cells} | {size['open_cpu_s']:.2f} | {size['bytes_a_row']:.0f} |\n"
    planned = slope([(size["rows"], size["plan"]["micros"]) for size in sizes if size["rows"] >= 20_000])
    graphs = [size for size in sizes if "graph" in size]
    walk = slope([(size["rows"], size["graph"]["micros"]) for size in graphs])
    build = slope([(size["rows"], size["build_cpu_s"]) for size in graphs])
    opening = slope([(size["rows"], size["open_cpu_s"]) for size in sizes if size["rows"] >= 20_000])
    text += (
        f"\n| figure | value | goal |\n|---|---|---|\n"
        f"| `slope_search` (of shards in cells) | {planned[1]:.2f} | < 1 |\n| `slope_graph` | {walk[1]:.2f} | < 1 |\n"
        f"| `slope_build` | {build[1]:.2f} | |\n| `slope_open` | {opening[1]:.2f} | |\n"
    )
    kept["figures"] = [
        row("slope_search", planned[1], "< 1"),
        row("slope_graph", walk[1], "< 1"),
        row("slope_build", build[1], ""),
        row("slope_open", opening[1], ""),
    ]
    text += "\n## Planned from these slopes\n\n"
    text += "| items | shards of | members (2 replicas of each shard, a shard a core, 16 cores) | memory a member, GiB | graphs, core-hours | CPU of all shards a recall, ms | slowest shard, ms | recalls/s of all members, at most |\n|---|---|---|---|---|---|---|---|\n"
    a_row = max(size["bytes_a_row"] for size in sizes)
    for items, shard in ((10_000_000, 1_000_000), (100_000_000, 1_000_000), (1_000_000_000, 3_000_000)):
        shards = math.ceil(items / shard)
        members = max(2, math.ceil(2 * shards / 16))
        micros = planned[0] * shard ** planned[1]
        hours = shards * build[0] * shard ** build[1] / 3600
        text += (
            f"| {items:,} | {shard:,} | {members} for {shards} shards | {min(16, 2 * shards / members) * shard * a_row / 2**30:.0f} | {hours:.0f} |"
            f" {shards * micros / 1e3:.1f} | {micros / 1e3:.2f} | {members * 16 / (shards * micros / 1e6):,.0f} |\n"
        )
    return text + (HERE / "scaling-limits.md").read_text()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True, help="the example `bench` of the index crate")
    parser.add_argument("--report", type=Path, default=Path("target/report/index.json"))
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where the page goes, and what it is written from")
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000])
    parser.add_argument("--graph", type=int, nargs=2, default=(32, 256), help="neighbours a node in a graph, and candidates for them")
    parser.add_argument("--graph-rows", type=int, default=3_000_000, help="larger shards get a poor graph: theirs is not measured")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--interests", type=int, default=5)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    path = arguments.docs / "scaling.json"
    before = json.loads(path.read_text())["sizes"] if path.exists() else []
    made = [measure(count, arguments) for count in arguments.rows]
    sizes = {size["rows"]: size for size in [*before, *made]}
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    kept = {
        "date": today(),
        "machine": cpu,
        "settings": {key: getattr(arguments, key) for key in ("dim", "interests", "k", "users", "pairs", "seed")},
        "sizes": [sizes[count] for count in sorted(sizes)],
    }
    text = page(kept)
    path.write_text(json.dumps(kept, indent=1) + "\n")
    (arguments.docs / "scaling.md").write_text(text)
    merge(arguments.report, kept["figures"])


if __name__ == "__main__":
    sys.exit(main())
