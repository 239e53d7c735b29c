"""`sparsewatch completion`: the script by which a shell completes commands, options and files."""

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from sparsewatch.schemas.errors import ConfigError

SHELLS = ("bash", "zsh", "fish")
_PROGRAM, _ASKED_BY = "sparsewatch", "_SPARSEWATCH_COMPLETE"
_EXAMPLES = """
\b
Examples:
  eval "$(sparsewatch completion bash)"                    # in ~/.bashrc
  eval "$(sparsewatch completion zsh)"                     # in ~/.zshrc, behind compinit
  sparsewatch completion fish > ~/.config/fish/completions/sparsewatch.fish
"""


@click.command(epilog=_EXAMPLES)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.pass_context
def completion(ctx: click.Context, shell: str | None) -> None:
    """Print the script by which a shell completes commands, options and files.

    Without SHELL it is that of your login shell, $SHELL. The shell asks sparsewatch for each completion, so that the
    script is right after an upgrade, too; bash is version 4.4 or later.
    """
    made = get_completion_class(shell or _own_shell())
    assert made is not None
    click.echo(made(ctx.find_root().command, {}, _PROGRAM, _ASKED_BY).source())


def _own_shell() -> str:
    named = os.environ.get("SHELL", "")
    if (shell := Path(named).name) not in SHELLS:
        raise ConfigError(f"SHELL: expected one of {', '.join(SHELLS)}, got {named!r} as $SHELL; name one")
    return shell
