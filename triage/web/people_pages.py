"""The pages of people: log-in, invitations, who has access, one's own account."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from ..assigning import assigned
from ..errors import InputError
from ..project import Role, Scope
from .access import (
    INVITATION_DAYS,
    LEAST_PASSWORD,
    Access,
    Visitor,
    address_of,
    code_address,
    is_secret,
    new_secret,
    review_of,
    step_of,
)
from .api.common import project_of
from .limits import PER_NAME_AND_ADDRESS, Refused, network_of, too_many
from .pages import Anyone, Owner, Posted, PostedByOwner, Review, StageName, Text, access_of, message, names_of, page

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
_DEVICE_SECONDS = 180 * 24 * 3600  # for which a browser is known by an earlier log-in
_LINES_OF_ACCESS = 50  # of the access log, that the page shows


@router.get("/login")
def log_in(request: Request, then: Annotated[str, Query(max_length=2_000)] = "/") -> Response:
    """Ask for name and password."""
    access = access_of(request)
    if access.visitor(request) is not None:
        return RedirectResponse(_inside(then), 303)
    return _log_in_page(request, then)


def _log_in_page(request: Request, then: str, name: str = "", refused: str = "", code: int = 200) -> HTMLResponse:
    return _to_a_stranger(request, "login.html", {"then": then, "name": name, "refused": refused}, code)


def _to_a_stranger(request: Request, template: str, facts: Mapping[str, object], code: int) -> HTMLResponse:
    """Fill a template with a form for somebody without a session; a cookie ties the form to their browser."""
    access = access_of(request)
    visit = request.cookies.get(_visit(access), "") or secrets.token_urlsafe(16)
    response = page(request, template, None, {**facts, "csrf": access.csrf(f"visit {visit}")}, code)
    response.set_cookie(_visit(access), visit, path="/", httponly=True, secure=access.door.secure, samesite="strict")
    return response


def _visit(access: Access) -> str:
    return f"{access.cookie}-visit"


def _device(access: Access) -> str:
    """Return the name of the cookie by which a browser is known that somebody has logged in with."""
    return f"{access.cookie}-device"


def by_a_stranger(request: Request, csrf: Annotated[str, Form(max_length=200)] = "") -> None:
    """Refuse a form that did not come from a page that was made for this browser."""
    access = access_of(request)
    visit = request.cookies.get(_visit(access), "")
    access.check_csrf(csrf, access.csrf(f"visit {visit}") if visit else secrets.token_hex())


def _inside(then: str) -> str:
    """Return a path of these pages; any other address becomes the first page."""
    return then if then.startswith("/") and then[1:2] not in ("/", "\\") and then.isprintable() else "/"


def _with_session(request: Request, token: str, device: str, then: str = "/") -> Response:
    access = access_of(request)
    secure = access.door.secure
    response = RedirectResponse(_inside(then), 303)
    response.set_cookie(access.cookie, token, path="/", httponly=True, secure=secure, samesite="strict")
    response.set_cookie(
        _device(access), device, max_age=_DEVICE_SECONDS, path="/", httponly=True, secure=secure, samesite="strict"
    )
    return response


@router.post("/login", dependencies=[Depends(by_a_stranger)])
def logged_in(request: Request, name: Text, password: Text, then: Text = "/", code: Text = "") -> Response:
    """Let a person in who gives the right password, and the code of the second factor where they have one."""
    access = access_of(request)
    device = request.cookies.get(_device(access), "")
    try:
        token, device = access.log_in(name.strip(), password, address_of(request), device, code)
    except Refused as refused:
        return _log_in_page(request, then, name, refused.message, refused.status)
    return _with_session(request, token, device, then)


@router.post("/logout")
def log_out(request: Request, review: Review, who: Posted) -> Response:
    """End the session."""
    if who.session:
        project_of(request).people.end_session(who.session, by=who.by)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(access_of(request).cookie, path="/")
    return response


@router.get("/join/{token}")
def join(request: Request, token: str) -> HTMLResponse:
    """Ask an invited person for a password."""
    return _join_page(request, token)


def _join_page(request: Request, token: str, refused: str = "") -> HTMLResponse:
    invitation = project_of(request).people.invitation(token)
    if invitation is None or not invitation.open:
        return message(request, 404, "This invitation is not open", "It was used, or it has expired; ask for another.")
    return _to_a_stranger(
        request,
        "join.html",
        {"token": token, "name": invitation.name, "role": invitation.role, "refused": refused, "least": LEAST_PASSWORD},
        422 if refused else 200,
    )


@router.post("/join/{token}", dependencies=[Depends(by_a_stranger)])
def joined(request: Request, token: str, password: Text, again: Text) -> Response:
    """Use an invitation up, and let the person in."""
    access, project = access_of(request), project_of(request)
    invitation = project.people.invitation(token)
    if invitation is None or not invitation.open:
        # Only these are slowed: who is invited gets in, whatever others behind the same address try.
        if wait := access.attempts.begin({("join", network_of(address_of(request))): PER_NAME_AND_ADDRESS}):
            raise too_many(wait)
        return _join_page(request, token)
    if password != again:
        return _join_page(request, token, "The two passwords differ; type them again.")
    try:
        person = project.people.accept(token, access.hashed(password, invitation.name), address=address_of(request))
    except InputError as error:
        return _join_page(request, token, str(error))
    session = project.people.start_session(person.name, address=address_of(request), seen=person)
    return _with_session(request, session, access.device_of(person))


@router.get("/people")
def people(request: Request, review: Review, who: Owner, stage: StageName = "") -> HTMLResponse:
    """Show who works on the review and what is assigned to whom, and let the owner invite and assign."""
    return _people_page(request, who, stage=stage)


def _people_page(request: Request, who: Visitor, link: str = "", invited: str = "", stage: str = "") -> HTMLResponse:
    project, review = project_of(request), review_of(request)
    stage = review.stage_name(stage or None)
    return page(
        request,
        "people.html",
        who,
        {
            "stage": stage,
            "assigned": assigned(review, stage),
            "names": names_of(review),
            "needed": review.protocol.reviewers_per_record,
            "people": review.people,
            "link": link,
            "invited": invited,
            "days": INVITATION_DAYS,
            "invitations": [i for i in project.people.invitations() if i.open],
            "tokens": [t for t in project.people.api_tokens() if t.in_use],
            "events": project.people.access_log(most=_LINES_OF_ACCESS, newest_first=True),
        },
    )


@router.post("/people/invitations")
def invite(
    request: Request, review: Review, who: PostedByOwner, name: Text, role: Annotated[Role, Form()]
) -> HTMLResponse:
    """Make an invitation and show its address, once."""
    scheme = "https" if access_of(request).door.secure else "http"
    link = access_of(request).invite(name.strip(), role, f"{scheme}://{request.headers['host']}", who.by)
    return _people_page(request, who, link, name.strip())


@router.post("/people/roles")
def change_role(
    request: Request, review: Review, who: PostedByOwner, name: Text, role: Annotated[Role, Form()]
) -> Response:
    """Give a person another role."""
    project_of(request).people.set_role(name, role, by=who.by)
    return RedirectResponse("/people", 303)


@router.post("/people/access")
def change_access(
    request: Request,
    review: Review,
    who: PostedByOwner,
    name: Text,
    act: Annotated[Literal["withdraw", "give-back", "remove", "end-sessions", "cancel-invitation"], Form()],
) -> Response:
    """Withdraw a person's access or give it back, take them off the list, log them out, or make an invitation void."""
    people = project_of(request).people
    acts = {
        "withdraw": people.withdraw,
        "give-back": people.give_back,
        "remove": people.remove,
        "end-sessions": people.end_sessions,
        "cancel-invitation": people.cancel_invitations,
    }
    acts[act](name, by=who.by)
    return RedirectResponse("/people", 303)


@router.post("/people/tokens/revoke")
def revoke_token_of(request: Request, review: Review, who: PostedByOwner, person: Text, name: Text) -> Response:
    """Revoke anybody's token."""
    project_of(request).people.revoke_api_token(person, name, by=who.by)
    return RedirectResponse("/people", 303)


@router.get("/account")
def account(request: Request, review: Review, who: Anyone) -> HTMLResponse:
    """Show the visitor's own password and tokens."""
    return _account_page(request, who)


def _account_page(
    request: Request, who: Visitor, said: str = "", token: str = "", code: int = 200, secret: str = ""
) -> HTMLResponse:
    people = project_of(request).people
    person = people.named(who.name) if who.session else None
    facts = {
        "said": said,
        "token": token,
        "tokens": [one for one in people.api_tokens(who.name) if one.in_use] if who.session else [],
        "least": LEAST_PASSWORD,
        "scopes": list(Scope),
        "has_code": person is not None and person.totp_secret is not None,
        "secret": secret,
        "address": code_address(secret, who.name, review_of(request).path.name) if secret else "",
    }
    return page(request, "account.html", who, facts, code)


def _with_account(who: Visitor) -> None:
    if not who.session:
        raise Refused(403, "This needs a person who has logged in.")


@router.post("/account/password")
def change_password(request: Request, review: Review, who: Posted, password: Text, new: Text, again: Text) -> Response:
    """Change the visitor's own password; all their sessions end but the new one."""
    _with_account(who)
    access, project = access_of(request), project_of(request)
    try:
        access.confirm(who, password)
    except Refused as refused:
        return _account_page(request, who, refused.message, code=refused.status)
    if new != again:
        return _account_page(request, who, "The two new passwords differ; type them again.", code=422)
    project.people.set_password_hash(who.name, access.hashed(new, who.name), by=who.by)
    person = project.people.named(who.name)  # anew: what a browser is known by changes with the password
    if person is None:
        raise Refused(403, "This needs a person who has logged in.")
    session = project.people.start_session(who.name, address=who.address, seen=person)
    return _with_session(request, session, access.device_of(person), "/account")


@router.post("/account/tokens")
def make_token(
    request: Request,
    review: Review,
    who: Posted,
    name: Text,
    scope: Annotated[Scope, Form()] = Scope.SCREEN,
    days: Annotated[int, Form(ge=1, le=3_650)] = 90,
) -> HTMLResponse:
    """Make a token for a program of the visitor's, and show it once."""
    _with_account(who)
    until = datetime.now(UTC) + timedelta(days=days)
    token = project_of(request).people.create_api_token(who.name, name.strip(), scope, until, by=who.by)
    return _account_page(request, who, token=token)


@router.post("/account/tokens/revoke")
def revoke_token(request: Request, review: Review, who: Posted, name: Text) -> Response:
    """Revoke a token of the visitor's."""
    _with_account(who)
    project_of(request).people.revoke_api_token(who.name, name, by=who.by)
    return RedirectResponse("/account", 303)


@router.post("/account/second-factor")
def second_factor(
    request: Request, review: Review, who: Posted, password: Text, secret: Text = "", code: Text = ""
) -> HTMLResponse:
    """Set a second factor up in two steps, first its secret and then a code that proves it, or take it away."""
    _with_account(who)
    access, project = access_of(request), project_of(request)
    before = project.people.named(who.name)
    try:
        person = access.confirm(who, password, code if before is not None and before.totp_secret else None)
    except Refused as refused:
        return _account_page(request, who, refused.message, code=refused.status)
    if person.totp_secret is not None:
        project.people.set_second_factor(who.name, None, by=who.by)
        return _account_page(request, who, "The second factor is taken away.")
    if not secret:
        return _account_page(request, who, secret=new_secret())
    if not is_secret(secret) or (step := step_of(secret, code)) is None:
        return _account_page(
            request,
            who,
            "This code is another: take the new secret in, and type its code.",
            code=422,
            secret=new_secret(),
        )
    project.people.set_second_factor(who.name, secret, step=step, by=who.by)
    return _account_page(request, who, "From now on you log in with your password and a code.")
