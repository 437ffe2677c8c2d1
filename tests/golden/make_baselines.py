"""Makes tests/golden/baselines.safetensors: 100 drawn series with what statsforecast forecasts and fits for them.

By hand, with the packages of scripts/reference.sh (`make golden`):
    python tests/golden/make_baselines.py tests/golden/baselines.safetensors

Histories lie one after the other in `history` (float32; whole numbers or multiples of 1/8, so that float64 holds the
same), with `length` and `season` of each. A method that forecasts the same value for every step has one number a
series, others kHorizon. Fitted models have log likelihood and AICc, Theta its sum of squares over the mean absolute
value. NaN: the package refuses the series.
"""

import sys
import warnings

import numpy as np
from safetensors.numpy import save_file
from statsforecast import models

HORIZON = 9
FLAT = {
    "naive": lambda season: models.Naive(),
    "moving_average": lambda season: models.WindowAverage(window_size=5),
    "ses": lambda season: models.SimpleExponentialSmoothingOptimized(),
    "croston": lambda season: models.CrostonClassic(),
    "sba": lambda season: models.CrostonSBA(),
    "tsb": lambda season: models.TSB(alpha_d=0.1, alpha_p=0.1),
    "adida": lambda season: models.ADIDA(),
    "imapa": lambda season: models.IMAPA(),
}
STEPS = {
    "seasonal_naive": lambda season: models.SeasonalNaive(season_length=season),
    "drift": lambda season: models.RandomWalkWithDrift(),
}
FITTED = {
    "holt": lambda season: models.AutoETS(season_length=season, model="AAN", damped=False),
    "holt_winters": lambda season: models.AutoETS(season_length=season, model="AAA", damped=False),
    "holt_winters_multiplicative": lambda season: models.AutoETS(season_length=season, model="MAM", damped=False),
    "ets": lambda season: models.AutoETS(season_length=season, model="ZZZ"),
}


def eighths(values):
    return np.round(np.asarray(values, dtype=np.float64) * 8) / 8


def draw(kind, n, season, random):
    t = np.arange(n)
    wave = np.sin(2 * np.pi * t / season) + 0.5 * np.cos(4 * np.pi * t / season)
    level = random.uniform(5, 200)
    noise = random.normal(size=n)
    if kind == "smooth":
        return eighths(np.maximum(level + level * 0.1 * np.cumsum(0.3 * noise) + level * 0.05 * random.normal(size=n), 1))
    if kind == "seasonal":
        return eighths(np.maximum(level * (1 + 0.4 * wave) + level * 0.1 * noise, 0))
    if kind == "seasonal growth":
        return eighths(np.maximum(level * (1 + 0.01 * t) * np.exp(0.3 * wave + 0.1 * noise), 0.5))
    if kind == "trend":
        return eighths(np.maximum(level + random.uniform(-0.2, 1.0) * t + level * 0.05 * noise, 0))
    if kind == "counts":
        return random.poisson(random.uniform(0.5, 8) * (1 + 0.3 * wave)).astype(np.float64)
    if kind == "intermittent":
        return np.where(random.uniform(size=n) < random.uniform(0.05, 0.4), random.poisson(3, size=n) + 1.0, 0.0)
    if kind == "lumpy":
        return np.where(random.uniform(size=n) < 0.15, np.round(random.lognormal(2, 1, size=n)) + 1, 0.0)
    if kind == "late":
        return np.where(t < n // 2, 0.0, random.poisson(2, size=n).astype(np.float64))
    if kind == "constant":
        return np.full(n, eighths(level))
    assert kind == "zeros"
    return np.zeros(n)


def all_series():
    random = np.random.default_rng(20240607)
    counts = {"smooth": 14, "seasonal": 14, "seasonal growth": 12, "trend": 10, "counts": 12, "intermittent": 14, "lumpy": 8,
              "late": 4, "constant": 3, "zeros": 3}
    series = [(draw(kind, int(random.integers(40, 180)), season, random), season)
              for kind, count in counts.items() for i in range(count) for season in [(7, 7, 12, 4)[i % 4]]]
    short = [(draw(kind, n, 7, random), 7)
             for n, kind in zip((1, 2, 3, 5, 9, 16), ("smooth", "trend", "counts", "smooth", "seasonal", "seasonal"))]
    return series + short


def attempt(compute, missing):
    try:
        return compute()
    except Exception:  # the package's way to refuse short series
        return missing


def main(path):
    warnings.filterwarnings("ignore")
    series = all_series()
    assert len(series) == 100
    tensors = {"history": np.concatenate([y for y, _ in series]).astype(np.float32),
               "length": np.array([len(y) for y, _ in series], dtype=np.int64),
               "season": np.array([season for _, season in series], dtype=np.int64)}
    assert (tensors["history"].astype(np.float64) == np.concatenate([y for y, _ in series])).all()
    nothing = np.full(HORIZON, np.nan)
    for name, make in {**FLAT, **STEPS}.items():
        rows = [attempt(lambda: make(season).forecast(y=y, h=HORIZON)["mean"], nothing) for y, season in series]
        tensors[name] = np.array([row[:1] if name in FLAT else row for row in rows], dtype=np.float64)
    for name, make in FITTED.items():
        fits = [attempt(lambda: make(season).fit(y).model_, {}) for y, season in series]
        for key in ("loglik", "aicc"):
            tensors[f"{name}.{key}"] = np.array([fit.get(key, np.nan) for fit in fits], dtype=np.float64)
    tensors["theta.mse"] = np.array(
        [attempt(lambda: models.AutoTheta(season_length=season).fit(y).model_["mse"], np.nan) for y, season in series],
        dtype=np.float64)
    save_file(tensors, path)


if __name__ == "__main__":
    main(sys.argv[1])
