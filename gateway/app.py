"""Puts the gateway together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import approvals, files, health
from gateway.documentation import routes as documentation_routes
from gateway.documentation.description import TITLE, VERSION, document
from gateway.edge.admission import AdmissionControl
from gateway.edge.authentication import AuthMiddleware
from gateway.edge.errors import on_http_error, on_validation_error
from gateway.edge.methods import Methods
from gateway.edge.paths import Paths
from gateway.edge.route_access import RouteAccessTable
from gateway.events.completions import Completions
from gateway.events.event_log import EventLog
from gateway.metrics import UNDER_WAY, RequestMeter
from gateway.probes import HealthProbe, HealthTarget
from gateway.settings import GatewaySettings
from gateway.surfaces import discover_surfaces, merged
from gateway.surfaces.compute.hot_paths import HotPaths
from gateway.tracing import TraceMiddleware
from gateway.upstream import Services, TasksClient, TasksMonitor, WebhooksClient, WorkflowsClient, WorkflowsMonitor
from services.clients.access_client import AccessClient
from services.clients.storage_client import StorageClient
from services.messaging.bus import open_bus
from services.rpc.grpc_client import Credentials, connect
from services.telemetry import recording
from services.telemetry.exposition import serving_metrics
from services.telemetry.instruments import plain, reading

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
_EXPOSED = [
    "X-Request-ID",
    "Retry-After",
    "ETag",
    "Content-Range",
    "Preference-Applied",
    "Idempotent-Replayed",
    "Link",
    "Traceparent",
]


def routed(lifespan: Lifespan | None = None) -> FastAPI:
    """The routes without anything behind them; ComputeError is left to the middleware."""
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.include_router(_routes())
    app.state.error_renderers = [(found.surface.prefix, found.surface.errors) for found in discover_surfaces()]
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.openapi = partial(document, app)  # type: ignore[method-assign]  # as FastAPI documents it
    return app


def _routes() -> APIRouter:
    """Those of all surfaces, and the gateway's own."""
    own = (health.router, files.router, approvals.router, documentation_routes.router)
    return merged((*own, *(router for found in discover_surfaces() for router in found.routers)))


def build_app(settings: GatewaySettings) -> ASGIApp:
    app = routed(partial(_running, settings))
    route_access = RouteAccessTable(app)
    auth_middleware = partial(AuthMiddleware, max_json=settings.max_json_bytes, max_upload=settings.max_upload_bytes)
    app.add_middleware(Methods)
    app.add_middleware(auth_middleware, needed=route_access.needed)
    layers: ASGIApp = AdmissionControl(HotPaths(auth_middleware, route_access, app))
    if settings.origins:
        layers = CORSMiddleware(
            layers,
            allow_origins=settings.origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
            max_age=600,
        )

    paths = Paths((route.template for route in route_access.all), settings.prefix)

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = app  # as Starlette does it, whose layers the hot paths pass by
        if scope["type"] == "http":
            paths.settle(scope)
        await layers(scope, receive, send)

    meter = app.state.meter = RequestMeter(TraceMiddleware(front), route_access.all)
    return meter


@asynccontextmanager
async def _running(settings: GatewaySettings, app: FastAPI) -> AsyncIterator[None]:
    """Opens the bus and the channels for as long as the app runs."""
    credentials = Credentials(settings.internal_token.get_secret_value())
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(
            open_bus(settings.nats_url, "gateway", credentials=settings.nats_credentials)
        )
        tasks_channel = await stack.enter_async_context(connect(settings.tasks_target))
        storage_channel = await stack.enter_async_context(connect(settings.storage_target))
        webhooks_channel = await stack.enter_async_context(connect(settings.webhooks_target))
        workflows_channel = await stack.enter_async_context(connect(settings.workflows_target))
        access_channel = await stack.enter_async_context(connect(settings.access_target))
        tasks = TasksClient(tasks_channel, credentials, settings)
        completions = Completions(bus, tasks.stored)
        await stack.enter_async_context(completions.listening())
        app.state.access = AccessClient(access_channel, credentials, ttl=settings.access_ttl_seconds)
        app.state.health = HealthProbe(
            {
                # Without its bus the tasks service accepts them still.
                "tasks": HealthTarget(tasks_channel, "store", needed=True),
                "access": HealthTarget(access_channel, "compute.access.v1.AccessService", needed=True),
                "storage": HealthTarget(storage_channel, "compute.storage.v1.StorageService"),
                "workflows": HealthTarget(workflows_channel, "compute.workflows.v1.WorkflowService"),
                "workers": HealthTarget(tasks_channel, "workers", told=True),
                "models": HealthTarget(tasks_channel, "models", told=True),
            },
            bus,
        )
        app.state.upstream = Services(
            settings=settings,
            tasks=tasks,
            storage=StorageClient(
                storage_channel,
                credentials,
                timeout=settings.call_timeout_seconds,
                transfer_timeout=settings.max_upload_seconds,
            ),
            webhooks=WebhooksClient(webhooks_channel, credentials, timeout=settings.call_timeout_seconds),
            workflows=WorkflowsClient(workflows_channel, credentials, timeout=settings.call_timeout_seconds),
            tasks_monitor=TasksMonitor(tasks_channel, credentials, timeout=settings.call_timeout_seconds),
            workflows_monitor=WorkflowsMonitor(workflows_channel, credentials, timeout=settings.call_timeout_seconds),
            completions=completions,
            events=EventLog(bus),
        )
        stack.push_async_callback(recording.flush)
        await stack.enter_async_context(serving_metrics(settings.metrics_host, settings.metrics_port))
        await stack.enter_async_context(reading({UNDER_WAY: plain(lambda: app.state.meter.under_way)}))
        yield
