"""Fixtures of the client matrix: one stack for all, and what clients of other languages need."""

from __future__ import annotations

import importlib.util
import shutil

import pytest

from tests.clients.customer import Customer
from tests.stack import RunningStack

# They run in an environment of their own: make test-clients.
collect_ignore_glob = [] if importlib.util.find_spec("openapi_python_client") else ["test_*.py"]


@pytest.fixture(scope="session")
def customer(stack: RunningStack) -> Customer:
    """What a customer is told: where the API is, and a key."""
    return Customer(stack.base_url, stack.api_key)


@pytest.fixture(scope="session")
def curl() -> str:
    return _required("curl", "apt install curl")


def _required(program: str, how: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not on this machine ({how})")
    return found
