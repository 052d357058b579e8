"""Measured figures in words, rounded to what a reader can use. (What a configuration says is told exactly, by
config.quantities.)"""

KIB = 1024


def about_duration(seconds: float) -> str:
    """At most two units: 0.25 is "250ms", 9.87 "9.9s", 75.2 "1m15s", 90061 "1d1h"."""
    if seconds < 0.9995:
        return f"{seconds * 1_000:.0f}ms" if seconds > 0 else "0s"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    if seconds < 3_570:
        return _two("m", "s", round(seconds), 60)
    if seconds < 84_600:
        return _two("h", "m", round(seconds / 60), 60)
    return _two("d", "h", round(seconds / 3_600), 24)


def _two(large: str, small: str, count: int, length: int) -> str:
    whole, rest = divmod(count, length)
    return f"{whole}{large}{rest}{small}" if rest else f"{whole}{large}"


def about_size(count: int) -> str:
    """Three digits or so: 1023 is "1023B", 314572800 "300MiB", 1610612736 "1.5GiB"."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < KIB:
            break
        size, unit = size / KIB, larger
    return f"{size:.0f}{unit}" if unit == "B" or size >= 100 else f"{size:.1f}".removesuffix(".0") + unit
