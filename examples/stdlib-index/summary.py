"""What all the files say together. Pure: facts in, numbers out; page.py shows them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

TEST_FOLDERS = {"test", "tests", "idle_test"}
ENOUGH_TO_DOCUMENT = 25  # below this a percentage says little


class Longest(TypedDict):
    name: str
    line: int
    lines: int


class Facts(TypedDict):
    """The result of one job; index_worker.py says what each means."""

    lines: int
    bytes: int
    functions: int
    async_functions: int
    classes: int
    longest: Longest | None
    imports: list[str]
    documented: int
    documentable: int
    nesting: int


@dataclass(frozen=True)
class File:
    """One file of the library: its name relative to it, and what its job found."""

    name: str
    facts: Facts

    @property
    def package(self) -> str:
        """The name one would import: json/decoder.py and json/__init__.py are both json."""
        return self.name.partition("/")[0].removesuffix(".py")

    @property
    def is_test(self) -> bool:
        return not TEST_FOLDERS.isdisjoint(self.name.split("/")[:-1])


@dataclass
class Coverage:
    """How much of a package's interface has a docstring."""

    package: str
    documented: int = 0
    documentable: int = 0

    @property
    def share(self) -> float:
        return self.documented / self.documentable


@dataclass(frozen=True)
class Summary:
    """Totals count every file; all else leaves the test suites out, which would win most of the rankings."""

    files: int
    tests: int
    lines: int
    functions: int
    async_functions: int
    classes: int
    documented: float  # the share of the library's interface that has a docstring
    longest: list[tuple[Longest, str]]  # and the file
    imported: list[tuple[str, int]]  # and the number of files that import it
    coverage: list[Coverage]  # best first
    largest: list[File]
    deepest: list[File]


def summarize(files: Sequence[File], top: int = 10) -> Summary:
    """Rankings of at most `top` entries; `coverage` is whole."""
    library = [file for file in files if not file.is_test]
    functions = [(longest, file.name) for file in library if (longest := file.facts["longest"])]
    imports = Counter(name for file in library for name in file.facts["imports"])
    return Summary(
        files=len(files),
        tests=len(files) - len(library),
        lines=sum(file.facts["lines"] for file in files),
        functions=sum(file.facts["functions"] for file in files),
        async_functions=sum(file.facts["async_functions"] for file in files),
        classes=sum(file.facts["classes"] for file in files),
        documented=share(library),
        longest=sorted(functions, key=lambda pair: -pair[0]["lines"])[:top],
        imported=imports.most_common(top),
        coverage=coverage(library),
        largest=sorted(library, key=lambda file: -file.facts["lines"])[:top],
        deepest=sorted(library, key=lambda file: -file.facts["nesting"])[:top],
    )


def share(files: Sequence[File]) -> float:
    documentable = sum(file.facts["documentable"] for file in files)
    return sum(file.facts["documented"] for file in files) / max(1, documentable)


def coverage(files: Sequence[File]) -> list[Coverage]:
    """Of the packages big enough for it to mean something, best first."""
    by_package: dict[str, Coverage] = {}
    for file in files:
        entry = by_package.setdefault(file.package, Coverage(file.package))
        entry.documented += file.facts["documented"]
        entry.documentable += file.facts["documentable"]
    enough = [entry for entry in by_package.values() if entry.documentable >= ENOUGH_TO_DOCUMENT]
    return sorted(enough, key=lambda entry: (-entry.share, entry.package))
