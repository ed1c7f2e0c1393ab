"""Cost matrices that the transport's tests share."""

import numpy as np


def distances(x, y):
    return np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T, 0)


def gaussian(rows, columns, seed=0, width=64):
    rng = np.random.default_rng(seed)
    return distances(rng.normal(size=(rows, width)), rng.normal(size=(columns, width)))


def clustered(rows, columns, seed=0, width=16):
    """Positives crowd into a third of the clusters, so that columns' capacities bind."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, width)) * 2
    x = centres[rng.integers(0, 4, rows)] + rng.normal(size=(rows, width)) / 2
    y = centres[rng.integers(0, 12, columns)] + rng.normal(size=(columns, width)) / 2
    return distances(x, y)


def zipf(rows, columns, seed=0, width=16):
    """Concatenated embeddings of ids with Zipf frequencies: many near-ties and repeats."""
    rng = np.random.default_rng(seed)
    tables = [rng.normal(size=(n, width)) for n in (2000, 1000, 100, 20, 5, 300)]

    def draw(count):
        parts = []
        for table in tables:
            weight = 1 / np.arange(1, len(table) + 1) ** 1.1
            parts.append(table[rng.choice(len(table), count, p=weight / weight.sum())])
        return np.concatenate(parts, axis=1)

    return distances(draw(rows), draw(columns))


CLOUDS = {"gaussian": gaussian, "clustered": clustered, "zipf": zipf}


def whole_marginals(rows, columns, kappa):
    """Row masses with the virtual row, and column masses, under "proportion"."""
    a = np.append(np.full(rows, kappa / rows), 1 - kappa)
    return a, np.full(columns, 1 / columns)


def true_error(matrix, a, b):
    """L1 error of both marginals in float64."""
    matrix = np.asarray(matrix, np.float64)
    return np.abs(matrix.sum(1) - a).sum() + np.abs(matrix.sum(0) - b).sum()


def exact_argmax(plan):
    """Argmax rows of an exact whole plan; -1 is the virtual row, which wins ties."""
    real, virtual = plan[:-1], plan[-1]
    return np.where(real.max(0) > virtual + 1e-12, real.argmax(0), -1)
