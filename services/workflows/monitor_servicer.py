"""Many workflows at once, over gRPC, to look at them."""

from __future__ import annotations

from collections.abc import Callable

from compute.workflows.v1 import monitor_pb2 as pb
from compute.workflows.v1 import monitor_pb2_grpc as rpc

from services.common.errors import ViolationCollector, check_field
from services.common.identity import calling_tenant
from services.common.numbered_pages import FIRST_PAGE, read_numbered_page
from services.common.scopes import TO_READ, needs
from services.rpc.grpc_server import Context
from services.rpc.proto import optional
from services.workflows.messages import STATE, WorkflowView
from services.workflows.ports import DefinitionRepository, WorkflowMonitor, WorkflowMonitorQuery

# What a list may be sorted by, and the field that it is.
SORTS = {
    **{name: name for name in ("created_at", "updated_at", "started_at", "completed_at", "name")},
    "status": "state",
}
_FILTERS = ("origin_instance", "origin_zone", "origin_tenant_id")


class WorkflowMonitorServicer(rpc.MonitorServiceServicer):
    def __init__(
        self,
        monitor: WorkflowMonitor,
        definitions: DefinitionRepository,
        view: WorkflowView,
        clock: Callable[[], int],
    ) -> None:
        self._monitor = monitor
        self._definitions = definitions
        self._view = view
        self._clock = clock

    @needs(TO_READ)
    async def ListMonitoredWorkflows(
        self, request: pb.ListMonitoredWorkflowsRequest, context: Context
    ) -> pb.ListMonitoredWorkflowsResponse:
        found = await self._monitor.page(_page(calling_tenant(), request))
        stored = await self._definitions.get_many([workflow.id for workflow in found.items])
        shown = [self._view.head(one, stored[one.id]) for one in found.items if one.id in stored]
        return pb.ListMonitoredWorkflowsResponse(workflows=shown, total=found.total, bounded=found.bounded)

    @needs(TO_READ)
    async def GetWorkflowStats(
        self, request: pb.GetWorkflowStatsRequest, context: Context
    ) -> pb.GetWorkflowStatsResponse:
        origin = {name: optional(request, name) for name in ("origin_instance", "origin_zone")}
        wanted = WorkflowMonitorQuery(calling_tenant(), **origin)
        counts = await self._monitor.counts(wanted, self._clock())
        return pb.GetWorkflowStatsResponse(**counts._asdict())


def _page(owner: str, request: pb.ListMonitoredWorkflowsRequest) -> WorkflowMonitorQuery:
    """Raises InvalidRequest with a violation for each field that cannot be used."""
    page, refusals = FIRST_PAGE, ViolationCollector()
    with refusals:
        page = read_numbered_page(request, SORTS)
    with refusals:
        check_field("status", not request.HasField("status") or request.status in STATE, "is none of workflows")
    refusals.told()
    return WorkflowMonitorQuery(
        owner,
        state=STATE[request.status] if request.HasField("status") else None,
        include_deleted=request.include_deleted,
        page=page,
        **{name: optional(request, name) for name in _FILTERS},
    )
