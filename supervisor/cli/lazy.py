"""Groups of commands: each is imported when it is called, not before."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """Commands by name, imported late, listed in the order a newcomer meets them.

    `table`: name -> (module of supervisor.cli, attribute). Who calls one of them pays for that one, not for all.
    """

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, attribute = self.table[cmd_name]
        command = getattr(import_module(f"supervisor.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in self.table or name.startswith("-"):
            return super().resolve_command(ctx, args)
        group = ctx.command_path.partition(" ")[2]
        raise click.UsageError(f"there is no command {_full(group, name)!r}{self._nearest(group, name)}", ctx)

    def _nearest(self, group: str, name: str) -> str:
        from difflib import get_close_matches

        near = get_close_matches(name, self.table, n=1)
        return f"; did you mean {_full(group, near[0])!r}?" if near else ""


def _full(group: str, name: str) -> str:
    return f"{group} {name}".lstrip()
