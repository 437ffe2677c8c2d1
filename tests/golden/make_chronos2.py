"""Makes tests/golden/chronos2/*: small random Chronos-2 checkpoints with what the reference package computes from them.

By hand, with the packages of scripts/reference.sh (`make golden`); another SEED than 0 draws others (`make parity`). -O because
the package's forward asserts a REG token, without which it works as well:
    python -O tests/golden/make_chronos2.py tests/golden/chronos2 [SEED]

Each case is a folder: config.json and model.safetensors as the package saves them (float32), tasks.json with forecasting
tasks, and case.safetensors with
- one batch (groups not in order; gaps, short, constant, all missing, overlong; past and known covariates), its forecast in the
  rows' own units, the published loss without dropout, of every gradient a digest: its dot products with two fixed vectors,
  which our test makes again, and its norm; losses of five AdamW steps and digests of the weights after them;
- for the tasks: rows after preparation, forecasts at levels outside the trained set, and forecasts that are unrolled.
"error.X" is the largest error of X over the largest value of X (per row of the first axis where X is a forecast) of the package
in float32 against itself in float64.

The other way round, by hand as well: a folder that save_chronos2() wrote is loaded and compared by
    python -O tests/golden/make_chronos2.py --check FOLDER
where FOLDER also holds case.safetensors with "context", "group_ids", "future" and "forecast" (the test writes such a folder
when $SHELFCAST_SAVED names one).
"""

import copy
import json
import pathlib
import sys

import numpy as np
import torch
from chronos import Chronos2Pipeline
from chronos.chronos2 import Chronos2Model, layers, preprocess
from chronos.chronos2.config import Chronos2CoreConfig
from safetensors.torch import load_file, save_file

NINE = [i / 10 for i in range(1, 10)]
ALL = [0.01, 0.05] + [round(0.05 * i, 2) for i in range(2, 19)] + [0.95, 0.99]
CASES = {
    # As published but for the sizes; heads times their width is not the model's width.
    "published": dict(d_model=24, d_kv=8, d_ff=32, heads=4, layers=2, patch=8, stride=8, context=96, patches=2, scale=None,
                      quantiles=ALL, reg=True, arcsinh=True, act="relu", theta=10000.0, unroll=NINE),
    # No REG, no arcsinh, patches that overlap, another activation and another unit of time.
    "overlapping": dict(d_model=16, d_kv=6, d_ff=24, heads=2, layers=3, patch=6, stride=3, context=42, patches=3, scale=100,
                        quantiles=[0.1, 0.5, 0.9], reg=False, arcsinh=False, act="gelu", theta=500.0,
                        unroll=[0.1, 0.5, 0.9]),
    # A single block, one output patch.
    "one_block": dict(d_model=32, d_kv=4, d_ff=48, heads=3, layers=1, patch=16, stride=16, context=128, patches=1, scale=300,
                      quantiles=[0.05] + NINE + [0.95], reg=True, arcsinh=True, act="silu", theta=10000.0, unroll=[0.2, 0.8]),
}
LEVELS = [0.005, 0.1, 0.33, 0.5, 0.72, 0.999]


def config_of(case):
    chronos = dict(context_length=case["context"], input_patch_size=case["patch"], output_patch_size=case["patch"],
                   input_patch_stride=case["stride"], max_output_patches=case["patches"], quantiles=case["quantiles"],
                   use_reg_token=case["reg"], use_arcsinh=case["arcsinh"])
    if case["scale"] is not None:
        chronos["time_encoding_scale"] = case["scale"]
    return Chronos2CoreConfig(
        d_model=case["d_model"], d_kv=case["d_kv"], d_ff=case["d_ff"], num_heads=case["heads"], num_layers=case["layers"],
        dropout_rate=0.1, feed_forward_proj=case["act"], rope_theta=case["theta"], architectures=["Chronos2Model"],
        chronos_pipeline_class="Chronos2Pipeline", chronos_config=chronos)


def draw_weights(model, generator):
    """Every tensor counts: biases and norms away from their usual first values, weights at healthy sizes."""
    with torch.no_grad():
        for name, tensor in sorted(model.named_parameters()):
            noise = torch.randn(tensor.shape, generator=generator)
            if "layer_norm" in name:
                tensor.copy_(1.0 + 0.2 * noise)
            elif tensor.dim() == 1:
                tensor.copy_(0.2 * noise)
            elif "shared" in name:
                tensor.copy_(noise)
            else:
                tensor.copy_(noise / tensor.shape[1] ** 0.5)


def exact_norm(self, x):
    """The package takes the norm's mean in float32 even of float64."""
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


def in_double(model, compute):
    plain = layers.Chronos2LayerNorm.forward
    layers.Chronos2LayerNorm.forward = exact_norm
    try:
        return compute(copy.deepcopy(model).double())
    finally:
        layers.Chronos2LayerNorm.forward = plain


def batch(case, generator):
    """Rows: 0 ordinary; 1 gaps; 2, 5 and 9 a target, a past and a known covariate; 3 short; 4 constant; 6 all missing; 7 and 8 two
    targets, one far from zero; 10 alone with a known future. Longer than the context length by 5.

    The reference takes means in float32, we in double: numbers are chosen so that its rounding stays below our tolerance
    (3.25 has an exact mean; of 3.3 it would see a deviation of 2e-7 and divide by that)."""
    length, steps = case["context"] + 5, case["patches"] * case["patch"] - 2
    x = torch.randn(11, length, generator=generator) * 3 + 10
    x = x + 4 * torch.sin(torch.arange(length) * 2 * np.pi / 7)
    x[1, torch.rand(length, generator=generator) < 0.3] = torch.nan
    x[3, : length - 7] = torch.nan
    x[4] = 3.25
    x[4, : length // 2] = torch.nan
    x[6] = torch.nan
    x[8] = 64 + x[8] * 0.25
    groups = torch.tensor([40, -2, 7, 12, 13, 7, 14, 9, 9, 7, 15])
    future = torch.full((11, steps), torch.nan)
    future[9] = torch.randn(steps, generator=generator) * 3 + 10
    future[9, 3] = torch.nan
    future[10, ::2] = 11.0
    target = torch.randn(11, steps, generator=generator) * 3 + 10
    target[1, ::2] = torch.nan
    target[4:6] = torch.nan
    target[9] = torch.nan
    target[8] = 67
    return x, groups, future, target


def fixed_vector(n, which):
    i = np.arange(n, dtype=np.float64)
    return torch.from_numpy(np.cos(0.37 * i + which) + 0.1)


def digest(tensor):
    flat = tensor.detach().double().flatten()
    return torch.tensor([float(flat @ fixed_vector(flat.numel(), which)) for which in (0, 1)] + [float(flat.norm())],
                        dtype=torch.float64)


def train(model, data, patches):
    """Losses of five steps of AdamW and the weights after them."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, eps=1e-6)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = loss_of(model, data, patches)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().double())
    return torch.stack(losses), {name: digest(p) for name, p in model.named_parameters()}


def loss_of(model, data, patches):
    context, groups, future, target = data
    return model(context=context, group_ids=groups, future_covariates=future, future_target=target.clone(),
                 num_output_patches=patches).loss


def batch_results(model, data, patches):
    context, groups, future, _ = data
    result = {}
    with torch.no_grad():
        result["forecast"] = model(context=context, group_ids=groups, future_covariates=future,
                                   num_output_patches=patches).quantile_preds
        # Each row for itself, nothing known.
        result["alone_forecast"] = model(context=context, num_output_patches=1).quantile_preds
    model = copy.deepcopy(model)
    loss = loss_of(model, data, patches)
    loss.backward()
    result["loss"] = loss.detach().view(1)
    for name, p in model.named_parameters():
        result["gradient." + name] = digest(torch.zeros_like(p) if p.grad is None else p.grad)
    result["step_losses"], weights = train(model, data, patches)
    result.update({"trained." + name: value for name, value in weights.items()})
    return result


def tasks_of(case, generator, targets, horizon):
    """Three tasks of different lengths, one longer than the context; numeric and categorical covariates of both kinds."""
    random = np.random.default_rng(int(torch.randint(0, 1 << 30, (1,), generator=generator)))
    tasks = []
    for steps in (case["context"] // 2 + 3, case["context"] + 9, 5):
        def names(n, choices):
            drawn = np.array([choices[i] for i in random.integers(0, len(choices), n)], dtype=object)
            return drawn
        target = (random.normal(size=(targets, steps)) * 3 + 10).astype(np.float32)
        target[0, random.random(steps) < 0.15] = np.nan
        past = {"a_price": (random.normal(size=steps) + 5).astype(np.float32),
                "b_shelf": names(steps, ["low", "high", "eye", None]),
                "c_event": names(steps, ["none", "fair", "match", None]),
                "d_open": random.random(steps) < 0.7,
                "e_visits": (random.normal(size=steps) * 20 + 100).astype(np.float32)}
        future = {"c_event": names(horizon, ["none", "fair", "election", None]),
                  "d_open": random.random(horizon) < 0.7,
                  "e_visits": (random.normal(size=horizon) * 20 + 100).astype(np.float32)}
        future["e_visits"][1] = np.nan
        tasks.append({"target": target if targets > 1 else target[0], "past_covariates": past, "future_covariates": future})
    return tasks


def plain(values):
    """For JSON: numbers as they are, missing ones null, names as pandas would name them."""
    if np.issubdtype(values.dtype, np.floating):
        return [None if np.isnan(v) else float(v) for v in values]
    return [None if v is None else str(v) for v in values]


def plain_tasks(tasks):
    known = tasks[0]["future_covariates"].keys()
    result = []
    for task in tasks:
        columns = [{"name": name, "known": name in known, "past": plain(values),
                    "future": plain(task["future_covariates"][name]) if name in known else []}
                   for name, values in task["past_covariates"].items()]
        result.append({"targets": [plain(t) for t in np.atleast_2d(task["target"])], "covariates": columns})
    return result


def task_results(model, sets, case):
    pipeline = Chronos2Pipeline(model)
    result = {}
    for name, (tasks, horizon) in sets.items():
        kwargs = dict(prediction_length=horizon, unrolled_quantiles=case["unroll"], batch_size=7)
        near, _ = pipeline.predict_quantiles(copy.deepcopy(tasks), quantile_levels=LEVELS, **kwargs)
        result[name + ".forecast"] = torch.cat(near, 0).transpose(1, 2)
    return result


def steady_tasks(model, case, generator, horizon):
    """Tasks whose unrolled forecast rounding does not change much, and how much it does. The published pooling of paths is discontinuous: where two
    samples are nearly equal, their order decides where the distribution function bends, and inputs changed by 1e-7 can
    change the package's own forecast by half."""

    def forecast(tasks, nudge):
        tasks, random = copy.deepcopy(tasks), np.random.default_rng(nudge)
        for task in tasks if nudge else []:
            task["target"] *= (1 + 3e-7 * random.normal(size=task["target"].shape)).astype(np.float32)
        return task_results(model, {"unrolled": (tasks, horizon)}, case)["unrolled.forecast"]

    for _ in range(50):
        tasks = tasks_of(case, generator, 1, horizon)
        exact = forecast(tasks, 0)
        change = max(error(forecast(tasks, nudge), exact, rows=True) for nudge in range(1, 9))
        if change < 1e-4:
            return tasks, change
    sys.exit("no task with a steady unrolled forecast was found")


def error(single, double, rows):
    single, double = single.double(), double.double()
    if not rows:
        return float((single - double).abs().max() / double.abs().max())
    difference = (single - double).abs().flatten(1).amax(1) / double.abs().flatten(1).amax(1)
    return float(difference.max())


def gradient_error(single, double, n):
    scale = double[2] + 1e-7
    reach = torch.tensor([n**0.5, n**0.5, 1.0], dtype=torch.float64)
    return float(((single - double) / (scale * reach)).abs().max())


def make_case(out, number, case, seed):
    generator = torch.Generator().manual_seed(200 + number + 1000 * seed)
    model = Chronos2Model(config_of(case))
    draw_weights(model, generator)
    model.eval()
    model.save_pretrained(out, safe_serialization=True)
    data = batch(case, generator)
    reach = case["patches"] * case["patch"]
    sets = {"one_target": (tasks_of(case, generator, 1, reach - 1), reach - 1),
            "two_targets": (tasks_of(case, generator, 2, reach), reach)}
    steady, change = steady_tasks(model, case, generator, 2 * reach + 3)
    sets["unrolled"] = steady, 2 * reach + 3

    def everything(m):
        return {**batch_results(m, data, case["patches"]), **task_results(m, sets, case)}

    single, double = everything(model), in_double(model, everything)
    tensors = dict(zip(("context", "group_ids", "future", "target"), data))
    tensors["group_ids"] = tensors["group_ids"].to(torch.int32)
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    for name, value in single.items():
        kind, _, rest = name.partition(".")
        if kind in ("gradient", "trained"):
            e = gradient_error(value, double[name], sizes[rest])
        else:
            e = error(value, double[name], rows="forecast" in name)
        if name == "unrolled.forecast":
            e = max(e, change)
        tensors[name] = value.float()
        tensors["error." + name] = torch.tensor([e], dtype=torch.float32)
    worst = max((float(v), k) for k, v in tensors.items() if k.startswith("error."))
    print(out.name, "largest error of the reference:", worst)
    for name, (tasks, horizon) in sets.items():
        prepared = preprocess.from_list_of_dicts(copy.deepcopy(tasks), prediction_length=horizon)
        for i, task in enumerate(prepared):
            tensors[f"{name}.{i}.context"] = task["context"]
            tensors[f"{name}.{i}.future"] = task["future_covariates"]
    save_file({k: v.contiguous() for k, v in tensors.items()}, out / "case.safetensors")
    text = {"levels": LEVELS, "unroll": case["unroll"],
            "sets": {name: {"horizon": horizon, "tasks": plain_tasks(tasks)} for name, (tasks, horizon) in sets.items()}}
    (out / "tasks.json").write_text(json.dumps(text, separators=(",", ":")) + "\n")


def check(folder):
    pipeline = Chronos2Pipeline.from_pretrained(folder)
    model = Chronos2Model.from_pretrained(folder).eval()
    case = load_file(folder / "case.safetensors")
    patch = model.chronos_config.output_patch_size
    with torch.no_grad():
        got = model(context=case["context"], group_ids=case["group_ids"].long(), future_covariates=case["future"],
                    num_output_patches=case["forecast"].shape[-1] // patch).quantile_preds
    worst = error(got, case["forecast"], rows=True)
    print(type(pipeline).__name__, "loads", folder.name, "- largest relative difference of forecasts:", worst)
    if not worst < 1e-5:
        sys.exit(1)


if __name__ == "__main__":
    if __debug__:
        sys.exit("run with python -O: the package asserts a REG token")
    torch.set_num_threads(1)
    if sys.argv[1] == "--check":
        check(pathlib.Path(sys.argv[2]))
    else:
        seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
        for number, (name, case) in enumerate(CASES.items()):
            make_case(pathlib.Path(sys.argv[1]) / name, number, case, seed)
