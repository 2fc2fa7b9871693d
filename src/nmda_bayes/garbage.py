"""How often Python looks for garbage in a process that is this package's own."""

from __future__ import annotations

import atexit
import gc
from typing import Final

#: Objects that are made between two looks; Python has 2,000. Rewriting a graph makes and keeps
#: hundreds of thousands, and every look goes through them: with 2,000 a cold fit of the triptans
#: network took 14.1 s of processor beside sampling, with 100,000 it took 11.9.
BETWEEN_LOOKS: Final = 100_000
#: Looks at the young before the older are looked at.
BEFORE_THE_OLDER: Final = 50


def look_rarely() -> None:
    """Look for garbage rarely from here on, and not at the end, when all memory is given back.

    To go through the graphs once more at the end of a fit of the triptans network took 1.4 of 17 s.

    For processes of the command line and of workers. A process that only imports this package
    belongs to whoever imports it, and is left as it is.
    """
    gc.set_threshold(BETWEEN_LOOKS, BEFORE_THE_OLDER, BEFORE_THE_OLDER)
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
