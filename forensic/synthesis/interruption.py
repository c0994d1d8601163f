"""Ctrl-C in a training."""

import signal
import threading


class Interruption:
    """Takes Ctrl-C as a request that the training meets between two steps."""

    requested = False

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._before)

    def _request(self, *_: object) -> None:
        self.requested = True
