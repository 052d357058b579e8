"""The group of commands: each is imported when it is called, not before, and every error becomes an exit code here."""

import sys
from typing import Any

import click

from supervisor.cli.failures import complain, say
from supervisor.cli.lazy import LazyGroup
from supervisor.cli.main import CLOSED_PIPE, INTERRUPTED
from supervisor.cli.options import Places, place_options
from supervisor.cli.output import OutputLost, flush, let_go

# Command: (module, attribute). `stoker submit` from a shell script pays for one of these, not for all.
COMMANDS = {
    "serve": ("serve", "serve"),
    "submit": ("submit", "submit"),
    "wait": ("wait", "wait"),
    "get": ("jobs", "get"),
    "list": ("listing", "list_jobs"),
    "events": ("following", "events"),
    "position": ("jobs", "position"),
    "cancel": ("jobs", "cancel"),
    "retry": ("jobs", "retry"),
    "delete": ("jobs", "delete"),
    "batch": ("batch", "batch"),
    "status": ("look", "status"),
    "top": ("top.command", "top"),
    "queues": ("look", "queues"),
    "pools": ("look", "pools"),
    "workers": ("look", "workers"),
    "pause": ("control", "pause"),
    "resume": ("control", "resume"),
    "purge": ("sweep", "purge"),
    "restart": ("pool", "restart"),
    "resize": ("pool", "resize"),
    "reload": ("reload", "reload"),
    "drain": ("control", "drain"),
    "ping": ("control", "ping"),
    "map": ("map", "map_lines"),
    "init": ("init", "init"),
    "check-config": ("check", "check_config"),
    "check-worker": ("check_worker", "check_worker"),
    "backup": ("backup", "backup"),
    "restore": ("restore", "restore"),
    "doctor": ("doctor", "doctor"),
    "systemd": ("systemd", "systemd"),
}


class Stoker(LazyGroup):
    """All of them, and what becomes of their errors."""

    def invoke(self, ctx: click.Context) -> Any:
        """Ctrl-C ends a command quietly: click would print an empty line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and exit: 0 ok, 1 failed or refused, 2 usage or configuration, 3 no daemon, 130 interrupted, 141 nobody
        reads our output any more."""
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
            flush()
        except click.Abort:
            code = INTERRUPTED
        except click.ClickException as error:
            complain(error)
            code = error.exit_code
        except OutputLost as lost:
            code = CLOSED_PIPE
            if not isinstance(lost.error, BrokenPipeError):
                say(f"cannot write the output: {lost.error.strerror}")
                code = 1
            let_go()
        sys.exit(code if isinstance(code, int) else 0)


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import version  # 30 ms, for this one line only

    click.echo(f"stoker {version('stoker')}")
    ctx.exit()


@click.group(
    cls=Stoker,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 the job failed or the call was refused, 2 usage or configuration, 3 no daemon, "
    "130 interrupted, 141 nobody reads the output any more.",
)
@place_options
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show it.")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Warm worker processes, in any language, fed from a durable queue.

    Start with `stoker init`, then `stoker serve`; `stoker COMMAND --help` tells more of each.
    """
    ctx.ensure_object(Places)
