"""Compares training in `onnx` with PyTorch: the same recipe, data, batch and loss, in alternation; CPU time, not wall time.

Prints every pair, and merges the medians into the report.
"""

import argparse
import datetime
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
GOAL = ">= 1"
ROWS = {"attention": "train_samples_per_cpu_s_over_pytorch", "youtubednn": "youtubednn_train_samples_per_cpu_s_over_pytorch"}


def run(command: list[str]) -> dict:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return found | {"speed": found["samples"] / found["cpu_seconds"]}


def compare(tower: str, arguments: argparse.Namespace) -> list[dict]:
    recipe, threads = HERE / f"{tower}.toml", str(arguments.threads)
    common = ["--recipe", str(recipe), "--data", str(arguments.data)]
    ours = [str(arguments.onnx.resolve()), "bench", "speed", *common, "--shards", threads]
    theirs = [sys.executable, str(HERE / "train.py"), *common, "--threads", threads]
    ratios, speeds = [], []
    for pair in range(1, arguments.pairs + 1):
        a, b = run(ours), run(theirs)
        ratios.append(a["speed"] / b["speed"])
        speeds.append((a["speed"], b["speed"]))
        print(
            f"{tower} pair {pair}: onnx {a['speed']:,.0f} samples per CPU-second (loss {a['loss']:.3f}, {a['parameters']:,} parameters),"
            f" PyTorch {b['speed']:,.0f} (loss {b['loss']:.3f}, {b['parameters']:,}): {ratios[-1]:.2f}",
            flush=True,
        )
    median = [statistics.median(column) for column in zip(*speeds)]
    print(f"{tower}: median ratio {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}; goal {GOAL}")
    row = lambda name, value, unit, goal: {"row": name, "value": value, "unit": unit, "goal": goal}
    return [
        row(ROWS[tower], statistics.median(ratios), "1", GOAL),
        row(f"{tower}_train_samples_per_cpu_s", median[0], "1/s", ""),
        row(f"{tower}_train_samples_per_cpu_s_pytorch", median[1], "1/s", ""),
    ]


def merge(report: Path, rows: list[dict]) -> None:
    old = json.loads(report.read_text()) if report.exists() else []
    names = {row["row"] for row in rows}
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    stamped = [row | {"command": "make bench-torch", "date": date} for row in rows]
    report.parent.mkdir(parents=True, exist_ok=True)
    partial = report.with_suffix(".partial")
    partial.write_text(json.dumps([row for row in old if row["row"] not in names] + stamped, indent=2))
    partial.rename(report)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--onnx", type=Path, default=Path("target/release/onnx"))
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--report", type=Path, default=Path("target/report/models.json"))
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--pairs", type=int, default=5)
    arguments.add_argument("--towers", nargs="+", choices=sorted(ROWS), default=sorted(ROWS))
    arguments = arguments.parse_args()
    rows = [row for tower in arguments.towers for row in compare(tower, arguments)]
    merge(arguments.report, rows)


if __name__ == "__main__":
    main()
