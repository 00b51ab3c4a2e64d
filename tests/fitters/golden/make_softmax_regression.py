"""Writes softmax_regression.json: what scikit-learn's LogisticRegression says of the problem in `problem`.

    python tests/fitters/golden/make_softmax_regression.py
"""

import json
from pathlib import Path

import numpy as np

L2 = 1e-2


def problem(n=400, d=6, classes=5, seed=3):
    """Features (n, d) of unequal scales, correlated, and classes (n,) drawn from a softmax of them."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) * np.geomspace(0.3, 3, d)
    scores = X @ rng.standard_normal((d, classes)) * 0.5 + rng.gumbel(size=(n, classes))
    return X, scores.argmax(axis=1)


def logistic_regression(X, y, l2=L2):
    """Probabilities of scikit-learn's multinomial logistic regression with the penalty l2/2 ||W||^2 on the mean loss."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / (l2 * len(X)), fit_intercept=False, tol=1e-10, max_iter=10_000)
    return model.fit(X, y).predict_proba(X)


if __name__ == "__main__":
    import sklearn

    X, y = problem()
    p = logistic_regression(X, y)
    figures = {
        "made_with": f"scikit-learn {sklearn.__version__}", "l2": L2, "rows": p[:8].tolist(),
        "loss": float(-np.log(p[np.arange(len(y)), y]).mean()),
    }  # fmt: skip
    Path(__file__).with_name("softmax_regression.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
