"""How operations are added to moto's own request handling, and taken out again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import determine_request_protocol
from moto.core.responses import ActionResult
from moto.core.utils import camelcase_to_underscores, get_service_model
from moto.sts.models import sts_backends

_ABSENT = object()


class Refused(ServiceException):
    """An answer of an AWS service that is an error: its code as in the service's model, and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)


@dataclass(frozen=True, slots=True)
class Request:
    """One API request as the service sees it; *parameters* are shaped as botocore's model says."""

    account: str
    region: str
    partition: str
    operation: str
    parameters: dict[str, Any]
    access_key_id: str

    def caller_arn(self) -> str:
        """Return the ARN of the assumed role that asks, or the account's root where the key is no role's."""
        for roles in sts_backends[self.account].values():
            role = roles.get_assumed_role_from_access_key(self.access_key_id)
            if role is not None:
                return str(role.arn)
        return f"arn:{self.partition}:iam::{self.account}:root"


Answer = Callable[[Request], Mapping[str, Any]]
Around = Callable[[Request, Callable[[], Any]], Any]


class Patches:
    """Changes to moto that can be taken back, last first."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], Any]] = []

    def attribute(self, owner: Any, name: str, value: Any) -> None:
        """Set *name* of a class or module; a method that was inherited is inherited again afterwards."""
        before = vars(owner).get(name, _ABSENT)
        setattr(owner, name, value)
        self._undo.append(lambda: delattr(owner, name) if before is _ABSENT else setattr(owner, name, before))

    def entry(self, mapping: MutableMapping[str, Any], key: str, value: Any) -> None:
        """Add *key* to a mapping that does not have it."""
        if key not in mapping:
            mapping[key] = value
            self._undo.append(lambda: mapping.pop(key, None))

    def answer(self, responses: Any, operation: str, do: Answer) -> None:
        """Have *do* answer an operation, whether moto knows it or not; its path is added where it has one."""
        if not hasattr(responses, camelcase_to_underscores(operation)):
            self._path(responses, operation)

        def method(response: Any) -> ActionResult:
            return ActionResult(do(read(response, operation)))

        self.attribute(responses, camelcase_to_underscores(operation), method)

    def around(self, responses: Any, operation: str, do: Around) -> None:
        """
        Have *do* called with the request and with moto's own handling of it.

        *do* raises Refused, or returns what moto returned, or a mapping shaped as botocore's model says.
        """
        name = camelcase_to_underscores(operation)
        original = getattr(responses, name)

        def method(response: Any) -> Any:
            result = do(read(response, operation), lambda: original(response))
            return ActionResult(result) if isinstance(result, Mapping) else result

        self.attribute(responses, name, method)

    def on_undo(self, do: Callable[[], Any]) -> None:
        """Have *do* called when the changes are taken back."""
        self._undo.append(do)

    def undo(self) -> None:
        """Take every change back, last first."""
        while self._undo:
            self._undo.pop()()

    def _path(self, responses: Any, operation: str) -> None:
        model = _operation_model(responses(), operation)
        if model.service_model.protocol not in ("rest-json", "rest-xml"):
            return
        urls = __import__(responses.__module__.rsplit(".", 1)[0] + ".urls", fromlist=["url_paths"])
        path = re.sub(r"\{([A-Za-z0-9]+)\+\}", r"(?P<\1>.+)", model.http["requestUri"].split("?")[0])
        path = re.sub(r"\{([A-Za-z0-9]+)\}", r"(?P<\1>[^/]+)", path)
        self.entry(urls.url_paths, "{0}" + path + "$", responses.dispatch)


def read(response: Any, operation: str) -> Request:
    """Return the request that a moto response object is about to answer."""
    request = response.normalized_request
    model = _operation_model(response, operation)
    parser = PROTOCOL_PARSERS[determine_request_protocol(model.service_model, request.content_type)](model)
    parameters = parser.parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.data,
            "url_path": request.path,
            "url_params": response.uri_match,
        }
    )
    return Request(
        account=response.current_account,
        region=response.region,
        partition=response.partition,
        operation=operation,
        parameters=parameters,
        access_key_id=response.access_key,
    )


def page(
    items: list[dict[str, Any]], parameters: Mapping[str, Any], *, most: int, invalid: str, default: int | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """
    Return one page by MaxResults (1 to *most*) and NextToken, and the token of the next page or None.

    Raises Refused(*invalid*) for a token that was not given out, or a number out of range.
    """
    size = parameters.get("MaxResults") or default or most
    if not 1 <= size <= most:
        raise Refused(invalid, f"MaxResults must be between 1 and {most}")
    token = parameters.get("NextToken")
    if token is not None and not re.fullmatch(r"page-[0-9]{1,9}", token):
        raise Refused(invalid, "NextToken is not valid")
    start = int(token.removeprefix("page-")) if token else 0
    following = start + size
    return items[start:following], f"page-{following}" if following < len(items) else None


def _operation_model(response: Any, operation: str) -> OperationModel:
    model: OperationModel = get_service_model(response.boto3_service_name).operation_model(operation)
    return model
