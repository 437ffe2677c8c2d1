"""Speed of Chronos-Bolt: the reference package and bench_train in turns, in one run.

    $(scripts/reference.sh) bench/python/train_bolt_peer.py build/bin/bench_train FOLDER [TOWER] [ROUNDS]

TOWER is bolt-tiny (default), bolt-mini, bolt-small or bolt-base. Context 512, horizon 64, batch 32, dropout 0.1, two threads, AdamW; float32, and training
in bf16 as well where the CPU has it (the reference under autocast). Here batches lie ready in memory and nothing is clipped; bench_train reads its windows from a corpus and
computes the gradient's norm at every step. Beside the ratios stands the share of the machine's rate of matrix products
(2048 x 2048 x 2048, same precision, threads and run) that ours reaches with the products the published model needs.
"""
import subprocess
import sys
import time

import torch
from chronos.chronos_bolt import ChronosBoltModelForForecasting
from transformers import T5Config

CONTEXT, HORIZON, BATCH, PATCH, LEVELS = 512, 64, 32, 16, 9
SIZES = {"bolt-tiny": (256, 1024, 4, 4), "bolt-mini": (384, 1536, 4, 8), "bolt-small": (512, 2048, 6, 8),
         "bolt-base": (768, 3072, 12, 12)}
tower = sys.argv[3] if len(sys.argv) > 3 else "bolt-tiny"
rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 7
width, hidden, layers, heads = SIZES[tower]
inner = heads * 64
steps = {"bolt-tiny": 10, "bolt-mini": 6, "bolt-small": 3, "bolt-base": 1}[tower]
torch.set_num_threads(2)
torch.manual_seed(0)

config = T5Config(
    d_model=width, d_kv=64, d_ff=hidden, num_heads=heads, num_layers=layers, num_decoder_layers=layers, dropout_rate=0.1,
    feed_forward_proj="relu", initializer_factor=0.05, vocab_size=2, pad_token_id=0, eos_token_id=1,
    decoder_start_token_id=0,
    chronos_config=dict(context_length=CONTEXT, prediction_length=HORIZON, input_patch_size=PATCH,
                        input_patch_stride=PATCH, quantiles=[i / 10 for i in range(1, 10)], use_reg_token=True),
)
model = ChronosBoltModelForForecasting(config)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
context = torch.poisson(torch.full((BATCH, CONTEXT), 4.0))
target = torch.poisson(torch.full((BATCH, HORIZON), 4.0))


def reference(what, count):
    model.train(what != "forecast")
    began = time.perf_counter()
    for _ in range(count):
        if what != "forecast":
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=what == "train-bf16"):
                loss = model(context=context, target=target.clone()).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        else:
            with torch.inference_mode():
                model(context=context)
    return time.perf_counter() - began


def products():
    """Operations of the matrix products of one window's forward, as published."""
    tokens = CONTEXT // PATCH + 1
    token = layers * (4 * width * inner + 2 * width * hidden + 2 * tokens * inner)
    token += 2 * PATCH * hidden + hidden * width + 2 * PATCH * width
    memory = layers * 2 * width * inner  # keys and values of the cross-attention
    decoder = layers * (6 * width * inner + 2 * width * hidden + 2 * tokens * inner)
    head = width * hidden + (hidden + width) * LEVELS * HORIZON
    return 2 * (tokens * (token + memory) + decoder + head)


def product_rate(dtype):
    a, b = torch.randn(2048, 2048).to(dtype), torch.randn(2048, 2048).to(dtype)
    best = 0.0
    for _ in range(5):
        began = time.perf_counter()
        a @ b
        best = max(best, 2 * 2048**3 / (time.perf_counter() - began))
    return best


ours = subprocess.Popen([*sys.argv[1:3], tower], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def shelfcast(what, count):
    ours.stdin.write(f"{what} {count}\n")
    ours.stdin.flush()
    return float(ours.stdout.readline())


kinds = [("train", 3, steps), ("train-bf16", 3, steps), ("forecast", 1, 4 * steps)]
if "avx512_bf16" not in open("/proc/cpuinfo").read():
    del kinds[1]
for what, passes, count in kinds:
    dtype = torch.bfloat16 if what == "train-bf16" else torch.float32
    reference(what, 2)
    shelfcast(what, 2)
    ratios, shares = [], []
    for number in range(rounds):
        theirs, mine = reference(what, count), shelfcast(what, count)
        ratios.append(theirs / mine)
        shares.append(passes * products() * count * BATCH / mine / product_rate(dtype))
        print(f"{what} round {number + 1}: reference {count * BATCH / theirs:6.1f} windows/s, "
              f"shelfcast {count * BATCH / mine:6.1f}, ratio {ratios[-1]:.3f}", flush=True)
    print(f"{tower} {what}: median ratio {sorted(ratios)[rounds // 2]:.3f}, "
          f"share of the rate of products {sorted(shares)[rounds // 2]:.2f}")
ours.stdin.close()
ours.wait()
