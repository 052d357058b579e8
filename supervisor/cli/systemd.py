"""stoker systemd: the files of a service, printed or installed."""

from typing import Any

import click

from supervisor.cli import output
from supervisor.cli.failures import Misuse, say
from supervisor.cli.options import places

# Of these options, the first has no sense with any of the others.
_APART = (
    ("--user", "--run-as", "--dynamic-user", "--strict"),
    ("--run-as", "--dynamic-user"),
    ("--instance", "--config"),
    ("--now", "--root"),
)
_OF_INSTALL = ("--now", "--force", "--root")


@click.command(
    epilog="The configuration is -c FILE, else /etc/stoker/stoker.toml, or ~/.config/stoker/stoker.toml with --user. "
    "What it says of socket, state_dir and timeouts goes into the files; it need not be there yet."
)
@click.option("--user", is_flag=True, help="A service of your own, run by your systemd --user.")
@click.option("--instance", metavar="NAME", help="Templates: stoker@NAME reads NAME.toml, and is one of several.")
@click.option("--run-as", metavar="USER[:GROUP]", help="Instead of the user stoker, which is made for the service.")
@click.option("--dynamic-user", is_flag=True, help="As a user that systemd makes while the service runs.")
@click.option("--strict", is_flag=True, help="A narrower sandbox; the file says what it takes away.")
@click.option("--install", is_flag=True, help="Write the files where systemd looks for them.")
@click.option("--now", is_flag=True, help="With --install: enable and start it, too.")
@click.option("--force", is_flag=True, help="With --install: replace files that differ; FILE.old keeps the old one.")
@click.option("--root", metavar="DIR", help="With --install: below DIR, in usr/lib, as packages have them.")
@click.option("-c", "--config", metavar="FILE", help="The service's configuration.")
def systemd(**given: Any) -> None:
    """Print the files of a systemd service, or install them.

    The unit, its socket unit, and the lines for sysusers.d and tmpfiles.d, with the paths of this installation.
    """
    given["config"] = given["config"] or places().config  # before the command's name, or after it
    _check(given)
    from supervisor.cli import installation, unit_files
    from supervisor.errors import StartError
    from supervisor.units.files import render

    try:
        found = installation.find(
            config=given["config"],
            of_user=given["user"],
            instance=given["instance"],
            run_as=given["run_as"],
            strict=given["strict"],
            dynamic=given["dynamic_user"],
        )
        texts = render(found.service)
    except StartError as error:
        raise Misuse(error.message) from None
    files = {unit_files.place(path, given["root"]): text for path, text in texts.items()}
    if not given["install"]:
        output.write("\n".join(f"# {file}\n{text}" for file, text in files.items()).rstrip("\n"))
        return
    if given["root"] is None:
        unit_files.check_caller(given["user"])
    replaced = unit_files.install(files, force=given["force"])
    for warning in installation.warnings(found, texts):
        say(warning)
    if given["root"] is None:
        steps = unit_files.steps(list(files), found.unit, given["user"], replaced)
        unit_files.go_on(steps, found, given["now"])


def _check(given: dict[str, Any]) -> None:
    said = {f"--{name.replace('_', '-')}" for name, value in given.items() if value}
    for option, *others in _APART:
        for other in others:
            if {option, other} <= said:
                raise click.UsageError(f"{option} and {other} do not go together: leave one away")
    for option in _OF_INSTALL:
        if option in said and "--install" not in said:
            raise click.UsageError(f"{option} is for --install: say that, too")
