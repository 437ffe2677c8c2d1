"""Makes tests/golden/bolt/*: small random Chronos-Bolt checkpoints with what the reference package computes from them.

By hand, with the packages of scripts/reference.sh (`make golden`); another SEED than 0 draws others (`make parity`):
    python tests/golden/make_bolt.py tests/golden/bolt [SEED]

Each case is a folder: config.json and model.safetensors as the package saves them (float32), and case.safetensors with
inputs, forecasts in units of demand, the published training loss (no dropout) and a digest of every gradient: for each
tensor its dot products with two fixed vectors, which our test makes again. Gradients themselves would be as large as
the weights.

The other way round: a folder that we saved, with its case.safetensors beside, is loaded and compared by
    python tests/golden/make_bolt.py --check FOLDER
"""

import pathlib
import sys

import numpy as np
import torch
from chronos.chronos_bolt import ChronosBoltModelForForecasting, ChronosBoltPipeline
from safetensors.torch import load_file, save_file
from transformers import T5Config

CASES = {
    # Heads times their width is not the model's width; patches of 16; the full nine levels.
    "wide_heads": dict(d_model=24, d_kv=8, d_ff=32, heads=4, layers=2, decoder_layers=2, patch=16, context=128,
                       steps=8, quantiles=[i / 10 for i in range(1, 10)], reg=True),
    # Patches of 8, distances beyond the exact buckets, uneven depth.
    "patch_8": dict(d_model=16, d_kv=16, d_ff=24, heads=2, layers=3, decoder_layers=1, patch=8, context=200,
                    steps=5, quantiles=[0.1, 0.5, 0.9], reg=True),
    # No REG token.
    "no_reg": dict(d_model=16, d_kv=4, d_ff=24, heads=2, layers=1, decoder_layers=2, patch=8, context=64,
                   steps=4, quantiles=[0.25, 0.5], reg=False),
    # Gated feed-forward layers, patches that overlap; saved in shards.
    "gated_overlap": dict(d_model=16, d_kv=8, d_ff=24, heads=2, layers=2, decoder_layers=2, patch=8, stride=4, context=96,
                          steps=4, quantiles=[0.1, 0.3, 0.5, 0.9], reg=True, feed_forward="gated-gelu",
                          shard="12KB"),
    # Another activation, patches with steps between them left out.
    "silu_gaps": dict(d_model=16, d_kv=8, d_ff=24, heads=2, layers=1, decoder_layers=1, patch=6, stride=8, context=96,
                      steps=4, quantiles=[0.2, 0.5, 0.8], reg=True, feed_forward="silu"),
}


def config_of(case):
    return T5Config(
        d_model=case["d_model"], d_kv=case["d_kv"], d_ff=case["d_ff"], num_heads=case["heads"],
        num_layers=case["layers"], num_decoder_layers=case["decoder_layers"], dropout_rate=0.1,
        feed_forward_proj=case.get("feed_forward", "relu"), initializer_factor=1.0, layer_norm_epsilon=1e-6, vocab_size=2, pad_token_id=0,
        eos_token_id=1, decoder_start_token_id=0, architectures=["ChronosBoltModelForForecasting"],
        chronos_pipeline_class="ChronosBoltPipeline",
        chronos_config=dict(context_length=case["context"], prediction_length=case["steps"],
                            input_patch_size=case["patch"], input_patch_stride=case.get("stride", case["patch"]),
                            quantiles=case["quantiles"], use_reg_token=case["reg"]),
    )


def draw_weights(model, generator):
    """Every tensor counts: biases and norms away from their usual first values, weights at healthy sizes."""
    with torch.no_grad():
        for name, tensor in sorted(model.named_parameters()):
            noise = torch.randn(tensor.shape, generator=generator)
            if "layer_norm" in name:
                tensor.copy_(1.0 + 0.2 * noise)
            elif tensor.dim() == 1:
                tensor.copy_(0.2 * noise)
            elif "relative_attention_bias" in name or "shared" in name:
                tensor.copy_(noise)
            else:
                tensor.copy_(noise / tensor.shape[1] ** 0.5)


def batch(case, generator):
    """Ordinary, with gaps, short, constant, all missing, far from zero; length is not a multiple of the patch.

    The reference takes means in float32, we in double: numbers are chosen so that its rounding stays below our tolerance
    (3.25 has an exact mean; of 3.3 it would see a deviation of 2e-7 and divide by that)."""
    length = case["context"] - 3
    x = torch.randn(6, length, generator=generator) * 3 + 10
    x = x + 4 * torch.sin(torch.arange(length) * 2 * np.pi / 7)
    gaps = torch.rand(length, generator=generator) < 0.3
    x[1, gaps] = torch.nan
    x[2, : length - 5] = torch.nan
    x[3] = 3.25
    x[3, : length // 2] = torch.nan
    x[4] = torch.nan
    x[5] = 64 + x[5] * 0.25
    target = torch.randn(6, case["steps"], generator=generator) * 3 + 10
    target[1, ::2] = torch.nan
    target[3] = 3.25
    target[5] = 67
    return x, target


def fixed_vector(n, which):
    i = np.arange(n, dtype=np.float64)
    return torch.from_numpy(np.cos(0.37 * i + which) + 0.1)


def five_steps(model, context, target):
    """Losses before each of five AdamW steps (no dropout); the model is trained afterwards."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = model(context=context, target=target.clone()).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().view(1))
    return torch.cat(losses)


def main(folder, seed):
    for number, (name, case) in enumerate(CASES.items()):
        generator = torch.Generator().manual_seed(100 + number + 1000 * seed)
        model = ChronosBoltModelForForecasting(config_of(case))
        draw_weights(model, generator)
        model.eval()
        context, target = batch(case, generator)
        out = folder / name
        model.save_pretrained(out, safe_serialization=True, max_shard_size=case.get("shard", "1GB"))
        (out / "generation_config.json").unlink(missing_ok=True)
        # The constant series is left out of the loss: divided by 1e-5 it would drown all others.
        kept = torch.tensor([0, 1, 2, 4, 5])
        loss = model(context=context[kept], target=target[kept].clone()).loss
        loss.backward()
        tensors = {"context": context, "target": target, "loss_rows": kept.to(torch.int32), "loss": loss.detach().view(1)}
        with torch.no_grad():
            tensors["forecast"] = model(context=context).quantile_preds
            longer = torch.cat([torch.full((6, 37), 99.0), context], dim=1)
            tensors["overlong_context"] = longer
            tensors["overlong_forecast"] = model(context=longer).quantile_preds
            # Beyond its own horizon.
            tensors["unrolled"] = ChronosBoltPipeline(model).predict(context, 3 * case["steps"] - 1)
        for parameter, value in model.named_parameters():
            gradient = torch.zeros_like(value) if value.grad is None else value.grad
            flat = gradient.double().flatten()
            digest = [float(flat @ fixed_vector(flat.numel(), which)) for which in (0, 1)] + [float(flat.norm())]
            tensors["gradient." + parameter] = torch.tensor(digest, dtype=torch.float32)
        tensors["losses"] = five_steps(model, context[kept], target[kept])
        for parameter, value in model.named_parameters():
            flat = value.detach().double().flatten()
            tensors["trained." + parameter] = torch.tensor(
                [float(flat @ fixed_vector(flat.numel(), which)) for which in (0, 1)], dtype=torch.float64)
        save_file({k: v.contiguous() for k, v in tensors.items()}, out / "case.safetensors")


def check(folder):
    pipeline = ChronosBoltPipeline.from_pretrained(folder)
    case = load_file(folder / "case.safetensors")
    with torch.no_grad():
        got = pipeline.model(context=case["context"]).quantile_preds
    error = ((got - case["forecast"]).abs().amax((1, 2)) / case["forecast"].abs().amax((1, 2)).clamp_min(1)).max()
    print(type(pipeline).__name__, "loads", folder.name, "- largest relative difference of forecasts:", float(error))
    if not error < 1e-5:
        sys.exit(1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "--check":
        check(pathlib.Path(sys.argv[2]))
        sys.exit()
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
