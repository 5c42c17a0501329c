"""Which stage of a task's way a sampled stack belongs to: the innermost frame that a rule knows decides. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

# (stage, words): a frame is "function (file:line)"; the first rule with a word in it wins.
RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "store write",
        ("pymongo/", "motor/", "durable/store.py", "tasks/repository.py", "durable/repository.py", "bson/"),
    ),
    (
        "publish",
        ("nats/", "services/messaging/", "durable/relay.py", "tasks/events.py", "durable/change_feed.py", "orders.py"),
    ),
    (
        "translate",
        ("tasks/messages.py", "rpc/proto.py", "services/translation/messages.py", "inference/registry.py"),
    ),
    (
        "decode, validate",
        ("services/translation/reading.py", "services/catalog/", "pydantic/", "gateway/edge/preferences.py"),
    ),
    ("claim", ("GetAssignments", ".claim (", ".claimed (")),
    ("finish", ("_finish", "FinishTasks", ".finish (", ".completed (")),
    ("dispatch", ("tasks/dispatcher.py", "tasks/backlog.py", "worker/queue.py")),
    ("run", ("worker/worker.py", "worker/runs.py", "inference/context.py", "inference/handlers/")),
    ("gRPC", ("grpc/", "services/rpc/grpc_", "gateway/batching.py", "durable/batch_writer.py")),
    ("HTTP", ("uvicorn/", "starlette/", "fastapi/", "gateway/")),
    ("use case", ("services/tasks/",)),
    ("SQLite", ("neosqlite/",)),
    ("wire protocol", ("nx_27017/",)),
    ("event loop", ("asyncio/", "uvloop/", "concurrent/futures/", "threading.py")),
)
OTHER = "other"


def stage_of(frames: Iterable[str]) -> str:
    """`frames` from the innermost outward."""
    for frame in frames:
        for stage, words in RULES:
            if any(word in frame for word in words):
                return stage
    return OTHER


def parse(folded: str) -> dict[tuple[str, ...], int]:
    """Lines `outer;…;inner count` as stacks from the innermost frame outward, with their counts."""
    stacks: Counter[tuple[str, ...]] = Counter()
    for text in folded.splitlines():
        frames, _, count = text.rpartition(" ")
        stacks[tuple(reversed(frames.split(";")))] += int(count)
    return dict(stacks)


def shares(stacks: Mapping[tuple[str, ...], int]) -> dict[str, float]:
    """Part of the samples in each stage, the largest first."""
    total, found = sum(stacks.values()), Counter[str]()
    for frames, count in stacks.items():
        found[stage_of(frames)] += count
    return {stage: count / total for stage, count in found.most_common()}


def top_functions(stacks: Mapping[tuple[str, ...], int], most: int = 12) -> dict[str, float]:
    """Part of the samples in which each function of this repository was somewhere on the stack."""
    total, found = sum(stacks.values()), Counter[str]()
    for frames, count in stacks.items():
        for frame in {_function(frame) for frame in frames if "services/" in frame or "gateway/" in frame}:
            found[frame] += count
    return {frame: count / total for frame, count in found.most_common(most)}


def _function(frame: str) -> str:
    """Without the line number."""
    return frame.rpartition(":")[0] + ")" if ":" in frame else frame
