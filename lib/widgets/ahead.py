"""Work done ahead while a reader looks at a picture, so that the next one comes at once.

A widget's `ahead(state)` yields once after each short piece of work. The pieces run in a thread
that waits until the reader has rested for a moment, and that stops between two pieces as soon as
anything is moved: a redraw never queues behind them.
"""

import os
import threading
from collections.abc import Iterable

from IPython import get_ipython

REST = 0.2  # seconds without a move before the work begins


def in_kernel() -> bool:
    """True where a reader can move a widget: nobody waits for what a test or a script draws."""
    return getattr(get_ipython(), "kernel", None) is not None


def crowded() -> bool:
    """True where other programs want all cores: work ahead would then take time from a redraw."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # Windows does not tell
    return load >= (os.cpu_count() or 1)


class Ahead:
    """One thread's work at a time: `begin` replaces it, `stop` lets it end after the present piece.

    An error in the work ends it silently: it is raised again when a redraw asks for the same. With
    `modest` nothing is begun while the machine is crowded.
    """

    def __init__(self, rest: float | int = REST, modest: bool = False) -> None:
        self.rest, self.modest = rest, modest
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, work: Iterable[object]) -> None:
        """Do this work, in place of what was being done, once the reader rests."""
        self.stop()
        self._stopped = threading.Event()
        before = self._thread
        arguments = (work, self._stopped, before)
        self._thread = threading.Thread(target=self._run, args=arguments, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the piece that is being done; returns at once."""
        self._stopped.set()

    def join(self) -> None:
        """Wait until all is done that was begun."""
        if self._thread is not None:
            self._thread.join()

    def _run(
        self, work: Iterable[object], stopped: threading.Event, before: threading.Thread | None
    ) -> None:
        if stopped.wait(self.rest) or (self.modest and crowded()):
            return
        if before is not None:  # two would slow each other down
            before.join()
        pieces = iter(work)
        try:
            while not stopped.is_set():
                next(pieces)
        except Exception:  # also the end of the work
            return
