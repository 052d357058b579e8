"""Paths as systemd reads them. What is not plain text is refused: no escape means the same in all of its files."""

from supervisor.errors import StartError


def literal(text: str) -> str:
    """Without specifiers: a percent sign is one. Raises StartError for what no unit file can hold."""
    if not text.isprintable() or text != text.strip() or text.endswith("\\"):
        raise StartError(
            f"systemd's files cannot name {text!r}: a path must have no control characters, "
            "no blanks at its ends, and no backslash at its end; choose another"
        )
    return text.replace("%", "%%")


def word(text: str) -> str:
    """One word of a setting that takes several; specifiers in it stay what they are."""
    if text and not any(character in " \t\"'\\;" for character in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def argument(text: str) -> str:
    """One word of a command line, where a dollar begins a variable."""
    return word(text.replace("$", "$$"))


def command_line(program: str, *arguments: str) -> str:
    """A program, in which a dollar is one, and its arguments. systemd takes no program with a quote or a backslash in
    its name, however it is written; env(1) does. Raises StartError for one that even env(1) does not."""
    if not any(character in "\"'\\" for character in program):
        return " ".join([word(program), *map(argument, arguments)])
    if "=" in program:
        raise StartError(f"systemd cannot run {program!r}: take the quotes or the equals sign out of its path")
    return command_line("/usr/bin/env", program, *arguments)
