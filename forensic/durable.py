"""What has to outlast a power cut."""

import os
import sys
from contextlib import suppress


def sync(descriptor: int) -> None:
    """Return when an open file or folder is on the disk, and not only on its way there."""
    if sys.platform == "darwin":  # where fsync leaves it in the drive's own cache
        import fcntl

        with suppress(OSError):  # not every file system there can do it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)
