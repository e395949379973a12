"""Commands for a team."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ..wording import plural, printable
from .app import app
from .output import (
    AsJson,
    Review,
    Reviewer,
    StageName,
    open_review,
    print,
    print_json,
    quoted,
    short,
    shown_place,
    user_name,
)


@app.command()
def conflicts(
    review: Review,
    stage: StageName = None,
    settle: Annotated[
        int | None, typer.Option(metavar="ID", help="Settle what is in conflict on this record, with --label.")
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="LABEL", help="include, exclude or maybe.")] = None,
    reason: Annotated[str, typer.Option(metavar="CODE", help="The reason of an exclusion.")] = "",
    note: Annotated[str, typer.Option(metavar="TEXT", help="Kept with the settlement.")] = "",
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """List the records whose reviewers disagree, or settle one.

    A settlement holds no matter what the reviewers say later; `triage undo REVIEW --event SEQ` takes it back.
    If the review has people, only an adjudicator or an owner can settle.

    It prints the number of each record in conflict with its title, and under it a line for each reviewer:

        ann: exclude | CHILD | only schools    who, the label | the reason | the note

    For example:

        triage conflicts review.triage
        triage conflicts review.triage --settle 12 --label exclude --reason CHILD --reviewer carol
    """
    from .. import team

    if (settle is None) != (label is None):
        raise typer.BadParameter("give both, a record and its label", param_hint="--settle, --label")
    with open_review(review) as project:
        if settle is not None and label is not None:
            event = team.settle(
                project,
                settle,
                label.strip().lower(),
                reviewer=user_name(reviewer),
                stage_name=stage,
                reason=reason,
                note=note,
            )
            if not as_json:
                print(f"Settled record {event.record_id}: {event.label}, by event {event.seq}.")
                return
        found = team.conflicts(project.snapshot(), stage)
    if as_json:
        print_json(found)
        return
    print(f"Stage {found.stage}: {plural(len(found.conflicts), 'record')} in conflict, {len(found.settled):,} settled.")
    for record in found.conflicts:
        print(f"record {record.record_id}: {short(record.title)}")
        for one in record.decisions:
            why = " | ".join(printable(text) for text in (one.reason, one.note) if text)
            print(f"  {printable(one.reviewer)}: {one.label}" + (f" | {why}" if why else ""))


@app.command()
def assign(
    review: Review,
    people: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="NAME", show_default=False, help="To whom; give it once for each person."),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1, max=100_000, metavar="N", show_default=False, help="So many of the ranking's next records."
        ),
    ] = None,
    query: Annotated[
        str, typer.Option(metavar="QUERY", show_default=False, help="What this search finds, as on the search page.")
    ] = "",
    each: Annotated[int, typer.Option(min=1, metavar="N", help="To how many of them each record is assigned.")] = 1,
    back: Annotated[
        bool, typer.Option("--take-back", help="Free what is assigned to them and that they have not judged.")
    ] = False,
    stage: StageName = None,
    reviewer: Reviewer = None,
    as_json: AsJson = False,
) -> None:
    """Assign records to people, or list what is assigned to whom.

    The records go in turn to the people named, the best of the ranking first. Whoever has records assigned gets them
    before all others, in the ranking's order, and then goes on with what is left for everybody. The ranking offers a
    record to nobody else while as many people have it as the protocol asks for. Records that somebody has already, or
    that are judged, are not assigned.

    The random draws that certify the recall come from all records, no matter to whom they are assigned: a sample that
    followed assignments would be none. A name needs no account; a machine cannot be given records. If the review has
    people, an owner assigns.

    Each assignment is an event of its own, which `triage undo --event SEQ` takes back.

    For example:

        triage assign review.triage --top 200 --to ann --to bob
        triage assign review.triage --query "author:smith" --to ann
        triage assign review.triage --take-back --to ann
    """
    from .. import assigning, terminal
    from ..found import Wanted

    names = people or []
    if (back or top is not None or query) and not names:
        raise typer.BadParameter("name the people", param_hint="--to")
    if back and (top is not None or query):
        raise typer.BadParameter(
            "it frees all that is left, and takes neither --top nor --query", param_hint="--take-back"
        )
    with open_review(review) as project:
        who = user_name(reviewer)
        if back:
            freed = {
                name: len(assigning.take_back(project, name, reviewer=who, stage_name=stage))
                for name in dict.fromkeys(names)
            }
            if as_json:
                print_json({"taken_back": freed})
            for name, n in {} if as_json else freed.items():
                print(f"{plural(n, 'record')} of {printable(name)} freed.")
            return
        if not names:
            found = assigning.assigned(project.snapshot(), stage)
            if as_json:
                print_json({"assigned": [asdict(one) for one in found]})
            for one in () if as_json else found:
                print(f"{printable(one.reviewer)}: {plural(one.assigned, 'record')}, {one.done:,} judged")
            if not found and not as_json:
                print("No record is assigned to anybody.")
            return
        given = assigning.assign(
            project,
            names,
            reviewer=who,
            wanted=Wanted(query) if query else None,
            top=top,
            each=each,
            stage_name=stage,
            progress=terminal.progress_bar,
        )
    if as_json:
        print_json(given)
        return
    for name, n in given.given.items():
        unknown = "; nobody of that name has worked here yet" if name in given.unknown else ""
        print(f"{plural(n, 'record')} assigned to {printable(name)}{unknown}.")


@app.command()
def agreement(
    review: Review,
    stage: StageName = None,
    confidence: Annotated[float, typer.Option(metavar="SHARE", help="Confidence of the intervals.")] = 0.95,
    as_json: AsJson = False,
) -> None:
    """Say how well the reviewers agree, beyond chance.

    The decisions are compared as they stood before the reviewers could see each other's; where some were changed since,
    the newest are compared as well, after discussion.

    Cohen's kappa of each pair, and Fleiss' kappa, Gwet's AC1 and Krippendorff's alpha of all, with
    intervals; the calibration round, if the protocol has one, apart. Kappa falls where few records are
    relevant, however well reviewers agree; AC1 does not.

    Rows and columns:

        three labels         include, maybe and exclude are three different answers
        maybe as include     both pass a record on, so they count as one answer
        0.72 (0.61 to 0.83)  the coefficient and its interval: 1 is perfect agreement, 0 what chance gives
        not defined          all labels are the same, so chance alone explains them

    For example:

        triage agreement review.triage
        triage agreement review.triage --stage full-text --confidence 0.9
    """
    from .. import team

    with open_review(review) as project:
        found = team.agreement(project.snapshot(), stage, confidence=confidence)
    if as_json:
        print_json(found)
    else:
        print(team.agreement_in_words(found))


@app.command()
def screeners(
    review: Review,
    stage: StageName = None,
    confidence: Annotated[float, typer.Option(metavar="SHARE", help="Confidence of the intervals.")] = 0.95,
    as_json: AsJson = False,
) -> None:
    """Say how well each machine and each person recognizes the relevant records.

    Sensitivity, specificity and precision (maybe counts as include), with exact intervals, only on the random
    audit draws, so that no ranking biases them. A machine is compared with what people decided on the draws; a
    person, on draws that others judged too, with what was settled or what the others agree on. And how often two
    machines agree, over all records that both labelled.

    An interval is that of Clopper and Pearson. It speaks for the records that nobody had been shown when the draws
    were made: what the ranking had brought up before is not among them. As audit draws stop by what people's labels
    say, the interval of the precision assumes more than the other two: that the number of draws did not depend on
    what they found. Where no draw was relevant nothing is known of the sensitivity: 0 to 100 %.

    For example:

        triage screeners review.triage
        triage screeners review.triage --stage full-text --json
    """
    from .. import screeners as measured

    with open_review(review) as project:
        found = measured.screeners(project.snapshot(), stage, confidence=confidence)
    if as_json:
        print_json(asdict(found))
    else:
        for line in measured.in_words(found).split("\n"):
            print(f"{line[: len(line) - len(line.lstrip())]}{printable(line)}")


@app.command()
def people(
    review: Review,
    role: Annotated[
        str | None,
        typer.Option(metavar="NAME=ROLE", help="Give somebody another role: reviewer, adjudicator or owner."),
    ] = None,
    withdraw: Annotated[
        str | None,
        typer.Option(metavar="NAME", show_default=False, help="Let somebody in no more, until it is given back."),
    ] = None,
    give_back: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="Let somebody in again.")
    ] = None,
    remove: Annotated[
        str | None,
        typer.Option(metavar="NAME", show_default=False, help="Take somebody off the list; their decisions stay."),
    ] = None,
    log_out: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="End somebody's sessions in every browser.")
    ] = None,
    cancel: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="Make somebody's open invitation void.")
    ] = None,
    revoke: Annotated[
        str | None,
        typer.Option(metavar="NAME=TOKEN", show_default=False, help="Make the token of somebody's program void."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List who has access over the network, or change it; open invitations and tokens of programs are listed, too.

    A review of one person on one machine has nobody in the list and needs none. Whose access is withdrawn, or who is
    removed, is logged out everywhere at once, and their tokens and invitations are void; a new invitation lets them in
    again. Each change is a line of `triage log --access`.

    For example:

        triage people review.triage
        triage people review.triage --role bob=adjudicator
        triage people review.triage --withdraw bob
    """
    from ..project import By

    with open_review(review) as project:
        known, by = project.people, By(user_name(None))
        for name, act in (
            (withdraw, known.withdraw),
            (give_back, known.give_back),
            (remove, known.remove),
            (log_out, known.end_sessions),
            (cancel, known.cancel_invitations),
        ):
            if name is not None:
                act(name.strip(), by=by)
        if role is not None:
            name, _, wanted = role.rpartition("=")
            known.set_role(name.strip(), wanted.strip().lower(), by=by)
        if revoke is not None:
            name, _, token = revoke.partition("=")
            known.revoke_api_token(name.strip(), token.strip(), by=by)
        found, invited = known.all(), [i for i in known.invitations() if i.open]
        tokens = [one for one in known.api_tokens() if one.in_use]
    if as_json:
        print_json(
            {
                "people": [
                    {
                        "name": p.name,
                        "role": str(p.role),
                        "created_at": p.created_at.isoformat(),
                        "has_password": p.password_hash is not None,
                        "has_second_factor": p.totp_secret is not None,
                        "withdrawn_at": None if p.withdrawn_at is None else p.withdrawn_at.isoformat(),
                    }
                    for p in found
                ],
                "invitations": [
                    {"name": i.name, "role": str(i.role), "expires_at": i.expires_at.isoformat()} for i in invited
                ],
                "tokens": [
                    {
                        "person": t.person.name,
                        "name": t.name,
                        "scope": str(t.scope),
                        "expires_at": None if t.expires_at is None else t.expires_at.isoformat(),
                    }
                    for t in tokens
                ],
            }
        )
        return
    for person in found:
        withdrawn = "" if person.withdrawn_at is None else f", access withdrawn on {person.withdrawn_at:%Y-%m-%d}"
        print(f"{printable(person.name)}: {person.role}{withdrawn}")
    for invitation in invited:
        until = f"{invitation.expires_at:%Y-%m-%d %H:%M} UTC"
        print(f"{printable(invitation.name)}: invited as {invitation.role}, until {until}")
    for one in tokens:
        ends = "" if one.expires_at is None else f", until {one.expires_at:%Y-%m-%d}"
        print(f"{printable(one.person.name)}: token {printable(one.name)}, to {one.scope}{ends}")
    if not found and not invited:
        print(f"Nobody yet. Next: triage invite {quoted(review)} NAME --role owner")


@app.command()
def invite(
    review: Review,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The person's name, which the log shows with each decision.")
    ],
    role: Annotated[
        str,
        typer.Option(
            metavar="ROLE",
            help="reviewer: decides, blind to the others; adjudicator: settles conflicts, too; owner: may do everything.",
        ),
    ] = "reviewer",
    days: Annotated[int, typer.Option(min=1, max=90, metavar="N", help="Days until it expires.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Invite a person: prints the token that lets them in once, to choose a password.

    The token is shown only this once, and an earlier invitation of the same name is void. Who is there already is logged
    out everywhere, chooses a new password, and keeps their role. With `triage serve` running, the link is its address,
    /join/ and the token.

    For example:

        triage invite review.triage ann --role owner
        triage invite review.triage bob --days 14
    """
    from datetime import UTC, datetime, timedelta

    from ..project import By

    with open_review(review) as project:
        expires_at = datetime.now(UTC) + timedelta(days=days)
        token = project.people.invite(name, role.strip().lower(), expires_at, by=By(user_name(None)))
    if as_json:
        print_json({"name": name.strip(), "role": role, "token": token, "expires_at": expires_at.isoformat()})
        return
    print(f"Invited {printable(name)} as {role}, until {expires_at:%Y-%m-%d %H:%M} UTC. The link, shown once:")
    print(f"/join/{token}")


@app.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", show_default=False, help="A review's file or address.")],
    target: Annotated[str, typer.Argument(metavar="TO", show_default=False, help="Where there is no review yet.")],
    as_json: AsJson = False,
) -> None:
    """Copy a review between a file and a server, either way, without loss.

    Records, log, protocols, rankings and people, with their numbers and times; whole or not at all. The review
    at FROM stays as it is: agree on which of the two goes on.

    For example:

        triage copy review.triage "postgresql://ann@host/reviews?review=peer-support"
        triage copy "postgresql://ann@host/reviews?review=peer-support" copy.triage
    """
    from ..project import copy as copy_review

    counts = copy_review(source, target)
    if as_json:
        print_json({"from": shown_place(source), "to": shown_place(target), "rows": counts})
        return
    print(
        f"Copied {shown_place(source)} to {shown_place(target)}: {plural(counts['records'], 'record')}, "
        f"{plural(counts['events'], 'event')}, {plural(counts['people'], 'person', 'people')}."
    )
