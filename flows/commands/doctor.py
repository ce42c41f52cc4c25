"""`oldphoto doctor`."""

from __future__ import annotations

import json as json_format
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.terminal import show, show_json, table

if TYPE_CHECKING:
    from oldphoto_core.doctor import Finding


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    url: Annotated[str, typer.Argument(metavar="[URL]", help="A folder or bucket to try, as s3://bucket/prefix.")] = "",
    write: Annotated[
        bool, typer.Option("--write", help="Also try to write in URL: a small object that is removed again.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what this machine can do and what is missing. Everything is tried, nothing is assumed; no secret is shown.

    Exit codes: 0 all that a restoration needs works, 1 something does not, 2 wrong usage.
    """
    from oldphoto_core.doctor import redacted

    if write and not url:
        raise typer.BadParameter("--write is about URL; name the folder or bucket to try")
    findings = [replace(finding, value=redacted(finding.value)) for finding in _examine(url, write)]
    bad = [finding for finding in findings if finding.state == "bad"]
    if json:
        show_json(json_format.dumps({"ok": not bad, "findings": [asdict(each) for each in findings]}, indent=2))
    else:
        table(("about", "what", "state", "found"), [(f.topic, f.name, f.state, f.value) for f in findings], most=1000)
        broken = "1 thing does not work" if len(bad) == 1 else f"{len(bad)} things do not work"
        show(broken if bad else "all that a restoration needs is here")
    if bad:
        raise typer.Exit(1)


def _examine(url: str, write: bool) -> Iterator[Finding]:
    from oldphoto_core import doctor as core
    from oldphoto_core.storage import Bucket

    if url:
        Bucket(url)  # a URL that names nothing is said before anything is tried
    yield from core.machine()
    yield from core.models()
    yield from core.formats()
    yield _prefect()
    if url:
        yield from core.place(url, write=write)


def _prefect() -> Finding:
    from flows.session.prefect_session import named_server
    from flows.session.prefect_settings import PrefectMisconfigured
    from oldphoto_core.doctor import Finding

    try:
        url, answers = named_server()
    except PrefectMisconfigured as error:
        return Finding("prefect", "settings", "bad", str(error))
    if not url:
        return Finding("prefect", "server", "ok", "none named: each command starts a temporary one")
    if answers:
        return Finding("prefect", "server", "ok", f"{url} answers")
    return Finding("prefect", "server", "bad", f"{url} does not answer; start it, or unset PREFECT_API_URL")
