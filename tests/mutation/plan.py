"""Which code carries promises, and the fast tests that hold each part of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

_DISPATCH = (
    "test_tasks_dispatcher_state",
    "test_tasks_dispatcher",
    "test_tasks_reload",
    "test_tasks_queues",
    "test_tasks_batches",
    "test_tasks_roster",
)
_LIFE = ("test_tasks_service", "test_tasks_claims", "test_tasks_batches", "test_tasks_removal", "test_tasks_tidying")
_CALLS = (
    "test_call_ledger",
    "test_inference_asking",
    "test_inference_pauses",
    "test_account_limits",
    "test_orphaned_calls",
    "test_inference_tidying",
    "test_inference_asking_chaos",
)

_WORKFLOWS = (
    "test_step_ends",
    "test_workflow_results",
    "test_workflow_estimates",
    "test_step_cache",
    "test_workflow_planning",
    "test_workflow_domain",
    "test_workflow_validation",
    "test_workflow_inputs",
    "test_workflow_definitions",
    "test_workflow_looks",
    "test_workflow_crashes",
)

# Patterns of files, and the tests in tests/unit that are run for each.
PLAN: dict[str, tuple[str, ...]] = {
    "services/tasks/domain.py": (
        *_LIFE,
        "test_tasks_domain",
        "test_tasks_calls",
        "test_tasks_messages",
        "test_tasks_dispatcher",
    ),
    "services/tasks/service.py": (*_LIFE, "test_tasks_calls", "test_tasks_queues"),
    "services/tasks/removal.py": ("test_tasks_removal",),
    "services/tasks/orphan_reaper.py": ("test_tasks_tidying", "test_orphaned_calls"),
    "services/tasks/provider_calls.py": ("test_tasks_calls", "test_orphaned_calls", "test_tasks_tidying"),
    "services/tasks/fingerprint.py": ("test_tasks_fingerprint",),
    "services/tasks/reference_policy.py": ("test_tasks_door",),
    "services/tasks/dispatcher.py": ("test_lease_expiry", *_DISPATCH),
    "services/tasks/unconfirmed_runs.py": ("test_lease_expiry", *_DISPATCH),
    "services/tasks/backlog.py": ("test_tasks_backlog", *_DISPATCH),
    "services/tasks/fair_scheduler.py": ("test_tasks_fair_scheduler", *_DISPATCH),
    "services/tasks/worker_registry.py": ("test_worker_facts", *_DISPATCH),
    "services/tasks/attempts.py": (*_DISPATCH, "test_tasks_claims"),
    "services/durable/leases.py": ("test_durable_leases", "test_tasks_roster"),
    "services/durable/leadership.py": ("test_tasks_leadership",),
    "services/durable/repository.py": (
        "test_durable_repository",
        "test_durable_checkpoints",
        "test_tasks_repository",
        "test_durable_crashes",
    ),
    "services/durable/relay.py": ("test_durable_relay", "test_tasks_outbox", "test_durable_crashes"),
    "services/durable/checkpoints.py": ("test_durable_checkpoints", "test_durable_crashes"),
    "services/durable/batch_writer.py": ("test_batch_writer", "test_tasks_repository"),
    "services/durable/fair_queue.py": ("test_fair_queue", "test_batch_writer", "test_gateway_parts"),
    "services/durable/due_list.py": ("test_tasks_tidying", "test_tasks_removal", "test_webhooks_ready"),
    "services/providers/calling/account_limits.py": ("test_account_limits", "test_inference_asking"),
    "services/providers/calling/call_ledger.py": _CALLS,
    "services/providers/calling/fallback_chain.py": _CALLS,
    "services/providers/calling/orphan_resolver.py": ("test_orphaned_calls", "test_inference_tidying"),
    "services/providers/calling/provider_retries.py": _CALLS,
    "services/webhooks/domain.py": ("test_webhooks_domain", "test_webhooks_schedule", "test_webhooks_sender"),
    "services/webhooks/sender.py": (
        "test_webhooks_turns",
        "test_webhooks_sender",
        "test_webhooks_limits",
        "test_webhooks_ready",
    ),
    "services/webhooks/ready_queue.py": ("test_webhooks_ready", "test_webhooks_sender"),
    "services/webhooks/http_transport.py": ("test_webhooks_courier",),
    "services/net/addresses.py": ("test_net_addresses", "test_guarded_http", "test_tasks_door"),
    "services/imaging/paths.py": ("test_storage_paths",),
    "services/access/domain.py": ("test_access_domain",),
    "services/access/service.py": ("test_access_domain",),
    "services/workflows/domain.py": _WORKFLOWS,
    "services/workflows/planning.py": _WORKFLOWS,
    "services/workflows/inputs.py": _WORKFLOWS,
    "services/workflows/validation.py": _WORKFLOWS,
    "services/workflows/engine.py": _WORKFLOWS,
    "gateway/edge/authentication.py": ("test_gateway_authentication", "test_gateway_parts"),
    "gateway/edge/route_access.py": ("test_gateway_authentication",),
}


def files(pattern: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern) if path.name != "__init__.py")


def parts(only: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each file that carries a promise, with the tests that are there for it."""
    for pattern, names in PLAN.items():
        tests = tuple(f"tests/unit/{name}.py" for name in dict.fromkeys(names))
        yield from ((file, tests) for file in files(pattern) if only in file)
