"""Makes golden.json: what scikit-learn answers on small fixed problems, so that the default tests need no scikit-learn.

python tests/closed_form/golden/make_golden.py        (scikit-learn installed; written with 1.9)
"""

import json
from pathlib import Path

import numpy as np


def problem(n=50, d=6, k=2, seed=0):
    """X (n, d), Y (n, k), X_test (8, d): integers / 16, so that every machine has the same bits."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.integers(-40, 41, size=shape) / 16  # noqa: E731
    return draw(n, d), draw(n, k), draw(8, d)


def main():
    import sklearn
    from sklearn.decomposition import PCA
    from sklearn.gaussian_process.kernels import Matern
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.linear_model import LinearRegression, Ridge, RidgeCV

    X, Y, X_test = problem()
    golden = {"scikit-learn": sklearn.__version__}
    golden["linear"] = LinearRegression().fit(X, Y).predict(X_test)
    wide, wide_Y, wide_test = problem(n=10, d=20, seed=1)
    golden["linear_wide"] = LinearRegression().fit(wide, wide_Y).predict(wide_test)
    for alpha in (1e-3, 1.0, 100.0):
        golden[f"ridge_{alpha:g}"] = Ridge(alpha, solver="svd").fit(X, Y).predict(X_test)
        golden[f"ridge_no_intercept_{alpha:g}"] = Ridge(alpha, solver="svd", fit_intercept=False).fit(X, Y).predict(X_test)
        golden[f"ridge_wide_{alpha:g}"] = Ridge(alpha, solver="svd").fit(wide, wide_Y).predict(wide_test)
    golden["kernel_rbf"] = KernelRidge(alpha=0.1, kernel="rbf", gamma=1 / (2 * 1.5**2)).fit(X, Y).predict(X_test)
    golden["kernel_laplacian"] = KernelRidge(alpha=0.1, kernel="laplacian", gamma=1 / 1.5).fit(X, Y).predict(X_test)
    golden["kernel_polynomial"] = (
        KernelRidge(alpha=0.1, kernel="polynomial", gamma=1 / 1.5**2, degree=3, coef0=1).fit(X, Y).predict(X_test)
    )
    golden["kernel_linear"] = KernelRidge(alpha=0.1, kernel="linear").fit(X, Y).predict(X_test)
    for nu in (0.5, 1.5, 2.5, 0.8):
        golden[f"matern_{nu:g}"] = Matern(length_scale=1.5, nu=nu)(X[:5], X_test)
    alphas = np.logspace(-4, 3, 8)
    cv = RidgeCV(alphas, store_cv_results=True).fit(X, Y)
    golden["ridge_cv_alpha"] = cv.alpha_
    golden["ridge_cv_scores"] = cv.cv_results_.mean(axis=0).T
    pca = PCA(3, svd_solver="full").fit(X)
    golden["pca_components"] = pca.components_
    golden["pca_variance"] = pca.explained_variance_
    golden["pca_code"] = pca.transform(X_test)
    as_lists = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in golden.items()}
    path = Path(__file__).with_name("golden.json")
    path.write_text(json.dumps(as_lists, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
