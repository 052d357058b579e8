"""What of this installation goes into the files of its service: the program, the configuration, what that says."""

import grp
import os
import pwd
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.cli.failures import Misuse, unusable
from supervisor.config.load import load, load_daemon
from supervisor.config.places import SYSTEM_FOLDER, default_socket, default_state_dir, user_folder
from supervisor.errors import StartError
from supervisor.units.files import Service
from supervisor.units.quoting import literal

MADE = "stoker"  # the user that the sysusers.d lines make
_TO_STOP = 2.0  # seconds after drain_timeout and kill_grace, for the store and what else there is to end
_MARGIN = 10  # seconds
_PROTECTED = {"ProtectHome": ("/home", "/root", "/run/user"), "PrivateTmp": ("/tmp", "/var/tmp")}


class Installation(NamedTuple):
    """`service` is what the files say of it."""

    service: Service
    unit: str  # its name in commands: stoker, or stoker@mail
    config: Path
    program: tuple[str, ...]


def find(
    *, config: str | None, of_user: bool, instance: str | None, run_as: str | None, strict: bool, dynamic: bool
) -> Installation:
    """This installation, for a service of that kind. Raises Misuse, or StartError."""
    environ = _environ(of_user)
    folder = user_folder(environ) if of_user else SYSTEM_FOLDER
    file = Path(os.path.abspath(config)) if config else folder / f"{_checked(instance) or 'stoker'}.toml"
    user, group = (MADE, MADE) if run_as is None else _account(run_as)
    program = this_program()
    service = Service(
        program=program,
        user=user,
        group=group,
        owns_user=user == MADE,
        of_user=of_user,
        instances=instance is not None,
        strict=strict,
        dynamic=dynamic,
        **_places(file, environ, of_user, instance),
        **_times([file, *(_siblings(file) if instance else ())], environ, of_user),
    )
    if dynamic and not service.state_dir.startswith("/var/lib/"):
        raise Misuse(
            f"{file}: daemon.state_dir is {service.state_dir.replace('%%', '%')}, and a user that exists only while "
            "the service runs can own none but those that systemd keeps for it in /var/lib: change it, or leave "
            "--dynamic-user away"
        )
    return Installation(service, f"stoker@{instance}" if instance else "stoker", file, program)


def this_program() -> tuple[str, ...]:
    """The stoker that runs, as an argv with absolute paths. A link to it is kept: it may lead elsewhere later."""
    called = os.path.abspath(sys.argv[0])
    for script in (called, os.path.join(os.path.dirname(sys.executable), "stoker")):
        if os.path.basename(script) == "stoker" and os.access(script, os.X_OK) and os.path.isfile(script):
            return (script,)
    return (sys.executable, "-m", "supervisor")


def warnings(found: Installation, texts: Mapping[str, str]) -> Iterator[str]:
    """What will not work as it is, a sentence each."""
    if found.service.of_user:
        return
    text = next(text for path, text in texts.items() if path.endswith(".service"))
    hides = [
        (setting, top)
        for setting, tops in _PROTECTED.items()
        if re.search(rf"^{setting}=(?!no|false|0|read-only)", text, re.MULTILINE)
        for top in tops
    ]
    for path in sorted({found.program[0], os.path.realpath(sys.executable), str(found.config)}):
        if hidden := next((f"{setting}= hides {top}" for setting, top in hides if path.startswith(f"{top}/")), None):
            yield f"the service cannot see {path} ({hidden}): move it, to /opt or /etc for example"
        elif closed := _closed(path, found.service):
            yield f"{found.service.user} may not read {path}: change the permissions of {closed}"
    for setting, place in (("state_dir", found.service.state_dir), ("socket", found.service.socket)):
        if hidden := next((f"{name}= hides {top}" for name, top in hides if place.startswith(f"{top}/")), None):
            yield f"the service cannot see {place.replace('%%', '%')} ({hidden}): choose another daemon.{setting}"
    user = found.service.user
    if not found.service.owns_user and not _exists(user):
        yield f"there is no user {user} yet: make it before the service starts"


def _closed(path: str, service: Service) -> str | None:
    """What on the way to there the service's user may not pass, going by owner, group and mode."""
    for place in (*reversed(Path(path).parents), Path(path)):
        try:
            found = place.stat()
        except OSError:
            return None  # it is not there yet, or not for us either
        need = 0o1 if place.is_dir() else 0o4
        if _name(pwd.getpwuid, found.st_uid) == service.user:
            need <<= 6
        elif _name(grp.getgrgid, found.st_gid) == service.group:
            need <<= 3
        if not found.st_mode & need:
            return str(place)
    return None


def _name(look_up: Callable[[int], tuple[Any, ...]], number: int) -> str | None:
    try:
        return str(look_up(number)[0])
    except KeyError:
        return None


def _environ(of_user: bool) -> Mapping[str, str]:
    """The service's, as far as it decides where things are."""
    if not of_user:
        return {}
    return {"XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}", **os.environ, "STATE_DIRECTORY": ""}


def _checked(instance: str | None) -> str | None:
    if instance is None or (re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", instance) and instance != "stoker"):
        return instance
    raise Misuse(
        f"{instance!r} cannot be an instance: a name of letters, digits, dots, dashes and underscores is wanted, "
        "other than stoker"
    )


def _account(text: str) -> tuple[str, str]:
    user, colon, group = text.partition(":")
    for name in (user, *([group] if colon else [])):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", name):
            raise Misuse(f"--run-as: {text!r} is not USER or USER:GROUP")
    return user, group or _group_of(user)


def _group_of(user: str) -> str:
    try:
        return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except KeyError:
        return user


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _places(file: Path, environ: Mapping[str, str], of_user: bool, instance: str | None) -> dict[str, Any]:
    """Where everything is, as unit files have it: what is usual for a user or an instance by specifiers, so that the
    files fit any."""
    socket, state_dir = default_socket(environ, not of_user, file), default_state_dir(environ, not of_user, file)
    if file.exists():
        try:
            daemon = load_daemon(file, environ=environ, is_root=not of_user)
        except StartError as error:
            raise unusable(error.message) from None
        if instance is not None and (daemon.socket, daemon.state_dir) != (socket, state_dir):
            raise Misuse(
                f"{file}: the instances' template has the socket {socket} and the state folder {state_dir} for it: "
                "leave daemon.socket and daemon.state_dir away"
            )
        socket, state_dir = daemon.socket, Path(os.path.normpath(daemon.state_dir))  # as StateDirectory= has to be
    found = {"config": literal(str(file)), "socket": literal(str(socket)), "state_dir": literal(str(state_dir))}
    if of_user:
        found["config"] = _below(file, user_folder(environ), "%E/stoker")
        found["socket"] = _below(socket, Path(environ["XDG_RUNTIME_DIR"]), "%t")
    if instance is not None:
        found["config"] = found["config"].removesuffix(f"{instance}.toml") + "%i.toml"
        found["socket"] = found["socket"].removesuffix(f"{instance}.sock") + "%i.sock"
        found["state_dir"] = found["state_dir"].removesuffix(instance) + "%i"
    return found


def _below(path: Path, folder: Path, specifier: str) -> str:
    if path.is_relative_to(folder):
        return f"{specifier}/{literal(str(path.relative_to(folder)))}"
    return literal(str(path))


def _siblings(file: Path) -> Iterator[Path]:
    """The configurations of the other instances, which the template is for as well."""
    return (other for other in file.parent.glob("*.toml") if other != file and other.stem != "stoker")


def _times(files: Iterable[Path], environ: Mapping[str, str], of_user: bool) -> dict[str, Any]:
    """How long systemd has to wait, where a configuration wants more than usual. Its problems are told by others:
    the program of a pool may well be missing where the files are made."""
    usual = Service()
    found: dict[str, Any] = {}
    for file in files:
        try:
            config = load(file, environ={**os.environ, **environ}, is_root=not of_user)
        except StartError:
            continue
        stop = config.daemon.drain_timeout + max(pool.kill_grace for pool in config.pools) + _TO_STOP
        start = max(pool.boot_timeout for pool in config.pools)
        if stop > usual.timeout_stop:
            found["timeout_stop"] = max(ceil(stop) + _MARGIN, found.get("timeout_stop", 0))
        if start >= usual.timeout_start:
            found["timeout_start"] = max(ceil(start) + _MARGIN, found.get("timeout_start", 0))
    return found
