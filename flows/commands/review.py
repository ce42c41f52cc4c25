"""`oldphoto review`."""

from __future__ import annotations

import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.terminal import RegistryOption, known_device, parsed_size, say, show
from oldphoto_core.inference.network_options import DEFAULT_NETWORK, NetworkOptions

if TYPE_CHECKING:
    from oldphoto_core.desk.guard import Access
    from oldphoto_core.desk.queue import Queue

REQUEST_SECONDS = 600.0
"""That an answer may take: a scan of 500 megapixels is fetched, decoded and cut into tiles in one."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(review)


def review(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Folder or URL that photos were restored into.")],
    source: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the masters lie now, if they were moved since the runs.")
    ] = None,
    reviewer: Annotated[
        str, typer.Option(metavar="NAME", help="Who decides; the page asks, and keeps what is given there.")
    ] = "",
    export_csv: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="Write the decisions as CSV, and serve no page."),
    ] = None,
    import_csv: Annotated[
        Path | None,
        typer.Option("--import", metavar="FILE", help="Store the decisions of a CSV, and serve no page."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback only with a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any that is free.")] = 8095,
    token_file: Annotated[
        Path | None,
        typer.Option(envvar="OLDPHOTO_REVIEW_TOKEN_FILE", help="File with the token that the page asks for."),
    ] = None,
    certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate chain for TLS, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Private key of the certificate, PEM.")] = None,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Weights of previews; as `restore` takes them.")
    ] = DEFAULT_NETWORK.model,
    registry: RegistryOption = None,
    device: Annotated[
        str, typer.Option(callback=known_device, help="Of previews: auto, cpu, cuda or cuda:N.")
    ] = DEFAULT_NETWORK.device,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Memory that a preview may take, as 2G.")] = None,
    isolate: Annotated[
        bool, typer.Option(help="Decode in processes of their own: a file that crashes the decoder harms nothing else.")
    ] = True,
) -> None:
    """Go through what runs made, in the browser: look, correct masks, accept, send back or reject.

    Exit codes: 0 done, 1 could not be done, 2 wrong usage, 3 rows of the CSV were refused.
    """
    from oldphoto_core.desk.guard import Access
    from oldphoto_core.desk.queue import Queue
    from oldphoto_core.storage import Bucket

    if (certificate is None) != (key is None):
        raise typer.BadParameter("--certificate and --key belong together; give both, or neither")
    access = Access(host=host, token=_token(token_file), secure=certificate is not None)
    queue = Queue(Bucket(target))
    if import_csv is not None:
        _import(queue, import_csv, reviewer)
    if export_csv is not None:
        _export(queue, export_csv)
    if import_csv is not None or export_csv is not None:
        return
    from oldphoto_core.checkpoints.registry import place_of
    from oldphoto_core.desk.app import application
    from oldphoto_core.desk.desk import Desk
    from oldphoto_core.desk.pictures import Pictures
    from oldphoto_core.desk.preview import Previewer

    network = NetworkOptions(
        model=place_of(model, registry), device=device, memory=None if memory is None else parsed_size(memory)
    )
    with Pictures(queue, source=Bucket(source) if source else None, isolated=isolate) as pictures:
        served = application(Desk(queue, pictures, Previewer(network), reviewer=reviewer), access)
        _serve(served, access, port, certificate, key)


def _serve(app: object, access: Access, port: int, certificate: Path | None, key: Path | None) -> None:
    """Answer until the command is ended."""
    from oldphoto_core.errors import UsageError
    from oldphoto_core.http_guard import HttpLimits, server

    files = {"certificate": str(certificate or ""), "key": str(key or "")}
    try:
        running = server(app, access.host, port, HttpLimits(request_seconds=REQUEST_SECONDS), **files)
        running.config.load()  # reads the certificate
        family = socket.AF_INET6 if ":" in access.host else socket.AF_INET
        listening = socket.create_server((access.host, port), family=family)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {access.host} port {port}, or read the certificate: {error.strerror or error};"
            " choose another --port, or check the files"
        ) from error
    with listening:
        if access.token and not access.secure and access.host not in ("127.0.0.1", "localhost", "::1"):
            say("note: without --certificate the token and the photos cross the network in clear")
        name = f"[{access.host}]" if ":" in access.host else access.host
        show(
            f"the desk: {'https' if access.secure else 'http'}://{name}:{listening.getsockname()[1]}/ (Ctrl-C ends it)"
        )
        # uvicorn sends itself the signal that ended it once more: the tiles of open photos must go, too
        signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
        with suppress(KeyboardInterrupt):
            running.run(sockets=[listening])


def _token(path: Path | None) -> str:
    from oldphoto_core.errors import UsageError

    if path is None:
        return ""
    try:
        token = path.read_text().strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"the token cannot be read from {path}: {type(error).__name__}") from error
    if not token:
        raise UsageError(f"{path} holds no token; openssl rand -hex 32 makes one")
    return token


def _import(queue: Queue, path: Path, reviewer: str) -> None:
    from oldphoto_core.errors import UsageError
    from oldphoto_core.reviews.table import import_csv

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    result = import_csv(queue.reviews, data, queue.digests(), reviewer)
    for line in result.refused:
        say(f"refused: {line}")
    show(f"{result.stored} decisions stored, {result.unchanged} were there already, {len(result.refused)} refused")
    if result.refused:
        raise typer.Exit(3)


def _export(queue: Queue, path: Path) -> None:
    from oldphoto_core.errors import UsageError
    from oldphoto_core.reviews.table import decisions_csv

    data = decisions_csv(queue.reviews)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    show(f"decisions: {path} ({data.count(bytes([10])) - 1})")
