"""Weights of translators: writing, finding and loading them.

Weights are looked for among the user's own first, then among those that the project ships; see
``forensic.weights`` for the two folders and their manifests.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from forensic import weights as store
from forensic.errors import ModelError, UsageError
from forensic.synthesis.registry import create, find
from forensic.synthesis.translator import Adversarial, Modality, Translator

KIND = "translator"


def name_of(translator: Translator) -> str:
    """What a translator's weights are called: its method and, where these do not go either way, its direction."""
    return translator.name if translator.two_way else f"{translator.name}-{translator.source}-to-{translator.target}"


def entries(method: str) -> list[store.Entry]:
    """The weights of a method that can be loaded by name, the user's own before the shipped ones.

    Raises:
        ModelError: A manifest is not readable.
    """
    found = [entry for entry in store.entries(KIND) if entry.about.get("method") == method]
    for entry in found:
        if {entry.about.get("source"), entry.about.get("target")} != {"photo", "sketch"}:
            cure = (
                "Install the package again."
                if entry.shipped
                else f"Remove them (forensic models remove {entry.name}) and install them again."
            )
            raise ModelError(
                f"{entry.path.parent / store.MANIFEST} does not say from what to what {entry.name!r} translates:"
                f" expected source and target, photo and sketch. {cure}"
            )
    return found


def save(translator: Translator, path: Path, *, half: bool = True) -> None:
    """Write what ``translate`` needs: settings as JSON and the state without the critics.

    Args:
        translator: The translator.
        path: File to write; it appears whole or not at all.
        half: Store in half precision what it can hold; loading brings it back to float32.

    Raises:
        ModelError: A weight is no finite number; nothing is written.
    """
    state = translator.translating_state()
    if broken := _not_finite(state):
        raise ModelError(
            f"The weights of {translator.name!r} are not finite numbers (the first: {broken[0]}), so its training has"
            f" gone astray, and {path.name} is not written. Try a lower learning rate, or precision fp32."
        )
    if half:
        state = {name: _halved(value) for name, value in state.items()}
    store.write(path, state, {"method": translator.name, "settings": translator.settings, "needs": translator.needs})


def load(
    name: str, *, source: Modality | None = None, target: Modality | None = None, weights: Path | None = None
) -> Translator:
    """A translator in evaluation mode, ready to translate.

    Args:
        name: The method.
        source: Modality of its input; None takes the first weights found.
        target: Modality of its output; None likewise.
        weights: A weight file of one's own; else the installed or shipped weights of the direction.

    Raises:
        UsageError: No such method, or one that does not translate in this direction.
        ModelError: The weights are missing, damaged, of another method or direction, or not the manifest's.
    """
    if not issubclass(find(name), Adversarial):
        if weights is not None:
            raise UsageError(f"Method {name!r} has no weights; leave {weights} out.")
        translator = create(name, **(_direction(source, target) if find(name).two_way else {})).eval()
    else:
        translator = _read(name, weights or _find(name, source, target), _direction(source, target))
    if source not in (None, translator.source) or target not in (None, translator.target):
        raise UsageError(
            f"{name!r} translates here from {translator.source} to {translator.target},"
            f" not from {source or 'any'} to {target or 'any'}."
        )
    return translator


def _not_finite(state: Mapping[str, Tensor]) -> list[str]:
    return [name for name, value in state.items() if not value.isfinite().all()]


def _halved(value: Tensor) -> Tensor:
    """The same in half precision, unless a value is too large for it: it would become infinite."""
    halved = value.half() if value.is_floating_point() else value
    return halved if halved.isfinite().all() else value


def install(path: Path) -> store.Entry:
    """Copy a trained weight file to the user's weights, so that its method and direction load it by name.

    Raises:
        ModelError: The file is not one of a known method.
        UsageError: Its method is unknown.
    """
    _, description = store.read(path)
    translator = _read(str(description.get("method")), path)
    about = {
        "method": translator.name,
        "source": translator.source,
        "target": translator.target,
        **({"two_way": True} if translator.two_way else {}),
    }
    return store.install(name_of(translator), KIND, path.read_bytes(), about)


def count_parameters(translator: Translator) -> int:
    """Number of parameters that ``translate`` needs."""
    needed = translator.translating_state()
    return sum(value.numel() for name, value in translator.named_parameters() if name in needed)


def _find(name: str, source: Modality | None, target: Modality | None) -> Path:
    """The first listed file of a method and direction, its hash checked."""
    for entry in entries(name):
        fits = source in (None, entry.about["source"]) and target in (None, entry.about["target"])
        if fits or entry.about.get("two_way"):
            return store.verified(entry)
    own = inspect.signature(find(name)).parameters
    way = _direction(source, target) or {side: own[side].default for side in ("source", "target")}
    raise ModelError(
        f"There are no weights of {name!r} from {way['source']} to {way['target']}, neither shipped nor installed in"
        f" {store.installed_folder()}. Train them: forensic train {name} --source {way['source']}"
        f" --target {way['target']} --data DIR --out DIR --install"
    )


def _direction(source: Modality | None, target: Modality | None) -> dict[str, Modality]:
    """The settings that turn a translator that goes either way; empty where nothing was asked for."""
    other: dict[Modality, Modality] = {"photo": "sketch", "sketch": "photo"}
    if source is None:
        return {} if target is None else {"source": other[target], "target": target}
    return {"source": source, "target": target or other[source]}


def _read(name: str, path: Path, direction: Mapping[str, Modality] = MappingProxyType({})) -> Translator:
    state, description = store.read(path)
    if "configuration" in description:
        raise ModelError(
            f"{path} is the checkpoint of a training and holds no weights to translate with. Give the weights that the"
            " training wrote beside it, or those of an epoch in snapshots/."
        )
    if description.get("method") != name or "settings" not in description:
        raise ModelError(f"{path} holds weights of {description.get('method')!r}, not of {name!r}.")
    if broken := _not_finite(state):
        raise ModelError(f"{path} holds weights that are not finite numbers (the first: {broken[0]}). Train it again.")
    translator = create(name, **description["settings"])
    if translator.two_way and direction:
        translator = create(name, **{**description["settings"], **direction})
    try:
        missing, unexpected = translator.load_state_dict(
            {key: value.float() for key, value in state.items()}, strict=False
        )
    except RuntimeError as problem:
        raise ModelError(f"{path} does not fit the networks of {name!r}: {problem}") from problem
    missing = [key for key in missing if key.split(".")[0] not in translator.critics]
    if missing or unexpected:
        raise ModelError(f"{path} does not fit {name!r}: it lacks {missing} and has beyond it {unexpected}.")
    for critic in translator.critics:
        delattr(translator, critic)  # untrained here, and never to be taken for trained
    stated, here = description.get("needs", {}), translator.needs
    if stated != here:
        raise ModelError(
            f"{path} was trained beside {stated or 'nothing'}, and here are {here or 'none'}."
            f" Bring back the earlier weights, or train {name!r} again."
        )
    translator.file_digest = store.sha256(path)
    return translator.requires_grad_(False).eval()
