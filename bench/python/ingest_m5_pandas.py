"""Peer of `shelfcast ingest --format m5`: the same tables to the same arrays, as a data scientist would write it.

    /usr/bin/time -v python ingest_m5_pandas.py M5_FOLDER OUT.h5

M5_FOLDER holds sales_d1495_d1913.parquet, calendar.parquet and sell_prices.parquet. Needs pandas, pyarrow and h5py.
"""
import sys
import time

import h5py
import numpy as np
import pandas as pd

folder, out = sys.argv[1:3]
started = time.perf_counter()

sales = pd.read_parquet(f"{folder}/sales_d1495_d1913.parquet")
calendar = pd.read_parquet(f"{folder}/calendar.parquet")
prices = pd.read_parquet(f"{folder}/sell_prices.parquet")

# Wide to long, joined with the calendar and the prices: one row per series and day.
keys = ["item_id", "dept_id", "cat_id", "store_id", "state_id"]
days = [column for column in sales.columns if column.startswith("d_")]
long = sales.melt(id_vars=keys, value_vars=days, var_name="d", value_name="units")
long = long.merge(calendar[["d", "date", "wm_yr_wk"]], on="d", how="left")
long = long.merge(prices, on=["store_id", "item_id", "wm_yr_wk"], how="left")
released = prices.groupby(["store_id", "item_id"], sort=False)["wm_yr_wk"].min().rename("released").reset_index()
long = long.merge(released, on=["store_id", "item_id"], how="left")
long["units"] = long["units"].astype("float32")
long.loc[(long["wm_yr_wk"] < long["released"]) & (long["units"] == 0), "units"] = np.nan

# Back to [series, days].
shape = (len(days), len(sales))
demand = long["units"].to_numpy(np.float32).reshape(shape).T
price = long["sell_price"].to_numpy(np.float32).reshape(shape).T
with h5py.File(out, "w") as file:
    file.create_dataset("demand", data=np.ascontiguousarray(demand), chunks=(16, len(days)))
    file.create_dataset("known/price", data=np.ascontiguousarray(price), chunks=(16, len(days)))

print(f"{demand.shape[0]} series, {demand.shape[1]} days, {np.nansum(demand):.0f} units, "
      f"{np.isnan(demand).sum()} not observed, {time.perf_counter() - started:.1f} s")
