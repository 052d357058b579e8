"""stoker doctor."""

from typing import TYPE_CHECKING

import click

from supervisor.cli import output
from supervisor.cli.options import json_option, place_options
from supervisor.cli.tables import highlight

if TYPE_CHECKING:
    from supervisor.cli.probes import Finding


@click.command()
@json_option
@place_options
def doctor(as_json: bool) -> None:
    """Examine machine, configuration and daemon.

    Each line is ok, warn or fail, with the remedy; exit 1 if anything fails.
    """
    from supervisor.cli import probes

    findings = []
    for finding in probes.examine():
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
