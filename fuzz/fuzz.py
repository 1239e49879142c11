"""Runs each target under libFuzzer for a while, and prints a row for each: how much was tried, what was reached, what failed.

What fails is kept in `var/fuzz/failed`, and what reached something new in `var/fuzz/corpus`, where the next run goes on. `--keep` takes the
smallest of that into `fuzz/corpus`, which `make test` runs, too.
"""

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEEDS = ROOT / "fuzz" / "corpus"
WORK = ROOT / "var" / "fuzz"
REPORT = ROOT / "target" / "report" / "shell.json"
# What libFuzzer needs to see where an input gets; rustc of any channel takes these.
COVERAGE = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
]
LIMITS = ["-timeout=25", "-rss_limit_mb=2048", "-max_len=4096"]
# How often a target is begun again after something failed.
TRIES = 4
# Of what a target's folder of seeds has at most, and each of them.
SEED_BYTES = 1_024
FOLDER_BYTES = 14 * 1_024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="how long each target runs")
    parser.add_argument("--only", action="append", help="a target; may come several times")
    parser.add_argument("--keep", action="store_true", help="take the smallest finds into fuzz/corpus")
    parser.add_argument("--cargo", default="cargo")
    options = parser.parse_args()
    targets = sorted(folder.name for folder in SEEDS.iterdir())
    unknown = set(options.only or []) - set(targets)
    if unknown:
        sys.exit(f"no target {', '.join(sorted(unknown))}; there are {', '.join(targets)}")
    targets = options.only or targets
    program = build(options.cargo)
    print(f"{'target':<12} {'inputs':>12} {'a second':>10} {'edges':>8} {'failed':>7}")
    cases = failures = 0
    for target in targets:
        tried, edges, failed = run(program, target, options.seconds)
        print(f"{target:<12} {tried:>12,} {tried / options.seconds:>10,.0f} {edges:>8,} {failed:>7}", flush=True)
        cases, failures = cases + tried, failures + failed
        if options.keep:
            keep(program, target)
    report(options.seconds, {"fuzz_targets": len(targets), "fuzz_cases": cases, "fuzz_crashes": failures})
    if failures:
        sys.exit(f"{failures} failed; the inputs are in {WORK / 'failed'}: mend what is wrong, then keep them in fuzz/corpus")


def build(cargo: str) -> Path:
    """Builds the program, all of it with counters of what is reached, and without a sanitizer."""
    told = subprocess.run(["rustc", "-vV"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    host = re.search(r"^host: (.+)$", told, re.MULTILINE)[1]
    # With a target named, build scripts and macros are built without the flags.
    command = [cargo, "build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", host, "--target-dir", "target/fuzz"]
    if (ROOT / "fuzz" / "Cargo.lock").exists():
        command.append("--locked")
    flags = " ".join([*COVERAGE, os.environ.get("RUSTFLAGS", "")]).strip()
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "RUSTFLAGS": flags})
    return ROOT / "target" / "fuzz" / host / "release" / "fuzz"


def run(program: Path, target: str, seconds: int) -> tuple[int, int, int]:
    """Returns how many inputs were tried, how many edges they reach, and how many failed."""
    found, failed = WORK / "corpus" / target, WORK / "failed"
    for folder in (found, failed):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(failed.glob(f"{target}-*"))
    end = time.monotonic() + seconds
    tried = edges = 0
    for _ in range(TRIES):
        left = end - time.monotonic()
        if left < 1:
            break
        arguments = [f"-max_total_time={int(left)}", "-print_final_stats=1", f"-artifact_prefix={failed}/{target}-"]
        ended, said = call(program, target, [*arguments, *LIMITS, str(found), str(SEEDS / target)])
        tried += sum(int(number) for number in re.findall(r"stat::number_of_executed_units:\s+(\d+)", said))
        edges = max([edges, *(int(number) for number in re.findall(r" cov: (\d+) ", said))])
        if ended == 0:
            break
        lines = [line for line in said.splitlines() if line and not line.startswith(("#", "stat::", "INFO:"))]
        print("\n".join(f"  {target}: {line}" for line in lines[:12]), file=sys.stderr)
    kinds = ("crash-", "timeout-", "oom-")
    new = set(failed.glob(f"{target}-*")) - before
    return tried, edges, sum(path.name.removeprefix(f"{target}-").startswith(kinds) for path in new)


def keep(program: Path, target: str) -> None:
    """Adds to the seeds what reaches more than they do, the smallest first, as long as there is room."""
    merged = WORK / "merged" / target
    shutil.rmtree(merged, ignore_errors=True)
    shutil.copytree(SEEDS / target, merged)
    call(program, target, ["-merge=1", *LIMITS, str(merged), str(WORK / "corpus" / target)])
    seeds = {path.name for path in (SEEDS / target).iterdir()}
    room = FOLDER_BYTES - sum(path.stat().st_size for path in (SEEDS / target).iterdir())
    new = [path for path in merged.iterdir() if path.name not in seeds and path.stat().st_size <= SEED_BYTES]
    for path in sorted(new, key=lambda path: (path.stat().st_size, path.name)):
        room -= path.stat().st_size
        if room < 0:
            break
        shutil.copy(path, SEEDS / target / path.name)


def call(program: Path, target: str, arguments: list[str]) -> tuple[int, str]:
    """Runs the program on one target; returns how it ended, and what it said."""
    work = WORK / "work" / target
    shutil.rmtree(work, ignore_errors=True)
    (work / "tmp").mkdir(parents=True)
    named = {"FUZZ_TARGET": target, "FUZZ_WORK": str(work / "files"), "TMPDIR": str(work / "tmp")}
    done = subprocess.run(
        [program, *arguments],
        cwd=ROOT,
        env={**os.environ, **named},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    return done.returncode, done.stderr


def report(seconds: int, figures: dict[str, int]) -> None:
    """Merges figures into the report: rows of the same name are replaced, the others stay."""
    command = "make fuzz" if seconds == 60 else f"make fuzz FUZZ_SECONDS={seconds}"
    date = datetime.date.today().isoformat()
    goals = {"fuzz_crashes": "0"}
    rows = json.loads(REPORT.read_text()) if REPORT.exists() else []
    rows = [row for row in rows if row["row"] not in figures]
    for name, value in figures.items():
        goal = goals.get(name, "")
        rows.append({"row": name, "value": value, "unit": "1", "goal": goal, "command": command, "date": date})
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    partial = REPORT.with_suffix(".partial")
    partial.write_text(json.dumps(rows, indent=2))
    partial.replace(REPORT)


if __name__ == "__main__":
    main()
