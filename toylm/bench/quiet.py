"""Waiting for the other programs of a shared machine: a measurement beside a busy neighbour measures the neighbour."""

import time

BUSY = 0.1  # share of all cores


def _ticks():
    """(all, idle) clock ticks of all cores since the start of the machine, or None where the system does not tell."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            fields = [int(x) for x in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    return sum(fields), fields[3] + fields[4]


def busy_share(seconds=0.3):
    """Share of the machine's cores that is at work over the next `seconds`, while this program sleeps; None if unknown."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    if before is None or after is None or after[0] == before[0]:
        return None
    return 1 - (after[1] - before[1]) / (after[0] - before[0])


def wait_until_quiet(limit):
    """Sleep until the machine is quiet, at most `limit` seconds. Returns whether it is (True also where nobody can tell)."""
    start = time.monotonic()
    while True:
        share = busy_share()
        if share is None or share <= BUSY:
            return True
        if time.monotonic() - start > limit:
            return False
