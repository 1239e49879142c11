"""Compares the search of one shard with unmodified libraries: the same vectors and queries, one thread, CPU time, in alternation.

Every library gets what helps it: its index is built with the same sizes, and searched at the least effort that reaches the
recall. Writes `docs/index.md`, and merges the rows into the report.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

import numpy as np

HERE = Path(__file__).parent
RECALL = 0.99
EFFORTS = [100, 128, 160, 200, 256, 320, 400, 512, 640, 800, 1024, 1600, 2400]
NAMES = {3_700: "3k7", 100_000: "100k", 1_000_000: "1m"}
SHARES = [0.1, 0.01, 0.001, 0.0001]
GOALS = {3_700: 0.25, 100_000: 0.35, 1_000_000: 0.9}


class Vectors:
    """Clustered unit vectors, and users whose interests lie near clusters; `[n, dim]` and `[users, interests, dim]`."""

    def __init__(self, count: int, arguments: argparse.Namespace):
        rng = np.random.default_rng(arguments.seed)
        clusters = max(count // 200, 20)
        centers = unit(rng.standard_normal((clusters, arguments.dim), dtype=np.float32))
        near = lambda n: unit(centers[rng.integers(clusters, size=n)] + spread(rng, n, arguments.dim))
        self.rows = near(count)
        self.queries = near(arguments.users * arguments.interests).reshape(arguments.users, arguments.interests, -1)
        self.truth = np.stack([merged(*best(self.rows @ user.T, arguments.k), arguments.k) for user in self.queries])


def spread(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return 0.7 / dim**0.5 * rng.standard_normal((n, dim), dtype=np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def best(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The best `k` of each query, `[queries, k]`: ids and scores."""
    ids = np.argpartition(-scores, min(k, len(scores) - 1), axis=0)[:k]
    return ids.T, np.take_along_axis(scores, ids, axis=0).T


def merged(ids: np.ndarray, scores: np.ndarray, k: int) -> np.ndarray:
    """The `k` different ids of the greatest scores."""
    ids = ids.ravel()[np.argsort(-scores.ravel(), kind="stable")]
    _, first = np.unique(ids, return_index=True)
    return ids[np.sort(first)[:k]]


def recall(found: list[np.ndarray], truth: np.ndarray) -> float:
    return statistics.mean(len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, truth))


class Library:
    """A library, searched user by user with all interests in one call; answers ids and similarities, `[interests, k]`."""

    def __init__(self, name, search, efforts=(None,), set_effort=lambda effort: None):
        self.name, self.search, self.efforts, self.set_effort = name, search, efforts, set_effort
        self.effort = None

    def settle(self, vectors: Vectors, k: int) -> float:
        """Takes the least effort that reaches the recall."""
        for effort in self.efforts:
            self.effort = effort
            self.set_effort(effort)
            reached = recall([merged(*self.search(user, k), k) for user in vectors.queries], vectors.truth)
            if reached >= RECALL:
                break
        return reached

    def cpu(self, vectors: Vectors, k: int) -> float:
        """CPU seconds of all users, without the merge."""
        start = time.process_time()
        for user in vectors.queries:
            self.search(user, k)
        return time.process_time() - start


def libraries(rows: np.ndarray, graph: tuple[int, int], added: Path | None, wanted: list[str]) -> list[Library]:
    """Builds the indexes of the libraries; `graph` is how many neighbours a node gets, and out of how many candidates."""
    makers = {"usearch": partial(usearch, added=added), "hnswlib": hnswlib, "faiss": faiss, "scann": scann}
    made = []
    for name in wanted:
        start = time.process_time()
        made += makers[name](rows, *graph)
        print(f"  {name} built in {time.process_time() - start:.1f} CPU-s", flush=True)
    return made


def usearch(rows: np.ndarray, connectivity: int, expansion: int, added: Path | None) -> list[Library]:
    """Takes the graph that usearch's add loop made elsewhere, if it did."""
    from usearch.index import Index, search

    index = Index(ndim=rows.shape[1], metric="cos", dtype="f32", connectivity=connectivity, expansion_add=expansion)
    if added:
        index.load(added)
    else:
        index.add(np.arange(len(rows), dtype=np.uint64), rows)
    assert len(index) == len(rows)

    def walk(user, k):
        found = index.search(user, k, threads=1)
        return found.keys, 1 - found.distances

    def exact(user, k):
        found = search(rows, user, k, "cos", exact=True, threads=1)
        return found.keys, 1 - found.distances

    def set_effort(effort):
        index.expansion_search = effort

    return [Library("usearch HNSW", walk, EFFORTS, set_effort), Library("usearch exact", exact)]


def hnswlib(rows: np.ndarray, connectivity: int, expansion: int) -> list[Library]:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=rows.shape[1])
    index.init_index(max_elements=len(rows), M=connectivity, ef_construction=expansion)
    index.add_items(rows)

    def walk(user, k):
        ids, distances = index.knn_query(user, k, num_threads=1)
        return ids, 1 - distances

    return [Library("hnswlib", walk, EFFORTS, index.set_ef)]


def faiss(rows: np.ndarray, connectivity: int, expansion: int) -> list[Library]:
    import faiss

    flat = faiss.IndexFlatIP(rows.shape[1])
    flat.add(rows)
    graph = faiss.IndexHNSWFlat(rows.shape[1], connectivity, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = expansion
    faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))
    graph.add(rows)
    faiss.omp_set_num_threads(1)

    def by(index):
        def search(user, k):
            scores, ids = index.search(user, k)
            return ids, scores

        return search

    def set_effort(effort):
        graph.hnsw.efSearch = effort

    return [Library("faiss flat", by(flat)), Library("faiss HNSW", by(graph), EFFORTS, set_effort)]


def scann(rows: np.ndarray, _connectivity: int, _expansion: int) -> list[Library]:
    import scann

    if len(rows) > 200_000:
        leaves = int(len(rows) ** 0.5)
    elif len(rows) > 20_000:
        leaves = int(len(rows) ** 0.5 * 2)
    else:
        leaves = None
    builder = scann.scann_ops_pybind.builder(rows, 100, "dot_product")
    if leaves:
        builder = builder.tree(num_leaves=leaves, num_leaves_to_search=leaves // 10, training_sample_size=min(len(rows), 250_000))
        searcher = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(300).build()
        shares = [0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5]
        efforts = [(max(int(share * leaves), 1), reorder) for share in shares for reorder in (200, 400)]
    else:
        searcher, efforts = builder.score_brute_force().build(), (None,)
    state = {}

    def set_effort(effort):
        state["effort"] = effort or (None, None)

    def search(user, k):
        leaves_to_search, reorder = state["effort"]
        return searcher.search_batched(
            user, final_num_neighbors=k, leaves_to_search=leaves_to_search, pre_reorder_num_neighbors=reorder
        )

    return [Library("ScaNN", search, efforts, set_effort)]


class Ours:
    """The shard of the `index` crate, in a process of its own that answers commands."""

    name = "index"

    def __init__(self, program: Path, vectors: Vectors, arguments: argparse.Namespace):
        self.k = arguments.k
        self.dir = tempfile.TemporaryDirectory()
        vectors.rows.tofile(f"{self.dir.name}/rows.f32")
        vectors.queries.tofile(f"{self.dir.name}/queries.f32")
        command = [str(program), self.dir.name, str(arguments.dim), str(arguments.interests), str(arguments.k)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.tell("graph {} {}".format(*arguments.graph))

    def tell(self, command: str) -> float:
        """Returns the CPU seconds that a command took."""
        start = self.seconds()
        print(command, file=self.process.stdin, flush=True)
        if self.process.stdout.readline().strip() != command:
            sys.exit(f"{command} failed")
        return self.seconds() - start

    def seconds(self) -> float:
        """CPU seconds of all threads, those that ended among them, to a hundredth; of the one that searches, to the nanosecond."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def cpu(self) -> float:
        """CPU seconds of searching for all users; one thread does it."""
        clock = Path(f"/proc/{self.process.pid}/schedstat")
        start = int(clock.read_text().split()[0])
        self.tell("search")
        return (int(clock.read_text().split()[0]) - start) / 1e9

    def recall(self, truth: np.ndarray) -> float:
        return recall(list(self.found()), truth)

    def found(self) -> np.ndarray:
        """The ids found for each user, `[users, k]`; the largest number where there are fewer."""
        self.tell("search")
        return np.fromfile(f"{self.dir.name}/found.u64", dtype=np.uint64).reshape(-1, self.k)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.dir.cleanup()


def compare(count: int, arguments: argparse.Namespace) -> list[dict]:
    name = NAMES.get(count, str(count))
    print(f"{count:,} rows", flush=True)
    vectors = Vectors(count, arguments)
    ours = Ours(arguments.program, vectors, arguments)
    built, divided = [ours.tell("build")], ours.tell("divide")
    rows, added = [row(f"cells_cpu_s_{name}", divided, "")], None
    if arguments.build_pairs:
        adds = []
        for pair in range(arguments.build_pairs):
            adds.append(ours.tell("add"))
            if pair:
                built.append(ours.tell("build"))
        ours.tell("save")
        added = Path(ours.dir.name) / "added"
        ratios = [(a + divided) / b for a, b in zip(built, adds)]
        print(f"  build over add loop {ratios}", flush=True)
        rows.append(row(f"build_over_add_loop_{name}", statistics.median(ratios), "<= 1.1" if count == 1_000_000 else ""))
    changed = statistics.median(ours.tell("change 100") for _ in range(3))
    rows.append(row(f"graph_1pct_changed_over_built_{name}", changed / statistics.median(built), "<= 0.1"))
    print(f"  index built in {built[0]:.1f} CPU-s", flush=True)
    rows.append(row(f"opened_cpu_s_{name}", ours.tell(arguments.ours), ""))
    all_of_them = libraries(vectors.rows, arguments.graph, added, arguments.libraries)
    reached = {library.name: library.settle(vectors, arguments.k) for library in all_of_them}
    reached[ours.name] = ours.recall(vectors.truth)
    cost = {name: [] for name in reached}
    for _ in range(arguments.pairs):
        cost[ours.name].append(ours.cpu() / arguments.users)
        for library in all_of_them:
            cost[library.name].append(library.cpu(vectors, arguments.k) / arguments.users)
    rows += filtered(ours, vectors, arguments, statistics.median(cost[ours.name]))
    ours.close()
    if arguments.unequal:
        rows += unequal(vectors, arguments)
    ways = []
    efforts = {library.name: library.effort for library in all_of_them}
    for library, seconds in cost.items():
        micros = [1e6 * x for x in seconds]
        spread = [statistics.median(micros), min(micros), max(micros)]
        ways.append({"way": library, "micros": spread, "recall": reached[library], "effort": efforts.get(library)})
    ways.sort(key=lambda way: way["micros"])
    rows += figures(name, count, ways, ours.name)
    write(arguments, count, ways, rows)
    for found in rows:
        print(f"  {found['row']:<44} {found['value']:.3f}  {found['goal']}", flush=True)
    return rows


def filtered(ours: Ours, vectors: Vectors, arguments: argparse.Namespace, unfiltered: float) -> list[dict]:
    """Searches under filters that let ever fewer rows pass: what it costs, and what is wrong with the answers."""
    count = len(vectors.rows)
    name = NAMES.get(count, str(count))
    numbers = (np.arange(count, dtype=np.uint32) * np.uint32(2_654_435_761)) / np.float64(2**32 - 1)
    violations, rows = 0, []
    for share in SHARES:
        passing = np.flatnonzero(numbers <= share).astype(np.uint64)
        if not len(passing):
            continue
        ours.tell(f"filter {share}")
        found = ours.found()
        k = min(arguments.k, len(passing))
        right = found[:, :k]
        violations += np.count_nonzero(~np.isin(right, passing)) + np.count_nonzero(found[:, k:] != 2**64 - 1)
        truth = [passing[merged(*best(vectors.rows[passing.astype(int)] @ user.T, k), k)] for user in vectors.queries]
        cost = statistics.median(ours.cpu() for _ in range(arguments.pairs)) / arguments.users
        rows.append(row(f"filtered_{share}_cost_over_unfiltered_{name}", cost / unfiltered, ""))
        rows.append(row(f"filtered_{share}_recall100_{name}", recall(list(right), np.stack(truth)), f">= {RECALL}"))
    ours.tell("filter 1")
    return [row(f"filter_violations_{name}", int(violations), "0"), *rows]


def unequal(vectors: Vectors, arguments: argparse.Namespace) -> list[dict]:
    """What is found of dot products of rows whose lengths differ, by three in ten from row to row."""
    count = len(vectors.rows)
    name = NAMES.get(count, str(count))
    rng = np.random.default_rng(arguments.seed + 1)
    vectors.rows *= np.exp(0.3 * rng.standard_normal((count, 1), dtype=np.float32))
    vectors.truth = np.stack([merged(*best(vectors.rows @ user.T, arguments.k), arguments.k) for user in vectors.queries])
    ours = Ours(arguments.program, vectors, arguments)
    ours.tell("build dot")
    ours.tell("divide")
    rows = []
    for command, suffix, goal in (("plan", "", f">= {RECALL}"), ("walk 256", "_graph_256", ""), ("walk 1024", "_graph_1024", "")):
        ours.tell(command)
        rows.append(row(f"recall100_unequal{suffix}_{name}", ours.recall(vectors.truth), goal))
    ours.close()
    return rows


def figures(name: str, count: int, ways: list[dict], ours: str) -> list[dict]:
    """Our cost over that of the cheapest library that reaches the recall, and the recall itself."""
    of = {way["way"]: way for way in ways}
    able = [way["way"] for way in ways if way["way"] != ours and way["recall"] >= RECALL]
    over = lambda names: max((of[ours]["micros"][0] / of[other]["micros"][0] for other in names), default=None)
    found = [
        row(f"recall100_{name}", of[ours]["recall"], f">= {RECALL}"),
        row(f"cost_over_usearch_{name}", over([way for way in able if way.startswith("usearch")]), f"<= {GOALS.get(count, 1)}"),
        row(f"cost_over_best_library_{name}", over(able), "< 1"),
    ]
    return [figure for figure in found if figure["value"] is not None]


def write(arguments: argparse.Namespace, count: int, ways: list[dict], rows: list[dict]) -> None:
    """Keeps what was measured of one size, and writes the page out of all sizes."""
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    kept = {
        "rows": count,
        "date": today(),
        "machine": cpu,
        "settings": {key: getattr(arguments, key) for key in ("dim", "interests", "k", "users", "pairs", "seed", "ours", "graph")},
        "ways": ways,
        "figures": rows,
    }
    folder = arguments.docs / "index"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{count}.json").write_text(json.dumps(kept, indent=1) + "\n")
    write_page(arguments.docs)


def write_page(docs: Path) -> None:
    """Writes the page out of what is kept: all sizes, then what other benches measured."""
    page = (HERE / "page.md").read_text()
    sizes = [json.loads(file.read_text()) for file in (docs / "index").glob("[0-9]*.json")]
    page += "".join(section(one) for one in sorted(sizes, key=lambda one: one["rows"]))
    for name, title in (("catalog", "Changes of the catalog"), ("faults", "Faults")):
        file = docs / "index" / f"{name}.json"
        if file.exists():
            page += f"\n## {title}\n\n" + table(json.loads(file.read_text()))
    (docs / "index.md").write_text(page)


def table(rows: list[dict]) -> str:
    """Rows of a report, with the command and the day of the first."""
    text = f"`{rows[0]['command']}`, {rows[0]['date']}.\n\n| figure | value | goal |\n|---|---|---|\n"
    return text + "".join(f"| `{row['row']}` | {row['value']:.3f} {'' if row['unit'] == '1' else row['unit']} | {row['goal']} |\n" for row in rows)


def section(one: dict) -> str:
    settings = one["settings"]
    text = (
        f"\n## {one['rows']:,} rows\n\n{one['date']}, {one['machine']}: {settings['users']} users with {settings['interests']} interests of"
        f" {settings['dim']} numbers, the best {settings['k']}, median of {settings['pairs']} rounds in alternation (least to most); graphs"
        f" of {settings['graph'][0]} neighbours a node, out of {settings['graph'][1]} candidates.\n\n"
        "| way | CPU us a user | recall | effort |\n|---|---|---|---|\n"
    )
    for way in one["ways"]:
        median, least, most = way["micros"]
        name = f"**{way['way']}**" if way["way"] == Ours.name else way["way"]
        effort = "" if way["effort"] is None else way["effort"]
        text += f"| {name} | {median:.0f} ({least:.0f} to {most:.0f}) | {way['recall']:.4f} | {effort} |\n"
    text += "\n| figure | value | goal |\n|---|---|---|\n"
    for figure in one["figures"]:
        text += f"| `{figure['row']}` | {figure['value']:.3f} | {figure['goal']} |\n"
    return text


def today() -> str:
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def faults() -> list[dict]:
    """Kills 20 publications before each of their operations on the disk, and damages each kind of file 10,000 times."""
    with tempfile.TemporaryDirectory() as folder:
        kills = Path(folder) / "kills"
        settings = {"TWOTOWER_TEST_KILL_ROUNDS": "20", "TWOTOWER_TEST_KILL_REPORT": str(kills)}
        run("generation", "before_any_operation_on_the_disk", settings)
        killed, whole = map(int, kills.read_text().split())
        damaged = silent = crashed = 0
        for package in ("generation", "encoder"):
            report = Path(folder) / package
            settings = {"TWOTOWER_TEST_DAMAGES": "10000", "TWOTOWER_TEST_DAMAGES_REPORT": str(report)}
            crashed += int(not run(package, "no_damage_goes_unnoticed", settings))
            # The test writes its counts when it has tried everything; without them it crashed.
            tried, unnoticed = map(int, report.read_text().split()) if report.exists() else (0, 0)
            damaged, silent = damaged + tried, silent + unnoticed
    return [
        row("publish_kills", killed, ">= 240"),
        row("publish_kills_whole", whole, f"= {killed}"),
        row("corruptions", damaged, ""),
        row("corruptions_silent", silent, "0"),
        row("corruptions_crashed", crashed, "0"),
    ]


def run(package: str, test: str, settings: dict[str, str]) -> bool:
    command = ["cargo", "test", "--release", "--quiet", "-p", package, "--", test]
    return subprocess.run(command, env=os.environ | settings).returncode == 0


def row(name: str, value: float, goal: str) -> dict:
    return {"row": name, "value": value, "unit": "1", "goal": goal}


def stamp(rows: list[dict]) -> list[dict]:
    return [row | {"command": "make bench-index", "date": today()} for row in rows]


def merge(report: Path, rows: list[dict]) -> None:
    old = json.loads(report.read_text()) if report.exists() else []
    names = {row["row"] for row in rows}
    stamped = stamp(rows)
    report.parent.mkdir(parents=True, exist_ok=True)
    written = report.with_suffix(".partial")
    written.write_text(json.dumps([row for row in old if row["row"] not in names] + stamped, indent=2))
    written.rename(report)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True, help="the example `bench` of the index crate")
    parser.add_argument("--report", type=Path, default=Path("target/report/index.json"))
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where the page goes, and what it is written from")
    parser.add_argument("--rows", type=int, nargs="*", default=list(NAMES))
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--interests", type=int, default=5)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--build-pairs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--graph", type=int, nargs=2, default=(32, 256), help="neighbours a node in every graph, and candidates for them")
    parser.add_argument("--unequal", action=argparse.BooleanOptionalAction, default=True, help="rows of unequal lengths too")
    parser.add_argument("--ours", default="plan", help="how our shard is searched: plan, exact, or `walk EF`")
    parser.add_argument("--faults", action=argparse.BooleanOptionalAction, default=True, help="kill publications, damage files")
    parser.add_argument("--libraries", nargs="*", default=["usearch", "hnswlib", "faiss", "scann"])
    arguments = parser.parse_args()
    violations = 0
    for count in arguments.rows:
        rows = compare(count, arguments)
        violations += sum(found["value"] for found in rows if found["row"].startswith("filter_violations"))
        merge(arguments.report, [*rows, row("filter_violations", violations, "0")])
    if arguments.faults:
        found = faults()
        merge(arguments.report, found)
        (arguments.docs / "index" / "faults.json").write_text(json.dumps(stamp(found), indent=1) + "\n")
    write_page(arguments.docs)


if __name__ == "__main__":
    main()
