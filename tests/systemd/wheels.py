"""Wheels of what is installed here, so that pip can install it again where there is no network."""

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from zipfile import ZipFile

# Of an installed wheel, what its installer has added.
_ADDED = re.compile(r"\.\./.*|.*\.pyc|[^/]*\.dist-info/(?:INSTALLER|REQUESTED|direct_url\.json)")


def collect(folder: Path, *names: str) -> None:
    """Wheels of these distributions in `folder`, and of what they need. Raises PackageNotFoundError."""
    found = {name: distribution(name) for name in names}
    waiting = list(found.values())
    while waiting:
        for name in _needs(waiting.pop()):
            if name not in found:
                try:
                    found[name] = distribution(name)
                except PackageNotFoundError:
                    continue  # not on this system, says its marker
                waiting.append(found[name])
    for each in found.values():
        pack(each, folder)


def needs(name: str) -> list[str]:
    """Names of what a distribution needs, without its extras."""
    return _needs(distribution(name))


def _needs(each: Distribution) -> list[str]:
    wanted = (line for line in each.requires or () if "extra ==" not in line)
    return [name[0].lower() for line in wanted if (name := re.match(r"[A-Za-z0-9._-]+", line))]


def pack(each: Distribution, folder: Path) -> None:
    """Its wheel, in `folder`."""
    tags = [tag.split("-") for tag in re.findall(r"^Tag: (\S+)$", each.read_text("WHEEL") or "", re.MULTILINE)]
    tag = "-".join(".".join(sorted(set(part))) for part in zip(*tags, strict=True))
    kept = [file for file in each.files or () if not _ADDED.fullmatch(str(file))]
    stem = next(file.parts[0] for file in kept if file.name == "WHEEL").removesuffix(".dist-info")
    with ZipFile(folder / f"{stem}-{tag}.whl", "w") as wheel:
        for file in kept:
            if file.name == "RECORD":
                lines = (each.read_text("RECORD") or "").splitlines(keepends=True)
                wheel.writestr(str(file), "".join(line for line in lines if not _ADDED.fullmatch(line.split(",")[0])))
            else:
                wheel.write(str(file.locate()), str(file))
