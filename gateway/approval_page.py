"""The pages behind an approval's link, without scripts; every text of a caller's is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from html import escape

from compute.workflows.v1 import workflows_pb2 as pb

ROOT = "/approvals"
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1c1c20;background:#faf9f6}
body{max-width:44rem;margin:3rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0 0 .5rem} p{margin:.5rem 0} .faint{color:#807e7a}
.pictures{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.5rem 0}
.pictures img{max-width:100%;height:14rem;object-fit:contain;background:#fff;border:1px solid #e4e2dc}
label{display:block;margin:1rem 0 .25rem} input,textarea{font:inherit;width:100%;box-sizing:border-box;padding:.5rem}
button{font:inherit;padding:.6rem 1.6rem;margin:1.25rem .75rem 0 0}
button{border:1px solid #1c1c20;border-radius:.3rem;background:#fff}
button.yes{background:#1c1c20;color:#fff}
""".strip()


def asking(asked: pb.ResolveApprovalLinkResponse, pictures: Sequence[str]) -> str:
    """What is to be decided, with two buttons."""
    until = asked.expires_at.ToDatetime(UTC).strftime("%d %B %Y, %H:%M UTC")
    shown = "".join(f'<img src="{escape(address)}" alt="">' for address in pictures)
    more = f"<p>{escape(asked.description)}</p>" if asked.description else ""
    who = (
        f'<p class="faint">You decide as {escape(asked.approver)}.</p>'
        if asked.approver
        else '<label for="who">Your name</label><input id="who" name="decided_by" maxlength="100" required>'
    )
    return _page(
        f"Approve {asked.step_id}?",
        f"<h1>{escape(asked.workflow_name)}: may step {escape(asked.step_id)} run?</h1>{more}"
        f'<div class="pictures">{shown}</div><form method="post">{who}'
        '<label for="why">Comment (optional)</label>'
        '<textarea id="why" name="comment" maxlength="1000" rows="2"></textarea>'
        '<button class="yes" name="decision" value="approve">Approve</button>'
        '<button name="decision" value="reject">Reject</button></form>'
        f'<p class="faint">This link is good for one decision, until {until}.</p>',
    )


def answered(done: pb.DecideByLinkResponse) -> str:
    """What was decided, and by whom."""
    decision = done.decision
    said = "approved: it runs now" if decision.approved else "rejected: it does not run"
    return _page(
        "Thank you",
        f"<h1>Step {escape(done.step_id)} of {escape(done.workflow_name)} is {said}.</h1>"
        f'<p class="faint">Recorded as decided by {escape(decision.decided_by)}.</p>',
    )


def refusing(message: str, reason: str) -> str:
    """Why nothing can be decided."""
    return _page(
        "Nothing was decided",
        f"<h1>Nothing was decided.</h1><p>{escape(message)}</p><p class='faint'>{escape(reason)}</p>",
    )


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>{body}</html>"
    )
