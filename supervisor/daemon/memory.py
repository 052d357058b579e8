"""Memory that payloads took goes back to the kernel when they are gone."""

import ctypes

# Left alone, glibc raises the size from which it asks the kernel for a block of its own with each such block that is
# freed, up to 32 MiB. Payloads of a megabyte then come from the heap, between small things that stay, and leave holes
# which are never given back: 200 MB stayed resident after a load that leaves 75 MB this way, at no measurable cost.
_OWN_BLOCK_FROM = 256 * 1024  # bytes
_KEPT_AT_THE_END = 1024 * 1024  # bytes of free heap

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def give_back() -> None:
    """Call once, before there are threads. With another C library than glibc: nothing."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _OWN_BLOCK_FROM)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_AT_THE_END)
