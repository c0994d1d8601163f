"""What can be measured; nothing heavy is imported here."""

from typing import Literal, NamedTuple

Direction = Literal["higher", "lower"]


class Metric(NamedTuple):
    """A metric.

    Attributes:
        name: As options, tables and files have it.
        better: Which values are the better ones.
        over: Whether each pair of images has a value, or only the two sets as a whole.
    """

    name: str
    better: Direction
    over: Literal["pair", "set"]


METRICS = {
    metric.name: metric
    for metric in (
        Metric("ssim", "higher", "pair"),
        Metric("fsim", "higher", "pair"),
        Metric("fsimc", "higher", "pair"),
        Metric("scoot", "higher", "pair"),
        Metric("lpips-alex", "lower", "pair"),
        Metric("lpips-squeeze", "lower", "pair"),
        Metric("lpips-vgg", "lower", "pair"),
        Metric("fid", "lower", "set"),
        Metric("inception-score", "higher", "set"),
        Metric("embedding-cosine", "higher", "pair"),
        Metric("embedding-frechet", "lower", "set"),
    )
}
