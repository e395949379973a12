"""What comes before a review: who may enter, the page where one is made or opened, and the review's own pages after it."""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Form, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from .. import bundled, intake
from ..errors import InputError
from ..project import By, Project, Role
from ..whole import written_whole
from . import pages
from .gate import HEALTH, Gate, ServerOrigin
from .limits import Refused

_REMEMBERED = 12  # reviews
_LISTED = 200  # entries of a folder
_Text = Annotated[str, Form(max_length=2_000)]


class Entrance:
    """Lets in whoever has the address that the terminal printed; other accounts of a shared machine have not.

    An address works once, since a browser's command line can be seen by others; then the next one is printed.

    Parameters
    ----------
    base : str
        The address of the server.
    cookie : str
        The name of the cookie that a browser keeps.
    say : callable
        Told the next address when one was used.
    """

    def __init__(self, base: str, cookie: str, say: Callable[[str], None]):
        self._base, self.cookie, self._say = base, cookie, say
        self._turn = threading.Lock()
        self._key = secrets.token_urlsafe(24)
        self._pass = secrets.token_urlsafe(32)

    @property
    def address(self) -> str:
        """The address that opens the pages next."""
        return f"{self._base}/enter?key={self._key}"

    def admit(self, key: str) -> str:
        """Return what a browser keeps to be let in again, for a key that was not used yet; else ""."""
        with self._turn:
            if not hmac.compare_digest(key.encode("utf-8", "replace"), self._key.encode("ascii")):
                return ""
            self._key = secrets.token_urlsafe(24)
        self._say(f"To open it in another browser: {self.address}")
        return self._pass

    def knows(self, request: Request) -> bool:
        """Tell whether a request comes from a browser that was let in."""
        given = request.cookies.get(self.cookie, "")
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._pass.encode("ascii"))

    def csrf(self) -> str:
        """Return what a form of the start page must bring along."""
        return hmac.new(self._pass.encode("ascii"), b"start", "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """A review or a folder to choose."""

    name: str
    path: str
    is_review: bool


class Front:
    """The application that is served: the start page, and the pages of the review that is open.

    Parameters
    ----------
    door : ServerOrigin
    entrance : Entrance or None
        None lets everybody in that the review itself does.
    make : callable
        Makes the application of a review.
    project : Project, optional
        The review that is open from the beginning.
    folder : Path
        Where reviews are made unless another folder is named.
    """

    def __init__(
        self,
        door: ServerOrigin,
        entrance: Entrance | None,
        make: Callable[[Project], FastAPI],
        project: Project | None = None,
        folder: Path | None = None,
    ):
        self._make, self._entrance = make, entrance
        self._folder = Path.cwd() if folder is None else folder
        self._turn = threading.Lock()
        self._opened: Project | None = None
        self._review: FastAPI | None = None
        self._own = self._start_pages(door)
        if project is not None:
            self._review = make(project)
            remember(project)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        review = self._review
        ours = scope["type"] == "http" and re.fullmatch(r"/enter|/start(?:/.*)?", scope["path"])
        if ours or review is None:
            await self._own(scope, receive, send)
        else:
            await review(scope, receive, send)

    def invite(self, name: str, role: Role, base: str) -> str:
        """Return a link by which somebody joins the review that is open."""
        if self._review is None:
            raise ValueError("no review is open")
        link: str = self._review.state.access.invite(name, role, base, By(name))
        return link

    def close(self) -> None:
        """Close the review that was opened here."""
        with self._turn:
            self._close()

    def _close(self) -> None:
        if self._review is not None:
            self._review.state.desks.close()
        if self._opened is not None:
            self._opened.close()
        self._review, self._opened = None, None

    def _show(self, path: Path) -> None:
        """Open a review in the place of the one that is open."""
        project = Project.open(path)
        try:
            review = self._make(project)
        except BaseException:
            project.close()
            raise
        with self._turn:
            self._close()
            self._review, self._opened = review, project
        remember(project)

    def _start_pages(self, door: ServerOrigin) -> ASGIApp:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
        entrance = self._entrance

        def let_in(request: Request, csrf: Annotated[str, Form(max_length=200)] = "") -> None:
            if entrance is None:
                raise Refused(404, "This server offers one review; there is no start page.")
            if not entrance.knows(request):
                raise Refused(403, "Open the address that the terminal shows; it lets this browser in.")
            if request.method == "POST" and not hmac.compare_digest(csrf.encode(), entrance.csrf().encode()):
                raise Refused(403, "This page is too old to change anything; load it again.")

        @app.get("/enter")
        def enter(key: Annotated[str, Query(max_length=200)] = "") -> Response:
            given = entrance.admit(key) if entrance is not None else ""
            if not given or entrance is None:
                return self._said(403, "This address was used", "It works once; the terminal shows the next one.")
            response = RedirectResponse("/" if self._review is not None else "/start", 303)
            response.set_cookie(entrance.cookie, given, httponly=True, samesite="strict", secure=door.secure, path="/")
            return response

        @app.get("/start", dependencies=[Depends(let_in)])
        def start(folder: Annotated[str, Query(max_length=4_000)] = "") -> HTMLResponse:
            return self._page(folder)

        @app.post("/start/new", dependencies=[Depends(let_in)])
        def new(name: _Text, folder: Annotated[str, Form(max_length=4_000)] = "") -> Response:
            try:
                self._show(made(name, Path(folder).expanduser() if folder.strip() else self._folder))
            except (InputError, OSError) as error:
                return self._page(folder, refused=_in_words(error), name=name, code=422)
            return RedirectResponse("/protocol", 303)

        @app.post("/start/open", dependencies=[Depends(let_in)])
        def open_(path: Annotated[str, Form(max_length=4_000)]) -> Response:
            try:
                self._show(Path(path.strip().strip('"')).expanduser())
            except (InputError, OSError) as error:
                return self._page(refused=_in_words(error), code=422)
            return RedirectResponse("/", 303)

        @app.get(HEALTH)
        def health() -> PlainTextResponse:
            return PlainTextResponse("ok\n")

        @app.get("/")
        def root() -> Response:
            return RedirectResponse("/start", 303)

        @app.exception_handler(Refused)
        def refused(request: Request, error: Refused) -> Response:
            return self._said(error.status, "This is not allowed", error.message)

        @app.exception_handler(RequestValidationError)
        def invalid(request: Request, error: RequestValidationError) -> Response:
            return self._said(422, "This cannot be done", "A field of the form is missing or too long.")

        @app.exception_handler(HTTPException)
        def other(request: Request, error: HTTPException) -> Response:
            return self._said(error.status_code, str(error.detail), "There is nothing at this address.")

        return Gate(app, door=door, may=lambda request, role: False)

    def _said(self, code: int, heading: str, text: str) -> HTMLResponse:
        return pages.alone("message.html", {"heading": heading, "text": text}, code)

    def _page(self, folder: str = "", *, refused: str = "", name: str = "", code: int = 200) -> HTMLResponse:
        shown = Path(folder).expanduser() if folder.strip() else self._folder
        try:
            entries, more = listed(shown)
        except OSError as error:
            refused, (entries, more) = refused or _in_words(error), ([], 0)
        facts = {
            "csrf": self._entrance.csrf() if self._entrance is not None else "",
            "recent": remembered(),
            "folder": str(shown),
            "above": str(shown.parent) if shown.parent != shown else "",
            "entries": entries,
            "more": more,
            "refused": refused,
            "name": name,
            "browsing": bool(folder.strip()),
        }
        return pages.alone("start.html", facts, code)


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, InputError):
        return f"{error.filename or 'This'} cannot be read or written: {error.strerror or error}."
    return str(error)


def made(name: str, folder: Path) -> Path:
    """Make a review in a folder of its own, and return its file.

    Raises
    ------
    InputError
        When there is one already, or no file can have that name.
    """
    plain = unicodedata.normalize("NFC", name)
    plain = re.sub(r"[^\w .()+-]+", "-", plain).strip(" .-")[:80]
    if not plain:
        raise InputError("Give the review a name of letters or digits, such as Peer support 2026.")
    own = folder / plain
    file = own / f"{plain}.triage"
    if file.exists():
        raise InputError(f"There is a review at {file} already; open it, or choose another name.")
    if own.exists() and any(own.iterdir()):
        raise InputError(f"There are other files in {own}; choose another name.")
    own.mkdir(parents=True, exist_ok=True)
    intake.new(file, None)
    return file


def listed(folder: Path) -> tuple[list[Entry], int]:
    """Return the reviews and folders in a folder, and how many more there are."""
    reviews, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                folders.append(Entry(entry.name, entry.path, False))
            elif entry.name.endswith(".triage"):
                reviews.append(Entry(entry.name, entry.path, True))
    found = [*sorted(reviews, key=lambda e: e.name.lower()), *sorted(folders, key=lambda e: e.name.lower())]
    return found[:_LISTED], max(0, len(found) - _LISTED)


# -- reviews that were open before ----------------------------------------------------------------


def _list_of_reviews() -> Path:
    return bundled.user_cache_dir() / "reviews.json"


def remembered() -> list[Entry]:
    """Return the reviews that were open before and are still there, the last first."""
    try:
        paths = json.loads(_list_of_reviews().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    known = [Path(path) for path in paths if isinstance(path, str)] if isinstance(paths, list) else []
    return [Entry(path.stem, str(path), True) for path in known[:_REMEMBERED] if path.is_file()]


def remember(project: Project) -> None:
    """Put a review's file at the beginning of those that were open; where that cannot be kept, nothing is lost."""
    if not isinstance(project.path, Path):
        return  # it is on a server
    path = str(project.path.resolve())
    paths = [path, *(entry.path for entry in remembered() if entry.path != path)][:_REMEMBERED]
    file = _list_of_reviews()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(file) as unfinished:
            unfinished.write_text(json.dumps(paths), encoding="utf-8")
    except OSError:
        pass
