"""Tables of a PostgreSQL server without the bytes of deleted rows: a gallery's own, and those of its engine."""

import re
import time
from typing import Any

POLL_SECONDS = 0.05


def rewrite(connection: Any, tables: str, patience: float) -> bool:
    """Write tables and their indexes anew, without what was deleted; the old files are removed.

    A plain VACUUM would leave the deleted bytes in the pages' free space.

    Args:
        connection: Psycopg's, which commits each statement; close it afterwards, since its settings are not for others.
        tables: Their names, quoted, with commas between.
        patience: Seconds to wait for readers.

    Returns:
        False if somebody was reading all the time, so that deleted rows had to be kept for them.

    Raises:
        psycopg.Error: The disk is full, or the connection is lost.
    """
    from psycopg.errors import LockNotAvailable

    kept: list[bool] = []

    def note(notice: Any) -> None:
        # "0 dead row versions cannot be removed yet": the number is the first one in every language
        count = re.search(r"\d+", notice.message_detail or "")
        kept.append(bool(count and int(count.group())))

    end = time.monotonic() + patience
    connection.add_notice_handler(note)
    connection.execute(f"SET lock_timeout = {max(1, int(patience * 1000))}")
    connection.execute("SET statement_timeout = 0")
    while True:
        kept.clear()
        try:
            connection.execute(f"VACUUM (FULL, VERBOSE) {tables}")
        except LockNotAvailable:
            kept.append(True)
        if not any(kept):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
