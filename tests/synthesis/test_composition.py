"""The components of a face, and the loss that compares them, by hand."""

import pytest
import torch

from forensic.faces import priors
from forensic.synthesis.composition import COMPONENTS, compositional


def test_a_component_counts_by_its_area() -> None:
    """One grey row of four pixels; a component of three and one of one pixel."""
    Y, faces = torch.zeros(1, 1, 1, 4), torch.tensor([0.1, 0.2, 0.3, 0.8]).view(1, 1, 1, 4)
    components = torch.tensor([[[[1.0, 1, 1, 0]], [[0, 0, 0, 1]]]])
    whole = (0.1 + 0.2 + 0.3 + 0.8) / 4
    assert compositional(faces, Y, components).item() == pytest.approx(0.7 * whole + 0.3 * (0.6 / 3 + 0.8 / 1))
    code = compositional(faces, Y, components, composition="code").item()
    assert code == pytest.approx(0.7 * whole + 0.3 * (0.6 / 4 + 0.8 / 4))
    assert compositional(faces, Y, components, share=1.0).item() == pytest.approx(whole)


def test_an_empty_component_leaves_gradients_finite() -> None:
    faces = torch.rand(1, 3, 2, 2, requires_grad=True)
    compositional(faces, torch.zeros(1, 3, 2, 2), torch.zeros(1, 8, 2, 2)).backward()
    assert faces.grad is not None
    assert faces.grad.isfinite().all()


def test_the_eight_components_take_every_class_once() -> None:
    named = [name for names in COMPONENTS.values() for name in names]
    assert len(COMPONENTS) == 8
    assert sorted(named) == sorted(priors.PARSING_CLASSES)
