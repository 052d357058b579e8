"""Measured figures in words, rounded to what a reader can use. (What a configuration says is told exactly, by
config.quantities.)"""

KIB = 1024


def about_duration(seconds: float) -> str:
    """At most two units: 0.25 is "250ms", 9.87 "9.9s", 75.2 "1m15s", 90061 "1d1h"."""
    if seconds < 0.9995:
        return f"{seconds * 1_000:.0f}ms" if seconds > 0 else "0s"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    for large, length, small, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "m", 60)):
        if seconds >= length - part / 2:
            break
    else:
        large, length, small, part = "m", 60, "s", 1
    whole, rest = divmod(round(seconds / part), length // part)
    return f"{whole}{large}{rest}{small}" if rest else f"{whole}{large}"


def about_size(count: int) -> str:
    """Three digits or so: 1023 is "1023B", 314572800 "300MiB", 1610612736 "1.5GiB"."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < KIB:
            break
        size, unit = size / KIB, larger
    return f"{size:.0f}{unit}" if unit == "B" or size >= 100 else f"{size:.1f}".removesuffix(".0") + unit
