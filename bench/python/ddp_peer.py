"""Data-parallel training of Chronos-Bolt: PyTorch's DistributedDataParallel over the reference package and `shelfcast train` in turns.

    OMP_NUM_THREADS=1 $(scripts/reference.sh) bench/python/ddp_peer.py build/bin FOLDER [TOWER] [ROUNDS]

FOLDER holds train_bench.corpus, which bench_train made there (echo | build/bin/bench_train FOLDER). Two processes with one thread each, context 512, horizon 64,
a global batch of 64, dropout 0.1, AdamW; float32, and bf16 where the CPU has it (the reference under autocast). The reference finds its batches ready in memory;
ours is the whole trainer with its corpus, clipping and logs. Before and after it in every round: two trainings of one rank with half the batch each,
at the same time, what two ranks could do if they had nothing to say to each other; the mean of both, for machines drift. Windows a second are medians over the
steps of a run, the first three left out.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402

CONTEXT, HORIZON, BATCH, PATCH, RANKS = 512, 64, 64, 16, 2
SIZES = {"bolt-tiny": (256, 1024, 4, 4), "bolt-mini": (384, 1536, 4, 8), "bolt-small": (512, 2048, 6, 8)}
STEPS = {"bolt-tiny": 24, "bolt-mini": 16, "bolt-small": 16}
FIRST = 3  # steps that warm up


def reference_rank(rank, tower, precision, port, answer):
    from chronos.chronos_bolt import ChronosBoltModelForForecasting
    from torch.nn.parallel import DistributedDataParallel
    from transformers import T5Config

    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=RANKS)
    width, hidden, layers, heads = SIZES[tower]
    model = ChronosBoltModelForForecasting(T5Config(
        d_model=width, d_kv=64, d_ff=hidden, num_heads=heads, num_layers=layers, num_decoder_layers=layers, dropout_rate=0.1,
        feed_forward_proj="relu", initializer_factor=0.05, vocab_size=2, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
        chronos_config=dict(context_length=CONTEXT, prediction_length=HORIZON, input_patch_size=PATCH, input_patch_stride=PATCH,
                            quantiles=[i / 10 for i in range(1, 10)], use_reg_token=True)))
    model = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    context = torch.poisson(torch.full((BATCH // RANKS, CONTEXT), 4.0))
    target = torch.poisson(torch.full((BATCH // RANKS, HORIZON), 4.0))
    speeds = []
    for _ in range(STEPS[tower]):
        dist.barrier()
        began = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = model(context=context, target=target.clone()).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        dist.barrier()
        speeds.append(BATCH / (time.perf_counter() - began))
    if rank == 0:
        answer.put(statistics.median(speeds[FIRST:]))
    dist.destroy_process_group()


def reference(tower, precision, port):
    answer = mp.get_context("spawn").SimpleQueue()
    mp.spawn(reference_rank, args=(tower, precision, port, answer), nprocs=RANKS)
    return answer.get()


def recipe(folder, name, tower, precision, batch):
    run = folder / name
    shutil.rmtree(run, ignore_errors=True)
    path = folder / f"{name}.yaml"
    path.write_text(f"""run: {{dir: {run}, seed: 1}}
data: {{corpus: {folder}/train_bench.corpus, context: {CONTEXT}, horizon: {HORIZON}}}
model: {{tower: {tower}, dropout: 0.1, heads: {{mean: false}}}}
train: {{steps: {STEPS[tower]}, batch: {batch}, micro_batch: {BATCH // RANKS}, precision: {precision}, log_every: 1, validate_every: 1000,
  checkpoint_every: 1000, validate_windows: 32}}
backtest: {{origins: 1, horizon: {HORIZON}, stride: {HORIZON}}}
""")
    return run, path


def speed_of(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return statistics.median([line["windows_per_second"] for line in lines if "windows_per_second" in line][FIRST:])


def trained(bin_folder, folder, tower, precision):
    run, path = recipe(folder, "two-ranks", tower, precision, BATCH)
    subprocess.run(["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(RANKS), bin_folder / "shelfcast",
                    "train", path], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return speed_of(run)


def trained_apart(bin_folder, folder, tower, precision):
    runs = [recipe(folder, f"alone-{i}", tower, precision, BATCH // RANKS) for i in range(RANKS)]
    processes = [subprocess.Popen([bin_folder / "shelfcast", "train", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                 for _, path in runs]
    assert all(process.wait() == 0 for process in processes)
    return sum(speed_of(run) for run, _ in runs)


def main():
    bin_folder, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    tower = sys.argv[3] if len(sys.argv) > 3 else "bolt-small"
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    has_bf16 = "avx512_bf16" in Path("/proc/cpuinfo").read_text()
    port = 29500
    for precision in ["fp32", "bf16"][: 1 + has_bf16]:
        over_reference, over_apart = [], []
        for number in range(rounds):
            port += 1
            theirs = reference(tower, precision, port)
            before = trained_apart(bin_folder, folder, tower, precision)
            mine = trained(bin_folder, folder, tower, precision)
            apart = (before + trained_apart(bin_folder, folder, tower, precision)) / 2
            over_reference.append(mine / theirs)
            over_apart.append(mine / apart)
            print(f"{tower} {precision} round {number + 1}: DDP {theirs:6.1f} windows/s, shelfcast {mine:6.1f}, two alone {apart:6.1f}; "
                  f"ratios {over_reference[-1]:.3f} and {over_apart[-1]:.3f}", flush=True)
        print(f"{tower} {precision}: medians {statistics.median(over_reference):.3f} of DDP, {statistics.median(over_apart):.3f} of two alone")


if __name__ == "__main__":
    main()
