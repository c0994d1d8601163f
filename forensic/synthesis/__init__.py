"""Translation of faces between photo and sketch: the contract, the methods, their training and weights."""

from forensic.synthesis.registry import create, method, names
from forensic.synthesis.translator import Adversarial, Batch, Faces, Player, Recipe, Translator
from forensic.synthesis.weights import load, save

__all__ = [
    "Adversarial",
    "Batch",
    "Faces",
    "Player",
    "Recipe",
    "Translator",
    "create",
    "load",
    "method",
    "names",
    "save",
]
