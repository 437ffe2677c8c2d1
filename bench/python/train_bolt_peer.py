"""Training speed of the tiny Chronos-Bolt size: the reference package and bench_train in turns, in one run.

    pip install "chronos-forecasting==2.3.*" "transformers==4.57.*" torch==2.11.0
    python bench/python/train_bolt_peer.py build/bin/bench_train FOLDER [ROUNDS]

Context 512, horizon 64, batch 32, dropout 0.1, float32, two threads, AdamW. Here batches lie ready in memory and nothing is
clipped; bench_train reads its windows from a corpus and computes the gradient's norm at every step.
"""
import subprocess
import sys
import time

import torch
from chronos.chronos_bolt import ChronosBoltModelForForecasting
from transformers import T5Config

CONTEXT, HORIZON, BATCH, STEPS = 512, 64, 32, 10
torch.set_num_threads(2)
torch.manual_seed(0)

config = T5Config(
    d_model=256, d_kv=64, d_ff=1024, num_heads=4, num_layers=4, num_decoder_layers=4, dropout_rate=0.1,
    feed_forward_proj="relu", initializer_factor=0.05, vocab_size=2, pad_token_id=0, eos_token_id=1,
    decoder_start_token_id=0,
    chronos_config=dict(context_length=CONTEXT, prediction_length=HORIZON, input_patch_size=16, input_patch_stride=16,
                        quantiles=[i / 10 for i in range(1, 10)], use_reg_token=True),
)
model = ChronosBoltModelForForecasting(config).train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
context = torch.poisson(torch.full((BATCH, CONTEXT), 4.0))
target = torch.poisson(torch.full((BATCH, HORIZON), 4.0))


def reference(steps):
    began = time.perf_counter()
    for _ in range(steps):
        model(context=context, target=target.clone()).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - began


ours = subprocess.Popen(sys.argv[1:3], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def shelfcast(steps):
    ours.stdin.write(f"{steps}\n")
    ours.stdin.flush()
    return float(ours.stdout.readline())


reference(3)
shelfcast(3)
ratios = []
for number in range(int(sys.argv[3]) if len(sys.argv) > 3 else 7):
    theirs, mine = reference(STEPS), shelfcast(STEPS)
    ratios.append(theirs / mine)
    print(f"round {number + 1}: reference {STEPS * BATCH / theirs:6.1f} windows/s, "
          f"shelfcast {STEPS * BATCH / mine:6.1f}, ratio {ratios[-1]:.3f}", flush=True)
print(f"median ratio {sorted(ratios)[len(ratios) // 2]:.3f}")
ours.stdin.close()
ours.wait()
