"""Makes tests/golden/bert/*: small random BERT checkpoints with what the reference package computes from them.

By hand, with the packages of scripts/reference.sh (`make golden`); another SEED than 0 draws others (`make parity`):
    python tests/golden/make_bert.py tests/golden/bert [SEED]

texts.json holds the texts that all cases tokenize. Each case is a folder: the published files (config.json,
model.safetensors, vocab.txt, tokenizer_config.json), tokens.json with the ids of every text, alone and in pairs, from the
slow Python tokenizer, and case.safetensors with a batch, its hidden states and poolings, a loss, a digest of every
gradient (its dot products with two fixed vectors, which our test makes again, and its length) and the losses of five AdamW
steps. All without dropout, in float32 on one thread; the reference pads the batch, we do not. Training a vocabulary breaks ties
by chance: another run makes other files, equally good.

The other way round: a folder that we saved, with its case.safetensors beside, is loaded and compared by
    python tests/golden/make_bert.py --check FOLDER
"""

import json
import pathlib
import random
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import BertWordPieceTokenizer
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForMaskedLM, BertForPreTraining, BertModel, BertTokenizer, logging

CASES = {
    # Everything a pretraining checkpoint holds, with its prefix "bert.".
    "uncased": dict(model=BertForPreTraining, act="gelu", lower=True, vocab=700, width=32, heads=4, layers=2, inner=64,
                    positions=160),
    # No pooler, heads of an odd width, the tanh form of GELU.
    "cased": dict(model=BertForMaskedLM, act="gelu_new", lower=False, vocab=600, width=30, heads=6, layers=3, inner=40,
                  positions=96),
    # No prefix, names of old TensorFlow conversions, float16, a stored position_ids.
    "chinese": dict(model=BertModel, act="relu", lower=True, vocab=500, width=24, heads=2, layers=1, inner=48,
                    positions=64),
}

PRODUCTS = """WHITE HANGING HEART T-LIGHT HOLDER|Café crème 250g, 12-pack|Bière d'épinette 33cl x6
Jalapeño Tortilla Chips (party size)|Crème brûlée à la vanille - 2 × 100 g|Müller® Milchreis Kirsche 200g
Süßkartoffel-Pommes tiefgekühlt 750 g|Straße der Öle: Kürbiskernöl 0,5l|Größe XL, weiß/grün
2L semi-skimmed milk @ £1.15!!!|50% off: was $9.99, now $4.99|T-shirt/2XL_black+grey (cotton 95%, elastane 5%)
A4 paper, 80g/m², 500 sheets|USB-C→HDMI adaptor 4K@60Hz|Ångström's smörgåsbord kit
Kup 2, zapłać za 1: żółty ser 300g|Пельмени «Сибирские» 900 г|Молоко 3,2% 1л
Ελληνικό γιαούρτι 10% 2x200g|ΣΊΣΥΦΟΣ ΚΑΙ ΛΌΓΟΣ|İstanbul lokumu ÇİFT fıstıklı
Điện thoại giá rẻ Nguyễn|Žluťoučký kůň pěl ďábelské ódy|Œufs frais plein air ×12
牛奶500ml|有机绿茶 200克/盒|苹果（红富士）5斤装，坏果包赔！|可口可乐 Coca-Cola 330ml×24罐
豆腐と納豆のセット|カルビー ポテトチップス うすしお味 60g|ﾊﾝｶｸ ｶﾅ|김치찌개 라면 5개입|두부 한모
حليب كامل الدسم 1 لتر|شوكولاتة داكنة ٧٠٪|חלב טרי 3% שומן 1 ליטר|שָׁלוֹם עולם
दूध 500 मिली|हिन्दी किताब|น้ำดื่ม 600 มล.|தமிழ் நூல்|ჩაი მწვანე 100გ
Pizza 🍕 Margherita 🇮🇹 fresh!|👨‍👩‍👧‍👦 family pack|❤️ chocolates|🧀🥖🍷|👍🏽 top seller
the|a|I|.|...|?!|-|--|__init__|don't|rock'n'roll|O'Neill's|e-mail: shop@example.com|http://example.com/p?id=42&x=y
1,000,000.50|3.14159|10-12-2011|#hashtag #1|C++ & C#|$$$|^_^|~`|{[()]}|<b>bold</b>|50°C|½ price|№ 7|™ ® ©|…|“quoted” ‘single’ «guillemets»
unaffable understandability|supercalifragilisticexpialidocious|HELLO World hElLo|ALLCAPS123abc|x1y2z3"""

CORPUS = """white hanging heart holder milk fresh paper sheets cotton black grey chips party size pack family chocolate
cream coffee green tea organic apple orange juice water bottle glass red blue wooden metal christmas gift set box of lunch bag
vintage retro spot design small large medium kids garden kitchen cake stand candle light night lamp sale price off seller
understand understandable ability affable hello world bold quoted single"""


def texts(seed):
    """Several scripts, and what breaks tokenizers."""
    rng = random.Random(7 + 1000 * seed)
    words = (PRODUCTS.replace("|", " ") + " " + CORPUS).split()
    odd = [
        "", " ", "\t\n\r", "\u00a0\u2003\u3000", "\x00", "a\x00b", "a\ufffdb", "soft\u00adhyphen", "zero\u200bwidth\u200djoin", "\ufeffbom",
        "line one\nline two\r\nline three", "para\u2029graph\u2028line", "next\u0085line", "bell\x07 back\x08space", "\x1cfs\x1dgs",
        "cafe\u0301 ame\u0301lie", "e\u0301\u0302\u0303", "\u0301alone", "A\u030angstro\u0308m", "n\u0303 \u0303n", "\u212b \u2126 \u212a",
        "ﬁne ﬂour", "Ⅷ ㎏ ㍑", "<\u0338 =\u0338 >", "\u037e \u1fef", "İI\u0307ıi", "Σσς ΑΣ", "ǅ Ǆ ǆ", "ẞ ß SS", "\uac00\u1100\u1161\u11a8",
        "\uf900\uf901 \U0002f800", "\u3007 \u3005 \u3006", "\U00020000\U0002a6d6 \U0002b740", "\U00030000", "x\u4e00y\u9fa5z", "漢字かな交じり文",
        "[CLS] [SEP] [MASK] [PAD] [UNK]", "a[MASK]b", "[mask] [Sep]", "[MASK", "[[MASK]]", "[SE\x00P]", "##ing ##", "[unused1]",
        "a" * 100, "a" * 101, "é" * 100, "e\u0301" * 60, "b" * 99 + "!" + "c" * 101, "!" * 40, "9" * 30,
        "\U0001f600" * 5, "a\U0001f600b", "\U000e0041 tag", "\ue000private", "\u0378unassigned", "¿Qué?¡Sí!", "a_b-c/d\\e|f", "，。、；：？！（）【】《》",
        "‐‑‒–—―", "''``´", "٠١٢٣٤٥", "mixed中文and英文123", "ＦＵＬＬｗｉｄｔｈ １２３", "tab\tsep\tvalues", "trailing space ", "  leading",
        " ".join(rng.choice(words) for _ in range(60)), " ".join(rng.choice(words) for _ in range(200)),
        "".join(rng.choice("牛奶有机绿茶苹果红富士豆腐ab1。") for _ in range(150)),
    ]
    long = ""
    while len(long) < 10000:
        long += rng.choice(words) + rng.choice([" ", " ", " ", ", ", "\n", ""])
    return [one for line in PRODUCTS.split("\n") for one in line.split("|")] + odd + [long[:10000]]


def vocabulary(case, all_texts):
    """WordPiece trained on the texts, so that words are cut in many ways and some have no pieces."""
    trainer = BertWordPieceTokenizer(lowercase=case["lower"], strip_accents=None)
    corpus = [CORPUS] * 3 + PRODUCTS.replace("|", "\n").split("\n")
    trainer.train_from_iterator(corpus, vocab_size=case["vocab"], min_frequency=1, limit_alphabet=330, show_progress=False)
    return [token for token, _ in sorted(trainer.get_vocab().items(), key=lambda item: item[1])]


def draw_weights(model, generator):
    """Every tensor counts: biases and norms away from their usual first values, weights at healthy sizes."""
    with torch.no_grad():
        for name, tensor in sorted(model.named_parameters()):
            noise = torch.randn(tensor.shape, generator=generator)
            if "LayerNorm.weight" in name:
                tensor.copy_(1.0 + 0.2 * noise)
            elif tensor.dim() == 1:
                tensor.copy_(0.2 * noise)
            elif "embeddings" in name:
                tensor.copy_(0.5 * noise)
            else:
                tensor.copy_(1.5 * noise / tensor.shape[1] ** 0.5)


def fixed_vector(n, which):
    i = np.arange(n, dtype=np.float64)
    return torch.from_numpy(np.cos(0.37 * i + which) + 0.1)


def padded(encodings):
    length = max(len(e["input_ids"]) for e in encodings)
    batch = {key: torch.zeros(len(encodings), length, dtype=torch.long) for key in ("input_ids", "token_type_ids", "attention_mask")}
    for row, one in enumerate(encodings):
        for key in batch:
            batch[key][row, : len(one[key])] = torch.tensor(one[key])
    return batch


def loss_of(model, batch, labels, case):
    """Masked-language-model loss, or, without that head, a fixed functional of the mean pooling."""
    if case["model"] is BertModel:
        pooled = mean_pooling(model(**batch).last_hidden_state, batch["attention_mask"])
        return (pooled * fixed_vector(pooled.numel(), 0).float().view_as(pooled)).sum()
    out = model(**batch)
    logits = out.prediction_logits if case["model"] is BertForPreTraining else out.logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())


def mean_pooling(hidden, mask):
    weights = mask.unsqueeze(-1).float()
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


def make_case(number, name, case, all_texts, folder, seed):
    out = folder / name
    out.mkdir(parents=True, exist_ok=True)
    (out / "vocab.txt").write_text("\n".join(vocabulary(case, all_texts)) + "\n", encoding="utf-8")
    tokenizer = BertTokenizer(str(out / "vocab.txt"), do_lower_case=case["lower"])
    (out / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": case["lower"], "model_max_length": case["positions"]}))
    length = min(case["positions"], 128)
    pairs = [(i, (i * 7 + 3) % len(all_texts)) for i in range(0, len(all_texts), 3)]
    both = [tokenizer(all_texts[a], all_texts[b], truncation="longest_first", max_length=33) for a, b in pairs]
    tokens = {
        "length": length,
        "ids": [tokenizer(text, truncation=True, max_length=length)["input_ids"] for text in all_texts],
        "whole": [len(tokenizer.tokenize(text)) for text in all_texts],
        "pair_length": 33,
        "pairs": [{"a": a, "b": b, "ids": e["input_ids"], "types": e["token_type_ids"]} for (a, b), e in zip(pairs, both)],
    }
    (out / "tokens.json").write_text(json.dumps(tokens))

    generator = torch.Generator().manual_seed(200 + number + 1000 * seed)
    config = BertConfig(vocab_size=tokenizer.vocab_size, hidden_size=case["width"], num_hidden_layers=case["layers"],
                        num_attention_heads=case["heads"], intermediate_size=case["inner"], hidden_act=case["act"],
                        max_position_embeddings=case["positions"], attn_implementation="eager")
    model = case["model"](config)
    draw_weights(model, generator)
    if name == "chinese":  # stored as float16: what the reference loads must be what we load
        model.half().float()
    model.eval()
    model.save_pretrained(out, safe_serialization=True)
    (out / "generation_config.json").unlink(missing_ok=True)
    if name == "chinese":
        old = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v.half()
               for k, v in load_file(out / "model.safetensors").items()}
        old["embeddings.position_ids"] = torch.arange(case["positions"]).view(1, -1)
        save_file(old, out / "model.safetensors", metadata={"format": "pt"})

    # Texts of many lengths, some equally long, an empty one and a pair.
    chosen = [all_texts[i] for i in (0, 1, 0, 5, 9, 24, 27, 40)] + ["", all_texts[0] + " " + all_texts[1], "!" * 40]
    encodings = [tokenizer(text, truncation=True, max_length=48) for text in chosen] + [both[1], both[2]]
    batch = padded(encodings)
    kept = batch["attention_mask"].bool()
    labels = torch.full_like(batch["input_ids"], -100)
    picked = (torch.rand(labels.shape, generator=generator) < 0.2) & kept
    labels[picked] = batch["input_ids"][picked]
    masked = dict(batch, input_ids=batch["input_ids"].masked_fill(picked, tokenizer.mask_token_id))
    tensors = {
        "lengths": kept.sum(1).int(), "ids": batch["input_ids"][kept].int(), "types": batch["token_type_ids"][kept].int(),
        "masked_ids": masked["input_ids"][kept].int(), "labels": labels[kept].int(),
    }
    with torch.no_grad():
        encoder = model if case["model"] is BertModel else model.bert
        result = encoder(**batch)
        hidden = result.last_hidden_state
        tensors["hidden"] = hidden[kept]
        tensors["mean"] = mean_pooling(hidden, batch["attention_mask"])
        tensors["normalized_mean"] = torch.nn.functional.normalize(tensors["mean"], dim=1)
        tensors["cls"] = hidden[:, 0].clone()
        if result.pooler_output is not None:
            tensors["pooler"] = result.pooler_output
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    losses = []
    for step in range(6):
        optimizer.zero_grad(set_to_none=False)
        loss = loss_of(model, masked, labels, case)
        loss.backward()
        losses.append(float(loss.detach()))
        if step == 0:
            for parameter, value in model.named_parameters():
                gradient = torch.zeros_like(value) if value.grad is None else value.grad
                flat = gradient.double().flatten()
                digest = [float(flat @ fixed_vector(flat.numel(), which)) for which in (0, 1)] + [float(flat.norm())]
                tensors["gradient." + parameter] = torch.tensor(digest, dtype=torch.float32)
        optimizer.step()
    tensors["losses"] = torch.tensor(losses)
    save_file({k: v.contiguous() for k, v in tensors.items()}, out / "case.safetensors")
    unknown = sum(ids.count(tokenizer.unk_token_id) for ids in tokens["ids"]) / sum(map(len, tokens["ids"]))
    print(name, "vocabulary", tokenizer.vocab_size, "unknown", f"{unknown:.2f}", "losses", losses)


def main(folder, seed):
    all_texts = texts(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "texts.json").write_text(json.dumps(all_texts))
    print(len(all_texts), "texts")
    for number, (name, case) in enumerate(CASES.items()):
        make_case(number, name, case, all_texts, folder, seed)


def check(folder):
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    case = load_file(folder / "case.safetensors")
    lengths = case["lengths"].tolist()
    ids, types = (case[name].long().split(lengths) for name in ("ids", "types"))
    batch = padded([{"input_ids": i.tolist(), "token_type_ids": t.tolist(), "attention_mask": [1] * len(i)}
                    for i, t in zip(ids, types)])
    kept = batch["attention_mask"].bool()
    with torch.no_grad():
        got = model(**batch).last_hidden_state[kept]
    error = float((got - case["hidden"]).abs().max() / case["hidden"].abs().max())
    text = "WHITE heart"
    print(type(model).__name__, "loads", folder.name, "-", len(tokenizer(text)["input_ids"]), "tokens for", repr(text),
          "- largest relative difference of hidden states:", error)
    if folder.name.endswith("masked_language"):
        masked = dict(batch, input_ids=padded([{"input_ids": i.tolist(), "token_type_ids": t.tolist(), "attention_mask": [1] * len(i)}
                                               for i, t in zip(case["masked_ids"].long().split(lengths), types)])["input_ids"])
        labels = torch.full_like(masked["input_ids"], -100)
        labels[kept] = case["labels"].long()
        with torch.no_grad():
            loss = float(BertForMaskedLM.from_pretrained(folder).eval()(**masked, labels=labels).loss)
        error = max(error, abs(loss / float(case["losses"][0]) - 1))
        print("BertForMaskedLM: loss", loss, "of", float(case["losses"][0]))
    if not error < 1e-5:
        sys.exit(1)


if __name__ == "__main__":
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    if sys.argv[1] == "--check":
        check(pathlib.Path(sys.argv[2]))
        sys.exit()
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
