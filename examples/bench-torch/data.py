"""Reads a prepared dataset as `onnx` does: leave-one-out by time, ids by vocabulary, buckets of values and gaps."""

import csv
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RESERVED = 2  # 0 is padding, 1 is unknown


@dataclass
class Data:
    """The training part, users end to end: row `r` of user `u` is `starts[u] <= r < starts[u + 1]`."""

    starts: np.ndarray
    items: np.ndarray
    values: np.ndarray
    gaps: np.ndarray
    users: list[np.ndarray]  # one array of ids for each user feature
    user_sizes: list[int]
    content: list[np.ndarray]  # for each item feature [items + 2, most], padded with 0
    content_sizes: list[int]
    item_count: int  # with the reserved ids


def read(directory: Path, recipe: dict) -> Data:
    tower = next(iter(recipe["tower"].values()))
    items = [json.loads(line) for line in open(directory / "items.jsonl", encoding="utf-8")]
    people = [json.loads(line) for line in open(directory / "users.jsonl", encoding="utf-8")]
    least = 5 if recipe["items"] == "S" else 1
    kept = [item for item in items if item["popularity"] >= least]
    item_ids = {item["id"]: at + RESERVED for at, item in enumerate(kept)}
    user_ids = {person["id"]: at for at, person in enumerate(people)}
    events = [[] for _ in people]
    with open(directory / "events.csv", encoding="utf-8", newline="") as file:
        for user, item, _kind, value, time, _id in list(csv.reader(file))[1:]:
            if int(item) in item_ids:
                events[user_ids[user]].append((int(time), item_ids[int(item)], float(value)))
    value_edges, gap_edges = tower.get("value_edges", []), tower.get("gap_edges", [])
    starts, rows, who = [0], [], []
    for user, own in enumerate(events):
        own.sort(key=lambda event: event[0])  # stable
        own = own[: len(own) - 2] if len(own) >= 3 else own
        if own:
            times = np.array([event[0] for event in own])
            gaps = np.diff(times, prepend=times[:1])
            rows.append((np.array([event[1] for event in own]), np.array([event[2] for event in own]), gaps))
            starts.append(starts[-1] + len(own))
            who.append(people[user])
    column = lambda at: np.concatenate([row[at] for row in rows])
    users, user_sizes = features(who, tower.get("user_features", []))
    content, content_sizes = features(kept, tower.get("item_features", []))
    reserved = lambda ids: np.concatenate([np.zeros((RESERVED, ids.shape[1]), np.int64), ids])
    return Data(
        starts=np.array(starts),
        items=column(0).astype(np.int64),
        values=1 + np.searchsorted(value_edges, column(1), side="right"),
        gaps=1 + np.searchsorted(gap_edges, column(2), side="right"),
        users=[ids[:, 0] for ids in users],
        user_sizes=user_sizes,
        content=[reserved(ids) for ids in content],
        content_sizes=content_sizes,
        item_count=len(kept) + RESERVED,
    )


def features(records: list[dict], names: list[str]) -> tuple[list[np.ndarray], list[int]]:
    """For each name the ids of every record's values `[records, most]`, padded with 0, and the size of its vocabulary."""
    tables, sizes = [], []
    for name in names:
        values = [record["id"] if name == "id" else record["features"].get(name, []) for record in records]
        values = [value if isinstance(value, list) else [value] for value in values]
        vocabulary = {value: at + RESERVED for at, value in enumerate(sorted({str(v) for own in values for v in own}))}
        table = np.zeros((len(records), max(map(len, values))), np.int64)
        for row, own in zip(table, values):
            row[: len(own)] = [vocabulary[str(value)] for value in own]
        tables.append(table)
        sizes.append(len(vocabulary) + RESERVED)
    return tables, sizes


def recipe(path: Path) -> dict:
    with open(path, "rb") as file:
        return tomllib.load(file)
