"""Writes what a directory for `onnx adopt` needs beside its models: signature, vocabularies, golden vectors."""

import json
import pathlib
import shutil

import numpy
import onnx
from onnx import numpy_helper

PADDING, UNKNOWN = 0, 1


def vocabulary(export, feature):
    """Ids by raw value: line i of the file is id i. The first two lines are reserved."""
    lines = (pathlib.Path(export) / f"vocabulary/{feature}.txt").read_text().splitlines()
    return {line: i for i, line in enumerate(lines) if i > UNKNOWN}


def looked_up(name, source, file, shape):
    """An input of ids, by the line of a vocabulary."""
    encoding = {"vocabulary": {"file": f"vocabulary/{file}.txt", "unknown": UNKNOWN, "padding": PADDING}}
    return {"name": name, "source": source, "dtype": "i64", "shape": [None, *shape], "encoding": encoding}


def item_rows(name, length, dim):
    """An input of the item vectors of a history, in the place of ids: the user tower needs no table of items."""
    shape = [None, length, dim]
    return {"name": name, "source": "history.item", "dtype": "f32", "shape": shape, "encoding": "item_vector"}


def signature(user_inputs, user_output, item_inputs, item_output, length, dim):
    """Where each tensor comes from; the names are those of the graphs. Histories are padded before the events."""
    return {
        "format": 1,
        "metric": "dot",
        "normalized": False,
        "dim": dim,
        "interests": 1,
        "history": {"length": length, "side": "left", "order": "oldest_first"},
        "user": {"inputs": user_inputs, "output": {"name": user_output}},
        "item": {"inputs": item_inputs, "output": {"name": item_output}},
    }


def write(out, export, described, user_tower, item_tower, users, user_vectors, items, item_vectors):
    """Writes the whole directory.

    `users` and `items` are raw: {"features": {..}, "history": [{"item": 7}, ..]} and {"id": 7, "features": {..}}. Their
    vectors should come from the trainer's own code: they prove the way from raw features to vectors.
    """
    out = pathlib.Path(out)
    shutil.rmtree(out, ignore_errors=True)
    (out / "vocabulary").mkdir(parents=True)
    for tensor in described["user"]["inputs"] + described["item"]["inputs"]:
        if "vocabulary" in tensor["encoding"]:
            file = tensor["encoding"]["vocabulary"]["file"]
            shutil.copy(pathlib.Path(export) / file, out / file)
    (out / "signature.json").write_text(json.dumps(described, indent=2) + "\n")
    onnx.save(user_tower, out / "user_tower.onnx")
    onnx.save(item_tower, out / "item_tower.onnx")

    (out / "golden").mkdir()
    raw = [{"tower": "user", "rows": users}, {"tower": "item", "rows": items}]
    (out / "golden/raw.jsonl").write_text("".join(json.dumps(rows) + "\n" for rows in raw))
    for number, vectors in enumerate([user_vectors, item_vectors]):
        folder = out / f"golden/test_data_set_{number}"
        folder.mkdir()
        tensor = numpy_helper.from_array(numpy.array(vectors, dtype=numpy.float32))
        (folder / "output_0.pb").write_bytes(tensor.SerializeToString())
