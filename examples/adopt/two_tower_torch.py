"""Two towers in PyTorch: two_tower_torch.py EXPORT OUT [EPOCHS]; needs `pip install torch onnx numpy pyarrow`.

EXPORT is what `onnx data export` wrote, OUT the directory for `onnx adopt`. The user tower takes the history and every
feature of the user that is one text; the item tower takes the item's id. Sampled softmax over each sample's negatives.
"""

import pathlib
import sys
import tempfile

import numpy
import onnx
import pyarrow.parquet
import torch
from torch import nn
from torch.nn import functional

import directory

LENGTH, DIM, BATCH, SEED = 50, 64, 512, 1


class Users(nn.Module):
    """Histories [batch, LENGTH] and one id a feature [batch] to [batch, DIM]."""

    def __init__(self, items, sizes):
        super().__init__()
        self.items = nn.Embedding(items, DIM, padding_idx=directory.PADDING)
        self.features = nn.ModuleList(nn.Embedding(size, 16) for size in sizes)
        self.layers = nn.Sequential(nn.Linear(DIM + 16 * len(sizes), 2 * DIM), nn.ReLU(), nn.Linear(2 * DIM, DIM))

    def forward(self, history, *features):
        there = (history != directory.PADDING).float().unsqueeze(2)
        mean = (self.items(history) * there).sum(1) / there.sum(1).clamp(min=1)
        ids = [table(feature) for table, feature in zip(self.features, features)]
        return self.layers(torch.cat([mean, *ids], dim=1))


class Items(nn.Module):
    """Ids [batch] to [batch, DIM]."""

    def __init__(self, items):
        super().__init__()
        self.items = nn.Embedding(items, DIM)

    def forward(self, item):
        return self.items(item)


def lists(column, number, length):
    """A list column of item ids as vocabulary ids, the last `length` of each row, padded before them."""
    column = column.combine_chunks()
    offsets = column.offsets.to_numpy()
    flat = numpy.array([number.get(str(item), directory.UNKNOWN) for item in column.values.to_numpy()], dtype=numpy.int64)
    rows = numpy.full((len(column), length), directory.PADDING, dtype=numpy.int64)
    for row, (start, end) in enumerate(zip(offsets[:-1], offsets[1:])):
        events = flat[max(start, end - length) : end]
        rows[row, length - len(events) :] = events
    return torch.from_numpy(rows)


def read(export, number, features):
    """Histories, ids by feature, and the positive before its negatives, of the training samples."""
    filters = [("split", "=", "train")]
    samples = pyarrow.parquet.read_table(pathlib.Path(export) / "samples.parquet", filters=filters)
    history = lists(samples["history_items"], number, LENGTH)
    ids = []
    for name, vocabulary in features.items():
        texts = samples[f"user_{name}"].to_pylist()
        ids.append(torch.tensor([vocabulary.get(text, directory.UNKNOWN) for text in texts]))
    positive = torch.tensor([number[str(item)] for item in samples["item"].to_pylist()])
    negatives = lists(samples["negatives"], number, max(len(row) for row in samples["negatives"].to_pylist()))
    return history, ids, torch.cat([positive.unsqueeze(1), negatives], dim=1)


def train(users, items, data, epochs):
    history, features, candidates = data
    parameters = [*users.parameters(), *items.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    for epoch in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(history)).split(BATCH):
            vectors = users(history[batch], *[ids[batch] for ids in features])
            logits = torch.einsum("bd,bnd->bn", vectors, items(candidates[batch]))
            logits = logits.masked_fill(candidates[batch] == directory.PADDING, -1e9)
            loss = functional.cross_entropy(logits, torch.zeros(len(batch), dtype=torch.long))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch + 1}: loss {total / len(history):.4f}", flush=True)


def exported(module, arguments, inputs, output):
    """A module as an ONNX model whose batch is dynamic."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "tower.onnx"
        axes = {name: {0: "batch"} for name in [*inputs, output]}
        torch.onnx.export(
            module, arguments, str(path), input_names=inputs, output_names=[output], dynamic_axes=axes, dynamo=False
        )
        return onnx.load(path)


def main():
    export, out, epochs = (sys.argv[1:] + ["5"])[:3]
    torch.manual_seed(SEED)
    number = directory.vocabulary(export, "item.id")
    columns = pyarrow.parquet.read_schema(pathlib.Path(export) / "samples.parquet")
    is_text = lambda column: column.name.startswith("user_") and column.type == pyarrow.string()
    names = [column.name.removeprefix("user_") for column in columns if is_text(column)]
    features = {name: directory.vocabulary(export, f"user.{name}") for name in names}

    users = Users(len(number) + 2, [len(vocabulary) + 2 for vocabulary in features.values()])
    items = Items(len(number) + 2)
    train(users, items, read(export, number, features), int(epochs))
    users.eval(), items.eval()

    known = list(number)
    histories = [[], known[:1], known[:LENGTH], [*known[: LENGTH + 7], str(2**63)]]
    first = {name: next(iter(vocabulary)) for name, vocabulary in features.items()}
    profiles = [{}, first, {name: "\u2603" for name in names}, first]
    raw = [
        {"features": profile, "history": [{"item": int(item)} for item in history]}
        for profile, history in zip(profiles, histories)
    ]
    rows = numpy.full((len(raw), LENGTH), directory.PADDING, dtype=numpy.int64)
    for row, history in zip(rows, histories):
        ids = [number[item] for item in history if item in number][-LENGTH:]
        row[LENGTH - len(ids) :] = ids
    by_feature = [
        torch.tensor([vocabulary.get(profile.get(name), directory.UNKNOWN) for profile in profiles])
        for name, vocabulary in features.items()
    ]
    inputs = (torch.from_numpy(rows), *by_feature)
    some = torch.tensor([number[item] for item in known[:5]])
    user_inputs = [directory.looked_up("history", "history.item", "item.id", [LENGTH])]
    user_inputs += [directory.looked_up(name, f"user.{name}", f"user.{name}", []) for name in names]
    item_inputs = [directory.looked_up("item", "item.id", "item.id", [])]
    with torch.no_grad():
        directory.write(
            out,
            export,
            directory.signature(user_inputs, "user", item_inputs, "vector", LENGTH, DIM),
            exported(users, inputs, ["history", *names], "user"),
            exported(items, (some,), ["item"], "vector"),
            raw,
            users(*inputs).numpy(),
            [{"id": int(item)} for item in known[:5]],
            items(some).numpy(),
        )
    print(f"{len(number)} items, features {names}, vectors of {DIM} in {out}")


if __name__ == "__main__":
    main()
