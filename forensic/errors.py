"""Everything that can go wrong, on one screen.

Every message says what was given, what was expected and what to do. Only ``cli.py`` and ``web/`` turn an
error into words for a person; ``exit_code`` is the process status that it ends with.
"""


class ForensicError(Exception):
    """Base of every error that the toolkit raises on purpose."""

    exit_code = 4


class UsageError(ForensicError):
    """The request itself cannot be met: an unknown name, options that contradict each other."""

    exit_code = 2


class ImageError(ForensicError):
    """A file that cannot be used as an image: empty, truncated, of another type, too large."""

    exit_code = 3


class FaceError(ForensicError):
    """No face was found, or not the one that was asked for."""

    exit_code = 3


class GalleryError(ForensicError):
    """The gallery is missing, damaged, locked, or was asked for something that it does not hold."""


class NotFound(GalleryError):
    """The gallery was asked for a person, a photo, a case, a search or a user that it does not hold."""


class RightsError(GalleryError):
    """The operator did not sign in, or has no role that may do this."""


class DuplicateError(GalleryError):
    """The same image (by content) is already enrolled, or a label is already somebody else's."""


class Changed(GalleryError):
    """A person or their photos are not what they were when somebody was shown them and decided."""


class StaleIndex(GalleryError):
    """The gallery lacks templates of the template space that a route searches."""


class ModelError(ForensicError):
    """Weights are missing, do not have their stated hash, or do not fit their network."""


class ClusterError(ForensicError):
    """A Ray cluster cannot be reached, does no more work, or has machines that must not take part."""


class DataError(ForensicError):
    """A data set's folder or an enrollment's table is missing or not laid out as described."""

    exit_code = 2


class TrainingError(ForensicError):
    """Training cannot start, resume or go on: a changed configuration, a loss that is not finite."""
