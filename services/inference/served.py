"""The models of this worker's own, as it announces them with each heartbeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compute.tasks.v1 import tasks_pb2 as pb

from services.providers.ports import LoadedModel


def announced(served: Callable[[], Sequence[LoadedModel]]) -> list[pb.ServedModel]:
    return [
        pb.ServedModel(
            name=model.card.name,
            sha256=model.card.sha256,
            licence=model.card.licence,
            serves=model.serves,
            made_for=model.made_for,
            source=model.source,
            upstream=model.upstream,
        )
        for model in served()
    ]
