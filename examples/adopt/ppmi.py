"""Two towers out of counting, with numpy and onnx alone: ppmi.py EXPORT OUT [--rows].

EXPORT is what `onnx data export` wrote, OUT the directory for `onnx adopt`. An item's vector comes from a truncated SVD
of how often items follow each other (positive pointwise mutual information; Levy and Goldberg, NeurIPS 2014); a user's
is the mean of the newest items', each older one weighing less. With --rows the user tower has no table of items: it
takes their vectors from what is served, so that items newer than the model count too.
"""

import argparse
import csv
import pathlib

import numpy
from onnx import TensorProto, helper, numpy_helper

import directory

LENGTH = 20  # events that the user tower sees
DECAY = 0.85  # what the event before counts
WINDOW = 5  # events that stand near each other
DIM = 32


def read(export, number):
    """The training sequences of the users, as vocabulary ids."""
    sequences = {}
    with open(pathlib.Path(export) / "events.csv", newline="") as file:
        for event in csv.DictReader(file):
            if event["split"] == "train":
                sequences.setdefault(event["user"], []).append(number[event["item"]])
    return list(sequences.values())


def item_vectors(sequences, rows):
    """[rows, DIM]: the reserved rows are zero."""
    counts = numpy.zeros((rows, rows))
    for items in sequences:
        for near in range(1, WINDOW + 1):
            numpy.add.at(counts, (items[near:], items[:-near]), 1 / near)
    counts += counts.T
    total = counts.sum()
    share = numpy.maximum(counts.sum(axis=1), 1e-9) / total
    with numpy.errstate(divide="ignore"):
        ppmi = numpy.maximum(numpy.log(counts / total / numpy.outer(share, share)), 0)
    values, vectors = numpy.linalg.eigh(ppmi)
    best = numpy.argsort(-values)[:DIM]
    table = vectors[:, best] * numpy.sqrt(numpy.maximum(values[best], 0))
    table = numpy.pad(table, ((0, 0), (0, DIM - table.shape[1])))
    table /= numpy.maximum(numpy.linalg.norm(table, axis=1, keepdims=True), 1e-6)
    # An item that stands near nothing must still be found by somebody.
    table[(numpy.abs(table).sum(axis=1) == 0)] = 1e-3
    table[[directory.PADDING, directory.UNKNOWN]] = 0
    return table.astype(numpy.float32)


def usual(sequences, table):
    """Where everybody is: what a user without a history gets, and the others a little of."""
    return (0.1 * table[numpy.concatenate([numpy.array(items) for items in sequences])].mean(axis=0)).astype(numpy.float32)


def weights():
    """What each place of the history counts; the newest event is the last."""
    weights = DECAY ** numpy.arange(LENGTH - 1, -1, -1, dtype=numpy.float32)
    return (weights / weights.sum()).reshape(1, LENGTH, 1)


def model(nodes, inputs, outputs, constants):
    graph = helper.make_graph(
        nodes, "tower", inputs, outputs, [numpy_helper.from_array(value, name) for name, value in constants.items()]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def user_tower(table, everybody, rows):
    """[batch, LENGTH] ids, or [batch, LENGTH, DIM] vectors, to [batch, DIM]."""
    constants = {"weights": weights(), "everybody": everybody, "events": numpy.array([1])}
    nodes = []
    if rows:
        watched = helper.make_tensor_value_info("watched", TensorProto.FLOAT, ["batch", LENGTH, DIM])
    else:
        watched = helper.make_tensor_value_info("watched", TensorProto.INT64, ["batch", LENGTH])
        constants["table"] = table
        nodes.append(helper.make_node("Gather", ["table", "watched"], ["vectors"]))
    nodes += [
        helper.make_node("Mul", ["watched" if rows else "vectors", "weights"], ["weighed"]),
        helper.make_node("ReduceSum", ["weighed", "events"], ["taste"], keepdims=0),
        helper.make_node("Add", ["taste", "everybody"], ["who"]),
    ]
    who = helper.make_tensor_value_info("who", TensorProto.FLOAT, ["batch", DIM])
    return model(nodes, [watched], [who], constants)


def item_tower(table):
    """[batch] ids to [batch, DIM]."""
    film = helper.make_tensor_value_info("film", TensorProto.INT64, ["batch"])
    place = helper.make_tensor_value_info("place", TensorProto.FLOAT, ["batch", DIM])
    return model([helper.make_node("Gather", ["table", "film"], ["place"])], [film], [place], {"table": table})


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("export")
    arguments.add_argument("out")
    arguments.add_argument("--rows", action="store_true")
    arguments = arguments.parse_args()

    number = directory.vocabulary(arguments.export, "item.id")
    items = list(number)
    sequences = read(arguments.export, number)
    table = item_vectors(sequences, len(number) + 2)
    everybody = usual(sequences, table)

    def by_hand(history):
        """The user tower's vector, without the user tower: an unknown item is no event."""
        known = [number[item] for item in history if item in number][-LENGTH:]
        counts = weights()[0, LENGTH - len(known) :]
        return everybody + (counts * table[known]).sum(axis=0)

    unknown = str(2**63)
    some = [[items[item - 2] for item in sequence] for sequence in sequences[:3]]
    histories = [[], [unknown], some[0][:1], *some, [*some[0], unknown]]
    users = [{"history": [{"item": int(item)} for item in history]} for history in histories]
    golden = sorted({item for history in some for item in history})
    if arguments.rows:
        watched = directory.item_rows("watched", LENGTH, DIM)
    else:
        watched = directory.looked_up("watched", "history.item", "item.id", [LENGTH])
    film = directory.looked_up("film", "item.id", "item.id", [])
    directory.write(
        arguments.out,
        arguments.export,
        directory.signature([watched], "who", [film], "place", LENGTH, DIM),
        user_tower(table, everybody, arguments.rows),
        item_tower(table),
        users,
        [by_hand(history) for history in histories],
        [{"id": int(item)} for item in golden],
        [table[number[item]] for item in golden],
    )
    print(f"{len(items)} items, {len(sequences)} users, vectors of {DIM} in {arguments.out}")


if __name__ == "__main__":
    main()
