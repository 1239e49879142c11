"""The front of the peer: grpcio before onnxruntime and the search server, one thread an inference, no spinning.

`front.py MODEL FOLDER SEARCH` recalls for the users of FOLDER, whose tensors and seen items it has in memory: unlike ours it codes no
features, reads no history and looks up no id. It answers with columns, which cost less to make than an entry an item.
"""

import json
import sys
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import onnxruntime
from wire import HEADER, serve

sys.path.insert(0, "proto/proto")
RecallRequest = grpc.protos("twotower/v1/recall.proto").RecallRequest
ShardHits = grpc.protos("twotower/v1/search.proto").ShardHits

# As many as there are callers: each waits for a search most of the time.
THREADS = 4


class Front:
    def __init__(self, model: str, folder: Path, search: grpc.Channel):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.search = search.unary_unary("/peer.Search/Search", _registered_method=True)
        described = json.loads((folder / "users.json").read_text())
        self.rows = {user: row for row, user in enumerate(described["users"])}
        self.seen = [np.array(items, np.int64).tobytes() for items in json.loads((folder / "seen.json").read_text())]
        self.outputs = [described["output"]]
        self.inputs = {}
        for number, tensor in enumerate(described["inputs"]):
            values = np.fromfile(folder / f"{number}.bin", dtype=tensor["dtype"])
            self.inputs[tensor["name"]] = values.reshape([len(self.rows), *tensor["shape"][1:]])

    def recall(self, request, _context):
        row = self.rows[request.user_id]
        feed = {name: values[row : row + 1] for name, values in self.inputs.items()}
        (interests,) = self.session.run(self.outputs, feed)
        count = interests.size // interests.shape[-1]
        found = self.search(HEADER.pack(request.page_size, count) + interests.tobytes() + self.seen[row])
        split = len(found) // 12 * 8
        ids, scores = np.frombuffer(found[:split], np.int64), np.frombuffer(found[split:], np.float32)
        return ShardHits(ids=ids.tolist(), scores=scores.tolist())


def main() -> None:
    model, folder, search = sys.argv[1:]
    front = Front(model, Path(folder), grpc.insecure_channel(search))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=THREADS))
    handler = grpc.unary_unary_rpc_method_handler(
        front.recall, RecallRequest.FromString, ShardHits.SerializeToString
    )
    port = serve(server, "peer.Front", "Recall", handler)
    print(f"listening 127.0.0.1:{port}", file=sys.stderr, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
