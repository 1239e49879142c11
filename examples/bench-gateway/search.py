"""The search of the peer: faiss HNSW in memory, one thread a query, behind grpcio.

`search.py FOLDER DIM` searches the vectors of FOLDER/rows.f32, which are those of the items 1, 2, .., at the least effort that finds
.99 of what the users of FOLDER/peer/sample.json should find. Each interest is searched for so many items more as the user has seen,
no more than the effort; then what was seen is left out, and of what several interests found the best score counts.
"""

import json
import os
import sys
import threading
from concurrent import futures
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import faiss
import grpc
import numpy as np
from wire import HEADER, serve

RECALL = 0.99
NEIGHBOURS, CONSTRUCTION = 32, 256
EFFORTS = [60, 80, 100, 128, 160, 200, 256, 320, 400, 512, 640, 800, 1024, 1600, 2400, 4096]
# Rows that faiss names where it found fewer than asked for.
NONE = -1


class Search:
    def __init__(self, folder: Path, dim: int):
        self.dim = dim
        self.index = graph(folder, dim)
        self.own = threading.local()

    def settle(self, sample: list[dict]) -> float:
        """Takes the least effort that reaches the recall, and returns what it finds."""
        for effort in EFFORTS:
            self.index.hnsw.efSearch = effort
            found = [self.share(user) for user in sample]
            if np.mean(found) >= RECALL:
                break
        return float(np.mean(found))

    def share(self, user: dict) -> float:
        interests = np.array(user["interests"], np.float32).reshape(-1, self.dim)
        ids, _ = self.best(interests, np.array(user["seen"], np.int64), len(user["best"]))
        return len(np.intersect1d(ids, user["best"])) / len(user["best"])

    def best(self, interests: np.ndarray, seen: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids and scores of the `k` best, best first."""
        fetch = min(k + len(seen), self.index.hnsw.efSearch, self.index.ntotal)
        scores, rows = self.index.search(interests, fetch)
        scores, rows = scores.ravel(), rows.ravel()
        order = np.argsort(-scores)
        scores, rows = scores[order], rows[order]
        # Each row is noted with its first place; a seen one, and what stands for no row, with none. The last entry is for the latter.
        noted, places = self.notes(), np.arange(len(rows))
        noted[rows[::-1]] = places[::-1]
        noted[seen - 1] = noted[NONE] = NONE
        kept = np.flatnonzero(noted[rows] == places)[:k]
        return rows[kept] + 1, scores[kept]

    def notes(self) -> np.ndarray:
        """Space for a number a row and one more, for each thread its own."""
        if not hasattr(self.own, "notes"):
            self.own.notes = np.empty(self.index.ntotal + 1, np.int64)
        return self.own.notes

    def answer(self, request: bytes, _context) -> bytes:
        k, count = HEADER.unpack_from(request)
        end = HEADER.size + 4 * count * self.dim
        interests = np.frombuffer(request[HEADER.size : end], np.float32).reshape(count, self.dim)
        ids, scores = self.best(interests, np.frombuffer(request[end:], np.int64), k)
        return ids.tobytes() + scores.tobytes()


def graph(folder: Path, dim: int) -> faiss.IndexHNSWFlat:
    """The graph of an earlier run, or one that all cores make."""
    kept = folder / "peer" / f"hnsw-{NEIGHBOURS}-{CONSTRUCTION}.faiss"
    if kept.exists():
        return faiss.read_index(str(kept))
    rows = np.fromfile(folder / "rows.f32", np.float32).reshape(-1, dim)
    index = faiss.IndexHNSWFlat(dim, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = CONSTRUCTION
    faiss.omp_set_num_threads(os.cpu_count())
    index.add(rows)
    faiss.omp_set_num_threads(1)
    faiss.write_index(index, str(kept))
    return index


def main() -> None:
    folder = Path(sys.argv[1])
    search = Search(folder, int(sys.argv[2]))
    recall = search.settle(json.loads((folder / "peer" / "sample.json").read_text()))
    effort = search.index.hnsw.efSearch
    print(f"  faiss HNSW of {search.index.ntotal} rows: efSearch {effort}, recall {recall:.4f}", flush=True)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=os.cpu_count()))
    port = serve(server, "peer.Search", "Search", grpc.unary_unary_rpc_method_handler(search.answer))
    print(f"listening 127.0.0.1:{port} {effort}", file=sys.stderr, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
