"""The browser: the screening session of the terminal as pages, and the same as JSON for programs.

Every abstract, title and note is hostile text here. Pages are made by templates that escape everything, scripts
put text into a page as text, and the content policy lets nothing run that does not lie in `static`.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from .. import __version__, intake
from ..errors import InputError, Unavailable
from ..formats import NoTitleColumn
from ..project import Project, Role
from ..wording import printable_lines
from . import api, pages, people_pages
from .access import Access, Visitor, refusal_as_json
from .api.files import ImportProgress, Questions
from .api.full_texts import Matching
from .api.review import Statuses
from .connections import MOST_PER_ADDRESS, Listener, Sparing, most_connections, protocol_of
from .front import Entrance, Front
from .gate import Gate, ServerOrigin, is_loopback
from .limits import Refused
from .measures import METRICS, Measures, router as measures_router
from .reading import line
from .sessions import Desks, NotOpen


def make_app(
    project: Project,
    door: ServerOrigin,
    *,
    reviewer: str,
    preset: str | None = None,
    device: str = "auto",
    entrance: Entrance | None = None,
    measures: Measures | None = None,
) -> FastAPI:
    """Return the application of one review.

    Parameters
    ----------
    project : Project
    door : ServerOrigin
        Under which addresses it is offered, and to whom.
    reviewer : str
        The reviewer where nobody has to log in.
    preset, device : str
        See `screening.open_session`.
    entrance : Entrance, optional
        Who may come in where nobody has to log in; everybody when left out.
    measures : Measures, optional
        What counts the answers; one of its own when left out.
    """
    measures = measures or Measures()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.desks.close()

    app = FastAPI(
        title="triage",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=life,
        description="Everything that the pages do. Programs send `Authorization: Bearer TOKEN`; a token is made on the "
        "page Account, has its person's rights, and needs nothing else.",
    )
    access = Access(project, door, reviewer, entrance)
    app.state.project = project
    app.state.access = access
    app.state.desks = Desks(project, preset, device)
    app.state.statuses = Statuses()
    app.state.questions = Questions()
    app.state.importing = ImportProgress()
    app.state.proposals = pages.Proposals()
    app.state.measures = measures
    app.state.matching = Matching(project)
    app.state.studies = intake.StudiesBeside()
    app.state.key = access.key
    app.include_router(api.router)
    app.include_router(pages.router)
    app.include_router(people_pages.router)
    app.include_router(measures_router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    app.add_middleware(
        Gate, door=door, may=lambda request, role: _may(access, request, role), answered=measures.answered
    )
    _answer_errors(app)
    return app


def _may(access: Access, request: Request, role: Role) -> bool:
    try:
        found: Visitor | None = access.visitor(request)
    except (Refused, Unavailable):
        return False
    return found is not None and found.may(role)


def _answer_errors(app: FastAPI) -> None:
    """Answer what went wrong: programs in JSON, people with a page."""

    def of_program(request: Request) -> bool:
        return request.url.path == METRICS or request.url.path.startswith("/api/")

    @app.exception_handler(Refused)
    def refused(request: Request, error: Refused) -> Response:
        if of_program(request):
            return refusal_as_json(error)
        if error.code == "login":
            return pages.to_log_in(request)
        return pages.message(request, error.status, "This is not allowed", error.message)

    @app.exception_handler(InputError)
    def wrong(request: Request, error: InputError) -> Response:
        said = printable_lines(str(error))  # it may name what a visitor sent, or quote a file
        if isinstance(error, NoTitleColumn) and of_program(request):
            # What a form needs to ask for the columns: their names and the first rows.
            columns = {
                "header": [line(name) for name in error.header],
                "rows": [[line(c) for c in r] for r in error.rows],
            }
            return JSONResponse({"detail": said, "code": "columns", **columns, "names": list(error.header)}, 422)
        if of_program(request):
            return JSONResponse({"detail": said, "code": "input"}, 422)
        return pages.message(request, 422, "This cannot be done", said)

    @app.exception_handler(Unavailable)
    def unavailable(request: Request, error: Unavailable) -> Response:
        # The browser keeps what it could not send, and sends it again.
        if of_program(request):
            return JSONResponse({"detail": str(error), "code": "unavailable"}, 503)
        return PlainTextResponse(f"{error}\n", 503)  # a page would be made with the protocol, which cannot be read

    @app.exception_handler(NotOpen)
    def not_open(request: Request, error: NotOpen) -> Response:
        return JSONResponse({"detail": "The session is being opened; ask again.", "code": "opening"}, 409)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        # Without what was sent: a page of another origin must not have it said back.
        found = "; ".join(
            f"{'.'.join(map(str, one['loc'][1:])) or 'the request'}: {one['msg']}" for one in error.errors()[:5]
        )
        if of_program(request):
            return JSONResponse({"detail": found, "code": "input"}, 422)
        return pages.message(request, 422, "This cannot be done", found)

    @app.exception_handler(HTTPException)
    def other(request: Request, error: HTTPException) -> Response:
        if of_program(request):
            return JSONResponse({"detail": str(error.detail), "code": ""}, error.status_code, headers=error.headers)
        return pages.message(request, error.status_code, str(error.detail), "There is nothing at this address.")


def serve(
    project: Project | None,
    *,
    reviewer: str,
    host: str = "127.0.0.1",
    port: int = 8765,
    certificate: Path | None = None,
    key: Path | None = None,
    public: str = "",
    preset: str | None = None,
    device: str = "auto",
    with_token: bool = True,
    access_log: Path | None = None,
    open_browser: Callable[[str], object] | None = None,
    say: Callable[[str], None],
) -> None:
    """Offer a review's pages until the process is asked to end; what was decided is kept whenever it ends.

    Parameters
    ----------
    project : Project or None
        None begins with the page where a review is made or opened.
    reviewer : str
        The reviewer where nobody has to log in; the first owner where people do.
    host, port
        Where to listen.
    certificate, key : Path, optional
        Files in PEM, for TLS.
    public : str
        The address under which a proxy offers the pages.
    preset, device : str
        See `screening.open_session`.
    with_token : bool
        Whether, where nobody has to log in, a browser is let in by an address that is printed, and by no other.
    access_log : Path, optional
        Where each log-in, and each that fails, is written as a line.
    open_browser : callable, optional
        Given that address.
    say : callable
        Told the address as soon as it answers.

    Raises
    ------
    InputError
        When the address is taken, or the certificate cannot be read.
    """
    if (certificate is None) != (key is None):
        raise InputError("--certificate and --key go together: give both files.")
    door = ServerOrigin.of(host, port, tls=certificate is not None, public=public)
    if door.login and project is None:
        raise InputError("Only on this machine itself is a review chosen on a page; name the review to be served.")
    if project is None and not with_token:
        raise InputError("--no-token needs a review: the page where any can be opened is only for who has the address.")
    here = f"[{host}]" if ":" in host else host
    base = public or f"http{'s' if certificate else ''}://{here}:{port}"
    entrance = Entrance(base, f"{door.cookie}-entrance", say) if with_token and not door.login else None

    measures = Measures()

    def of_review(opened: Project) -> FastAPI:
        return make_app(
            opened, door, reviewer=reviewer, preset=preset, device=device, entrance=entrance, measures=measures
        )

    front = Front(door, entrance, of_review, project)
    try:
        with (
            _access_written(access_log),
            _listening(host, port, tls=certificate is not None, public=public) as listener,
            _log_bounded(),
        ):
            config = configured(front, host, port, certificate=certificate, key=key, public=public, listener=listener)
            measures.listener = listener
            address = entrance.address if entrance is not None else f"{base}/"
            what = "The review is" if project is not None else "Make or open a review"
            say(f"{what} at {address} (Ctrl-C ends this; every decision is kept).")
            if door.login and project is not None:
                _invite_an_owner(project, front, reviewer, base, say)
            if door.login and not door.secure:
                say(
                    "Without TLS anybody in between can read everything: give --certificate and --key, or put a proxy in "
                    "front."
                )
            if open_browser is not None:
                open_browser(address)
            uvicorn.Server(config).run([listener])
    finally:
        front.close()


def _invite_an_owner(project: Project, front: Front, reviewer: str, base: str, say: Callable[[str], None]) -> None:
    """Print the first owner's invitation, where there is no owner and none was invited."""
    people = project.people.all()
    if any(one.role is Role.OWNER for one in people):
        return
    invited = next((one for one in project.people.invitations() if one.open and one.role is Role.OWNER), None)
    if invited is not None:
        say(
            f"No owner can log in yet but {invited.name}, whose invitation is open until "
            f"{invited.expires_at:%Y-%m-%d %H:%M} UTC; `triage invite` makes another in its place."
        )
    elif any(one.name.casefold() == reviewer.casefold() for one in people):
        say(f"Nobody is an owner yet; `triage people {project.path} --role NAME=owner` makes somebody one.")
    else:
        link = front.invite(reviewer, Role.OWNER, base)
        say(f"No owner can log in yet. Open this to become {reviewer}, its owner; it works once, for a week:\n  {link}")


@contextmanager
def _access_written(path: Path | None) -> Iterator[None]:
    """Write a line to a file for each log-in, and each that fails, in the form that docs/server.md gives fail2ban."""
    if path is None:
        yield
        return
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))  # it names people and addresses
        handler = logging.handlers.WatchedFileHandler(path, encoding="utf-8")  # it may be put aside meanwhile
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); name another file by --access-log.") from error
    handler.setFormatter(logging.Formatter("%(asctime)s triage[%(process)d]: %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger = logging.getLogger("triage.access")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
        handler.close()


@contextmanager
def _log_bounded() -> Iterator[None]:
    """Keep what the server writes of faults to so many lines in a minute, whoever makes them."""
    sparing, loggers = Sparing(), [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    for logger in loggers:
        logger.addFilter(sparing)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(sparing)


def configured(
    app: FastAPI | Front,
    host: str,
    port: int,
    *,
    certificate: Path | None,
    key: Path | None,
    public: str,
    listener: Listener | None = None,
) -> uvicorn.Config:
    """Return how an application is served; for the parameters and what is raised see `serve`."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        # Only a proxy on this machine is believed when it says what address a visitor comes from.
        proxy_headers=bool(public),
        forwarded_allow_ips="127.0.0.1" if public else "",
        # Of uvicorn's loops the one that leaves the signals to `ending`.
        loop="asyncio",
        http=protocol_of(listener),
        ws="none",
        ssl_certfile=certificate,
        ssl_keyfile=key,
        timeout_graceful_shutdown=1,
    )
    try:
        config.load()
    except OSError as error:
        raise InputError(f"{certificate} and {key} are not a certificate and its key in PEM ({error}).") from error
    return config


def _listening(host: str, port: int, *, tls: bool, public: str) -> Listener:
    # Behind a proxy on this machine every connection comes from one address, and the proxy sets the limits.
    proxied = bool(public) and is_loopback(host)
    listener = Listener(
        socket.AF_INET6 if ":" in host else socket.AF_INET, most_connections(), 0 if proxied else MOST_PER_ADDRESS, tls
    )
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise InputError(
            f"{host}, port {port}, cannot be listened on ({error.strerror}); give another by --host and --port."
        ) from error
    return listener
