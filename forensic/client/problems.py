"""A server's errors as the toolkit's own, so that a command ends as it would on a folder."""

from __future__ import annotations

from typing import Any

from forensic import errors
from forensic.errors import ForensicError, GalleryError, RightsError, UsageError

TYPE = "urn:forensic:problem:"
KINDS: dict[str, type[ForensicError]] = {
    "usage": UsageError,
    "image": errors.ImageError,
    "face": errors.FaceError,
    "gallery": GalleryError,
    "not-found": errors.NotFound,
    "rights": RightsError,
    "duplicate": errors.DuplicateError,
    "changed": errors.Changed,
    "stale-index": errors.StaleIndex,
    "model": errors.ModelError,
    "data": errors.DataError,
    "training": errors.TrainingError,
    "cluster": errors.ClusterError,
    # What only a server has:
    "request": UsageError,
    "too-large": UsageError,
    "conflict": UsageError,
    "forged": RightsError,
}
"""End of a problem's type (`forensic.web.problems.kind_of`) -> error."""
UNAUTHORIZED = 401


def error_of(address: str, status: int, problem: Any) -> ForensicError:
    """The error that an answer tells of.

    Args:
        address: The server's.
        status: The answer's.
        problem: Its body: problem+json (RFC 9457), or anything else where the answer is a proxy's.
    """
    if not isinstance(problem, dict) or not isinstance(problem.get("detail"), str):
        return GalleryError(
            f"{address} answered with status {status} and in no words of a forensic server. Check the address, and "
            "the proxy if there is one."
        )
    said, kind = problem["detail"], str(problem.get("type", "")).removeprefix(TYPE)
    if status == UNAUTHORIZED:
        return RightsError(f"{said} Sign in: forensic login --server {address} --as NAME")
    if status >= 500 and (number := problem.get("request_id")):
        said = f"{said} (request {number})"
    return error(kind, said, usage=400 <= status < 500)


def error(kind: str, said: str, *, usage: bool = False) -> ForensicError:
    """An error by its kind; of one that is not known here, a wrong request or the server's trouble."""
    return KINDS.get(kind, UsageError if usage else GalleryError)(said)
