"""
What the endpoint answers where moto and the additions do not know an action, or break over it.

An error in the caller's own protocol, as AWS's services answer: an SDK then raises its usual exception with a code, and
neither parses a web page nor tries again for minutes.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4
from xml.sax.saxutils import escape

NOT_IMPLEMENTED = "NotImplemented"
"""Status 501, which SDKs do not retry. Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""
INTERNAL_FAILURE = "InternalFailure"
"""Source: https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html"""

_STATUS = {NOT_IMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED, INTERNAL_FAILURE: HTTPStatus.INTERNAL_SERVER_ERROR}
_FORM = "application/x-www-form-urlencoded"
_LARGEST_FORM = 1_000_000
_SCOPE = re.compile(r"Credential=[^/,\s]+/[0-9]{8}/[a-z0-9-]+/(?P<service>[A-Za-z0-9.-]+)/aws4_request")
_REST_XML = ("s3", "cloudfront", "route53")
"""Signing names of the services that speak XML by paths: botocore's models with the protocol rest-xml."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an AWS request asks for, as far as it can be told without knowing the service."""

    service: str
    action: str
    content_type: str
    is_head: bool

    @property
    def is_form(self) -> bool:
        """Tell whether it is of the query protocol, or EC2's."""
        return self.content_type.startswith(_FORM)

    @property
    def is_json(self) -> bool:
        """Tell whether it is of the json protocol: the target is in a header, the code in the body."""
        return self.content_type.startswith("application/x-amz-json")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer: *status* as WSGI has it."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


def asked_by(environ: dict[str, Any]) -> Asked:
    """Return what a WSGI request asks for; the body of a form is read, and put back for who reads it next."""
    found = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    service = found["service"].lower() if found else "s3"  # as moto takes it
    content_type = environ.get("CONTENT_TYPE", "")
    action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    if not action and content_type.startswith(_FORM):
        action = _form(environ).get("Action", [""])[0]
    method = environ["REQUEST_METHOD"]
    shown = action or f"{method} {environ.get('PATH_INFO', '')}"
    return Asked(service, printable(shown), content_type, method == "HEAD")


def refusal(asked: Asked, code: str, message: str) -> Refusal:
    """
    Return the error *code* in the protocol of the request.

    Source: https://smithy.io/2.0/aws/protocols/ (json: `__type`; rest-json: the header x-amzn-errortype; query, EC2 and
    rest-xml: an `Error` element, bare for S3).
    """
    request_id = str(uuid4())
    status = f"{_STATUS[code].value} {_STATUS[code].phrase}"
    headers = [("x-amzn-requestid", request_id)]
    error = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    if asked.is_json:
        body = json.dumps({"__type": code, "message": message})
        headers.append(("Content-Type", asked.content_type))
    elif not asked.is_form and asked.service not in _REST_XML:
        body = json.dumps({"message": message})
        headers += [("Content-Type", "application/json"), ("x-amzn-errortype", code)]
    else:
        if asked.service == "ec2":
            body = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        elif asked.service == "s3":
            body = f"<Error>{error}<RequestId>{request_id}</RequestId></Error>"
        else:
            body = f"<ErrorResponse><Error>{error}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        headers.append(("Content-Type", "text/xml"))
    return Refusal(status, headers, b"" if asked.is_head else body.encode())


def is_page(status: str, content_type: str) -> bool:
    """
    Tell whether an answer is the web page with which moto's web framework says that it has no such path.

    A HEAD shows no page: there 404 is S3's own answer, of a bucket or an object that is not there.
    """
    return status.startswith("404") and content_type.startswith("text/html")


def printable(text: str) -> str:
    """Return *text* on one line, cut: it goes to a terminal, and whoever asked chose it."""
    return re.sub(r"[^ -~]", "?", text)[:200]


def _form(environ: dict[str, Any]) -> dict[str, list[str]]:
    length = environ.get("CONTENT_LENGTH") or ""
    if not re.fullmatch("[0-9]{1,7}", length) or int(length) > _LARGEST_FORM:
        return {}
    body = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = io.BytesIO(body)
    return parse_qs(body.decode(errors="replace"))
