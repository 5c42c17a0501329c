"""What is killed when: everything follows from the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

TARGETS = ("tasks", "storage", "inference", "gateway", "nats", "mongodb", "triton", "model")


@dataclass(frozen=True, slots=True)
class Kill:
    """Seconds since the load began. `model` is a model process inside Triton, every other name a component."""

    at: float
    target: str


@dataclass(frozen=True, slots=True)
class Job:
    """One task of the load."""

    at: float
    key: str
    duration_ms: int
    picture: bool


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    seconds: float
    kills: tuple[Kill, ...]
    jobs: tuple[Job, ...]


def make_plan(*, seed: int, seconds: float, kills: int, rate: float, pictures: float) -> Plan:
    """`rate` tasks a second, of which `pictures` a second draw one; every target comes up before any comes up again."""
    chance = random.Random(seed)
    targets: list[str] = []
    while len(targets) < kills:
        targets += chance.sample(TARGETS, len(TARGETS))
    step = seconds / (kills + 1)
    moments = [step * (number + 1) + chance.uniform(-0.3, 0.3) * step for number in range(kills)]
    jobs = [
        Job(number / rate, f"{seed}-{number}", chance.choice((0, 0, 20, 200)), chance.random() < pictures / rate)
        for number in range(int(seconds * rate))
    ]
    return Plan(seed, seconds, tuple(map(Kill, moments, targets)), tuple(jobs))
