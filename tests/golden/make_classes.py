"""Makes tests/golden/classes.csv: confusion matrices of drawn classifications and what scikit-learn says of them.

By hand, with the packages of scripts/reference.sh (`make golden`):
    python tests/golden/make_classes.py tests/golden/classes.csv

One classification of three classes a line: the confusion matrix (rows are truths), then accuracy; precision, recall and F1 as
macro means, then weighted by support, then of each class by itself. Some classes are never true, never forecast, or neither.
"""

import sys

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support


def main():
    random = np.random.default_rng(5)
    classes = [0, 1, 2]
    with open(sys.argv[1], "w") as file:
        for truths in ([0, 1, 2], [0, 2], [1], [0, 0, 0, 1]):
            for forecasts in ([0, 1, 2], [0, 1], [2], [1]):
                n = int(random.integers(3, 60))
                truth = random.choice(truths, n)
                forecast = np.where(random.random(n) < 0.4, truth, random.choice(forecasts, n))
                numbers = list(confusion_matrix(truth, forecast, labels=classes).flatten())
                numbers.append(accuracy_score(truth, forecast))
                for average in ("macro", "weighted"):
                    numbers += precision_recall_fscore_support(truth, forecast, average=average, zero_division=0)[:3]
                each = precision_recall_fscore_support(truth, forecast, labels=classes, average=None, zero_division=0)[:3]
                numbers += list(np.transpose(each).flatten())
                file.write(",".join(repr(float(number)) for number in numbers) + "\n")


if __name__ == "__main__":
    main()
