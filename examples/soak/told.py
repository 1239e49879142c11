"""What a soak's samples say: whether memory, descriptors and threads of a server grow in the second half."""

from slope import fit, within

Figure = tuple[str, float, str, str]
# Descriptors and threads that may come and go.
SLACK = 8
# How long after a re-index a server may take to let the generation before go, and give its memory back.
SETTLED = 20.0


def told(samples: list[dict], reindex: float) -> list[Figure]:
    """The figures; those of memory without a server's name are of the one that grows most."""
    half = samples[-1]["second"] / 2
    slopes, steady, growths, figures = [], [], {"descriptors": 0.0, "threads": 0.0}, []
    for name in dict.fromkeys(row["server"] for row in samples):
        later = [row for row in samples if row["server"] == name and row["second"] >= half]
        slopes.append(fit([(row["second"] / 3_600, row["anon"]) for row in later], reindex / 3_600))
        steady.append(within(stretches(later)))
        server = name.replace("-", "_")
        figures += [interval(f"soak_rss_slope_mb_h_{server}", slopes[-1]), interval(f"soak_rss_steady_mb_h_{server}", steady[-1])]
        for what in growths:
            middle = len(later) // 2
            growth = max(row[what] for row in later[middle:]) - max(row[what] for row in later[:middle])
            growths[what] = max(growths[what], growth)
    return figures + [
        *worst("soak_rss_slope", slopes),
        *worst("soak_rss_steady", steady),
        ("soak_fds_flat", float(growths["descriptors"] <= SLACK), "1", "1"),
        ("soak_fds_growth", growths["descriptors"], "1", f"<= {SLACK}"),
        ("soak_threads_growth", growths["threads"], "1", f"<= {SLACK}"),
    ]


def stretches(samples: list[dict]) -> list[list[tuple[float, float]]]:
    """Memory by hours, cut where a re-index ran, without the time that servers take to settle after it."""
    found, settled, last = [], 0.0, None
    for row in samples:
        if row["reindexing"]:
            settled, last = row["second"] + SETTLED, None
        elif row["second"] >= settled:
            if last is None:
                found.append([])
            last = row
            found[-1].append((row["second"] / 3_600, row["anon"]))
    return [stretch for stretch in found if len(stretch) > 1]


def interval(name: str, fitted: tuple[float, float, float]) -> Figure:
    slope, low, high = fitted
    return name, slope, "MB/h", f"from {low:.2f} to {high:.2f} with a confidence of 95 %"


def worst(name: str, fitted: list[tuple[float, float, float]]) -> list[Figure]:
    slope, low, high = max(fitted)
    return [(f"{name}_mb_h", slope, "MB/h", "< 1"), (f"{name}_low", low, "MB/h", ""), (f"{name}_high", high, "MB/h", "")]
