"""Makes tests/golden/diebold_mariano.csv: drawn loss differences and what statsmodels and scipy say of them.

By hand, with the packages of scripts/reference.sh (`make golden`):
    python tests/golden/make_diebold_mariano.py tests/golden/diebold_mariano.csv

One test a line: horizon, statistic, p, then the differences. The statistic is the t value of a regression on a constant
with Newey and West's covariance (Bartlett's weights, horizon - 1 lags), times the correction of Harvey, Leybourne and
Newbold; p is two-sided in Student's t of n - 1 degrees of freedom.
"""

import sys

import numpy as np
import statsmodels.api as sm
from scipy.stats import t as student


def diebold_mariano(differences, horizon):
    n = len(differences)
    fit = sm.OLS(differences, np.ones(n)).fit(
        cov_type="HAC", cov_kwds={"maxlags": horizon - 1, "use_correction": False})
    correction = np.sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
    statistic = fit.tvalues[0] * correction
    return statistic, 2 * student.sf(abs(statistic), n - 1)


def main():
    random = np.random.default_rng(7)
    with open(sys.argv[1], "w") as file:
        for n, horizon in ((2, 1), (9, 1), (15, 7), (29, 28), (84, 28), (280, 28), (60, 4), (500, 1)):
            for shift in (0.0, 0.3, -2.0):
                noise = random.normal(size=n + 3)
                differences = np.round(shift + noise[3:] + 0.6 * noise[2:-1] + 0.3 * noise[1:-2], 6)
                statistic, p = diebold_mariano(differences, horizon)
                file.write(",".join([str(horizon), repr(float(statistic)), repr(float(p))] +
                                    [repr(float(d)) for d in differences]) + "\n")


if __name__ == "__main__":
    main()
