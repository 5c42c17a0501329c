"""The tasks service over gRPC: messages in, use case, messages out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

import structlog
from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import tasks_pb2_grpc as rpc
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.catalog.tasks import TYPES
from services.common.errors import ComputeError, Overloaded, ViolationCollector, wrong_field
from services.common.identity import Caller, calling_tenant, check_tenant, current_caller
from services.common.ids import distinct, part_key
from services.common.merging import merged
from services.common.paging import fitting, next_token, read_window
from services.common.refusal_pacing import RefusalPacer
from services.common.scopes import TO_CHANGE, TO_READ, needs
from services.durable.batch_writer import abandon
from services.durable.watchers import Watchers
from services.messaging.subjects.workers import progress_subject, watch_subject
from services.rpc.grpc_server import Context
from services.rpc.proto import check_objects, optional
from services.tasks.bulk import MOST, check_deletion, check_many, deleted, failure
from services.tasks.creation import CreateResult, NewTask, PendingCreate
from services.tasks.domain import Task
from services.tasks.messages import Messages
from services.tasks.ports import TaskQuery
from services.tasks.removal import Remover
from services.tasks.requests import check_forms, check_key, check_spec, for_services
from services.tasks.service import TaskService
from services.tasks.worker_registry import RegisteredModel
from services.telemetry import tracing
from services.telemetry.trace_context import checked, current
from services.telemetry.tracing import SpanKind

log = structlog.get_logger()
Named: TypeAlias = (
    pb.GetTaskRequest
    | pb.CancelTaskRequest
    | pb.WatchTaskRequest
    | pb.UpdateTaskRequest
    | pb.ReplayTaskRequest
    | pb.DeleteTaskRequest
    | pb.CleanupTaskRequest
)
_CREATE = "create task"
# Of a watcher that does not keep up.
_NEWS = 256
_INTERNAL = tuple(name for name, kind in TYPES.items() if kind.internal)


class TaskServicer(rpc.TaskServiceServicer):
    def __init__(
        self,
        service: TaskService,
        remover: Remover,
        messages: Messages,
        watchers: Watchers[Task],
        bus: Client,
        progress: Callable[[str], float],
        models: Callable[[], list[RegisteredModel]],
    ) -> None:
        """`progress` is the percent a worker last reported for a running task, `models` what workers draw with."""
        self._service = service
        self._remover = remover
        self._messages = messages
        self._watchers = watchers
        self._bus = bus
        self._progress = progress
        self._models = models
        self._pacer = RefusalPacer()

    @needs(TO_CHANGE)
    async def CreateTask(self, request: pb.CreateTaskRequest, context: Context) -> pb.CreateTaskResponse:
        await self._admit(owner := calling_tenant())
        _check_asking(request, current_caller())
        answer = pb.CreateTaskResponse()
        with tracing.span(_CREATE, SpanKind.PRODUCER) as traceparent:
            new = self._new(owner, request, traceparent)
            check_spec(request.spec)
            self._show(await self._service.create(new), answer)
        return answer

    @needs(TO_CHANGE)
    async def CreateTasks(self, request: pb.CreateTasksRequest, context: Context) -> pb.CreateTasksResponse:
        caller, answer = current_caller(), pb.CreateTasksResponse()
        if not caller.internal:
            await self._admit(caller.tenant)
            check_many("items", len(request.items))
        check_key(request.idempotency_key)
        keys = (part_key(request.idempotency_key, number) for number in range(len(request.items)))
        begun = [self._begin(item, key, caller) for item, key in zip(request.items, keys, strict=True)]
        try:
            for one in begun:
                await self._end(one, answer.outcomes.add(), brief=request.brief)
        except asyncio.CancelledError:
            abandon(one.written for one in begun if isinstance(one, PendingCreate))
            raise
        return answer

    @needs(TO_READ)
    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        calling_tenant()
        return pb.ListModelsResponse(models=[pb.ServedModel(**model._asdict()) for model in self._models()])

    @needs(TO_READ)
    async def GetTask(self, request: pb.GetTaskRequest, context: Context) -> pb.GetTaskResponse:
        task = await self._service.get(calling_tenant(), _task_id(request), optional(request, "task_type"))
        return pb.GetTaskResponse(task=self._shown(task))

    @needs(TO_READ)
    async def ListTasks(self, request: pb.ListTasksRequest, context: Context) -> pb.ListTasksResponse:
        owner, refusals, state = calling_tenant(), ViolationCollector(), None
        with refusals:
            window = read_window(request, f"{owner}/")
        with refusals:
            state = self._messages.state(request.status) if request.HasField("status") else None
        refusals.told()
        caller = current_caller()
        wanted = TaskQuery(
            owner,
            state=state,
            task_type=optional(request, "task_type"),
            origin_instance=optional(request, "origin_instance"),
            origin_zone=optional(request, "origin_zone"),
            origin_tenant_id=optional(request, "origin_tenant_id"),
            workflow_id=optional(request, "workflow_id"),
            dead_letter=request.dead_letter if request.HasField("dead_letter") else None,
            without_types=_INTERNAL if request.public_types_only or not caller.may("admin") else (),
            include_deleted=request.include_deleted,
        )
        found = await self._service.find(wanted, window)
        shown = fitting(map(self._shown, found.items))
        return pb.ListTasksResponse(tasks=shown, next_page_token=next_token(window, found, len(shown)))

    @needs(TO_CHANGE)
    async def CancelTask(self, request: pb.CancelTaskRequest, context: Context) -> pb.CancelTaskResponse:
        task = await self._service.cancel(calling_tenant(), _task_id(request), optional(request, "task_type"))
        return pb.CancelTaskResponse(task=self._shown(task))

    @needs(TO_CHANGE)
    async def UpdateTask(self, request: pb.UpdateTaskRequest, context: Context) -> pb.UpdateTaskResponse:
        edit = self._messages.edit(request)
        check_forms(check_objects(request))
        task = await self._service.amend(calling_tenant(), _task_id(request), optional(request, "task_type"), edit)
        return pb.UpdateTaskResponse(task=self._shown(task))

    @needs(TO_CHANGE)
    async def ReplayTask(self, request: pb.ReplayTaskRequest, context: Context) -> pb.ReplayTaskResponse:
        return pb.ReplayTaskResponse(task=self._shown(await self._service.replay(calling_tenant(), _task_id(request))))

    @needs(TO_CHANGE)
    async def DeleteTask(self, request: pb.DeleteTaskRequest, context: Context) -> pb.DeleteTaskResponse:
        done = await self._remover.delete(calling_tenant(), _task_id(request), optional(request, "task_type"))
        return pb.DeleteTaskResponse(task=self._shown(done.task), deleted_paths=done.paths, errors=done.errors)

    @needs(TO_CHANGE)
    async def DeleteTasks(self, request: pb.DeleteTasksRequest, context: Context) -> pb.DeleteTasksResponse:
        check_deletion(request)
        ids, more = list(request.task_ids), False
        if not ids:
            wanted = request.filter
            wanted.limit = min(wanted.limit if wanted.HasField("limit") else MOST, MOST)
            wanted.include_deleted = True
            found = await self.ListTasks(wanted, context)
            ids, more = [task.id for task in found.tasks], bool(found.next_page_token)

        async def delete(task_id: str) -> pb.DeleteTaskResponse:
            return await self.DeleteTask(pb.DeleteTaskRequest(task_id=task_id), context)

        return pb.DeleteTasksResponse(outcomes=await deleted(ids, delete), more=more)

    @needs(TO_CHANGE)
    async def CleanupTask(self, request: pb.CleanupTaskRequest, context: Context) -> pb.CleanupTaskResponse:
        done = await self._remover.clean(calling_tenant(), _task_id(request), optional(request, "task_type"))
        return pb.CleanupTaskResponse(task=self._shown(done.task), deleted_paths=done.paths, errors=done.errors)

    @needs(TO_READ)
    async def WatchTask(self, request: pb.WatchTaskRequest, context: Context) -> AsyncIterator[pb.WatchTaskResponse]:
        """The task as it is, then its changes and progress; ends behind the terminal one."""
        async for update in self._watched(calling_tenant(), request):
            yield update

    @needs(TO_READ)
    async def WatchTasks(self, request: pb.WatchTasksRequest, context: Context) -> AsyncIterator[pb.WatchTasksResponse]:
        """What the caller has seen of a task is not shown again."""
        owner, given = calling_tenant(), {item.task_id: item.version for item in request.tasks}
        seen = {name: given[name] for name in distinct(given)}
        check_many("tasks", len(seen))
        each = (pb.WatchTaskRequest(task_id=name, without_previews=request.without_previews) for name in seen)
        async for name, update in merged({one.task_id: self._watched(owner, one) for one in each}):
            if isinstance(update, ComputeError):
                yield pb.WatchTasksResponse(task_id=name, error=failure(update, ""))
            elif update.WhichOneof("update") == "progress":
                yield pb.WatchTasksResponse(task_id=name, progress=update.progress)
            elif update.task.version > seen[name]:
                yield pb.WatchTasksResponse(task_id=name, task=update.task)

    async def _watched(self, owner: str, request: pb.WatchTaskRequest) -> AsyncIterator[pb.WatchTaskResponse]:
        task_id = _task_id(request)
        news: asyncio.Queue[Task | pb.TaskProgress | None] = asyncio.Queue(_NEWS)

        async def on_progress(message: Msg) -> None:
            if not news.full():
                news.put_nowait(self._messages.progress(message.data, with_preview=not request.without_previews))

        def on_change(task: Task | None) -> None:
            if news.full():
                news.get_nowait()  # the oldest, never the newest
            news.put_nowait(task)

        await self._service.get(owner, task_id)  # before listening for what may be another tenant's
        subscription = await self._bus.subscribe(progress_subject(task_id), cb=on_progress)
        try:
            await self._bus.publish(watch_subject(task_id))
            with self._watchers.watching(owner, task_id, on_change):
                async for update in self._watch(owner, task_id, news):
                    yield update
        finally:
            await subscription.unsubscribe()

    async def _watch(
        self, owner: str, task_id: str, news: asyncio.Queue[Task | pb.TaskProgress | None]
    ) -> AsyncIterator[pb.WatchTaskResponse]:
        task = await self._service.get(owner, task_id)
        yield pb.WatchTaskResponse(task=self._shown(task))
        while not task.state.terminal:
            told = await news.get()
            if isinstance(told, pb.TaskProgress):
                yield pb.WatchTaskResponse(progress=told)
            elif told is None or told.version > task.version:
                # Another replica says only that something changed. Our own writes are whole, and may be deleted since.
                whole = told is not None and told.spec and not told.erased
                fresh = told if told and whole else await self._service.get(owner, task_id)
                if fresh.version > task.version:
                    task = fresh
                    yield pb.WatchTaskResponse(task=self._shown(task))

    async def _admit(self, owner: str) -> None:
        """Before anything is checked. Raises Overloaded, to a tenant that floods ever more slowly."""
        try:
            self._service.check_room(owner)
        except Overloaded:
            await self._pacer.wait(owner)
            raise

    def _new(self, owner: str, request: pb.CreateTaskRequest, traceparent: str) -> NewTask:
        new = self._messages.new_task(owner, request)
        if TYPES[new.task_type].internal:
            current_caller().require("admin")
        return new._replace(traceparent=traceparent) if traceparent else new

    def _begin(self, item: pb.CreateTasksItem, key: str, caller: Caller) -> PendingCreate | Exception:
        request = item.request
        try:
            if not caller.internal:
                if item.tenant not in ("", caller.tenant):
                    raise wrong_field("tenant", "is not yours: leave it out")
                check_spec(request.spec)
            _check_asking(request, caller)
            if key and not request.idempotency_key and not request.HasField("parent"):
                request.idempotency_key = key
            return self._begin_traced(check_tenant(item.tenant or caller.tenant), item)
        except Exception as error:  # noqa: BLE001  # told for this one; its neighbours are made
            return error

    def _begin_traced(self, owner: str, item: pb.CreateTasksItem) -> PendingCreate:
        above = checked(item.traceparent) or current()
        traceparent, end = tracing.opened(_CREATE, SpanKind.PRODUCER, parent=above)
        begun = self._service.begin(self._new(owner, item.request, traceparent))
        if end is not None:
            begun.written.add_done_callback(end)
        return begun

    async def _end(self, begun: PendingCreate | Exception, outcome: pb.CreateTasksOutcome, *, brief: bool) -> None:
        try:
            if isinstance(begun, Exception):
                raise begun
            created = await self._service.created(begun)
            if brief:
                outcome.created.task.CopyFrom(self._messages.brief(created.task))
                outcome.created.replayed = created.replayed
            else:
                self._show(created, outcome.created)
        except Exception as error:  # noqa: BLE001  # of this one; its neighbours are made
            outcome.error = failure(error, "create failed")

    def _show(self, created: CreateResult, answer: pb.CreateTaskResponse) -> None:
        self._messages.show(created.task, answer.task)
        answer.replayed = created.replayed

    def _shown(self, task: Task) -> pb.Task:
        message = self._messages.shown(task)
        if not task.state.terminal:
            message.progress = self._progress(task.id)
        return message


def _check_asking(request: pb.CreateTaskRequest, caller: Caller) -> None:
    """Raises PermissionDenied where a key asks for what only services may."""
    if for_services(request):
        caller.require_internal()


def _task_id(request: Named) -> str:
    """As it is stored: UUIDs name the same in any case (RFC 9562)."""
    return request.task_id.lower()
