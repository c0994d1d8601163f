import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from forensic.recognition.lda import RegularizedLDA, class_deviations

Array = NDArray[np.float64]


def samples(classes: int, each: int, dimensions: int, seed: int = 0) -> tuple[Array, NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    means = generator.normal(size=(classes, dimensions))
    mixing = generator.normal(size=(dimensions, dimensions)) / np.sqrt(dimensions)
    return means[labels] + generator.normal(size=(len(labels), dimensions)) @ mixing + 3.0, labels


def scatters(features: Array, labels: NDArray[np.int64]) -> tuple[Array, Array]:
    """Sw and Sb by their definitions, class by class."""
    within = np.zeros((features.shape[1],) * 2)
    between = np.zeros_like(within)
    for label in np.unique(labels):
        members = features[labels == label]
        within += sum(np.outer(row, row) for row in members - members.mean(0))
        shift = members.mean(0) - features.mean(0)
        between += len(members) * np.outer(shift, shift)
    return within, between


def test_deviations_are_roots_of_the_scatters() -> None:
    features, labels = samples(5, 3, 7)
    features, labels = features[:-2], labels[:-2]  # classes of different sizes
    within, between = class_deviations(features, labels)
    expected_within, expected_between = scatters(features, labels)
    np.testing.assert_allclose(within.T @ within, expected_within)
    np.testing.assert_allclose(between.T @ between, expected_between)


@pytest.mark.parametrize("shrinkage", [0.01, 0.3, 5.0])
def test_directions_solve_the_generalized_eigenproblem(shrinkage: float) -> None:
    features, labels = samples(8, 4, 20)
    fitted = RegularizedLDA(shrinkage=shrinkage).fit(features, labels)
    within, between = (scatter / len(features) for scatter in scatters(features, labels))
    regularized = within + shrinkage * np.trace(within) / 20 * np.eye(20)
    values, vectors = eigh(between, regularized)
    assert fitted.projection_.shape == (20, 7)
    np.testing.assert_allclose(fitted.eigenvalues_, values[::-1][:7])
    for ours, theirs in zip(fitted.projection_.T, vectors.T[::-1], strict=False):
        np.testing.assert_allclose(ours * np.sign(ours @ theirs), theirs, atol=1e-8)


def test_without_shrinkage_it_is_scikit_learns_lda() -> None:
    features, labels = samples(5, 30, 12)
    ours = RegularizedLDA(shrinkage=0.0).fit(features, labels)
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(features, labels)
    np.testing.assert_allclose(ours.eigenvalues_ / ours.eigenvalues_.sum(), theirs.explained_variance_ratio_, rtol=1e-6)
    projected, expected = ours.transform(features), theirs.transform(features)
    for mine, other in zip(projected.T, (expected - expected.mean(0)).T, strict=True):
        assert abs(np.corrcoef(mine, other)[0, 1]) == pytest.approx(1.0, abs=1e-9)


def test_fewer_components_are_the_first_ones_and_the_signs_are_fixed() -> None:
    features, labels = samples(6, 4, 10)
    whole = RegularizedLDA().fit(features, labels)
    part = clone(whole).set_params(n_components=2).fit(features[::-1], labels[::-1])
    np.testing.assert_allclose(part.projection_, whole.projection_[:, :2], atol=1e-9)
    assert (whole.projection_.max(axis=0) >= -whole.projection_.min(axis=0)).all()


def test_shrinkage_helps_where_samples_are_few() -> None:
    def accuracy(shrinkage: float) -> float:
        features, labels = samples(200, 2, 40, seed=2)
        fitted = RegularizedLDA(shrinkage=shrinkage).fit(features[:60], labels[:60])
        rest = fitted.transform(features[60:])
        nearest = ((rest[::2, None] - rest[None, 1::2]) ** 2).sum(-1).argmin(1)
        return float(np.mean(nearest == np.arange(len(nearest))))

    assert accuracy(0.1) > accuracy(1e-4)


def test_what_cannot_be_fitted_is_refused() -> None:
    features, labels = samples(4, 2, 10)
    with pytest.raises(ValueError, match="singular"):
        RegularizedLDA(shrinkage=0.0).fit(features, labels)
    with pytest.raises(ValueError, match="allow 1 to 3"):
        RegularizedLDA(4).fit(features, labels)
    with pytest.raises(ValueError, match="at least 0"):
        RegularizedLDA(shrinkage=-1).fit(features, labels)
    with pytest.raises(ValueError, match="two classes"):
        RegularizedLDA().fit(features, np.zeros(8))
    with pytest.raises(ValueError, match="do not fit"):
        RegularizedLDA().fit(features, labels[1:])
    with pytest.raises(ValueError, match="not finite"):
        RegularizedLDA().fit(np.full((8, 3), np.nan), labels)
