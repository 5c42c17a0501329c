"""What there is and what runs, over gRPC."""

from __future__ import annotations

from typing import Any

from compute.tasks.v1 import monitor_pb2 as pb
from compute.tasks.v1 import monitor_pb2_grpc as rpc

from services.catalog.tasks import TYPES
from services.common.errors import ViolationCollector
from services.common.identity import calling_tenant, current_caller
from services.common.numbered_pages import FIRST_PAGE, read_numbered_page
from services.common.scopes import ANY_KEY, TO_READ, needs
from services.rpc.grpc_server import Context
from services.rpc.proto import optional, set_time
from services.tasks.dispatcher import Dispatcher
from services.tasks.domain import Task
from services.tasks.messages import Messages
from services.tasks.ports import TaskClock, TaskMonitor, TaskMonitorQuery
from services.tasks.queue_history import QueueHistories

# What a list may be sorted by, and the field that it is.
SORTS = {
    **{name: name for name in ("created_at", "updated_at", "started_at", "completed_at", "priority", "task_type")},
    "status": "state",
    "queue_name": "queue",
}
_FILTERS = ("task_type", "provider_type", "origin_instance", "origin_zone", "origin_tenant_id")
_INTERNAL = tuple(name for name, kind in TYPES.items() if kind.internal)


class TaskMonitorServicer(rpc.MonitorServiceServicer):
    def __init__(
        self,
        monitor: TaskMonitor,
        messages: Messages,
        dispatcher: Dispatcher,
        histories: QueueHistories,
        clock: TaskClock,
    ) -> None:
        self._monitor = monitor
        self._messages = messages
        self._dispatcher = dispatcher
        self._histories = histories
        self._clock = clock

    @needs(TO_READ)
    async def ListMonitoredTasks(
        self, request: pb.ListMonitoredTasksRequest, context: Context
    ) -> pb.ListMonitoredTasksResponse:
        found = await self._monitor.page(self._page(calling_tenant(), request))
        shown = [self._shown(task) for task in found.items]
        return pb.ListMonitoredTasksResponse(tasks=shown, total=found.total, bounded=found.bounded)

    @needs(TO_READ)
    async def GetTaskStats(self, request: pb.GetTaskStatsRequest, context: Context) -> pb.GetTaskStatsResponse:
        wanted = TaskMonitorQuery(
            calling_tenant(),
            origin_instance=optional(request, "origin_instance"),
            origin_zone=optional(request, "origin_zone"),
            without_types=_left_out(request),
        )
        counts = await self._monitor.counts(wanted, self._clock())
        return pb.GetTaskStatsResponse(**counts._asdict())

    @needs(ANY_KEY)
    async def ListQueues(self, request: pb.ListQueuesRequest, context: Context) -> pb.ListQueuesResponse:
        now = self._clock()
        books = self._dispatcher
        depth, running, reserved, slots = books.depth(), books.running(), books.reserved(), books.slots()
        answer = pb.ListQueuesResponse()
        for name in books.queues:
            workers, waiting = slots.get(name, []), reserved.get(name, 0)
            history = self._histories.within_the_hour(name, now)
            answer.queues.add(
                name=name,
                depth=depth.get(name, 0),
                workers=len(workers),
                slots=sum(workers),
                active=running.get(name, 0) - waiting,
                reserved=waiting,
                wait_seconds=history.wait,
                completed_last_hour=history.completed,
            )
        set_time(answer.at, now)
        return answer

    @needs(ANY_KEY)
    async def ListWorkers(self, request: pb.ListWorkersRequest, context: Context) -> pb.ListWorkersResponse:
        answer = pb.ListWorkersResponse()
        for name, (worker, active) in sorted(self._dispatcher.workers().items()):
            facts = worker.facts
            answer.workers.add(
                name=name,
                queues=sorted(worker.queues),
                capacity=worker.capacity,
                active=active,
                memory_bytes=facts.memory_bytes or None,
                tasks_completed=facts.tasks_completed,
                tasks_per_minute=facts.tasks_per_minute,
            )
        set_time(answer.at, self._clock())
        return answer

    def _page(self, owner: str, request: pb.ListMonitoredTasksRequest) -> TaskMonitorQuery:
        """Raises InvalidRequest with a violation for each field that cannot be used."""
        page, refusals, state = FIRST_PAGE, ViolationCollector(), None
        with refusals:
            page = read_numbered_page(request, SORTS)
        with refusals:
            state = self._messages.state(request.status) if request.HasField("status") else None
        refusals.told()
        return TaskMonitorQuery(
            owner,
            state=state,
            without_types=_left_out(request),
            include_deleted=request.include_deleted,
            page=page,
            **{name: optional(request, name) for name in _FILTERS},
        )

    def _shown(self, task: Task) -> pb.MonitoredTask:
        brief = self._messages.brief(task)
        message = pb.MonitoredTask(
            id=task.id,
            task_type=task.task_type,
            provider_type=task.provider_type,
            status=brief.status,
            progress=brief.progress if task.state.terminal else self._dispatcher.progress(task.id),
            has_error=bool(task.errors),
            queue=task.queue,
            priority=task.priority,
            workflow_id=task.workflow_id,
        )
        origin = message.origin
        origin.instance = task.origin_instance
        for name in ("zone", "tenant_id"):
            if (value := getattr(task, f"origin_{name}")) is not None:
                setattr(origin, name, value)
        for name in ("created_at", "updated_at", "started_at", "completed_at"):
            if (moment := getattr(task, name)) is not None:
                set_time(getattr(message, name), moment)
        return message


def _left_out(request: Any) -> tuple[str, ...]:
    """What is not in the public API is the administrators' affair."""
    return _INTERNAL if request.public_types_only or not current_caller().may("admin") else ()
