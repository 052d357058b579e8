"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class Places:
    """Where the command line says that the daemon is: a socket, a configuration, or (both None) nothing."""

    def __init__(self) -> None:
        self.socket: str | None = None
        self.config: str | None = None


def places() -> Places:
    """What the running command was told, before its name or after it."""
    return click.get_current_context().ensure_object(Places)


def _keep(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        assert param.name is not None
        setattr(ctx.ensure_object(Places), param.name, value)


def config_option(command: Command) -> Command:
    """-c FILE; read it with places().config."""
    return click.option(
        "-c",
        "--config",
        metavar="FILE",
        expose_value=False,
        callback=_keep,
        help="The configuration (else ./stoker.toml).",
    )(command)


def place_options(command: Command) -> Command:
    """--socket and -c, on the group and on every command that talks to the daemon."""
    socket = click.option(
        "--socket",
        metavar="PATH",
        expose_value=False,
        callback=_keep,
        help="The daemon's socket (else $STOKER_SOCKET, or the configuration's).",
    )
    return socket(config_option(command))


json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")


def id_type(text: str) -> str:
    """A job's id. An argument's `type`."""
    if not text.strip():
        raise click.BadParameter("it is empty; is a variable of the shell not set?")
    return text


def duration(text: str) -> float:
    """Seconds, from text as people write them: 30s, 1h30m. An option's `type`."""
    from supervisor.config.quantities import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def durations(text: str) -> list[float]:
    """The same, several of them with commas in between: 1s,10s,1m. An option's `type`."""
    return [duration(part) for part in text.split(",")]


def instant(text: str) -> str:
    """RFC 3339 in UTC, from any ISO 8601 date and time; one without an offset is meant in local time. An option's
    `type`."""
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is not a time such as 2030-01-31T08:00:00Z or '2030-01-31 08:00'") from None
    return moment.isoformat().replace("+00:00", "Z")


STATES = ("pending", "running", "done", "failed", "cancelled", "expired")
CAUSES = ("error", "desync", "garbage", "oversize", "exited", "timeout", "oom", "poison", "interrupted", "replaced")


def filter_options(command: Command) -> Command:
    """Which jobs are meant, by the names that the protocol has for it; read them with given_filter()."""
    several = "May be given several times."
    options = (
        click.option("--queue", metavar="NAME", help="Of this queue."),
        click.option("--state", type=click.Choice(STATES), multiple=True, help=several),
        click.option(
            "--cause", type=click.Choice(CAUSES), metavar="WORD", help=f"With this in their error: {', '.join(CAUSES)}."
        ),
        click.option("--tag", metavar="TEXT", help="With this tag."),
        click.option("--client", metavar="NAME", help="Submitted by this client."),
        click.option("--name", metavar="TEXT", help="With this name."),
        click.option("--created-after", type=instant, metavar="TIME", help="Or at this time."),
        click.option("--created-before", type=instant, metavar="TIME", help="As '2030-01-31 08:00'."),
        click.option("--finished-after", type=instant, metavar="TIME", help="Or at this time."),
        click.option("--finished-before", type=instant, metavar="TIME", help="Of those that have."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def given_filter(values: dict[str, Any]) -> dict[str, Any]:
    """What was said of it, as the protocol's params."""
    given = {name: value for name, value in values.items() if value not in (None, False, ())}
    if "state" in given:
        given["state"] = list(given["state"])
    return given
