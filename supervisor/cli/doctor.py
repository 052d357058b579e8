"""stoker doctor."""

from typing import TYPE_CHECKING

import click

from supervisor.cli import output
from supervisor.cli.options import json_option, place_options
from supervisor.cli.tables import highlight

if TYPE_CHECKING:
    from supervisor.cli.probes import Finding


@click.command()
@click.option("--deep", is_flag=True, help="Read the whole store; else for a second. A busy one's log grows meanwhile.")
@click.option("--unit", metavar="NAME", default="stoker.service", show_default=True, help="The systemd service.")
@json_option
@place_options
def doctor(deep: bool, unit: str, as_json: bool) -> None:
    """Examine machine, configuration, store and daemon.

    Each line is ok, warn or fail, with the remedy; exit 1 if anything fails. Root sees most.
    """
    from supervisor.cli import probes

    findings = []
    for finding in probes.examine(deep=deep, unit=unit):
        findings.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        ok = all(finding.level != "fail" for finding in findings)
        output.write_json({"ok": ok, "checks": [finding._asdict() for finding in findings]})
    if any(finding.level == "fail" for finding in findings):
        raise click.exceptions.Exit(1)


def _show(finding: "Finding") -> None:
    output.write(
        f"{highlight(finding.level)}{'':{5 - len(finding.level)}}{finding.check}: {output.one_line(finding.found)}"
    )
    if finding.remedy:
        output.write(f"     {output.one_line(finding.remedy)}")
    output.flush()
