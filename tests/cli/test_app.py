"""The group: help, version, wrong commands; and what is imported for which command."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

from supervisor.cli.app import COMMANDS
from tests.cli.conftest import Run
from tests.cli.samples import ID
from tests.cli.scripted import ScriptedDaemon

HEAVY = ("trio", "apsw", "structlog", "msgspec", "rich", "uuid_utils", "tomli_w", "importlib.metadata")


def test_help_lists_every_command_and_the_exit_codes(stoker: Run) -> None:
    result = stoker("--help")
    assert result.exit_code == 0
    assert all(f"  {name} " in result.stdout for name in COMMANDS)
    shown = " ".join(result.stdout.split())
    assert shown.endswith(
        "Exit codes: 0 ok, 1 the job failed or the call was refused, 2 usage or configuration, 3 no daemon, "
        "130 interrupted, 141 nobody reads the output any more."
    )


def test_without_arguments_the_help_is_printed_as_it_is(stoker: Run) -> None:
    result = stoker()
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == stoker("--help").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_at_most_80_columns(stoker: Run, name: str) -> None:
    result = stoker(name, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: stoker {name} ")
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_no_short_help_is_cut(stoker: Run, name: str) -> None:
    line = next(line for line in stoker("--help").stdout.splitlines() if line.startswith(f"  {name} "))
    assert line.endswith(".")
    assert not line.endswith("...")


def test_the_version_is_the_distributions(stoker: Run) -> None:
    assert stoker("--version").stdout == f"stoker {version('stoker')}\n"


def test_a_command_that_does_not_exist_is_exit_2_and_the_nearest_is_named(stoker: Run) -> None:
    result = stoker("sumbit", "thumbs")
    assert result.exit_code == 2
    assert result.stderr == (
        "stoker: there is no command 'sumbit'; did you mean 'submit'?\nstoker: try 'stoker --help'\n"
    )


def test_a_wrong_option_points_to_the_commands_help(stoker: Run) -> None:
    result = stoker("submit", "thumbs", "--prio", "3")
    assert result.exit_code == 2
    assert result.stderr.endswith("stoker: try 'stoker submit --help'\n")


def test_a_submit_imports_nothing_heavy(daemon: ScriptedDaemon) -> None:
    daemon.on("submit", {"id": ID, "created": True, "state": "pending"})
    code = (
        "import sys; sys.argv[1:] = ['submit', 'thumbs', '{}', '--tag', 'x']\n"
        "from supervisor.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"import json; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    answer, imported = done.stdout.splitlines()
    assert (answer, json.loads(imported)) == (ID, [])


@pytest.mark.parametrize("module", sorted({module for module, _ in COMMANDS.values()}))
def test_no_command_imports_the_daemon_before_it_runs(module: str) -> None:
    code = f"import sys, supervisor.cli.{module}; print([name for name in ('trio', 'apsw') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
