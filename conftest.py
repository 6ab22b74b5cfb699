"""
What makes all tests quick, and changes nothing that they prove.

botocore reads a service's model and writes a client's methods anew for each client, more than 700 for EC2; the tests
make thousands of clients with the credentials of as many sessions. Here both are made once for a service. Only here:
what the functions spend on their clients stays as it is in the demo and in the benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import botocore.client
import moto.settings
import pytest


@pytest.fixture(scope="session", autouse=True)
def _models_and_methods_of_clients_are_made_once() -> Iterator[None]:
    models: dict[tuple[str, str | None], Any] = {}
    methods: dict[str, dict[str, Callable[..., Any]]] = {}
    creator_class = botocore.client.ClientCreator
    load, write = creator_class._load_service_model, creator_class._create_methods

    def loaded_once(creator: Any, service_name: str, api_version: str | None = None) -> Any:
        key = (service_name, api_version)
        if key not in models:
            models[key] = load(creator, service_name, api_version)
        return models[key]

    def written_once(creator: Any, service_model: Any) -> dict[str, Callable[..., Any]]:
        name = service_model.service_name
        if name not in methods:
            methods[name] = write(creator, service_model)
        return dict(methods[name])  # the caller adds to it

    with (
        patch.object(creator_class, "_load_service_model", loaded_once),
        patch.object(creator_class, "_create_methods", written_once),
    ):
        yield


@pytest.fixture(scope="session", autouse=True)
def _moto_makes_no_machine_images() -> Iterator[None]:
    """As in the Sandbox: some tests of its parts use moto without it."""
    with patch.object(moto.settings, "ec2_load_default_amis", return_value=False):
        yield
