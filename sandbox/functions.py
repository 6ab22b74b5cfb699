"""
AWS Lambda in the sandbox: handlers run in this process, from the function's zip, with the role of the function.

Functions are moto's. One runs at a time. Each has what it would have for itself in AWS: its modules, its environment,
its loggers, boto3's default session, the credentials of its role. Standard library and SDK are this process's own.
"""

from __future__ import annotations

import base64
import builtins
import contextlib
import importlib
import importlib.util
import io
import json
import logging
import sys
import tempfile
import traceback
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import boto3
from botocore.exceptions import ClientError
from moto.awslambda.models import LambdaBackend, LambdaFunction, lambda_backends

from sandbox.clock import DeadlinePassed
from sandbox.ports import Credentials

if TYPE_CHECKING:
    from sandbox.world import Sandbox

RUNTIME_MODULES = frozenset({"boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six"})
"""What Lambda's Python runtimes have besides the standard library. Taken from this process."""
LIBRARY_MODULES = frozenset({"aws_lambda_powertools", "typing_extensions", "yaml", "_yaml"})
"""What a zip (or a layer) must ship, but what is taken from this process: its copy may be built for another machine."""
PAYLOAD_LIMIT = 6 * 1024 * 1024
"""Bytes. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
RETRY_SECONDS = (60, 120)
"""
Waits before the retries of an asynchronous invocation.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""
INSTANCE_LIFE = timedelta(hours=6)
"""An execution environment is replaced well before the credentials in it expire, which they do after twelve hours."""


@dataclass(slots=True)
class Invocation:
    """
    One run of a function. *error* is what Lambda reports (errorMessage, errorType, ...), None where it succeeded.

    *log* has the lines it wrote. *log_error* says why they didn't get to CloudWatch Logs, where they didn't.
    """

    function_arn: str
    request_id: str
    at: datetime
    event: Any
    payload: Any = None
    error: dict[str, Any] | None = None
    log: list[str] = field(default_factory=list)
    log_error: str | None = None
    cold: bool = False
    seconds: float = 0.0

    @property
    def error_text(self) -> str | None:
        return f"{self.error.get('errorType', 'Error')}: {self.error['errorMessage']}" if self.error else None


class Context:
    """
    What a handler gets as its second argument.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    def __init__(
        self,
        function: LambdaFunction,
        invocation: Invocation,
        group: str,
        stream: str,
        end: datetime,
        now: Callable[[], datetime],
    ) -> None:
        self.function_name = function.function_name
        self.function_version = "$LATEST"
        self.invoked_function_arn = function.function_arn
        self.memory_limit_in_mb = str(function.memory_size)
        self.aws_request_id = invocation.request_id
        self.log_group_name = group
        self.log_stream_name = stream
        self.identity = None
        self.client_context = None
        self.tenant_id = None
        self._end, self._now = end, now

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until the function's time-out."""
        return max(0, int((self._end - self._now()).total_seconds() * 1000))


class _Output(io.TextIOBase):
    """
    sys.stdout and sys.stderr of emulated code, one for the whole process.

    Loggers keep the stream that they were made with, so the stream must stay the same and sort by who writes now.
    """

    def __init__(self) -> None:
        self.captures: list[io.StringIO] = []

    def write(self, text: str) -> int:
        target = self.captures[-1] if self.captures else sys.__stdout__
        return target.write(text) if target else 0

    def flush(self) -> None:
        """Nothing is buffered."""

    def isatty(self) -> bool:
        return False

    @contextmanager
    def capture(self) -> Iterator[io.StringIO]:
        buffer = io.StringIO()
        self.captures.append(buffer)
        saved = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = self
        try:
            yield buffer
        finally:
            sys.stdout, sys.stderr = saved
            self.captures.pop()


_OUTPUT = _Output()


class _Broken(Exception):
    """The runtime could not start the function, or not hand on its result; *kind* is the errorType."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _Instance:
    """One execution environment of a function: its modules, loggers and session stay from run to run."""

    def __init__(
        self,
        function: LambdaFunction,
        folder: Path,
        credentials: Credentials,
        stream: str,
        layers: str,
        born: datetime,
    ) -> None:
        self.credentials = credentials
        self.born = born
        self.stream = stream
        self.has_stream = False
        self.logs_client: Any = None
        self._folder = str(folder)
        shipped = {path.name.partition(".")[0] for path in folder.iterdir() if path.suffix in ("", ".py", ".so")}
        taken = RUNTIME_MODULES | LIBRARY_MODULES | sys.stdlib_module_names
        self._own = shipped - taken
        from_layers = LIBRARY_MODULES if "Powertools" in layers else frozenset()
        self._importable = shipped | sys.stdlib_module_names | RUNTIME_MODULES | from_layers
        self._modules: dict[str, ModuleType] = {}
        self._session: Any = None
        self._handler_name = function.handler or ""
        self._handler: Callable[[Any, Any], Any] | None = None
        root = logging.RootLogger(logging.WARNING)
        self._logging = {"root": root, "manager": logging.Manager(root)}
        output = logging.StreamHandler(_OUTPUT)
        line = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(message)s"
        output.setFormatter(logging.Formatter(line, "%Y-%m-%dT%H:%M:%S"))
        root.addHandler(output)

    def call(self, event: Any, context: Context) -> Any:
        """Run the handler; at the first time import its module. Raises _Broken and what the handler raises."""
        with self._entered():
            if self._handler is None:
                self._handler = self._load()
            return self._handler(event, context)

    def _load(self) -> Callable[[Any, Any], Any]:
        module_name, _, function_name = self._handler_name.replace("/", ".").rpartition(".")
        if not module_name:
            text = f"Bad handler '{self._handler_name}': not enough values to unpack"
            raise _Broken("Runtime.MalformedHandlerName", text)
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            text = f"Unable to import module '{module_name}': {error}"
            raise _Broken("Runtime.ImportModuleError", text) from error
        except SyntaxError as error:
            raise _Broken("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}") from error
        handler = getattr(module, function_name, None)
        if handler is None:
            text = f"Handler '{function_name}' missing on module '{module_name}'"
            raise _Broken("Runtime.HandlerNotFound", text)
        return handler  # type: ignore[no-any-return]

    @contextmanager
    def _entered(self) -> Iterator[None]:
        """Within: this process looks to the function as if it were its own."""

        def own() -> list[str]:
            return [name for name in sys.modules if name.partition(".")[0] in self._own]

        hidden = {name: sys.modules.pop(name) for name in own()}
        sys.modules.update(self._modules)
        sys.path.insert(0, self._folder)
        session, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, self._session
        try:
            with (
                patch.object(builtins, "__import__", self._guarded(builtins.__import__)),
                patch.object(logging, "root", self._logging["root"]),
                patch.object(logging.Logger, "root", self._logging["root"]),
                patch.object(logging.Logger, "manager", self._logging["manager"]),
            ):
                yield
        finally:
            self._session, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, session
            sys.path.remove(self._folder)
            self._modules = {name: sys.modules.pop(name) for name in own()}
            sys.modules.update(hidden)

    def _guarded(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """Return an __import__ that gives the function's own code nothing that isn't there in Lambda."""

        def guarded(
            name: str,
            globals: Mapping[str, Any] | None = None,
            locals: Mapping[str, Any] | None = None,
            fromlist: Any = (),
            level: int = 0,
        ) -> Any:
            if level == 0 and globals and str(globals.get("__file__", "")).startswith(self._folder):
                top = name.partition(".")[0]
                if top not in self._importable:
                    raise ModuleNotFoundError(f"No module named '{top}'", name=top)
            return real(name, globals, locals, fromlist, level)

        return guarded


@dataclass(slots=True)
class Functions:
    """The functions of the whole organization. installed() hooks Invoke."""

    world: Sandbox
    invocations: list[Invocation] = field(default_factory=list)
    """Every invocation, in order of their ends."""
    _instances: dict[str, tuple[str, _Instance]] = field(default_factory=dict)
    _standing_by: dict[str, tuple[str, _Instance]] = field(default_factory=dict)
    _folders: dict[str, Path] = field(default_factory=dict)
    _temporary: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within: whoever invokes a function through moto (boto3, HTTP, SNS) runs it here."""
        for name in RUNTIME_MODULES | LIBRARY_MODULES:
            # Before any zip is on sys.path, so that the copies in zips are never found.
            if importlib.util.find_spec(name):
                importlib.import_module(name)

        def invoke(function: LambdaFunction, body: Any, headers: Any, response_headers: Any) -> str | bytes:
            return self._invoke_by_api(function, body, headers, response_headers)

        def send_sns_message(
            backend: LambdaBackend,
            function_name: str,
            message: str,
            subject: str | None = None,
            qualifier: str | None = None,
        ) -> None:
            raise NotImplementedError(f"sandbox: SNS to Lambda is not known ({function_name})")

        with (
            self._temporary,
            patch.object(LambdaFunction, "invoke", invoke),
            patch.object(LambdaBackend, "send_sns_message", send_sns_message),
        ):
            yield

    def cold(self) -> None:
        """Drop all warm execution environments: the next invocation of each function imports its modules anew."""
        self._instances.clear()
        self._standing_by.clear()

    def stand_by(self) -> None:
        """Put the warm execution environments aside: each is taken when its function needs another one."""
        self._standing_by |= self._instances
        self._instances = {}

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Within: functions run in other execution environments, as those do that Lambda runs at the same time."""
        outer, self._instances = self._instances, {}
        try:
            yield
        finally:
            self.stand_by()
            self._instances = outer

    # ---------------------------------------------------------------------------------------------------------- facts
    @staticmethod
    def find(function_arn: str) -> LambdaFunction:
        """Return moto's function. Raises ClientError (ResourceNotFoundException)."""
        _, _, _, region, account, _, name = function_arn.split(":")[:7]
        for function in lambda_backends[account][region].list_functions():
            if function.function_name == name:
                return function
        message = f"Function not found: {function_arn}"
        raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": message}}, "Invoke")

    def role_of(self, function_arn: str) -> str:
        """Return the ARN of the function's role."""
        return str(self.find(function_arn).role)

    def timeout_of(self, function_arn: str) -> int:
        """Return the function's time-out in seconds."""
        return int(self.find(function_arn).timeout)

    def is_throttled(self, function_arn: str) -> bool:
        """Say whether the function has a reserved concurrency of 0, which lets nothing run."""
        reserved = self.find(function_arn).reserved_concurrency
        return reserved is not None and int(reserved) == 0

    def credentials(self, function_arn: str) -> Credentials:
        """Return credentials of the function's role. Raises ClientError where Lambda may not assume it."""
        function = self.find(function_arn)
        context = {"aws:SourceAccount": function.account_id, "aws:SourceArn": function.function_arn}
        return self.world.identity.service_assumes_role(
            "lambda.amazonaws.com", function.role, function.function_name, context
        )

    # ---------------------------------------------------------------------------------------------------- invocations
    def invoke(self, function_arn: str, event: Any) -> Invocation:
        """
        Run a function and return its invocation; an error of the function is in it.

        Raises ClientError where Lambda cannot run it: no such function, throttled, its role cannot be assumed.
        Raises NotImplementedError for a runtime that is not Python.
        """
        function = self.find(function_arn)
        if self.is_throttled(function_arn):
            error = {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}
            raise ClientError({"Error": error}, "Invoke")
        if not str(function.run_time).startswith("python3."):
            raise NotImplementedError(f"sandbox: {function_arn}: runtime {function.run_time} is not known")
        instance, cold = self._instance(function)
        invocation = Invocation(function_arn, str(uuid.uuid4()), self.world.clock.now(), event, cold=cold)
        self._run(function, instance, invocation)
        invocation.seconds = (self.world.clock.now() - invocation.at).total_seconds()
        self.invocations.append(invocation)
        return invocation

    def invoke_later(self, function_arn: str, event: Any) -> str:
        """Invoke asynchronously, when the world runs next; return the request's id. Raises ClientError."""
        self.find(function_arn)
        request_id = str(uuid.uuid4())
        self.world.later(0, lambda: self._attempt(function_arn, event, request_id, 0))
        return request_id

    def _attempt(self, function_arn: str, event: Any, request_id: str, retries: int) -> None:
        function = self.find(function_arn)
        config = function.event_invoke_config[-1].config if function.event_invoke_config else {}
        limit = config.get("MaximumRetryAttempts", len(RETRY_SECONDS))
        invocation = self.invoke(function_arn, event)
        self.world.record(
            "invoke", request_id, None, function_arn, request_id=invocation.request_id, error=invocation.error_text
        )
        if invocation.error is None:
            return
        if retries < limit:
            wait = RETRY_SECONDS[min(retries, len(RETRY_SECONDS) - 1)]
            self.world.later(wait, lambda: self._attempt(function_arn, event, request_id, retries + 1))
            return
        destination = config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        dead_letters = self.world.beside_moto(function_arn).get("DeadLetterConfig", {}).get("TargetArn")
        if destination:
            body = {
                "version": "1.0",
                "timestamp": self.world.clock.now().strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "requestContext": {
                    "requestId": invocation.request_id,
                    "functionArn": f"{function_arn}:$LATEST",
                    "condition": "RetriesExhausted",
                    "approximateInvokeCount": retries + 1,
                },
                "requestPayload": event,
                "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
                "responsePayload": invocation.error,
            }
            self._send_failure(function, destination, json.dumps(body), {}, invocation)
        if dead_letters:
            attributes = {
                "RequestID": invocation.request_id,
                "ErrorCode": "200",
                "ErrorMessage": invocation.error["errorMessage"][:1024],
            }
            self._send_failure(function, dead_letters, json.dumps(event), attributes, invocation)

    def _send_failure(
        self, function: LambdaFunction, arn: str, body: str, attributes: Mapping[str, str], invocation: Invocation
    ) -> None:
        """Send what failed to a queue or topic, with the function's role as Lambda does."""
        service, region = arn.split(":")[2:4]
        client = self.world.client_with(self.credentials(function.function_arn), service, region)
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        try:
            if service == "sqs":
                from sandbox.queues import queue_url

                sent = client.send_message(QueueUrl=queue_url(arn), MessageBody=body, MessageAttributes=typed)
            elif service == "sns":
                sent = client.publish(TopicArn=arn, Message=body, MessageAttributes=typed)
            else:
                raise NotImplementedError(f"sandbox: {function.function_arn}: failures to {arn} are not known")
        except ClientError as error:
            self.world.trouble("dead letter", invocation.request_id, function.function_arn, arn, error=str(error))
        else:
            self.world.record(
                "dead letter",
                invocation.request_id,
                function.function_arn,
                arn,
                message_id=sent["MessageId"],
                error=invocation.error_text,
            )

    def _invoke_by_api(self, function: LambdaFunction, body: Any, headers: Any, response_headers: Any) -> str | bytes:
        """
        Invoke as moto's front hands it over: synchronous, asynchronous or dry.

        Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
        """
        from moto.core.exceptions import JsonRESTError

        try:
            event = json.loads(body) if body else {}
        except ValueError as error:
            text = f"Could not parse request body into json: {error}"
            raise JsonRESTError("InvalidRequestContentException", text) from error
        kind = headers.get("X-Amz-Invocation-Type") or "RequestResponse"
        if kind == "DryRun":
            return ""
        if kind == "Event":
            self.invoke_later(function.function_arn, event)
            return ""
        try:
            invocation = self.invoke(function.function_arn, event)
        except ClientError as error:
            details = error.response["Error"]
            raise JsonRESTError(details["Code"], details["Message"]) from error
        tail = "\n".join(invocation.log).encode()[-4096:]
        response_headers["x-amz-log-result"] = base64.b64encode(tail).decode()
        response_headers["x-amz-executed-version"] = "$LATEST"
        if invocation.error is not None:
            response_headers["x-amz-function-error"] = "Unhandled"
            return json.dumps(invocation.error).encode()
        return json.dumps(invocation.payload).encode()

    # -------------------------------------------------------------------------------------------------------- running
    def _instance(self, function: LambdaFunction) -> tuple[_Instance, bool]:
        """Return the warm environment of the function, or a new one where code or configuration changed."""
        version = json.dumps(
            [function.code_sha_256, function.handler, function.role, function.environment_vars, function.timeout]
        )
        now = self.world.clock.now()
        arn = function.function_arn
        for kept in (self._instances.get(arn), self._standing_by.pop(arn, None)):
            if kept is not None and kept[0] == version and now - kept[1].born < INSTANCE_LIFE:
                self._instances[arn] = kept
                return kept[1], False
        stream = f"{now:%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
        instance = _Instance(
            function,
            self._folder(function),
            self.credentials(function.function_arn),
            stream,
            " ".join(self.world.beside_moto(function.function_arn).get("Layers", ())),
            now,
        )
        self._instances[function.function_arn] = (version, instance)
        return instance, True

    def _folder(self, function: LambdaFunction) -> Path:
        if function.code_sha_256 not in self._folders:
            folder = Path(self._temporary.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-function-")))
            with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as archive:
                archive.extractall(folder)
            self._folders[function.code_sha_256] = folder.resolve()
        return self._folders[function.code_sha_256]

    def _run(self, function: LambdaFunction, instance: _Instance, invocation: Invocation) -> None:
        group = self.world.beside_moto(function.function_arn).get("LoggingConfig", {}).get("LogGroup")
        group = group or f"/aws/lambda/{function.function_name}"
        environment = {
            "AWS_DEFAULT_REGION": function.region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": group,
            "AWS_LAMBDA_LOG_STREAM_NAME": instance.stream,
            "AWS_REGION": function.region,
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "LAMBDA_TASK_ROOT": "/var/task",
            "LANG": "en_US.UTF-8",
            "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
            "POWERTOOLS_TRACE_DISABLED": "true",  # there is no X-Ray daemon to talk to
            "TZ": ":UTC",
            "_HANDLER": function.handler,
            **{name: str(value) for name, value in function.environment_vars.items()},
        }
        seconds = int(function.timeout)
        with _OUTPUT.capture() as output:
            try:
                event = json.loads(json.dumps(invocation.event))
                with (
                    self.world.identity.run_as(instance.credentials, function.region, environment),
                    self.world.turnable.deadline(seconds) as end,
                ):
                    context = Context(function, invocation, group, instance.stream, end, self.world.clock.now)
                    result = instance.call(event, context)
                    if self.world.clock.now() > end:
                        raise DeadlinePassed
                invocation.payload = _as_json(result)
            except DeadlinePassed:
                # The runtime is killed: what its modules held is gone.
                self._instances.pop(function.function_arn, None)
                text = f"{invocation.request_id} Task timed out after {seconds}.00 seconds"
                invocation.error = {"errorType": "Sandbox.Timedout", "errorMessage": f"RequestId: {text}"}
            except _Broken as error:
                self._instances.pop(function.function_arn, None)
                invocation.error = _report(error.kind, str(error), invocation, [])
            except SystemExit as error:
                self._instances.pop(function.function_arn, None)
                text = f"RequestId: {invocation.request_id} Error: Runtime exited with error: {error.code}"
                invocation.error = {"errorType": "Runtime.ExitError", "errorMessage": text}
            except Exception as error:  # noqa: BLE001 - this is the Lambda runtime: whatever rises is reported
                stack = traceback.format_list(_own_frames(error))
                invocation.error = _report(type(error).__name__, str(error), invocation, stack)
            if invocation.error is not None:
                print(f"[ERROR] {invocation.error_text}\n{''.join(invocation.error.get('stackTrace', []))}".rstrip())
        invocation.log = output.getvalue().splitlines()
        self._write_log(function, instance, invocation, group)

    def _write_log(self, function: LambdaFunction, instance: _Instance, invocation: Invocation, group: str) -> None:
        """
        Put the lines to CloudWatch Logs with the function's role; without permission they are lost, as in AWS.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
        """
        if not invocation.log:
            return
        try:
            if instance.logs_client is None:
                instance.logs_client = self.world.client_with(instance.credentials, "logs", function.region)
            logs = instance.logs_client
            if not instance.has_stream:
                try:
                    logs.create_log_stream(logGroupName=group, logStreamName=instance.stream)
                except logs.exceptions.ResourceNotFoundException:
                    logs.create_log_group(logGroupName=group)
                    logs.create_log_stream(logGroupName=group, logStreamName=instance.stream)
                instance.has_stream = True
            at = int(self.world.clock.now().timestamp() * 1000)
            events = [{"timestamp": at, "message": line or " "} for line in invocation.log]
            logs.put_log_events(logGroupName=group, logStreamName=instance.stream, logEvents=events)
        except ClientError as error:
            invocation.log_error = str(error)
            self.world.trouble("log", invocation.request_id, function.function_arn, group, error=str(error))


def _as_json(result: Any) -> Any:
    """Return the handler's result as its caller reads it. Raises _Broken where it is no JSON, or too long."""
    try:
        text = json.dumps(result)
    except (TypeError, ValueError) as error:
        raise _Broken("Runtime.MarshalError", f"Unable to marshal response: {error}") from error
    if len(text.encode()) > PAYLOAD_LIMIT:
        text = f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes)."
        raise _Broken("Function.ResponseSizeTooLarge", text)
    return json.loads(text)


def _report(kind: str, message: str, invocation: Invocation, stack: list[str]) -> dict[str, Any]:
    """
    Return an error as Lambda's Python runtime reports it.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
    """
    return {"errorMessage": message, "errorType": kind, "requestId": invocation.request_id, "stackTrace": stack}


def _own_frames(error: Exception) -> list[traceback.FrameSummary]:
    """Return the frames of the traceback without the sandbox's own at its top."""
    frames = traceback.extract_tb(error.__traceback__)
    here = str(Path(__file__).parent)
    with contextlib.suppress(StopIteration):
        first = next(index for index, frame in enumerate(frames) if not frame.filename.startswith(here))
        return frames[first:]
    return list(frames)
