import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import eigh, null_space, orth, subspace_angles
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from forensic.errors import DataError
from forensic.recognition.lda import RegularizedLDA
from forensic.recognition.nlda import NLDA, principal

Array = NDArray[np.float64]


def samples(classes: int = 12, each: int = 2, dimensions: int = 400, seed: int = 0) -> tuple[Array, NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    noise = generator.normal(size=(len(labels), dimensions))
    return generator.normal(size=(classes, dimensions))[labels] + 0.8 * noise + 5.0, labels


def scatters(features: Array, labels: NDArray[np.int64]) -> tuple[Array, Array]:
    centred = features - features.mean(0)
    total = centred.T @ centred
    within = np.zeros_like(total)
    for label in np.unique(labels):
        members = features[labels == label] - features[labels == label].mean(0)
        within += members.T @ members
    return within, total - within


def test_the_within_class_scatter_vanishes_and_the_between_class_scatter_stays() -> None:
    features, labels = samples()
    within, between = scatters(features, labels)
    projection = NLDA().fit(features, labels).projection_
    assert projection.shape == (400, 11)
    np.testing.assert_allclose(projection.T @ projection, np.eye(11), atol=1e-10)
    np.testing.assert_allclose(projection.T @ within @ projection, 0, atol=1e-9 * np.trace(within))
    kept = projection.T @ between @ projection
    np.testing.assert_allclose(kept, np.diag(np.diag(kept)), atol=1e-9 * np.trace(between))
    assert (np.diff(np.diag(kept)) <= 1e-9).all()
    assert np.diag(kept)[-1] > 1.0


def test_it_is_the_method_of_its_definition() -> None:
    features, labels = samples(6, 3, 60)
    within, between = scatters(features, labels)
    null = null_space(within, rcond=1e-10)  # Chen et al.: first the null space of Sw, then Sb inside it
    values, vectors = eigh(null.T @ between @ null)
    expected = (null @ vectors[:, ::-1])[:, :5]
    projection = NLDA().fit(features, labels).projection_
    np.testing.assert_allclose(np.abs(np.sum(projection * expected, axis=0)), 1.0, atol=1e-8)
    np.testing.assert_allclose(np.diag(projection.T @ between @ projection), values[::-1][:5])


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-6, 1e-12])
def test_principal_is_the_decomposition_of_the_samples(spread: float) -> None:
    """Also where some directions hardly spread the samples, or where some samples are others' copies."""
    features, _ = samples(20, 2, 300)
    left, _, right = np.linalg.svd(features - features.mean(0), full_matrices=False)
    centred = left * np.geomspace(1, spread, 40) @ right
    centred[7] = centred[8]
    expected = np.linalg.svd(centred, compute_uv=False)
    kept = expected > expected[0] * 300 * np.finfo(float).eps
    scores, values = principal(centred)
    assert len(values) == kept.sum()
    np.testing.assert_allclose(values, expected[kept], rtol=1e-7)
    np.testing.assert_allclose(scores.T @ scores, np.eye(len(values)), atol=1e-10)
    np.testing.assert_allclose((scores * values) @ (scores * values).T, centred @ centred.T, atol=1e-12)


def test_it_is_the_limit_of_regularized_lda() -> None:
    features, labels = samples(6, 3, 60)
    regularized = RegularizedLDA(shrinkage=1e-9).fit(features, labels).projection_
    assert subspace_angles(NLDA().fit(features, labels).projection_, orth(regularized)).max() < 1e-3


def test_the_samples_of_a_class_coincide() -> None:
    features, labels = samples()
    projected = NLDA().fit_transform(features, labels)
    np.testing.assert_allclose(projected[::2], projected[1::2], atol=1e-9)
    assert np.linalg.norm(projected[0] - projected[2]) > 1.0


def test_pca_first_is_pca_first() -> None:
    features, labels = samples(20, 2, 300)
    ours = NLDA(pca=30).fit(features, labels)
    pca = PCA(30, svd_solver="full").fit(features)
    reduced = NLDA().fit(pca.transform(features), labels)
    theirs = pca.components_.T @ reduced.projection_
    assert ours.projection_.shape == theirs.shape == (300, 10)  # 30 dimensions less 20 within
    np.testing.assert_allclose(np.abs(np.sum(ours.projection_ * theirs, axis=0)), 1.0, atol=1e-8)


def test_fewer_components_are_the_first_ones_in_any_order_of_the_samples() -> None:
    features, labels = samples()
    whole = NLDA().fit(features, labels)
    order = np.random.default_rng(1).permutation(len(labels))
    part = clone(whole).set_params(n_components=4).fit(features[order], labels[order])
    np.testing.assert_allclose(part.projection_, whole.projection_[:, :4], atol=1e-8)
    assert NLDA(1000).fit(features, labels).projection_.shape == (400, 11)


def test_it_recognizes_inside_a_pipeline() -> None:
    generator = np.random.default_rng(4)
    modality = generator.normal(size=(3, 500)) * 4  # what sketches share, in every direction but identity
    people = generator.normal(size=(60, 500))
    photos = people + 0.3 * generator.normal(size=people.shape)
    sketches = people + generator.normal(size=(60, 3)) @ modality
    fitting = np.concatenate([photos[:40], sketches[:40]])
    recognizer = make_pipeline(NLDA(), KNeighborsClassifier(1))
    recognizer.fit(fitting, np.tile(np.arange(40), 2))
    projected = recognizer[0].transform(np.concatenate([photos[40:], sketches[40:]]))
    nearest = ((projected[20:, None] - projected[None, :20]) ** 2).sum(-1).argmin(1)
    plain = ((sketches[40:, None] - photos[None, 40:]) ** 2).sum(-1).argmin(1)
    assert np.mean(nearest == np.arange(20)) > np.mean(plain == np.arange(20)) + 0.3


def test_what_cannot_be_fitted_is_refused() -> None:
    features, labels = samples(4, 30, 10)
    with pytest.raises(DataError, match="120 samples of 4 classes in 10 dimensions leave no null space"):
        NLDA().fit(features, labels)
    with pytest.raises(DataError, match="no null space"):
        NLDA().fit(np.ones((4, 3)), np.array([0, 0, 1, 1]))
    with pytest.raises(ValueError, match="at least 1"):
        NLDA(0).fit(features, labels)
    with pytest.raises(ValueError, match="two classes"):
        NLDA().fit(features, np.zeros(120))
