"""The command line: find the command, run it, and turn an error into words.

Commands live in ``forensic/commands/``, one file a group, and are imported when they are called: help and
gallery commands start without torch.
"""

from __future__ import annotations

import atexit
import errno
import io
import os
import sys
import threading
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

import click

from forensic import __version__
from forensic.errors import ForensicError, GalleryError

COMMANDS = {
    "enroll": "forensic.commands.enroll:enroll",
    "match": "forensic.commands.match:match",
    "case": "forensic.commands.cases:case",
    "search": "forensic.commands.cases:search",
    "gallery": "forensic.commands.gallery:gallery",
    "expunge": "forensic.commands.expunge:expunge",
    "retention": "forensic.commands.retention:retention",
    "audit": "forensic.commands.audit:audit",
    "backup": "forensic.commands.backup:backup",
    "user": "forensic.commands.users:user",
    "serve": "forensic.commands.serve:serve",
    "login": "forensic.commands.login:login",
    "logout": "forensic.commands.login:logout",
    "cohort": "forensic.commands.cohort:cohort",
    "evaluate": "forensic.commands.evaluate:evaluate",
    "reports": "forensic.commands.reports:reports",
    "methods": "forensic.commands.methods:methods",
    "synthesize": "forensic.commands.synthesize:synthesize",
    "train": "forensic.commands.train:train",
    "quality": "forensic.commands.quality:quality",
    "models": "forensic.commands.models:models",
    "demo": "forensic.commands.demo:demo",
}
SUMMARIES = {
    "enroll": "Enroll photos in a gallery.",
    "match": "Search a gallery with sketches.",
    "case": "Cases: their sketches, searches and the examiners' decisions.",
    "search": "Searches on record: list, show, repeat, report.",
    "gallery": "Look at a gallery and look after it.",
    "expunge": "Remove people for good, and prove it.",
    "retention": "Until when people may be kept, and who is due.",
    "audit": "The log of everything that was done.",
    "backup": "Copies of a gallery that an expunge reaches wherever they lie.",
    "user": "Who may use a gallery, and for what.",
    "serve": "The web application and its REST API.",
    "login": "Sign in to a server, for --server URL.",
    "logout": "Sign out of a server.",
    "cohort": "Sketches by your own artists, so that scores of their style are comparable.",
    "evaluate": "Measure recognition on photo-sketch pairs.",
    "reports": "Stored accuracy reports.",
    "methods": "List the synthesis methods.",
    "synthesize": "Translate sketches to photos or photos to sketches.",
    "train": "Train a synthesis method.",
    "quality": "Measure synthesized images against their targets.",
    "models": "List, fetch, import, remove and verify model weights.",
    "demo": "Try everything on people drawn by the program.",
}
INTERRUPTED = 130
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""Why what is printed may find no place."""


class Commands(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of use, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command and what follows it; of a name that is nearly right the error says which one is near."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], COMMANDS, n=1)
            if not near or "Did you mean" in error.message:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", error.ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="forensic")
def forensic() -> None:
    """Match a witness's face sketch against a gallery of mugshots.

    \b
    A first match, where every photo's file name is its person's label:
      forensic enroll mugshots/
      forensic match sketch.png --report report.html

    Without photos at hand, 'forensic demo' draws some. 'forensic COMMAND --help' explains a command.

    The gallery is a folder: --gallery DIR, or the environment variable FORENSIC_GALLERY, or a folder of the
    user's data directory. Or it is at a server: --server URL, or FORENSIC_SERVER, after 'forensic login'.

    A candidate is an investigative lead, not an identification.

    \b
    Exit codes:
      0    done
      1    a repeated search gave another list
      2    wrong usage
      3    no usable image or face
      4    gallery, model or server trouble, or a check that found something
      130  interrupted
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    if os.name != "posix":
        sys.exit("Error: forensic runs on Linux and macOS. On Windows, install and run it in WSL.")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal has no letter for is spelled out
            stream.reconfigure(errors="backslashreplace")
    _leave(run(arguments))


def _leave(code: int) -> NoReturn:
    """Exit without freeing everything that PyTorch has made, one by one, which takes half a second.

    All else that Python does at its end is done: threads are waited for, exit handlers run, and what was printed is
    flushed.
    """
    if "torch" in sys.modules:
        threading._shutdown()  # type: ignore[attr-defined]  # as the interpreter calls it
        atexit._run_exitfuncs()
        with suppress(OSError):  # the usual end tells of it
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    sys.exit(code)


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; every error ends in one message on standard error.

    Returns:
        The exit code.
    """
    try:
        result: Any = forensic.main(arguments, prog_name="forensic", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except ForensicError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as stop:
        told = str(stop) or str(stop.__cause__ or "")  # training says how it is resumed; click makes an Abort of it
        advice = told or "run the same command again to go on"
        click.echo(f"Interrupted. What was stored is whole; {advice}.", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        _print_no_more()
        return 0
    except OSError as error:
        if error.errno not in FULL or error.filename:
            raise
        _print_no_more()
        click.echo(f"Error: the output could not be written ({error.strerror}). What was stored is whole.", err=True)
        return GalleryError.exit_code


def _print_no_more() -> None:
    """What waits to be printed goes nowhere, so that nothing fails at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
