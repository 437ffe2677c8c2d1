"""The same windows in the same order with h5py and a PyTorch DataLoader, on the layout that suits them best.

loader_peer.py FOLDER: reads FOLDER/order.bin (written by bench_loader) and FOLDER/bench.corpus/all.h5.
Needs h5py, numpy and torch in a scratch environment.
"""
import pathlib
import sys
import time

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

CONTEXT, HORIZON, BATCH = 512, 64, 256


class Windows(Dataset):
    """One window an item; the file is opened in the process that reads."""

    def __init__(self, path, order):
        self.path, self.order, self.demand = path, order, None

    def __len__(self):
        return len(self.order)

    def __getitem__(self, index):
        if self.demand is None:
            self.demand = h5py.File(self.path, "r")["demand"]
        series, origin = self.order[index]
        values = self.demand[series, origin - CONTEXT:origin + HORIZON]
        return values[:CONTEXT], values[CONTEXT:]


def layouts(folder):
    with h5py.File(folder / "bench.corpus" / "all.h5") as source:
        demand = source["demand"][:]
    for name, chunks in [("contiguous", None), ("chunk-1-series", (1, demand.shape[1])),
                         ("chunk-16-series", (16, demand.shape[1]))]:
        path = folder / f"peer-{name}.h5"
        if not path.exists():
            with h5py.File(path, "w") as target:
                target.create_dataset("demand", data=demand, chunks=chunks)
        yield name, path


def main():
    folder = pathlib.Path(sys.argv[1])
    order = np.fromfile(folder / "order.bin", dtype=np.int64).reshape(-1, 2)
    best = 0.0
    for name, path in layouts(folder):
        for workers in (0, 1, 2):
            loader = DataLoader(Windows(path, order), batch_size=BATCH, shuffle=False, num_workers=workers)
            began, count, total = time.perf_counter(), 0, 0.0
            for context, target in loader:
                count += len(context)
                total += float(target[0, 0])
            rate = count / (time.perf_counter() - began)
            best = max(best, rate)
            print(f"h5py + DataLoader, {name}, {workers} workers: {rate:.0f} windows/s (checksum {total})", flush=True)
    print(f"best: {best:.0f} windows/s")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
