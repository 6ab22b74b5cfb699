"""
What makes all tests quick, and changes nothing that they prove.

botocore writes a client's methods anew for each client, more than 700 for EC2; the tests make thousands of clients with
the credentials of as many sessions. Here the methods are written once for a service. Only here: what the functions
spend on their clients stays as it is in the demo and in the benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import botocore.client
import moto.settings
import pytest


@pytest.fixture(scope="session", autouse=True)
def _methods_of_clients_are_written_once() -> Iterator[None]:
    written: dict[tuple[str, str], dict[str, Callable[..., Any]]] = {}
    write = botocore.client.ClientCreator._create_methods

    def once(creator: Any, service_model: Any) -> dict[str, Callable[..., Any]]:
        key = (service_model.service_name, service_model.api_version)
        if key not in written:
            written[key] = write(creator, service_model)
        return dict(written[key])  # the caller adds to it

    with patch.object(botocore.client.ClientCreator, "_create_methods", once):
        yield


@pytest.fixture(scope="session", autouse=True)
def _moto_makes_no_machine_images() -> Iterator[None]:
    """As in the Sandbox: some tests of its parts use moto without it."""
    with patch.object(moto.settings, "ec2_load_default_amis", return_value=False):
        yield
