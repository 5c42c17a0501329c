"""What workers say of what they run: kept by nobody."""

from __future__ import annotations


def watch_subject(task_id: str) -> str:
    """Where whoever begins to watch a task says so, for its run to show how far it is."""
    return f"watch.v1.{task_id}"


def progress_subject(task_id: str) -> str:
    return f"progress.v1.{task_id}"


def inference_subject(tenant: str, task_id: str) -> str:
    return f"inference.v1.{tenant}.{task_id}"


def limits_subject(account: str) -> str:
    """Where workers tell each other that an outside account must be left alone; `account` may be a wildcard."""
    return f"limits.v1.{account}"
