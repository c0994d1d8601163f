"""What a campaign trains: a run is a TOML file, a data set, and what is given in place of the paper's values.

``METHOD.toml`` is the method with its defaults, ``METHOD-ROW.toml`` a row of the method's ``rows``, any other file
whatever its author wants. ``campaign.py configs`` writes the first two.
"""

import difflib
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from forensic.errors import UsageError
from forensic.synthesis import Adversarial, Recipe, configuration, create, names, registry

HERE = Path(__file__).resolve().parent
CONFIGS = HERE / "campaign"
PROTOCOL = dict.fromkeys(("fsgan", "genre", "hida"), ("cufs", "fs2k"))
"""Data sets that a method is trained on; ``cufs`` where nothing is said. Its rows are trained on the last."""
TURNED = ("chan", "pix2pix", "sca-gan")
SIDES = {name: {f"{name}-sketch-to-photo": {"source": "sketch", "target": "photo"}} for name in TURNED}
"""Baselines in the direction that is not the constructor's own."""
SAME_TRAINING = {("isegan", "full model (stage-I output)")}
"""Rows that show another output of the same training."""
SHAPE = (
    *("width", "discriminator_width", "hidden", "depth", "halvings", "before", "after", "blocks"),
    *("patch", "patches", "kernels", "reach", "scales", "layers", "content_patch"),
)
"""Settings that a compact network takes from METHOD-compact*.toml; its losses stay the paper's."""
_COMPACT_SIZE = 128


class Run(NamedTuple):
    """One training.

    Attributes:
        config: Stem of the TOML file.
        data: Name of the data set.
        method: The method's name.
        row: The row of its paper's ablation table, where it is one.
        settings: The file's [method] table.
        recipe: The file's [recipe] table.
    """

    config: str
    data: str
    method: str
    row: str | None
    settings: Mapping[str, Any]
    recipe: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What the run is called, and its folder."""
        return f"{self.data}/{self.config}"


class Changes(NamedTuple):
    """What every run of a campaign has in place of the paper's values.

    Attributes:
        size: Pixels a side of the networks.
        width: Channels, or ``"compact"``: the shape of METHOD-compact*.toml.
        defaults: Settings of constructors and recipes, for methods that have them and files that do not set them.
    """

    size: int | None = None
    width: int | Literal["compact"] | None = None
    defaults: Mapping[str, Any] = {}


def slug(row: str) -> str:
    """A row's name as a file's.

    >>> slug("M + S + AR"), slug("+ Depth (Model-B)")
    ('m-s-ar', 'depth-model-b')
    """
    return re.sub(r"[^a-z0-9]+", "-", row.lower()).strip("-")


def trainable() -> list[str]:
    """Names of the methods that are trained."""
    return [name for name in names() if issubclass(registry.find(name), Adversarial)]


def rows(method: str) -> dict[str, dict[str, Any]]:
    """The rows of a method's ablation table, by their files' stems."""
    stated: dict[str, dict[str, Any]] = getattr(registry.find(method), "rows", {})
    return {f"{method}-{slug(row)}": changed for row, changed in stated.items() if (method, row) not in SAME_TRAINING}


def configs() -> dict[str, str]:
    """The content of every generated TOML file, by its name."""
    files = {}
    for method in trainable():
        stems = {method: {}} | SIDES.get(method, {}) | rows(method)
        for stem, settings in stems.items():
            title = _row_of(method, stem)
            what = f'row "{title}" of the table in its paper' if title else "with its defaults"
            direction = ", sketch to photo" if stem in SIDES.get(method, {}) else ""
            lines = [
                f"# {method}{direction}: {what}. Written by: python experiments/campaign.py configs",
                f"#   forensic train --config experiments/campaign/{stem}.toml"
                f" --data $FORENSIC_DATA/{protocol(method)[-1]} --out runs/{stem}",
                "",
                "[method]",
                f"name = {_toml(method)}",
                *(f"{name} = {_toml(value)}" for name, value in settings.items()),
            ]
            files[f"{stem}.toml"] = "\n".join(lines) + "\n"
    return files


def protocol(method: str, *, row: bool = False) -> tuple[str, ...]:
    """The data sets that a method, or a row of its table, is trained on."""
    chosen = PROTOCOL.get(method, ("cufs",))
    return chosen[-1:] if row else chosen


def read(path: Path, data: str) -> Run:
    """A run of a TOML file on a data set.

    Raises:
        UsageError: See `configuration.read`; or the file names no method that is trained.
    """
    method, settings, recipe = configuration.read(path)
    if method not in trainable():
        raise UsageError(f"{path}: [method] has the name {method!r}; expected one of {', '.join(trainable())}.")
    return Run(path.stem, data, method, _row_of(method, path.stem), settings, recipe)


def choose(wanted: Sequence[str], data: Sequence[str], folder: Path = CONFIGS) -> list[Run]:
    """The runs of a campaign, the main methods before the ablations.

    Args:
        wanted: TOML files, or patterns of runs' names such as ``cufs/sdgan*``; all of the protocol where empty.
        data: Names of the data sets at hand.
        folder: Where the protocol's TOML files lie.

    Raises:
        UsageError: A pattern fits no run, or two files of one name say different things.
    """
    listed = []
    for path in sorted(folder.glob("*.toml")):
        run = read(path, "")
        sets = protocol(run.method, row=run.row is not None)
        listed += [run._replace(data=name) for name in sets if name in data]
    chosen: dict[str, Run] = {}
    givers: dict[str, str] = {}
    for pattern in wanted or ["*"]:
        if pattern.endswith(".toml"):
            found = [read(Path(pattern), name) for name in data]
        else:
            found = [run for run in listed if fnmatch(run.name, pattern) or fnmatch(run.config, pattern)]
        if not found:
            if not listed:
                known = sorted({"cufs"}.union(*PROTOCOL.values()))
                raise UsageError(
                    f"No run is called {pattern!r} on {', '.join(data) or 'no data set'}: the protocol has data named"
                    f" {' and '.join(known)} alone. Give TOML files, such as experiments/campaign/sdgan.toml, or one of"
                    " these names, as in --data cufs=DIR."
                )
            nearest = difflib.get_close_matches(pattern, [run.config for run in listed], n=1)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            raise UsageError(
                f"No run is called {pattern!r} on {', '.join(data) or 'no data set'}.{hint}"
                f" Known: {', '.join(run.name for run in listed)}; or give a TOML file."
            )
        for run in found:
            giver = givers.setdefault(run.name, pattern)
            if chosen.setdefault(run.name, run) != run:
                raise UsageError(
                    f"{giver} and {pattern} both give a run {run.name}, with other settings. Rename a file: its name is"
                    " that of the run and of its folder."
                )
    return sorted(chosen.values(), key=lambda run: run.row is not None)


def make(run: Run, changes: Changes, seed: int) -> tuple[Adversarial, Recipe]:
    """The run's method, freshly made, and its recipe.

    The file goes before the campaign's defaults, and these before the paper; size and width go before all.

    Raises:
        UsageError: A setting is unknown or out of its range; or compact networks are asked for at another size.
    """
    known = registry.find(run.method)
    constructor = inspect.signature(known).parameters
    defaults = {name: value for name, value in changes.defaults.items() if name in constructor}
    shape = _shape(run.method, changes)
    torch.manual_seed(seed)  # the weights to begin with
    method = create(run.method, **{**defaults, **run.settings, **shape})
    assert isinstance(method, Adversarial)  # as `trainable` says
    of_recipe = {name: value for name, value in changes.defaults.items() if name in Recipe.__dataclass_fields__}
    return method, method.recipe.changed(**{**of_recipe, **run.recipe})


def check_defaults(defaults: Mapping[str, Any]) -> None:
    """Raise UsageError for a setting that neither a recipe nor any method has."""
    known = set(Recipe.__dataclass_fields__)
    for method in trainable():
        known |= inspect.signature(registry.find(method)).parameters.keys()
    for name in defaults:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            raise UsageError(f"--default {name}: no method and no recipe has this setting.{hint}")


def _shape(method: str, changes: Changes) -> dict[str, Any]:
    size = {} if changes.size is None else {"size": changes.size}
    if changes.width != "compact":
        return size | ({} if changes.width is None else {"width": changes.width})
    if changes.size != _COMPACT_SIZE:
        raise UsageError(f"--width compact is made for {_COMPACT_SIZE} pixels: give --size {_COMPACT_SIZE} beside it.")
    files = sorted(HERE.glob(f"{method}-compact*.toml"))
    if not files:
        raise UsageError(f"There is no experiments/{method}-compact.toml to take a compact shape from; give a number.")
    table = read(files[0], "").settings
    return {name: value for name, value in table.items() if name in SHAPE} | size


def _row_of(method: str, stem: str) -> str | None:
    stated = getattr(registry.find(method), "rows", {})
    return next((row for row in stated if stem == f"{method}-{slug(row)}"), None)


def _toml(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)  # the same for all that settings are
