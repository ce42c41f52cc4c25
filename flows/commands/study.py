"""`oldphoto study`: people rank what several methods made of the same photos, without knowing who made what."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.terminal import names_of, say, show, show_text

if TYPE_CHECKING:
    import socket

StudyFolder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a study.")]

studies = typer.Typer(help="Blind studies: make one, serve it, count its answers.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    studies.command()(make)
    studies.command()(invite)
    studies.command()(serve)
    studies.command()(results)
    app.add_typer(studies, name="study")


def make(
    methods: Annotated[str, typer.Option(metavar="A,B,...", help="opencv, sequential, dip, or models.")],
    photos: Annotated[str, typer.Option(metavar="URL", help="Photos that are restored.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder that receives the study.")],
    count: Annotated[int, typer.Option(min=1, help="Photos, drawn at random.")] = 25,
    seed: Annotated[int, typer.Option(help="The same seed draws the same photos.")] = 7,
    side: Annotated[int, typer.Option(min=32, max=4096, help="Longer side to which photos are shrunk first.")] = 1024,
) -> None:
    """Restore photos drawn at random by each method, and write a study of them."""
    from flows.session.prefect_session import prefect_session
    from oldphoto_core.evaluation.named import named_methods
    from oldphoto_core.evaluation.sampling import drawn
    from oldphoto_core.storage import Bucket
    from oldphoto_core.study.making import check_methods, check_place

    names = names_of(methods)
    check_methods(names)
    check_place(Bucket(out))
    named_methods(names)
    drawn(Bucket(photos), seed)
    Bucket(out).check_writable()
    with prefect_session(say):
        from flows.study import make_study

        study = make_study(names, photos, str(out), count, seed, side)
    show(f"study: {len(study.photos)} photos by {len(study.methods)} methods in {out}")
    show(f"damage found by: {study.detector or 'nobody, as no method has a detector; none was filled'}")
    show(f"serve it with: oldphoto study serve {out}")


def invite(
    folder: StudyFolder,
    count: Annotated[int, typer.Option(min=1, help="Participants to add.")] = 1,
    address: Annotated[
        str, typer.Option(metavar="URL", help="How participants reach the server.")
    ] = "http://127.0.0.1:8100",
) -> None:
    """Add participants, also while the study is served, and print their links: the only copy, each for one person."""
    from oldphoto_core.study.participants import invite as invited
    from oldphoto_core.study.study import read_study

    read_study(folder)
    for token in invited(folder, count):
        show(f"{address.rstrip('/')}/p/{token}")


def serve(
    folder: StudyFolder,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Address to listen on.")] = "127.0.0.1:8100",
    run_by: Annotated[str, typer.Option(help="Who runs the study, as its pages say.")] = "",
    invited_only: Annotated[bool, typer.Option("--invited-only", help="Only holders of a link take part.")] = False,
) -> None:
    """Serve a study until Ctrl-C. Beyond loopback only holders of a link take part, and --run-by must be given."""
    from oldphoto_core.errors import UsageError
    from oldphoto_core.http_guard import server
    from oldphoto_core.study.server import opened

    host, port = _address(listen)
    beyond = not _is_loopback(host)
    if beyond and not run_by.strip():
        raise UsageError(f"--listen {listen} is open to others, who must know who asks them; give --run-by")
    with opened(folder, run_by.strip(), open_access=not (beyond or invited_only)) as study:
        bound = _bound(host, port)
        shown = f"[{host}]" if ":" in host else host
        show(f"study: http://{shown}:{bound.getsockname()[1]}/")
        if not study.open_access:
            say(f"links for participants: oldphoto study invite {folder}")
        server(study.application(), host, port).run(sockets=[bound])


def results(folder: StudyFolder) -> None:
    """Count the answers so far, also while the study is served; prints the table and writes DIR/results."""
    from oldphoto_core.study.results import write_results

    show_text(write_results(folder))
    show(f"results: {folder}/results")


def _address(listen: str) -> tuple[str, int]:
    from oldphoto_core.errors import UsageError

    host, mark, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not mark or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise UsageError(f"--listen {listen!r} is no address; write HOST:PORT, such as 127.0.0.1:8100")
    return host, int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens there; made here, so that port 0 has its number before anything is served."""
    import socket

    from oldphoto_core.errors import UsageError

    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port} ({error.strerror}); name another address") from error
