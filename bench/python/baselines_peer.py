"""statsforecast on the series that bench_baselines forecasts: baselines_peer.py CORPUS [THREADS] [SEASON] [EVERY].

Reads CORPUS/all.h5, drops what comes before the first observation, and times StatsForecast.forecast() of one model at a
time on THREADS processes: Theta and exponential smoothing models over every EVERYth series, others over all. The first
call of each model, which compiles it, is not timed, nor is reading.
In a scratch environment: pip install "statsforecast==2.0.2" h5py
"""
import sys
import time
import warnings

import h5py
import numpy as np
import pandas as pd
from statsforecast import StatsForecast, models

HORIZON, WINDOW = 28, 28


def frame(path):
    with h5py.File(path + "/all.h5") as source:
        demand = source["demand"][:]
    ids, steps, values = [], [], []
    for i, row in enumerate(demand.astype(np.float64)):
        seen = np.flatnonzero(~np.isnan(row))
        if not len(seen):
            continue
        row = row[seen[0]:seen[-1] + 1]
        ids.append(np.full(len(row), i))
        steps.append(np.arange(len(row)))
        values.append(row)
    return pd.DataFrame({"unique_id": np.concatenate(ids), "ds": np.concatenate(steps), "y": np.concatenate(values)})


def main(corpus, threads=2, season=7, every=1):
    warnings.filterwarnings("ignore")
    data = frame(corpus)
    few = data[data.unique_id.isin(data.unique_id.unique()[:2])]
    some = data[data.unique_id % every == 0]
    for name, model in [
            ("naive", models.Naive()), ("seasonal_naive", models.SeasonalNaive(season)), ("drift", models.RandomWalkWithDrift()),
            ("moving_average", models.WindowAverage(WINDOW)), ("ses", models.SimpleExponentialSmoothingOptimized()),
            ("croston", models.CrostonClassic()), ("sba", models.CrostonSBA()), ("tsb", models.TSB(0.1, 0.1)),
            ("adida", models.ADIDA()), ("imapa", models.IMAPA()), ("theta", models.AutoTheta(season)),
            ("holt", models.Holt(season)), ("holt_winters", models.HoltWinters(season)), ("ets", models.AutoETS(season))]:
        StatsForecast([model], freq=1).forecast(df=few, h=HORIZON)
        forecaster = StatsForecast([model], freq=1, n_jobs=threads, fallback_model=models.Naive())
        panel = some if name in ("theta", "holt", "holt_winters", "ets") else data
        began = time.perf_counter()
        forecaster.forecast(df=panel, h=HORIZON)
        seconds = time.perf_counter() - began
        series = panel.unique_id.nunique()
        print(f"{name:<28} {series:>8} series {seconds:>9.2f} s {series / seconds:>12.0f} series/s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *(int(word) for word in sys.argv[2:]))
