"""Makes tests/golden/lora/*: adapters for the checkpoints beside, with what the reference packages compute from them.

By hand, with the packages of scripts/reference.sh (`make golden`); another SEED than 0 draws others (`make parity`). The
bases are read from the folders beside (bolt, chronos2, bert), so those are made first:
    python -O tests/golden/make_lora.py tests/golden/lora [SEED]

Each case is a folder as save_pretrained leaves it (adapter_config.json, adapter_model.safetensors) with case.safetensors:
"base.X" and "adapted.X" are the outputs without and with the adapter on the base's own golden inputs (X is "forecast" or
"hidden"), "merged.NAME" digests of the matrices after merge_and_unload. For series models also the published loss, digests
of every trained gradient, and the losses of five AdamW steps (no dropout). Bottleneck adapters and prefixes, which PEFT does not
have like this, are made of torch modules and written in the form of docs/tuning.md. AdaLoRA's whole training is in "adalora_cut".

The other way round: an adapter that we wrote, with its case.safetensors beside, is loaded and compared by
    python -O tests/golden/make_lora.py --check FOLDER BASE
"""

import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # bases are folders; PEFT would ask for them by name

import torch
from chronos.chronos2 import Chronos2Model
from chronos.chronos_bolt import ChronosBoltModelForForecasting
from peft import AdaLoraConfig, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import BertModel
from transformers.activations import ACT2FN

from make_bolt import fixed_vector

CASES = {
    "bolt": dict(base="bolt/wide_heads", lora=dict(r=4, lora_alpha=8, target_modules=["q", "k", "v", "o"])),
    # Other scales for some modules, biased layers, a layer trained whole.
    "bolt_patterns": dict(
        base="bolt/gated_overlap",
        lora=dict(r=3, lora_alpha=6, use_rslora=True, target_modules=["wi_0", "wo", "SelfAttention.v", "hidden_layer"],
                    rank_pattern={"wo": 5}, alpha_pattern={"SelfAttention.v": 2}, modules_to_save=["output_patch_embedding"])),
    # Modules chosen by a pattern, and not in every block.
    "bolt_regex": dict(base="bolt/patch_8", lora=dict(r=2, lora_alpha=3, target_modules=r".*block\.1\..*\.(q|wi)")),
    "chronos2": dict(base="chronos2/published", lora=dict(r=4, lora_alpha=8, target_modules=["q", "v", "wi"])),
    "bert": dict(base="bert/uncased", lora=dict(r=4, lora_alpha=8, target_modules=["query", "value", "dense"])),
    # After attention and feed-forward; after the feed-forward layers of the second blocks alone, with a layer trained whole.
    "bottleneck": dict(base="bolt/wide_heads", bottleneck=dict(size=3, activation="relu", after=["o", "wo"], modules_to_save=[])),
    "bottleneck_gelu": dict(base="bolt/gated_overlap", bottleneck=dict(
        size=5, activation="gelu_new", after=["block.1.layer.1.DenseReluDense.wo", "EncDecAttention.o"],
        modules_to_save=["output_patch_embedding"])),
    "adalora": dict(base="bolt/wide_heads", adalora=dict(
        init_r=4, target_r=2, lora_alpha=8, tinit=2, tfinal=4, deltaT=2, total_step=14, beta1=0.8, beta2=0.9, orth_reg_weight=0.3,
        target_modules=["q", "v", "wo"])),
    # Keys and values of its own for every attention of the second blocks.
    "prefix": dict(base="bolt/wide_heads", prefix=dict(length=3, attentions=["block.1.layer.0.SelfAttention", "EncDecAttention"],
                                                       modules_to_save=[])),
}


def kind_of(name):
    return CASES[name]["base"].split("/")[0]


def open_base(folder, name):
    kind = {"bolt": ChronosBoltModelForForecasting, "chronos2": Chronos2Model, "bert": BertModel}[name.split("/")[0]]
    return kind.from_pretrained(folder / name).eval()


class Behind(torch.nn.Module):
    """A layer with a bottleneck adapter behind it."""

    def __init__(self, layer, size, activation):
        super().__init__()
        width = layer.out_features
        self.layer, self.activation = layer, ACT2FN[activation]
        self.adapter_down, self.adapter_up = torch.nn.Linear(width, size), torch.nn.Linear(size, width)

    @property
    def weight(self):
        return self.layer.weight

    def forward(self, x):
        y = self.layer(x)
        return y + self.adapter_up(self.activation(self.adapter_down(y)))


def with_bottlenecks(model, config):
    model.requires_grad_(False)
    for name, module in list(model.named_modules()):
        if any(name == end or name.endswith("." + end) for end in config["after"]):
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], Behind(module, config["size"], config["activation"]))
        if any(name == end or name.endswith("." + end) for end in config["modules_to_save"]):
            module.requires_grad_(True)
    return model


def save_own(model, kind, config, base, folder):
    """In the form of docs/tuning.md."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"base_model.model." + n: p.detach().contiguous() for n, p in model.named_parameters() if p.requires_grad}
    save_file(tensors, folder / "adapter_model.safetensors")
    config = dict(config, adapter_type=kind, base_model_name_or_path=base, dropout=0.0)
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def read_prefix(attention, queries):
    """softmax(q K^T) V for each head, as it leaves the attention."""
    heads = [x.unflatten(-1, (attention.n_heads, -1)).transpose(-3, -2)
             for x in (queries, attention.prefix_key, attention.prefix_value)]
    read = torch.softmax(heads[0] @ heads[1].transpose(-1, -2), dim=-1) @ heads[2]
    return attention.o(read.transpose(-3, -2).flatten(-2))


def with_prefixes(model, config):
    model.requires_grad_(False)
    for name, module in list(model.named_modules()):
        if any(name == end or name.endswith("." + end) for end in config["attentions"]):
            inner = module.q.out_features
            module.prefix_key = torch.nn.Parameter(torch.zeros(config["length"], inner))
            module.prefix_value = torch.nn.Parameter(torch.zeros(config["length"], inner))
            # o is linear and has no bias: what the prefix adds before it is added behind it.
            module.register_forward_hook(lambda m, args, outputs: (outputs[0] + read_prefix(m, m.q(args[0])), *outputs[1:]))
    return model


OWN = {"bottleneck": with_bottlenecks, "prefix": with_prefixes}  # kinds that PEFT does not have, or not like this


def draw_adapters(model, generator):
    """B away from zero, everything that is trained away from its first values."""
    with torch.no_grad():
        for name, tensor in sorted(model.named_parameters()):
            if "lora_" in name:
                # Not so large that probabilities of attention are 0 and 1, where gradients are rounding alone.
                size = 0.3 if "lora_B" in name else 1.0
                tensor.copy_(size * torch.randn(tensor.shape, generator=generator) / tensor.shape[1] ** 0.5)
            elif "adapter_" in name or "prefix_" in name:
                tensor.copy_((1.0 if "prefix_key" in name else 0.3) * torch.randn(tensor.shape, generator=generator))
            elif tensor.requires_grad:
                tensor.add_(0.1 * torch.randn(tensor.shape, generator=generator))


def output(model, name, case):
    if kind_of(name) == "bolt":
        return model(context=case["context"]).quantile_preds
    if kind_of(name) == "chronos2":
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
    if kind_of(name) == "bolt":
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
        kind = next(key for key in case if key != "base")
        if kind in OWN:
            model = OWN[kind](model, case[kind]).eval()
            draw_adapters(model, generator)
            save_own(model, kind, case[kind], case["base"], folder / name)
            with torch.no_grad():
                tensors["adapted." + what] = output(model, name, base)
            training(model, name, base, tensors)
            save_case(tensors, folder / name)
            continue
        config = AdaLoraConfig(**case[kind]) if kind == "adalora" else LoraConfig(**case[kind])
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
        modules = [plain(n).split(".lora_A")[0] for n, _ in again.named_parameters() if ".lora_A." in n]
        merged = dict(again.merge_and_unload().named_parameters())
        for module in modules:
            tensors[f"merged.{module}.weight"] = digest(merged[module + ".weight"])
        save_case(tensors, folder / name)
        if kind == "adalora":
            allocation(model, name, base, folder)


def allocation(model, name, case, folder):
    """All steps of a training that cuts ranks, from the adapter as drawn: losses with the regularisation, singular values
    after every step; then the adapter as PEFT saves it, less what was cut."""
    trained = {plain(n): p for n, p in model.named_parameters() if p.requires_grad}
    for parameter, value in trained.items():
        value.data.copy_(load_file(folder / name / "adapter_model.safetensors")["base_model.model." + parameter])
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    losses, values, tensors = [], [], {}
    for step in range(model.peft_config["default"].total_step):
        optimizer.zero_grad()
        loss = loss_of(model.base_model, name, case)  # PeftModel's own forward leaves the regularisation out
        loss.backward()
        optimizer.step()
        model.base_model.update_and_allocate(step + 1)
        losses.append(loss.detach().view(1))
        values.append(torch.cat([p.detach().flatten() for n, p in sorted(trained.items()) if n.endswith("lora_E")]))
    tensors["losses"], tensors["singular_values"] = torch.cat(losses), torch.stack(values)
    with torch.no_grad():
        tensors["adapted.forecast"] = output(model, name, case)
    model.save_pretrained(folder / (name + "_cut"), save_embedding_layers=False)
    (folder / (name + "_cut") / "README.md").unlink(missing_ok=True)
    save_case(tensors, folder / (name + "_cut"))


def save_case(tensors, folder):
    save_file({k: v.contiguous().float() for k, v in tensors.items()}, folder / "case.safetensors")


def check(folder, base):
    case = load_file(folder / "case.safetensors")
    inputs = load_file(base / "case.safetensors")
    name = folder.name.removeprefix("lora_").removesuffix("_cut")
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
