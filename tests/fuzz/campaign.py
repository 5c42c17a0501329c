"""All attacks, one after the other, and what came of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from tests.fuzz import bulk, corpora, openapi, pictures, protobufs, raw_http, task_types
from tests.fuzz.cases import Case, HttpCase, Shoot
from tests.fuzz.sending import Answer, Gun
from tests.fuzz.target import Target

Attack: TypeAlias = Callable[[Shoot, int, int], None]
_KEPT = 50
_PARTS = 100
_LARGEST_KEPT = 1 << 20
# Percent of the cases.
_SHARES = {
    openapi.KIND: 15,
    openapi.STATEFUL: 5,
    protobufs.KIND: 25,
    pictures.KIND: 8,
    corpora.KIND: 12,
    task_types.KIND: 20,
    raw_http.KIND: 14.5,
    bulk.KIND: 0.5,
}


@dataclass
class Tally:
    """Answers by kind and code; `failures` are the first cases with a complaint."""

    answers: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    complaints: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[Case, Answer]] = field(default_factory=list)

    def note(self, case: Case, answer: Answer) -> None:
        self.answers[case.kind][answer.code] += 1
        if answer.complaint is not None:
            self.complaints[answer.complaint] += 1
            if len(self.failures) < _KEPT:
                self.failures.append((case, answer))

    @property
    def cases(self) -> int:
        return sum(sum(codes.values()) for codes in self.answers.values())

    @property
    def server_errors(self) -> int:
        """5xx over HTTP; INTERNAL, UNKNOWN, UNAVAILABLE and the like over gRPC."""
        return self.complaints["a server error"]

    def report(self) -> dict[str, Any]:
        failures = [
            {"complaint": answer.complaint, "code": answer.code, "said": answer.said[:400], "case": _kept(case)}
            for case, answer in self.failures
        ]
        return {
            "cases": self.cases,
            "cases_by_kind": {kind: sum(codes.values()) for kind, codes in self.answers.items()},
            "answers_by_kind": {kind: dict(codes.most_common()) for kind, codes in self.answers.items()},
            "server_errors": self.server_errors,
            "complaints": dict(self.complaints),
            "failures": failures,
        }


def _kept(case: Case) -> dict[str, Any] | None:
    """None for what is too large to be kept: the seed makes it again."""
    large = isinstance(case, HttpCase) and len(case.raw) > _LARGEST_KEPT
    return None if large else case.to_json()


def fight(gun: Gun, target: Target, *, cases: int, seed: int, tell: Callable[[str], None]) -> Tally:
    """Every attack with its share of the cases; deterministic but for the ids that the target makes."""
    tally = Tally()

    def shoot(case: Case) -> None:
        answer = gun.send(case)
        tally.note(case, answer)
        if answer.complaint is not None:
            tell(f"{answer.complaint}: {case.kind}: {case.note}: {answer.code} {answer.said[:200]}")

    for kind, attack in _attacks(target).items():
        share = max(1, round(cases * _SHARES[kind] / _PARTS))
        # Not every operation of the document can be broken in as many ways as asked: the last attack fills up.
        attack(shoot, max(share, cases - tally.cases) if kind == raw_http.KIND else share, seed)
        tell(f"{kind}: {dict(tally.answers[kind].most_common())}")
    return tally


def _attacks(target: Target) -> dict[str, Attack]:
    return {
        openapi.KIND: partial(openapi.attack, url=target.url),
        openapi.STATEFUL: partial(openapi.attack_in_chains, url=target.url),
        protobufs.KIND: protobufs.attack,
        pictures.KIND: pictures.attack,
        corpora.KIND: corpora.attack,
        task_types.KIND: task_types.attack,
        bulk.KIND: bulk.attack,
        raw_http.KIND: raw_http.attack,
    }
