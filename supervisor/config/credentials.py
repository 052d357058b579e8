"""Credentials: files that systemd gives to a service and to nobody else (LoadCredential=, LoadCredentialEncrypted=). A
configuration names them by "credential:NAME", since where they are is known in the service alone."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from supervisor.errors import StokerError

FORM = '"credential:NAME", NAME being a file\'s name without ":"'
_PREFIX = "credential:"
_DIRECTORY = "CREDENTIALS_DIRECTORY"
_NAME = re.compile(r"(?!\.{1,2}\Z)[!-.0-9;-~]{1,255}")  # as systemd has it: a file's name of plain ASCII, without ":"


class CredentialError(StokerError):
    """One that is not to be had; the message says what the unit lacks."""

    code = "credential"


def is_credential(text: str) -> bool:
    return text.startswith(_PREFIX)


def is_well_formed(text: str) -> bool:
    return _NAME.fullmatch(text.removeprefix(_PREFIX)) is not None


def given(environ: Mapping[str, str]) -> bool:
    """Whether this is a service that has credentials."""
    return os.path.isabs(environ.get(_DIRECTORY, ""))


def find(text: str, environ: Mapping[str, str]) -> Path:
    """Where the credential is. Raises CredentialError."""
    name = text.removeprefix(_PREFIX)
    remedy = f"expected LoadCredential={name}:FILE in the service's unit, and the service started again since"
    if not given(environ):
        raise CredentialError(f"found {text} where systemd gave no credentials (${_DIRECTORY} is not set), {remedy}")
    folder = Path(environ[_DIRECTORY])
    if not os.path.lexists(folder / name):
        try:
            others = ", ".join(sorted(os.listdir(folder)))
        except OSError as error:
            others = f"{folder}: {error.strerror}"
        raise CredentialError(f"found {text}, which is not among those that systemd gave ({others}), {remedy}")
    return folder / name
