"""A user tower as a team would write it in Python: grpcio in front of onnxruntime, one thread an inference, no spinning.

`server.py MODEL FOLDER` serves EmbedUsers for the users of FOLDER, whose tensors it has in memory: unlike ours it codes no features,
reads no history and looks up no id, so it does less for an answer.
"""

import json
import os
import sys
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import onnxruntime

sys.path.insert(0, "proto/proto")
messages, services = grpc.protos_and_services("twotower/v1/user_tower.proto")


class UserTower(services.UserTowerServiceServicer):
    def __init__(self, model: str, folder: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        described = json.loads((folder / "users.json").read_text())
        self.rows = {user: row for row, user in enumerate(described["users"])}
        self.output = described["output"]
        self.inputs = {}
        for number, tensor in enumerate(described["inputs"]):
            values = np.fromfile(folder / f"{number}.bin", dtype=tensor["dtype"])
            self.inputs[tensor["name"]] = values.reshape([len(self.rows), *tensor["shape"][1:]])

    def EmbedUsers(self, request, context):
        rows = [self.rows[user.user_id] for user in request.users]
        feed = {name: values[rows] for name, values in self.inputs.items()}
        (vectors,) = self.session.run([self.output], feed)
        users = [
            messages.UserEmbedding(interests={"f32": user.tobytes(), "dim": user.shape[-1]}) for user in vectors
        ]
        return messages.EmbedUsersResponse(users=users)


def main() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=os.cpu_count()))
    services.add_UserTowerServiceServicer_to_server(UserTower(sys.argv[1], Path(sys.argv[2])), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"listening 127.0.0.1:{port}", file=sys.stderr, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
