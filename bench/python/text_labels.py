"""Classes of clothing reviews: a fine-tuned encoder beside TF-IDF and logistic regression on the same split.

    python text_labels.py prepare REVIEWS.zip FOLDER        reviews.csv (text, department, split) and test.txt
    python text_labels.py judge FOLDER labels.csv           macro-F1 of both on the test texts

Between the two `shelfcast train` fits on reviews.csv and `shelfcast label RUN --text test.txt --out labels.csv`
labels the test texts, which neither side has seen. A tenth of the texts is for test, a tenth for validation, drawn
by class. The peer's C is chosen on the validation texts, as the encoder's best step is; neither refits on them.
"""

import sys
import zipfile
from pathlib import Path

import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

SEED = 17


def prepare(reviews, folder):
    with zipfile.ZipFile(reviews) as archive:
        table = next(name for name in archive.namelist() if name.endswith("Reviews.csv"))
        with archive.open(table) as file:
            rows = pd.read_csv(file)
    rows = rows[["Review Text", "Department Name"]].dropna().set_axis(["text", "department"], axis=1)
    rows["text"] = rows["text"].str.split().str.join(" ")  # one line each
    rows = rows.drop_duplicates("text").reset_index(drop=True)
    kept, test = train_test_split(rows.index, test_size=0.1, random_state=SEED, stratify=rows["department"])
    _, validation = train_test_split(kept, test_size=1 / 9, random_state=SEED,
                                     stratify=rows["department"][kept])
    rows["split"] = "train"
    rows.loc[validation, "split"] = "validation"
    rows.loc[test, "split"] = "test"
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / "reviews.csv", index=False)
    (folder / "test.txt").write_text("\n".join(rows.loc[rows["split"] == "test", "text"]) + "\n")
    print(rows.groupby(["department", "split"]).size().unstack())


def tfidf(train, c, balance):
    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
                         LogisticRegression(C=c, class_weight=balance, max_iter=1000)).fit(train["text"],
                                                                                           train["department"])


def judge(folder, labels):
    rows = pd.read_csv(folder / "reviews.csv")
    train, validation, test = (rows[rows["split"] == split] for split in ("train", "validation", "test"))

    def macro_f1(model, part):
        return f1_score(part["department"], model.predict(part["text"]), average="macro")

    def report(name, forecast):
        truth = test["department"]
        print(f"{name:<40} accuracy {accuracy_score(truth, forecast):.4f}  "
              f"macro-F1 {f1_score(truth, forecast, average='macro'):.4f}  "
              f"weighted F1 {f1_score(truth, forecast, average='weighted'):.4f}")

    print(f"{len(test)} test texts")
    for balance in (None, "balanced"):
        models = {c: tfidf(train, c, balance) for c in (1, 3, 10, 30)}
        best = max(models, key=lambda c: macro_f1(models[c], validation))
        report(f"TF-IDF, C={best}, class_weight={balance}", models[best].predict(test["text"]))
    if labels is not None:
        report("fine-tuned encoder", pd.read_csv(labels)["class"].to_numpy())


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "prepare":
        prepare(Path(sys.argv[2]), Path(sys.argv[3]))
    elif len(sys.argv) in (3, 4) and sys.argv[1] == "judge":
        judge(Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) == 4 else None)
    else:
        sys.exit(__doc__)
