"""Makes tests/golden/lora/*: adapters that the PEFT package wrote for the checkpoints beside, with what it computes from them.

By hand, with the packages of scripts/reference.sh (`make golden`); another SEED than 0 draws others (`make parity`). The
bases are read from the folders beside (bolt, chronos2, bert), so those are made first:
    python -O tests/golden/make_lora.py tests/golden/lora [SEED]

Each case is a folder as save_pretrained leaves it (adapter_config.json, adapter_model.safetensors) with case.safetensors:
"base.X" and "adapted.X" are the outputs without and with the adapter on the base's own golden inputs (X is "forecast" or
"hidden"), "merged.NAME" digests of the matrices after merge_and_unload. For series models also the published loss, digests
of every trained gradient, and the losses of five AdamW steps (no dropout).

The other way round: an adapter that we wrote, with its case.safetensors beside, is loaded and compared by
    python -O tests/golden/make_lora.py --check FOLDER BASE
"""

import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # bases are folders; PEFT would ask for them by name

import torch
from chronos.chronos2 import Chronos2Model
from chronos.chronos_bolt import ChronosBoltModelForForecasting
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import BertModel

from make_bolt import fixed_vector

CASES = {
    "bolt": dict(base="bolt/wide_heads", config=dict(r=4, lora_alpha=8, target_modules=["q", "k", "v", "o"])),
    # Other scales for some modules, biased layers, a layer trained whole.
    "bolt_patterns": dict(
        base="bolt/gated_overlap",
        config=dict(r=3, lora_alpha=6, use_rslora=True, target_modules=["wi_0", "wo", "SelfAttention.v", "hidden_layer"],
                    rank_pattern={"wo": 5}, alpha_pattern={"SelfAttention.v": 2}, modules_to_save=["output_patch_embedding"])),
    # Modules chosen by a pattern, and not in every block.
    "bolt_regex": dict(base="bolt/patch_8", config=dict(r=2, lora_alpha=3, target_modules=r".*block\.1\..*\.(q|wi)")),
    "chronos2": dict(base="chronos2/published", config=dict(r=4, lora_alpha=8, target_modules=["q", "v", "wi"])),
    "bert": dict(base="bert/uncased", config=dict(r=4, lora_alpha=8, target_modules=["query", "value", "dense"])),
}


def open_base(folder, name):
    kind = {"bolt": ChronosBoltModelForForecasting, "chronos2": Chronos2Model, "bert": BertModel}[name.split("/")[0]]
    return kind.from_pretrained(folder / name).eval()


def draw_adapters(model, generator):
    """B away from zero, everything that is trained away from its first values."""
    with torch.no_grad():
        for name, tensor in sorted(model.named_parameters()):
            if "lora_" in name:
                # Not so large that probabilities of attention are 0 and 1, where gradients are rounding alone.
                size = 0.3 if "lora_B" in name else 1.0
                tensor.copy_(size * torch.randn(tensor.shape, generator=generator) / tensor.shape[1] ** 0.5)
            elif tensor.requires_grad:
                tensor.add_(0.1 * torch.randn(tensor.shape, generator=generator))


def output(model, name, case):
    if name.startswith("bolt"):
        return model(context=case["context"]).quantile_preds
    if name.startswith("chronos2"):
        future = case["future"]
        patches = case["forecast"].shape[2] // 8
        return model(context=case["context"], group_ids=case["group_ids"].long(), future_covariates=future,
                     num_output_patches=patches).quantile_preds
    # One text at a time: nothing is padded.
    ids, types, lengths = (case[key].long() for key in ("ids", "types", "lengths"))
    rows, at = [], 0
    for length in lengths.tolist():
        own = slice(at, at + length)
        rows.append(model(input_ids=ids[None, own], token_type_ids=types[None, own]).last_hidden_state[0])
        at += length
    return torch.cat(rows)


def loss_of(model, name, case):
    if name.startswith("bolt"):
        rows = case["loss_rows"].long()
        return model(context=case["context"][rows], target=case["target"][rows].clone()).loss
    future, target = case["future"], case["target"]
    return model(context=case["context"], group_ids=case["group_ids"].long(), future_covariates=future,
                 future_target=target, num_output_patches=case["forecast"].shape[2] // 8).loss


def plain(name):
    """A parameter's name as in the adapter's file, less "base_model.model."."""
    return name.replace("base_model.model.", "").replace(".default", "").replace(".modules_to_save", "")


def digest(tensor):
    flat = tensor.detach().double().flatten()
    return torch.tensor([float(flat @ fixed_vector(flat.numel(), which)) for which in (0, 1)] + [float(flat.norm())])


def training(model, name, case, tensors):
    trained = {plain(n): p for n, p in model.named_parameters() if p.requires_grad}
    loss = loss_of(model, name, case)
    loss.backward()
    tensors["loss"] = loss.detach().view(1)
    for parameter, value in trained.items():
        gradient = torch.zeros_like(value) if value.grad is None else value.grad
        tensors["gradient." + parameter] = digest(gradient)
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = loss_of(model, name, case)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().view(1))
    tensors["losses"] = torch.cat(losses)


def main(folder, seed):
    for number, (name, case) in enumerate(CASES.items()):
        generator = torch.Generator().manual_seed(700 + number + 1000 * seed)
        base = load_file(folder.parent / case["base"] / "case.safetensors")
        model = open_base(folder.parent, case["base"])
        what = "hidden" if name == "bert" else "forecast"
        tensors = {}
        with torch.no_grad():
            tensors["base." + what] = output(model, name, base)
        config = LoraConfig(**case["config"])
        model = get_peft_model(model, config).eval()
        draw_adapters(model, generator)
        config.base_model_name_or_path = case["base"]
        model.save_pretrained(folder / name, save_embedding_layers=False)
        (folder / name / "README.md").unlink(missing_ok=True)
        with torch.no_grad():
            tensors["adapted." + what] = output(model, name, base)
        if name != "bert":
            training(model, name, base, tensors)
        again = PeftModel.from_pretrained(open_base(folder.parent, case["base"]), folder / name)
        modules = [plain(n)[: -len(".lora_A.weight")] for n, _ in again.named_parameters() if n.endswith("lora_A.default.weight")]
        merged = dict(again.merge_and_unload().named_parameters())
        for module in modules:
            tensors[f"merged.{module}.weight"] = digest(merged[module + ".weight"])
        save_file({k: v.contiguous().float() for k, v in tensors.items()}, folder / name / "case.safetensors")


def check(folder, base):
    case = load_file(folder / "case.safetensors")
    inputs = load_file(base / "case.safetensors")
    name = folder.name.removeprefix("lora_")
    what = "hidden" if name == "bert" else "forecast"
    model = PeftModel.from_pretrained(open_base(base.parent.parent, f"{base.parent.name}/{base.name}"), folder).eval()
    with torch.no_grad():
        got = output(model, name, inputs)
    expected = case["adapted." + what]
    error = float(((got - expected).abs().flatten(1).amax(1) / expected.abs().flatten(1).amax(1).clamp_min(1)).max())
    print("PeftModel loads", folder.name, "- largest relative difference of outputs:", error)
    if not error < 1e-5:
        sys.exit(1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "--check":
        check(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
        sys.exit()
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
