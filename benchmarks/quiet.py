"""What other processes take of the machine while something is timed."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

MOST = 0.1  # cores that others may take
_SECONDS = 5.0  # watched before the first round


class Others:
    """Cores that other processes have kept busy since a moment, by Linux's own count."""

    def __init__(self) -> None:
        self.began, self.busy, self.own = time.monotonic(), _busy(), _own()

    def cores(self) -> float:
        """The mean since this was made."""
        others = (_busy() - self.busy) - (_own() - self.own)
        return max(0.0, others / (time.monotonic() - self.began))


def require_quiet() -> None:
    """End the program if others take more than `MOST` cores now; it takes five seconds."""
    others = Others()
    time.sleep(_SECONDS)
    if (cores := others.cores()) > MOST:
        sys.exit(
            f"other processes take {cores:.2f} cores: times of ours would say little; end them, or "
            "give --busy for figures that are not to be published"
        )


def _busy() -> float:
    """Seconds in which a core had something to do, over all cores, since the machine started."""
    path = Path("/proc/stat")
    if not path.exists():
        sys.exit("there is no /proc/stat here to tell what other processes do: give --busy")
    user, nice, system, _idle, _wait, irq, soft, steal = map(
        int, path.read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    """Seconds of this process and of its children that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
