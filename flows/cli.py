"""The `oldphoto` command.

Each group of commands is a module of `flows.commands` with `register(app)`; add a new one to `GROUPS`.
Modules import nothing heavy at their top: `oldphoto --help` answers within a second.
"""

from __future__ import annotations

import io
import sys

import typer

from flows.commands import (
    custody,
    degradations,
    demo,
    doctor,
    export,
    inventory,
    models,
    paper,
    report,
    restore,
    retrain,
    review,
    sheet,
    study,
    train,
)
from flows.commands.terminal import say
from flows.session.surroundings import prepare_process
from oldphoto_core.errors import OldPhotoError

GROUPS = (
    demo, doctor, inventory, restore, report, review, custody, export, train, retrain, study, sheet, paper,
    degradations, models,
)  # fmt: skip
INTERRUPTED = 130  # what Typer ends with on Ctrl-C

app = typer.Typer(
    help="Restores collections of scanned old photographs, in bulk.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for group in GROUPS:
    group.register(app)


def main() -> None:
    """Entry point: an error of ours is one line on stderr and its exit code (1: cannot be done, 2: wrong usage)."""
    # a name that the terminal's encoding lacks is spelled out, as stderr does by itself, instead of ending the command
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        prepare_process(say)
        app(prog_name="oldphoto")
    except OldPhotoError as error:
        say(f"oldphoto: {error}")
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            sys.stderr.write("oldphoto: interrupted; what was done is kept, and the same command goes on from there\n")
        raise


if __name__ == "__main__":
    main()
