"""Command groups that import a command only when it is used: `sparsewatch --help` must not wait for torch."""

import importlib
from collections.abc import Mapping

import click
from click.shell_completion import CompletionItem

from sparsewatch.schemas.settings import nearest


class LazyGroup(click.Group):
    """A group whose further commands are named as `module:attribute`."""

    #: Command -> (where it is, its line in the overview).
    lazy: Mapping[str, tuple[str, str]]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, those not imported yet among them."""
        return sorted({*super().list_commands(ctx), *self.lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now if need be."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name; click itself knows only those imported.

        Raises:
            UsageError: If there is none, with the nearest known.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            known = self.list_commands(ctx)
            message = f"no command {args[0]!r}, expected one of {', '.join(known)}{nearest(args[0], known)}"
            raise click.UsageError(message, ctx) from error

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands and options that begin so, without importing anything."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=self._line(name)) for name in names]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, without importing anything."""
        rows = [(name, self._line(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _line(self, name: str) -> str:
        known = self.commands.get(name)
        return self.lazy[name][1] if known is None else known.get_short_help_str(limit=90)


def lazy_group(lazy: Mapping[str, tuple[str, str]]) -> type[LazyGroup]:
    """A group class with these commands."""
    return type("LazyCommands", (LazyGroup,), {"lazy": lazy})
