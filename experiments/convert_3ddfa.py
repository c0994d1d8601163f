"""3DDFA_V2's files as one npz that ``forensic models import`` takes.

The product never opens a pickle. This script does, once and offline, with an unpickler that makes numpy arrays and
nothing else:

    python experiments/convert_3ddfa.py mb1_120x120.pth bfm_noneck_v3.pkl param_mean_std_62d_120x120.pkl 3ddfa.npz

The network may also be ``mb1_120x120.onnx`` (needs ``onnx``), in which batch normalisations are folded already.
The triangles inside ``bfm_noneck_v3.pkl`` belong to an older mesh; 3DDFA_V2 keeps the right ones in ``tri.pkl``
(``--triangles``). Without that file the mean face is triangulated here, unrolled around its vertical axis.
The Basel face model inside ``bfm_noneck_v3.pkl`` has its own terms: research use, and not to be passed on.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from forensic.backbones.mobilenet_v1 import BLOCKS, MobileNetV1

Array = NDArray[Any]


class Arrays(pickle.Unpickler):
    """Unpickles numpy arrays in plain containers; anything else is refused before it is made."""

    ALLOWED = frozenset(
        {("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numpy", "ndarray"), ("numpy", "dtype")}
    )

    def find_class(self, module: str, name: str) -> Any:
        """The named type, if it belongs to an array."""
        last = module.rpartition(".")[2]
        if not module.startswith("numpy") or (last, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"The pickle asks for {module}.{name}; only numpy arrays are allowed.")
        # Older files name numpy's core by its old place.
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_pickle(path: Path) -> Any:
    """A pickled array, or a dict of arrays."""
    with path.open("rb") as file:
        return Arrays(file).load()


def from_checkpoint(path: Path) -> dict[str, Array]:
    """The official checkpoint's network, with this project's names."""
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    names = {key.removeprefix("module.").replace("fc_param.", "fc."): value.numpy() for key, value in state.items()}
    return {key: names[key] for key in MobileNetV1().state_dict() if not key.endswith("num_batches_tracked")}


def from_onnx(path: Path) -> dict[str, Array]:
    """The exported network: a folded normalisation becomes one that only adds the bias."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    convolutions = iter([node for node in graph.node if node.op_type == "Conv"])
    pairs = [("conv1", "bn1")]
    pairs += [(f"{block}.conv_{part}", f"{block}.bn_{part}") for block in BLOCKS for part in ("dw", "sep")]
    state: dict[str, Array] = {"fc.weight": constants["fc.weight"], "fc.bias": constants["fc.bias"]}
    for convolution, normalisation in pairs:
        _, weight, bias = next(convolutions).input
        state[f"{convolution}.weight"] = constants[weight]
        ones = np.ones_like(constants[bias])
        state |= {
            f"{normalisation}.weight": ones,
            f"{normalisation}.bias": constants[bias],
            f"{normalisation}.running_mean": 0 * ones,
            f"{normalisation}.running_var": ones - np.float32(1e-5),  # torch adds it again
        }
    return state


def triangulate(u: Array) -> Array:
    """Triangles of the mean face, shape (t, 3): Delaunay's over angle and height around the head's vertical axis.

    Args:
        u: Vertices (v, 3), x to the face's left, y up, z to the front.
    """
    half = np.ptp(u[:, 0]) / 2
    x, z = u[:, 0] - np.median(u[:, 0]), u[:, 2] - (u[:, 2].max() - 1.5 * half)
    distance = np.hypot(x, z)
    unrolled = np.stack([np.arctan2(x, z) * half, u[:, 1]], axis=1)
    # The inside of the nostrils lies behind their outside and would be mixed with it.
    cells = np.unique((unrolled // (half / 25)).astype(int), axis=0, return_inverse=True)[1].ravel()
    outermost = np.full(cells.max() + 1, -np.inf)
    np.maximum.at(outermost, cells, distance)
    outside = np.flatnonzero(distance > outermost[cells] - half / 10)
    triangles = outside[Delaunay(unrolled[outside]).simplices]
    corners = u[triangles]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    short: NDArray[np.int32] = triangles[longest < half / 4].astype(np.int32)  # without those that span the outline
    return short


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("network", "face_model", "statistics", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--triangles", type=Path)
    given = parser.parse_args()
    network = from_onnx(given.network) if given.network.suffix == ".onnx" else from_checkpoint(given.network)
    face, statistics = read_pickle(given.face_model), read_pickle(given.statistics)
    u = face["u"].astype(np.float32).reshape(-1, 3)
    triangles = triangulate(u) if given.triangles is None else read_pickle(given.triangles).T.astype(np.int32)
    if not (triangles.ndim == 2 and triangles.shape[1] == 3 and triangles.max() < len(u)):
        raise SystemExit(f"{given.triangles} names vertices that {given.face_model} does not have.")
    np.savez(
        given.out,
        mean=statistics["mean"].astype(np.float32),
        deviation=statistics["std"].astype(np.float32),
        u=u.reshape(-1),
        shape=face["w_shp"].astype(np.float32),
        expression=face["w_exp"].astype(np.float32),
        triangles=triangles,
        allow_pickle=False,
        **{f"network.{key}": value for key, value in network.items()},
    )
    digest = hashlib.sha256(given.out.read_bytes()).hexdigest()
    print(f"forensic models import {given.out} --name 3ddfa-v2 --sha256 {digest}")


if __name__ == "__main__":
    main()
