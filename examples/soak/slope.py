"""How fast something grows that goes up and down: slopes by least squares, with confidence intervals that autocorrelation does not narrow.

`fit` draws a line through all of it. What repeats with a period, such as a re-index, goes into means over whole periods, and the line
is fitted to these. Its standard error is the greater of that of least squares and that of Newey and West (Econometrica 55, 1987) with
one lag. `within` fits lines of one slope and each its own level to stretches between which the level may jump; its standard error
takes each stretch as a whole (Liang and Zeger, Biometrika 73, 1986). Student's t takes the few means or stretches into account.
"""

import math

# The 97.5th percentile of Student's t for 1, 2, .. degrees of freedom; of the normal distribution beyond.
STUDENT = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093,
    2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
]
NORMAL = 1.96
# Fewer means or stretches than this make no interval.
LEAST = 4


def means(samples: list[tuple[float, float]], period: float) -> list[tuple[float, float]]:
    """Means of time and value over whole periods from the end backwards; over eighths of the time if that is too short for periods."""
    begun, ended = samples[0][0], samples[-1][0]
    if (ended - begun) < LEAST * period:
        period = (ended - begun) / 8
    batches: dict[int, list[tuple[float, float]]] = {}
    for time, value in samples:
        batches.setdefault(int((ended - time) / period), []).append((time, value))
    whole = int((ended - begun) / period + 1e-9)
    mean = lambda numbers: sum(numbers) / len(numbers)
    chosen = [batches[number] for number in range(whole - 1, -1, -1) if number in batches]
    return [(mean([time for time, _ in batch]), mean([value for _, value in batch])) for batch in chosen]


def fit(samples: list[tuple[float, float]], period: float) -> tuple[float, float, float]:
    """The slope per unit of time, and the bounds of its 95 % confidence interval."""
    points = means(samples, period)
    count = len(points)
    if count < LEAST:
        return math.nan, math.nan, math.nan
    middle, level = (sum(column) / count for column in zip(*points))
    spread = sum((time - middle) ** 2 for time, _ in points)
    slope = sum((time - middle) * (value - level) for time, value in points) / spread
    residuals = [value - level - slope * (time - middle) for time, value in points]
    scores = [(time - middle) * residual for (time, _), residual in zip(points, residuals)]
    correction = count / (count - 2)
    plain = sum(residual**2 for residual in residuals) / (count - 2) / spread
    lagged = sum(before * after for before, after in zip(scores, scores[1:]))
    robust = correction * (sum(score**2 for score in scores) + lagged) / spread**2
    return bounds(slope, max(plain, robust, 0.0), count - 2)


def within(stretches: list[list[tuple[float, float]]]) -> tuple[float, float, float]:
    """The slope per unit of time that all stretches have in common, and the bounds of its 95 % confidence interval."""
    centred = []
    for stretch in stretches:
        middle, level = (sum(column) / len(stretch) for column in zip(*stretch))
        centred.append([(time - middle, value - level) for time, value in stretch])
    spread = sum(time**2 for stretch in centred for time, _ in stretch)
    if len(centred) < LEAST or spread == 0:
        return math.nan, math.nan, math.nan
    slope = sum(time * value for stretch in centred for time, value in stretch) / spread
    scores = [sum(time * (value - slope * time) for time, value in stretch) for stretch in centred]
    variance = len(scores) / (len(scores) - 1) * sum(score**2 for score in scores) / spread**2
    return bounds(slope, variance, len(scores) - 1)


def bounds(slope: float, variance: float, freedom: int) -> tuple[float, float, float]:
    width = math.sqrt(variance) * (STUDENT[freedom - 1] if freedom <= len(STUDENT) else NORMAL)
    return slope, slope - width, slope + width
