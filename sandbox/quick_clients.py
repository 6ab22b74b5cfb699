"""
Clients for those who make very many of them: models are read and methods written once for a service.

botocore does both anew for each client, and EC2 has more than 700 methods. The sandbox makes its own clients so, and
tests all clients; what the functions spend on theirs stays as it is in the demo and in the benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from botocore.client import ClientCreator

_models: dict[tuple[str, str | None], Any] = {}
_methods: dict[str, dict[str, Callable[..., Any]]] = {}
_load, _write = ClientCreator._load_service_model, ClientCreator._create_methods


@contextmanager
def quick_clients() -> Iterator[None]:
    """Within: clients of the same service share its model and the code of their methods, and nothing else."""
    with (
        patch.object(ClientCreator, "_load_service_model", _loaded_once),
        patch.object(ClientCreator, "_create_methods", _written_once),
    ):
        yield


def _loaded_once(creator: Any, service_name: str, api_version: str | None = None) -> Any:
    key = (service_name, api_version)
    if key not in _models:
        _models[key] = _load(creator, service_name, api_version)
    return _models[key]


def _written_once(creator: Any, service_model: Any) -> dict[str, Callable[..., Any]]:
    name = service_model.service_name
    if name not in _methods:
        _methods[name] = _write(creator, service_model)
    return dict(_methods[name])  # the caller adds to it
