"""The command `sora-stitcher`: its commands, and how it ends.

Heavy imports happen inside the commands, so that `--help` and typing errors are answered at once.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from shared.errors import StitcherError
from sora_stitcher.cli import control, dead, demo, doctor, jobs, mcp, stitch, submit, up, usage, webhooks
from sora_stitcher.cli.errors import EXIT_CODES, ExitCode, exit_code_of, sentence_of
from sora_stitcher.cli.output import PROGRAM, fail, prepare_streams, printable


class OneLineErrors(TyperGroup):
    """A group of commands that fail in one line and with the documented exit codes."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit with its code."""
        prepare_streams()
        try:
            result = super().main(
                args,
                prog_name or PROGRAM,
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
        except StitcherError as error:
            result = fail(sentence_of(error), exit_code_of(error))
        except typer.TyperException as error:
            hint = getattr(getattr(error, "ctx", None), "command_path", PROGRAM)
            result = fail(f"{printable(error.format_message())} (see `{hint} --help`)", ExitCode.USAGE)
        except typer.Abort:
            result = ExitCode.INTERRUPTED
        sys.exit(result if isinstance(result, int) else ExitCode.OK)


app = typer.Typer(
    name=PROGRAM,
    cls=OneLineErrors,
    epilog=EXIT_CODES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from shared.version import VERSION

        typer.echo(f"{PROGRAM} {VERSION}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Prompts in, one finished film in the Airtable record out.

    `sora-stitcher demo` shows the whole thing in a minute, without keys and servers.
    """
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


for _family in (up, demo, submit, jobs, control, usage, webhooks, stitch, doctor, dead, mcp):
    _family.register(app)
