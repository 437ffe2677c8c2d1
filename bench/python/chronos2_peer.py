"""Speed of the 28 M Chronos-2 size: the reference package and bench_chronos2 in turns, in one run.

    pip install "chronos-forecasting==2.3.*" "transformers==4.57.*" torch==2.11.0
    python bench/python/chronos2_peer.py build/bin/bench_chronos2 [ROUNDS] [GROUP] [THREADS]

Context 512, horizon 64, batch 32, dropout 0.1, float32, THREADS (2); batches lie ready in memory on both sides. Training is
forward, loss, backward and AdamW (here nothing is clipped; bench_chronos2 computes the gradient's norm, too); inference is one
forward without gradients. GROUP rows exchange information (1 = each for itself). The ratio of CPU seconds tells more on a machine that others use.
"""
import subprocess
import sys
import time

import torch
from chronos.chronos2 import Chronos2Model
from chronos.chronos2.config import Chronos2CoreConfig

CONTEXT, HORIZON, BATCH = 512, 64, 32
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 7
GROUP = int(sys.argv[3]) if len(sys.argv) > 3 else 1
TIMES = {"train": 3, "infer": 6}
THREADS = int(sys.argv[4]) if len(sys.argv) > 4 else 2
torch.set_num_threads(THREADS)
torch.manual_seed(0)

levels = [0.01] + [round(0.05 * i, 2) for i in range(1, 20)] + [0.99]
config = Chronos2CoreConfig(
    d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8, dropout_rate=0.1,
    chronos_config=dict(context_length=8192, input_patch_size=16, output_patch_size=16, input_patch_stride=16,
                        max_output_patches=64, quantiles=levels, use_reg_token=True, use_arcsinh=True))
model = Chronos2Model(config)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
context = torch.poisson(torch.full((BATCH, CONTEXT), 4.0))
target = torch.poisson(torch.full((BATCH, HORIZON), 4.0))
groups = torch.arange(BATCH) // GROUP


def train():
    model.train()
    model(context=context, group_ids=groups, future_target=target.clone(), num_output_patches=HORIZON // 16).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def infer():
    model.eval()
    with torch.no_grad():
        model(context=context, group_ids=groups, num_output_patches=HORIZON // 16)


def reference(what, times):
    began, cpu_began = time.perf_counter(), time.process_time()
    for _ in range(times):
        {"train": train, "infer": infer}[what]()
    return time.perf_counter() - began, time.process_time() - cpu_began


ours = subprocess.Popen([sys.argv[1], str(THREADS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def shelfcast(what, times):
    ours.stdin.write(f"{what} {times} {GROUP}\n")
    ours.stdin.flush()
    return tuple(float(x) for x in ours.stdout.readline().split())


for what, times in TIMES.items():
    reference(what, 2)
    shelfcast(what, 2)
    ratios, cpu_ratios = [], []
    for number in range(ROUNDS):
        (theirs, their_cpu), (mine, my_cpu) = reference(what, times), shelfcast(what, times)
        ratios.append(theirs / mine)
        cpu_ratios.append(their_cpu / my_cpu)
        print(f"{what} {number + 1}: reference {times * BATCH / theirs:6.1f} windows/s, "
              f"shelfcast {times * BATCH / mine:6.1f}, ratio {ratios[-1]:.3f}, of CPU seconds {cpu_ratios[-1]:.3f}", flush=True)
    print(f"{what}: median ratio {sorted(ratios)[ROUNDS // 2]:.3f}, of CPU seconds {sorted(cpu_ratios)[ROUNDS // 2]:.3f}")
ours.stdin.close()
ours.wait()
