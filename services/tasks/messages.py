"""Tasks as messages and back: the one place that knows the domain, the catalog and the wire."""
from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

from compute.tasks.v1 import params_pb2, tasks_pb2 as pb
from google.protobuf.message import DecodeError
from services.catalog.base import CommonFields
from services.catalog.tasks import TYPES, TaskType
from services.common.errors import InvalidRequest, Violation
from services.common.proto import fill, read, timestamp
from services.tasks.domain import ServiceCall, Task, TaskState
from services.tasks.service import NewTask
