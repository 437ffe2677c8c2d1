"""Writes tests/golden/sobol.csv: 32 points of an unscrambled Sobol sequence in 24 dimensions (scipy 1.15.3)."""

from pathlib import Path

from scipy.stats import qmc

points = qmc.Sobol(24, scramble=False, bits=32).random(32)
Path(__file__).with_name("sobol.csv").write_text(
    "".join(",".join(str(int(value * 2**32)) for value in point) + "\n" for point in points)
)
