"""All files of a service, for one installation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from supervisor.units import template
from supervisor.units.quoting import argument, command_line, literal, word

_VAR = "/var/lib/"
_HOMES = ("/home/", "/root/", "/run/user/")  # what ProtectHome= is about
_CLIENTS = "stoker-clients"  # the socket's group, where the daemon has none of its own that lasts


@dataclass(frozen=True, kw_only=True)
class Service:
    """An installation. Paths are as unit files have them, with specifiers: `quoting.literal` makes one of a real path.
    A user's service has no use for user, group, strict and dynamic."""

    program: tuple[str, ...] = ("/opt/stoker/bin/stoker",)  # argv
    config: str = "/etc/stoker/stoker.toml"
    socket: str = "/run/stoker.sock"
    state_dir: str = "/var/lib/stoker"
    user: str = "stoker"
    group: str = "stoker"
    owns_user: bool = True  # it is made for the service, and was not there before
    of_user: bool = False  # a service of systemd's user manager
    instances: bool = False  # a template: stoker@NAME.service
    strict: bool = False
    dynamic: bool = False
    timeout_start: int = 120  # seconds
    timeout_stop: int = 45

    @property
    def unit(self) -> str:
        """Its name, without the suffix."""
        return "stoker@" if self.instances else "stoker"


def render(service: Service) -> dict[str, str]:
    """The texts, by path below systemd's folder: `system/stoker.service`, `sysusers.d/stoker.conf`. A file that would
    say nothing is not among them."""
    values, words = _values(service), frozenset(_words(service))
    folder = "user" if service.of_user else "system"
    values["HARDENING"] = template.render(template.read(f"hardening.{folder}"), values, words).rstrip("\n")
    wanted = {f"{folder}/{service.unit}{suffix}": f"stoker{suffix}" for suffix in (".service", ".socket")}
    if "sysusers" in words:
        wanted["sysusers.d/stoker.conf"] = "sysusers.conf"
    if "tmpfiles" in words:
        wanted["tmpfiles.d/stoker.conf"] = "tmpfiles.conf"
    return {path: template.render(template.read(name), values, words) for path, name in wanted.items()}


def _words(service: Service) -> Iterator[str]:
    if service.instances:
        yield "instances"
    if service.of_user:
        yield "user"
        return
    yield "system"
    if service.strict:
        yield "strict"
    if any(path.startswith(_HOMES) for path in (*service.program, service.config, service.state_dir, service.socket)):
        yield "at_home"
    yield "dynamic" if service.dynamic else "fixed"
    if service.dynamic or service.owns_user:
        yield "sysusers"
    state = "state_directory" if _below_var(service.state_dir) else "state_elsewhere"
    yield state
    etc = service.config.startswith("/etc/stoker/")
    if etc:
        yield "etc"
    if etc or state == "state_elsewhere":
        yield "tmpfiles"


def _below_var(path: str) -> bool:
    """Whether StateDirectory= can name it: what is unusual in there would need escapes of its own."""
    return re.fullmatch(rf"{_VAR}(?:[A-Za-z0-9_.-]|%i|/(?!/|\.))+", path) is not None


def _values(service: Service) -> dict[str, str]:
    program, *arguments = (literal(part) for part in service.program)
    return {
        "UNIT": "stoker@%i" if service.instances else "stoker",
        "FOR_EXAMPLE": "stoker@mail" if service.instances else "stoker",
        "OF": " (%i)" if service.instances else "",
        "MANAGER": "--user " if service.of_user else "",
        "STOKER": command_line(program, *arguments),
        "CONFIG": argument(service.config),
        "SOCKET": service.socket,
        "SOCKET_WORD": argument(service.socket),
        "SOCKET_GROUP": _CLIENTS if service.dynamic else service.group,
        "STATE": service.state_dir.removeprefix(_VAR),
        "STATE_WORD": word(service.state_dir),
        "USER": service.user,
        "GROUP": service.group,
        "TIMEOUT_START": str(service.timeout_start),
        "TIMEOUT_STOP": str(service.timeout_stop),
    }
