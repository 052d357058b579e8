"""Whether the first word of a command is a program, looked for where the child itself will look."""

import json
import os
from pathlib import Path
from shutil import which


def split_hint(program: str) -> str:
    """What to add where `program` is a whole command line in one word; else nothing."""
    words = program.split()
    if len(words) < 2:
        return ""
    return f"; write one list element for each word: {json.dumps(words, ensure_ascii=False)}"


def missing_program(program: str, cwd: Path, path: str, path_name: str) -> str | None:
    """Why `program` cannot be started in `cwd` with `path` as its PATH, which the answer calls `path_name`; None when
    it can."""
    if "/" in program:
        file = cwd / program
        if which(file):
            return None
        state = "is not an executable file" if os.path.exists(file) else "does not exist"
        return f'found "{program}", expected a program: {file} {state}'
    # The child searches after changing to its folder, so relative entries count from there.
    if which(program, path=os.pathsep.join(str(cwd / entry) for entry in path.split(os.pathsep))):
        return None
    return f'found "{program}", expected a program: none of that name is on {path_name}'
