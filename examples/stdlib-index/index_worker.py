"""A stoker worker: reads one Python file and says what is in it.

    payload   {"path": "/usr/lib/python3.11/ast.py"}, or the path alone: a string
    result    {"lines": 1709, "bytes": 61000, "functions": 190, "async_functions": 0, "classes": 24,
               "longest": {"name": "_Unparser.visit_JoinedStr", "line": 1200, "lines": 40},     (null: no function)
               "imports": ["contextlib", "enum", …],     top-level names, relative imports left out
               "documented": 40, "documentable": 61,     the module, its public classes and their public functions
               "nesting": 6}                             blocks within blocks, at the deepest place

Try it by hand:  echo '{"id":"1","payload":{"path":"index_worker.py"}}' | python3 index_worker.py
"""

import ast
import json
import sys
import warnings
from collections import deque
from collections.abc import Iterator

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.ClassDef)
BLOCKS = (
    *SCOPES,
    *(ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match),
)


class Place:
    """Where in the file a node is: the name of the scope around it, whether a reader of the documentation
    would look for it there, and how many blocks it is in."""

    __slots__ = ("depth", "public", "scope")

    def __init__(self, scope: str, public: bool, depth: int) -> None:
        self.scope = scope
        self.public = public
        self.depth = depth


def walk(tree: ast.Module) -> Iterator[tuple[ast.AST, Place]]:
    """Every node with its place. A loop, since generated code nests deeper than Python's own stack."""
    todo: deque[tuple[ast.AST, Place]] = deque([(tree, Place("", True, 0))])
    while todo:
        node, place = todo.popleft()
        yield node, place
        inner = place
        if isinstance(node, SCOPES):
            public = place.public and not node.name.startswith("_")
            # What is defined within a function is nobody's interface.
            inner = Place(f"{place.scope}{node.name}.", public and isinstance(node, ast.ClassDef), place.depth)
        if isinstance(node, BLOCKS):
            inner = Place(inner.scope, inner.public, place.depth + 1)
        for child in ast.iter_child_nodes(node):
            todo.append((child, place if is_elif(node, child) else inner))


def is_elif(node: ast.AST, child: ast.AST) -> bool:
    """The tree has `elif` as an `if` within the `else`; only its column tells that a reader sees them side by side."""
    return (
        isinstance(node, ast.If)
        and isinstance(child, ast.If)
        and node.orelse == [child]
        and node.col_offset == child.col_offset
    )


def facts(path: str) -> dict[str, object]:
    """What the file holds. Raises OSError, SyntaxError, ValueError, or RecursionError (an expression too deep)."""
    with open(path, "rb") as file:
        source = file.read()  # bytes: the parser knows about coding lines
    tree = ast.parse(source, path)
    functions: list[tuple[int, str, int]] = []  # length, name, line
    imports: set[str] = set()
    counts = {"async_functions": 0, "classes": 0, "documented": 0, "documentable": 0, "nesting": 0}
    for node, place in walk(tree):
        counts["nesting"] = max(counts["nesting"], place.depth)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imports.update(imported(node))
        if not isinstance(node, (ast.Module, *SCOPES)):
            continue
        if isinstance(node, ast.Module) or (place.public and not node.name.startswith("_")):
            counts["documentable"] += 1
            counts["documented"] += ast.get_docstring(node, clean=False) is not None
        if isinstance(node, ast.ClassDef):
            counts["classes"] += 1
        elif isinstance(node, FUNCTIONS):
            counts["async_functions"] += isinstance(node, ast.AsyncFunctionDef)
            functions.append(((node.end_lineno or node.lineno) - node.lineno + 1, place.scope + node.name, node.lineno))
    return {
        "lines": len(source.splitlines()),
        "bytes": len(source),
        "functions": len(functions),
        "longest": longest(functions),
        "imports": sorted(imports),
        **counts,
    }


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return [] if node.level or not node.module else [node.module.partition(".")[0]]


def longest(functions: list[tuple[int, str, int]]) -> dict[str, object] | None:
    if not functions:
        return None
    lines, name, line = max(functions, key=lambda function: function[0])
    return {"name": name, "line": line, "lines": lines}


def answer(payload: object) -> dict[str, object]:
    """The reply, but for its id. No failure here is worth a second try: the file will be the same."""
    path = payload.get("path") if isinstance(payload, dict) else payload
    if not isinstance(path, str):
        return failure('the payload must be {"path": "…"}, or the path as a string')
    try:
        return {"status": "ok", "result": facts(path)}
    except SyntaxError as error:
        where = f", line {error.lineno}" if error.lineno else ""
        return failure(f"not valid Python {sys.version_info[0]}.{sys.version_info[1]}: {error.msg}{where}")
    except (RecursionError, MemoryError):  # the parser says the second when its own stack is full
        return failure("nested too deep to be parsed")
    except (OSError, ValueError) as error:
        return failure(f"cannot be read: {error}")


def failure(message: str) -> dict[str, object]:
    return {"status": "error", "message": message, "retry": False}


def main() -> None:
    warnings.simplefilter("ignore")  # the parser's, about the files
    for line in sys.stdin.buffer:  # ends when stoker closes stdin: time to go
        request = json.loads(line)
        reply = {"id": request["id"], **answer(request["payload"])}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
