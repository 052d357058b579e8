"""Figures in words, rounded to what a reader can use. (What a configuration says is told exactly, by
config.quantities.)"""

KIB = 1024

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def about_duration(seconds: float) -> str:
    """A duration in at most two units: 12ms, 3.2s, 42s, 5m12s, 3h20m, 12d4h."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    for place, (size, unit) in enumerate(_UNITS):
        if whole >= size:
            count, rest = divmod(whole, size)
            finer, name = _UNITS[min(place + 1, len(_UNITS) - 1)]
            return f"{count}{unit}{rest // finer}{name}" if rest >= finer and size > 1 else f"{count}{unit}"
    return "0s"


def about_size(count: int) -> str:
    """Three digits or so: 1023 is "1023B", 314572800 "300MiB", 1610612736 "1.5GiB"."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < KIB:
            break
        size, unit = size / KIB, larger
    return f"{size:.0f}{unit}" if unit == "B" or size >= 100 else f"{size:.1f}".removesuffix(".0") + unit


def lines(count: int) -> str:
    return f"{count:,} {'line' if count == 1 else 'lines'}"


def per_second(rate: float) -> str:
    """The figure alone: 0, 0.3, 9.8, 81, 1,234."""
    return f"{rate:,.0f}" if rate >= 10 or rate == 0 else f"{rate:.1f}"
