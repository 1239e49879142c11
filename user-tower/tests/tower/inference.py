"""Asks a user tower as any client of model servers would, with nothing of this repository: inference.py ADDRESS.

Embeds one user with the events 3 and 4, and prints what came back as JSON.
"""

import json
import sys

import numpy
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

MODEL = "user_tower"

(address,) = sys.argv[1:]
with triton.InferenceServerClient(address) as client:
    metadata = client.get_model_metadata(MODEL, as_json=True)

    # Left-padded to the model's length; ids of the vocabulary, which has two reserved lines.
    history = numpy.array([[0, 0, 0, 4, 5]], dtype=numpy.int64)
    tensor = triton.InferInput("history", list(history.shape), "INT64")
    tensor.set_data_from_numpy(history)
    answer = client.infer(MODEL, [tensor], request_id="42", outputs=[triton.InferRequestedOutput("user")])

    tensor.set_data_from_numpy(-history)
    try:
        client.infer(MODEL, [tensor])
        refused = None
    except InferenceServerException as error:
        refused = [error.status(), error.message()]

    print(
        json.dumps(
            {
                "live": client.is_server_live(),
                "ready": client.is_server_ready(),
                "model_ready": client.is_model_ready(MODEL),
                "other_ready": client.is_model_ready("item_tower"),
                "server": client.get_server_metadata(as_json=True)["name"],
                "metadata": metadata,
                "id": answer.get_response().id,
                "version": answer.get_response().model_version,
                "shape": list(answer.as_numpy("user").shape),
                "vector": answer.as_numpy("user")[0].tolist(),
                "refused": refused,
            }
        )
    )
