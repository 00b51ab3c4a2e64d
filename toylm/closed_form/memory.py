"""How much memory a fit would take, said before it is taken."""

import os

SUMS_BYTES = 128 * 2**20  # up to which the Gram kernel adds up several parts a thread


def available():
    """Bytes of memory that can be taken now, or None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def human(count):
    """A number of bytes with a unit."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024


def require(count, what, remedy):
    """Raise MemoryError naming the bytes that `what` needs, when they are more than are available."""
    limit = available()
    if limit is not None and count > limit:
        raise MemoryError(f"{what} needs {count:,} bytes ({human(count)}), {human(limit)} are available: {remedy}")
