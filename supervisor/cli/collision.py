"""PyPI's `supervisor` (supervisord) installs a package of the same name as ours."""

OTHER = "supervisor"


def trouble() -> str | None:
    """What is wrong and what to do; None where the other one is not installed beside us."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        found = distribution(OTHER)
    except PackageNotFoundError:
        return None
    return (
        f"PyPI's {OTHER} {found.version} (supervisord) is installed in the same environment, and its files overwrite "
        "stoker's: install stoker anew in a virtual environment of its own"
    )
