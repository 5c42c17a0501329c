"""The queues of tasks that name none: their provider decides."""

from __future__ import annotations

INFERENCE_QUEUE = "inference"
"""Of what the deployment's own models do."""
PROVIDERS_QUEUE = "providers"
"""Of what outside providers do."""
DEFAULT_QUEUES = (INFERENCE_QUEUE, PROVIDERS_QUEUE)
