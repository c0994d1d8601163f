"""Ctrl-C in a training, and the signals by which a terminal, a container or a cluster ends one."""

import signal
import threading

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Takes Ctrl-C, SIGTERM and SIGHUP as a request that the training meets between two steps."""

    requested = False

    def __enter__(self) -> "Interruption":
        here = threading.current_thread() is threading.main_thread()
        # What nohup has made to be ignored stays so; but a shell does that to Ctrl-C of all that it runs behind itself.
        taken = [one for one in _SIGNALS if one == signal.SIGINT or signal.getsignal(one) not in (signal.SIG_IGN, None)]
        self._before = {one: signal.signal(one, self._request) for one in taken} if here else {}
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _request(self, *_: object) -> None:
        self.requested = True
