"""Cuts the training part into batches: windows whose every position is a target, or single samples with negatives."""

from types import SimpleNamespace

import numpy as np
import torch

from data import RESERVED, Data


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """`starts[i], starts[i] + 1, ..` for `lengths[i]` numbers each, end to end."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)


class Windows:
    """Windows of `length` inputs, the first of each user shorter by a random phase; the targets are one further."""

    def __init__(self, data: Data, recipe: dict, rng: np.random.Generator):
        self.data = data
        length, windows = recipe["history"], []
        for user, (start, end) in enumerate(zip(data.starts, data.starts[1:])):
            inputs, first = end - start - 1, rng.integers(1, length + 1)
            cuts = np.unique(np.clip(np.concatenate([[0], np.arange(first, inputs + length, length)]), 0, max(inputs, 0)))
            windows += [(start, start + a, start + b) for a, b in zip(cuts, cuts[1:])]
        self.windows = rng.permutation(np.array(windows))
        self.length, self.size = length, recipe["training"]["batch"]

    def __len__(self):
        return -(-len(self.windows) // self.size)

    def __iter__(self):
        data = self.data
        for at in range(0, len(self.windows), self.size):
            first, start, end = self.windows[at : at + self.size].T
            lengths = end - start
            rows = ranges(start, lengths)
            # What was watched up to each row, the row itself among it: rows x items, flat.
            before = rows + 1 - np.repeat(first, lengths)
            watched = data.items[ranges(np.repeat(first, lengths), before)]
            watched = np.repeat(np.arange(len(rows)), before) * data.item_count + watched
            hidden = np.arange(len(rows))[:, None] * data.item_count + np.arange(RESERVED)
            tensor = torch.from_numpy
            yield SimpleNamespace(
                items=tensor(data.items[rows]),
                values=tensor(data.values[rows]),
                gaps=tensor(data.gaps[rows]),
                targets=tensor(data.items[rows + 1]),
                places=tensor(ranges(np.arange(len(start)) * self.length, lengths)),
                size=(len(start), self.length),
                watched=tensor(np.concatenate([watched, hidden.ravel()])),
                count=len(rows),
            )


class Samples:
    """Every position but the first of each user, after at most `length` events, with negatives that the user did not watch."""

    def __init__(self, data: Data, recipe: dict, rng: np.random.Generator):
        self.data, self.rng = data, rng
        self.negatives = recipe["training"]["loss"]["sampled"]["negatives"]
        self.length, self.size = recipe["history"], recipe["training"]["batch"]
        user = np.repeat(np.arange(len(data.starts) - 1), np.diff(data.starts))
        rows = np.arange(len(data.items))
        samples = np.stack([user, rows], axis=1)[rows > data.starts[user]]
        self.samples = rng.permutation(samples)
        self.watched = np.zeros((len(data.starts) - 1, data.item_count), bool)
        self.watched[user, data.items] = True
        self.watched[:, :RESERVED] = True

    def __len__(self):
        return -(-len(self.samples) // self.size)

    def draw(self, user: np.ndarray) -> np.ndarray:
        drawn = self.rng.integers(RESERVED, self.data.item_count, (len(user), self.negatives))
        while len(wrong := np.argwhere(self.watched[user[:, None], drawn])):
            drawn[wrong[:, 0], wrong[:, 1]] = self.rng.integers(RESERVED, self.data.item_count, len(wrong))
        return drawn

    def __iter__(self):
        data = self.data
        for at in range(0, len(self.samples), self.size):
            user, row = self.samples[at : at + self.size].T
            lengths = np.minimum(row - data.starts[user], self.length)
            tensor = torch.from_numpy
            yield SimpleNamespace(
                features=[tensor(ids[user]) for ids in data.users],
                history=tensor(data.items[ranges(row - lengths, lengths)]),
                offsets=tensor(np.cumsum(lengths) - lengths),
                candidates=tensor(np.concatenate([data.items[row][:, None], self.draw(user)], axis=1)),
                count=len(user),
            )
