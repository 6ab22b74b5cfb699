"""
SSM Automation of the emulated organization: executions of schema 0.3 documents, step by step on the world's clock.

moto stores documents and runs none. An execution here is a generator that gives the seconds it wants to wait, so a
sleeping runbook holds nothing up.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from moto.ssm.models import ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from sandbox.additions import runbook_document
from sandbox.additions.runbook_document import InvalidDocument, substituted, written
from sandbox.additions.wire import Patches, Refused, Request, page
from sandbox.ports import Credentials, World

FINISHED = "EC2 Automation Execution Status-change Notification"
LONGEST_SCRIPT_SECONDS = 600
LARGEST_PAYLOAD = 100 * 1024
"""Bytes. Source: https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-executeScript.html"""

LONGEST_PARAMETER = 512
"""Characters. Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartAutomationExecution.html"""

MOST_EXECUTIONS = 100 + 5000
"""Running and queued. Source: https://docs.aws.amazon.com/general/latest/gr/ssm.html"""

NOT_RUN = "No output available yet because the step is not successfully executed"
_DEFAULT_TIMEOUTS = {"aws:executeScript": LONGEST_SCRIPT_SECONDS, "aws:waitForAwsResourceProperty": 3600}
_POLL_SECONDS = 15
_MOST_STEPS = 1000
_ENDED = ("Success", "Failed", "TimedOut", "Cancelled")
_PARAMETERS = "InvalidAutomationExecutionParametersException"
_NOT_EMULATED = (
    "Targets",
    "TargetMaps",
    "TargetParameterName",
    "TargetLocations",
    "TargetLocationsURL",
    "MaxConcurrency",
    "MaxErrors",
    "AlarmConfiguration",
)


class _StepFailed(Exception):
    """A step that did not do what it should; *status* is Failed or TimedOut."""

    def __init__(self, message: str, status: str = "Failed") -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class _Step:
    """What became of one step, as StepExecutions tells it."""

    id: str
    definition: Mapping[str, Any]
    status: str = "Pending"
    started: datetime | None = None
    ended: datetime | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    failure: str | None = None


@dataclass(slots=True)
class _Execution:
    id: str
    account: str
    region: str
    partition: str
    document: str
    version: str
    content: Mapping[str, Any]
    parameters: dict[str, Any]
    given: dict[str, list[str]]
    started: datetime
    executed_by: str
    status: str = "Pending"
    ended: datetime | None = None
    steps: list[_Step] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    failure: str | None = None
    cancelled: bool = False

    @property
    def arn(self) -> str:
        return f"arn:{self.partition}:ssm:{self.region}:{self.account}:automation-execution/{self.id}"


class _Automation:
    def __init__(self, world: World) -> None:
        self.world = world
        self.executions: dict[tuple[str, str], dict[str, _Execution]] = {}
        self.tokens: dict[tuple[str, str, str], tuple[str, str]] = {}

    # --- starting

    def start(self, request: Request) -> dict[str, Any]:
        """Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartAutomationExecution.html"""
        asked = request.parameters
        for name in _NOT_EMULATED:
            if asked.get(name):
                raise NotImplementedError(f"StartAutomationExecution: {name} is not emulated")
        if asked.get("Mode", "Auto") != "Auto":
            raise NotImplementedError("StartAutomationExecution: only Mode Auto is emulated")
        token, fingerprint = asked.get("ClientToken"), json.dumps(asked, sort_keys=True)
        if token is not None:
            if not re.fullmatch(r"[a-fA-F0-9]{8}(-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}", token):
                raise Refused("ValidationException", "ClientToken is not a UUID")
            # a token is case insensitive
            known = self.tokens.get((request.account, request.region, token.lower()))
            if known is not None:
                if known[1] != fingerprint:
                    raise Refused("IdempotentParameterMismatch", "the token was used with other parameters")
                return {"AutomationExecutionId": known[0]}
        execution = self._execution(request)
        here = self.executions.setdefault((request.account, request.region), {})
        if sum(other.status not in _ENDED for other in here.values()) >= MOST_EXECUTIONS:
            raise Refused("AutomationExecutionLimitExceededException", "too many automations are running or queued")
        credentials = self._assumed(execution)
        here[execution.id] = execution
        if token is not None:
            self.tokens[request.account, request.region, token.lower()] = (execution.id, fingerprint)
        run = self._run(execution, credentials)
        self.world.later(0, lambda: self._resume(run))
        return {"AutomationExecutionId": execution.id}

    def _execution(self, request: Request) -> _Execution:
        asked = request.parameters
        document = _document(request, asked["DocumentName"], asked.get("DocumentVersion"))
        try:
            content = runbook_document.parsed(document.content, document.document_format)
        except InvalidDocument as error:
            raise Refused(_PARAMETERS, str(error)) from error
        given = asked.get("Parameters") or {}
        execution = _Execution(
            id=str(uuid.uuid4()),
            account=request.account,
            region=request.region,
            partition=request.partition,
            document=document.name,
            version=document.document_version,
            content=content,
            parameters=_bound(content.get("parameters", {}), given),
            given=given,
            started=self.world.clock.now(),
            executed_by=request.caller_arn(),
        )
        execution.variables = {**execution.parameters, **_system_variables(execution)}
        execution.steps = [_Step(str(uuid.uuid4()), definition) for definition in content["mainSteps"]]
        return execution

    def _assumed(self, execution: _Execution) -> Credentials:
        """
        Return the assume role's credentials.

        Source of the error: https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-troubleshooting.html
        """
        role_arn = substituted(execution.content["assumeRole"], execution.variables)
        pattern = rf"arn:{execution.partition}:iam::{execution.account}:role/[\w+=,.@/-]+"
        if not isinstance(role_arn, str) or not re.fullmatch(pattern, role_arn, re.ASCII):
            raise Refused(_PARAMETERS, f"The defined assume role is unable to be assumed: {role_arn!r}")
        try:
            return self.world.identity.service_assumes_role(
                "ssm.amazonaws.com",
                role_arn,
                f"Automation-{execution.id}",
                {"aws:SourceAccount": execution.account, "aws:SourceArn": execution.arn},
            )
        except ClientError as error:
            raise Refused(_PARAMETERS, f"The defined assume role is unable to be assumed. ({error})") from error

    # --- running

    def _resume(self, run: Iterator[float]) -> None:
        pause = next(run, None)
        if pause is not None:
            self.world.later(pause, lambda: self._resume(run))

    def _run(self, execution: _Execution, credentials: Credentials) -> Iterator[float]:
        """Run the steps in their order; gives the seconds to wait before it goes on."""
        places = {step.definition["name"]: index for index, step in enumerate(execution.steps)}
        execution.status, worst = "InProgress", "Success"
        index: int | None = 0
        for _ in range(_MOST_STEPS):
            if index is None or index >= len(execution.steps) or execution.cancelled:
                break
            step = execution.steps[index]
            definition, jump = step.definition, None
            step.status, step.started = "InProgress", self.world.clock.now()
            try:
                jump = yield from self._attempts(execution, step, credentials)
                step.status = "Success"
            except _StepFailed as failure:
                step.status, step.failure = failure.status, str(failure)
            step.ended = self.world.clock.now()
            if execution.cancelled:
                break
            on_failure = definition.get("onFailure", "Abort")
            if step.status == "Success":
                following = None if definition.get("isEnd") else definition.get("nextStep", index + 1)
                following = jump if jump is not None else following
            else:
                if definition.get("isCritical", on_failure != "Continue"):
                    worst = worst if worst != "Success" else step.status
                    execution.failure = execution.failure or _failure_message(step)
                if on_failure == "Abort":
                    # an aborted run is never a success, whatever isCritical says
                    worst = worst if worst != "Success" else step.status
                    execution.failure = execution.failure or _failure_message(step)
                    following = None
                elif on_failure == "Continue":
                    following = None if definition.get("isEnd") else definition.get("nextStep", index + 1)
                else:
                    following = on_failure.removeprefix("step:")
            index = places[following] if isinstance(following, str) else following
        else:
            raise RuntimeError(
                f"{execution.document} made {_MOST_STEPS} steps and has not ended: does it run in a circle?"
            )
        self._end(execution, "Cancelled" if execution.cancelled else worst)

    def _attempts(self, execution: _Execution, step: _Step, credentials: Credentials) -> Any:
        """Do the step as often as it says; returns the step that a branch goes to, or None."""
        definition = step.definition
        for attempt in range(1, definition.get("maxAttempts", 1) + 1):
            try:
                return (yield from self._attempt(execution, step, credentials))
            except _StepFailed:
                if attempt == definition.get("maxAttempts", 1):
                    raise
        raise AssertionError("maxAttempts is positive")

    def _attempt(self, execution: _Execution, step: _Step, credentials: Credentials) -> Any:
        definition = step.definition
        action = definition["action"]
        raw = {key: value for key, value in definition.get("inputs", {}).items() if key != "Script"}
        try:
            inputs = substituted(raw, execution.variables)
        except InvalidDocument as error:
            raise _StepFailed(str(error)) from error
        step.inputs = {key: written(value) for key, value in inputs.items()}
        deadline = self._deadline(definition)
        if action == "aws:branch":
            return _branch(definition, inputs)
        if action == "aws:sleep":
            yield from self._sleep(execution, _seconds(inputs["Duration"]), deadline)
            return None
        with self.world.identity.run_as(credentials, execution.region, {}):
            script = action == "aws:executeScript"
            answer = _script(execution, definition, inputs) if script else _called(inputs)
        while action == "aws:waitForAwsResourceProperty" and not _is_desired(inputs, answer):
            yield from self._sleep(execution, _POLL_SECONDS, deadline)
            with self.world.identity.run_as(credentials, execution.region, {}):
                answer = _called(inputs)
        if action == "aws:assertAwsResourceProperty" and not _is_desired(inputs, answer):
            found = written(_property(inputs, answer))
            raise _StepFailed(f"Property value from the API output is {found}, desired: {inputs['DesiredValues']}")
        if deadline is not None and self.world.clock.now() > deadline:
            raise _StepFailed("it took longer than it may", "TimedOut")
        _keep_outputs(execution, step, answer)
        return None

    def _deadline(self, definition: Mapping[str, Any]) -> datetime | None:
        """Return when a step that begins now has timed out; a script never has more than 600 seconds."""
        action = definition["action"]
        seconds = definition.get("timeoutSeconds", _DEFAULT_TIMEOUTS.get(action))
        if action == "aws:executeScript":
            seconds = min(seconds, LONGEST_SCRIPT_SECONDS)
        return None if seconds is None else self.world.clock.now() + timedelta(seconds=seconds)

    def _sleep(self, execution: _Execution, seconds: float, deadline: datetime | None) -> Iterator[float]:
        """Wait, but not past *deadline*; raises _StepFailed when it is reached, or the automation was stopped."""
        left = seconds if deadline is None else (deadline - self.world.clock.now()).total_seconds()
        yield max(0.0, min(seconds, left))
        if execution.cancelled:
            raise _StepFailed("the automation was cancelled", "Cancelled")
        if left < seconds:
            raise _StepFailed("it took longer than it may", "TimedOut")

    def _end(self, execution: _Execution, status: str) -> None:
        execution.status, execution.ended = status, self.world.clock.now()
        ran = {f"{s.definition['name']}.{name}": value for s in execution.steps for name, value in s.outputs.items()}
        execution.outputs = {name: ran.get(name, [NOT_RUN]) for name in execution.content.get("outputs", [])}
        self._announce(execution)

    def _announce(self, execution: _Execution) -> None:
        """Source: https://docs.aws.amazon.com/systems-manager/latest/userguide/monitoring-systems-manager-event-examples.html"""
        ended = execution.ended or self.world.clock.now()
        where = f"arn:{execution.partition}:ssm:{execution.region}:{execution.account}"
        self.world.emit(
            execution.account,
            execution.region,
            source="aws.ssm",
            detail_type=FINISHED,
            detail={
                "ExecutionId": execution.id,
                "Definition": execution.document,
                "DefinitionVersion": float(execution.version),
                "Status": execution.status,
                "StartTime": _written_time(execution.started),
                "EndTime": _written_time(ended),
                "Time": round((ended - execution.started).total_seconds() * 1000, 1),
                "ExecutedBy": execution.executed_by,
            },
            resources=[
                execution.arn,
                f"{where}:automation-definition/{execution.document}:{execution.version}",
            ],
        )

    # --- reading and stopping

    def get(self, request: Request) -> dict[str, Any]:
        execution = self._found(request)
        described = self._described(execution) | {
            "StepExecutions": [_described_step(step) for step in execution.steps],
            "StepExecutionsTruncated": False,
            "Parameters": execution.given
            | {
                name: _listed(value)
                for name, value in execution.parameters.items()
                if name not in execution.given and value is not None
            },
        }
        return {"AutomationExecution": described}

    def describe(self, request: Request) -> dict[str, Any]:
        here = self.executions.get((request.account, request.region), {}).values()
        executions = [self._described(e) | {"AutomationType": "Local"} for e in here]
        for one in request.parameters.get("Filters") or []:
            executions = [e for e in executions if _passes(e, one)]
        executions.sort(key=lambda e: e["ExecutionStartTime"], reverse=True)
        shown, token = page(executions, request.parameters, most=50, invalid="InvalidNextToken")
        return {"AutomationExecutionMetadataList": shown, "NextToken": token}

    def describe_steps(self, request: Request) -> dict[str, Any]:
        steps = [_described_step(step) for step in self._found(request).steps]
        for one in request.parameters.get("Filters") or []:
            key = {"StepName": "StepName", "StepExecutionStatus": "StepStatus", "Action": "Action"}.get(one["Key"])
            key = "StepExecutionId" if one["Key"] == "StepExecutionId" else key
            if key is None:
                raise NotImplementedError(f"DescribeAutomationStepExecutions: filter {one['Key']} is not emulated")
            steps = [step for step in steps if step[key] in one["Values"]]
        if request.parameters.get("ReverseOrder"):
            steps.reverse()
        shown, token = page(steps, request.parameters, most=50, invalid="InvalidNextToken")
        return {"StepExecutions": shown, "NextToken": token}

    def stop(self, request: Request) -> dict[str, Any]:
        execution = self._found(request)
        if execution.status in _ENDED:
            raise Refused("InvalidAutomationStatusUpdateException", f"the automation is {execution.status} already")
        if request.parameters.get("Type", "Cancel") != "Cancel":
            raise NotImplementedError("StopAutomationExecution: only Type Cancel is emulated")
        execution.cancelled, execution.status = True, "Cancelling"
        return {}

    def _found(self, request: Request) -> _Execution:
        id_ = request.parameters["AutomationExecutionId"]
        try:
            return self.executions[request.account, request.region][id_]
        except KeyError:
            raise Refused("AutomationExecutionNotFoundException", f"there is no automation {id_}") from None

    def _described(self, execution: _Execution) -> dict[str, Any]:
        running = next((s.definition for s in execution.steps if s.status == "InProgress"), {})
        return {
            "AutomationExecutionId": execution.id,
            "DocumentName": execution.document,
            "DocumentVersion": execution.version,
            "ExecutionStartTime": execution.started,
            "ExecutionEndTime": execution.ended,
            "AutomationExecutionStatus": execution.status,
            "Outputs": execution.outputs or None,
            "FailureMessage": execution.failure,
            "Mode": "Auto",
            "ExecutedBy": execution.executed_by,
            "CurrentStepName": running.get("name"),
            "CurrentAction": running.get("action"),
        }


def install(world: World, patches: Patches) -> None:
    """Add SSM Automation to moto, with no executions yet, and the checks of Automation documents."""
    automation = _Automation(world)
    patches.answer(SimpleSystemManagerResponse, "StartAutomationExecution", automation.start)
    patches.answer(SimpleSystemManagerResponse, "GetAutomationExecution", automation.get)
    patches.answer(SimpleSystemManagerResponse, "DescribeAutomationExecutions", automation.describe)
    patches.answer(SimpleSystemManagerResponse, "DescribeAutomationStepExecutions", automation.describe_steps)
    patches.answer(SimpleSystemManagerResponse, "StopAutomationExecution", automation.stop)
    patches.around(SimpleSystemManagerResponse, "CreateDocument", _create_document)
    patches.around(SimpleSystemManagerResponse, "UpdateDocument", _update_document)


def _create_document(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CreateDocument.html"""
    if request.parameters.get("DocumentType", "Command") == "Automation":
        _check(request.parameters)
    return proceed()


def _update_document(request: Request, proceed: Callable[[], Any]) -> Any:
    documents = ssm_backends[request.account][request.region]._documents.get(request.parameters["Name"])
    if documents is not None and documents.get_default_version().document_type == "Automation":
        _check(request.parameters)
    return proceed()


def _check(parameters: Mapping[str, Any]) -> None:
    if len(parameters["Content"].encode()) > runbook_document.LARGEST_DOCUMENT:
        raise Refused("MaxDocumentSizeExceeded", "the size of a document is limited to 64 KB")
    try:
        runbook_document.parsed(parameters["Content"], parameters.get("DocumentFormat", "JSON"))
    except InvalidDocument as error:
        raise Refused("InvalidDocumentContent", str(error)) from error


def _document(request: Request, name: str, version: str | None) -> Any:
    own = rf"arn:{request.partition}:ssm:{request.region}:{request.account}:(document|automation-definition)/"
    name = re.sub(own, "", name)
    documents = ssm_backends[request.account][request.region]._documents.get(name)
    if documents is None or documents.get_default_version().document_type != "Automation":
        raise Refused("AutomationDefinitionNotFoundException", f"there is no Automation document {name}")
    document = documents.find(None if version in (None, "$DEFAULT") else version, strict=False)
    if document is None:
        raise Refused("AutomationDefinitionVersionNotFoundException", f"document {name} has no version {version}")
    if document.status != "Active":
        raise Refused("AutomationDefinitionNotFoundException", f"document {name} is {document.status}")
    return document


# --- parameters


def _bound(declared: Mapping[str, Mapping[str, Any]], given: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return every declared parameter's value with its type; raises Refused for what the document does not allow."""
    for name, values in given.items():
        if name not in declared:
            raise Refused(_PARAMETERS, f"Parameter {name!r} is not in the document")
        if len(values) > 50:
            raise Refused("ValidationException", f"Parameter {name!r} has more than 50 values")
        for value in values:
            if not 1 <= len(value) <= LONGEST_PARAMETER:
                raise Refused("ValidationException", f"Parameter {name!r} is not 1 to {LONGEST_PARAMETER} characters")
            if "{{ssm:" in value.replace(" ", ""):
                raise NotImplementedError(f"parameter {name}: references to Parameter Store are not emulated")
    missing = sorted(name for name, one in declared.items() if name not in given and "default" not in one)
    if missing:
        raise Refused(_PARAMETERS, f"Missing values for parameters: {', '.join(missing)}")
    return {
        name: _allowed(name, one, _typed(name, one["type"], given[name]) if name in given else one["default"])
        for name, one in declared.items()
    }


def _typed(name: str, type_: str, values: list[str]) -> Any:
    if type_ == "StringList":
        return list(values)
    if type_ == "MapList":
        return [_json(name, value) for value in values]
    if len(values) != 1:
        raise Refused(_PARAMETERS, f"Parameter {name!r} takes one value, not {len(values)}")
    if type_ == "Integer":
        if not re.fullmatch(r"-?[0-9]+", values[0]):
            raise Refused(_PARAMETERS, f"Parameter {name!r} is {values[0]!r}: expected an integer")
        return int(values[0])
    if type_ == "Boolean":
        if values[0].lower() not in ("true", "false"):
            raise Refused(_PARAMETERS, f"Parameter {name!r} is {values[0]!r}: expected true or false")
        return values[0].lower() == "true"
    return _json(name, values[0]) if type_ == "StringMap" else values[0]


def _json(name: str, value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise Refused(_PARAMETERS, f"Parameter {name!r} is no JSON: {error}") from error


def _allowed(name: str, declared: Mapping[str, Any], value: Any) -> Any:
    items = value if isinstance(value, list) else [value]
    for item in items:
        if "allowedValues" in declared and item not in declared["allowedValues"]:
            raise Refused(_PARAMETERS, f"Parameter {name!r} is {item!r}: not one of the allowed values")
        pattern = declared.get("allowedPattern")
        if pattern is not None and not re.search(pattern, written(item)):
            raise Refused(_PARAMETERS, f"Parameter {name!r} is {item!r}: does not match {pattern}")
        if isinstance(item, str):
            if not declared.get("minChars", 0) <= len(item) <= declared.get("maxChars", len(item)):
                raise Refused(_PARAMETERS, f"Parameter {name!r} has {len(item)} characters")
            if declared["type"] == runbook_document.ROLE_TYPE and item and not item.startswith("arn:"):
                raise Refused(_PARAMETERS, f"Parameter {name!r} is {item!r}: no ARN of a role")
    if isinstance(value, list) and not (
        declared.get("minItems", 0) <= len(value) <= declared.get("maxItems", len(value))
    ):
        raise Refused(_PARAMETERS, f"Parameter {name!r} has {len(value)} items")
    return value


def _system_variables(execution: _Execution) -> dict[str, str]:
    now = execution.started.astimezone(UTC)
    return {
        "global:ACCOUNT_ID": execution.account,
        "global:DATE": now.strftime("%Y-%m-%d"),
        "global:DATE_TIME": now.strftime("%Y-%m-%d_%H.%M.%S"),
        "global:AWS_PARTITION": execution.partition,
        "global:REGION": execution.region,
        "automation:EXECUTION_ID": execution.id,
    }


# --- actions


def _script(execution: _Execution, definition: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Run a script in a module of its own; JSON in, JSON out, what it prints is its log."""
    module = types.ModuleType(f"runbook_{uuid.uuid4().hex}")
    payload, log = json.loads(json.dumps(inputs.get("InputPayload") or {})), io.StringIO()
    context = _system_variables(execution)
    # dataclasses and typing look a class's module up
    sys.modules[module.__name__] = module
    try:
        with contextlib.redirect_stdout(log):
            code = compile(
                definition["inputs"]["Script"], f"{execution.document}/{definition['name']}", "exec", dont_inherit=True
            )
            exec(code, module.__dict__)
            handler = module.__dict__.get(inputs["Handler"])
            if not callable(handler):
                raise _StepFailed(f"handler {inputs['Handler']!r} is no function of the script")
            answer = json.loads(json.dumps(handler(payload, context)))
    except _StepFailed:
        raise
    except (
        Exception,
        SystemExit,
    ) as error:  # the script's frame is outermost here: whatever it raises is the step's failure
        raise _StepFailed(f"{type(error).__name__} - {error}") from error
    finally:
        del sys.modules[module.__name__]
    if len(json.dumps(answer).encode()) > LARGEST_PAYLOAD:
        raise _StepFailed(f"the payload is larger than {LARGEST_PAYLOAD} bytes")
    if isinstance(answer, list):
        answer = answer[:100]
    return {"Payload": answer, "ExecutionLog": log.getvalue()}


def _called(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Call the API that the inputs name, with the rest of them."""
    rest = {k: v for k, v in inputs.items() if k not in ("Service", "Api", "PropertySelector", "DesiredValues")}
    try:
        client = boto3.client(inputs["Service"])
        names = {api: method for method, api in client.meta.method_to_api_mapping.items()}
        if inputs["Api"] not in names and inputs["Api"] not in client.meta.method_to_api_mapping:
            raise _StepFailed(f"{inputs['Service']} has no API {inputs['Api']}")
        answer = getattr(client, names.get(inputs["Api"], inputs["Api"]))(**rest)
    except (ClientError, BotoCoreError) as error:
        raise _StepFailed(f"Error occurred when calling {inputs['Service']} {inputs['Api']}: {error}") from error
    answer.pop("ResponseMetadata", None)
    shown: dict[str, Any] = json.loads(json.dumps(answer, default=_as_json))
    return shown


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def _property(inputs: Mapping[str, Any], answer: Any) -> Any:
    try:
        return runbook_document.selected(inputs["PropertySelector"], answer)
    except LookupError:
        return None


def _is_desired(inputs: Mapping[str, Any], answer: Any) -> bool:
    found = _property(inputs, answer)
    every = found if isinstance(found, list) else [found]
    return bool(every) and all(written(one) in [written(d) for d in inputs["DesiredValues"]] for one in every)


def _seconds(duration: str) -> float:
    """Return the seconds of an ISO 8601 duration such as PT10M or P1DT2H."""
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", duration)
    if not found or not any(found.groups()):
        raise _StepFailed(f"Duration {duration!r} is no ISO 8601 duration")
    days, hours, minutes, seconds = (int(group or 0) for group in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _branch(definition: Mapping[str, Any], inputs: Mapping[str, Any]) -> str | None:
    for choice in inputs["Choices"]:
        if _holds({key: value for key, value in choice.items() if key != "NextStep"}):
            return str(choice["NextStep"])
    default = inputs.get("Default")
    if default is None and not definition.get("isEnd") and "nextStep" not in definition:
        raise _StepFailed("no choice was true and there is no Default")
    return default


def _holds(choice: Mapping[str, Any]) -> bool:
    if "And" in choice:
        return all(_holds(one) for one in choice["And"])
    if "Or" in choice:
        return any(_holds(one) for one in choice["Or"])
    if "Not" in choice:
        return not _holds(choice["Not"])
    (name,) = set(choice) - {"Variable"}
    value, wanted = choice["Variable"], choice[name]
    if name.startswith("Numeric"):
        try:
            value, wanted = float(value), float(wanted)
        except (TypeError, ValueError) as error:
            raise _StepFailed(f"{name}: {error}") from error
    tests: dict[str, Callable[[Any, Any], bool]] = {
        "StringEquals": lambda a, b: a == b,
        "EqualsIgnoreCase": lambda a, b: str(a).lower() == str(b).lower(),
        "StartsWith": lambda a, b: str(a).startswith(str(b)),
        "EndsWith": lambda a, b: str(a).endswith(str(b)),
        "Contains": lambda a, b: str(b) in str(a),
        "NumericEquals": lambda a, b: a == b,
        "NumericGreater": lambda a, b: a > b,
        "NumericLesser": lambda a, b: a < b,
        "NumericGreaterOrEquals": lambda a, b: a >= b,
        "NumericLesserOrEquals": lambda a, b: a <= b,
        "BooleanEquals": lambda a, b: written(a).lower() == written(b).lower(),
    }
    return tests[name](value, wanted)


# --- outputs


def _keep_outputs(execution: _Execution, step: _Step, answer: Mapping[str, Any]) -> None:
    """Save a step's outputs for its record and for later steps; a selector that finds nothing gives ''."""
    name, action = step.definition["name"], step.definition["action"]
    values: dict[str, Any] = {}
    if action == "aws:executeScript":
        values = {**answer, "OutputPayload": dict(answer)}
    elif action == "aws:executeAwsApi":
        values = {"OutputPayload": dict(answer)}
    for output in step.definition.get("outputs", []):
        try:
            value = runbook_document.selected(output["Selector"], answer)
        except LookupError:
            value = ""
        type_ = output.get("Type", "String")
        if value != "" and not runbook_document.has_type(value, type_):
            raise _StepFailed(f"output {output['Name']} is {type(value).__name__}, not {type_}")
        values[output["Name"]] = value
    execution.variables.update({f"{name}.{output}": value for output, value in values.items()})
    step.outputs = {output: _listed(value) for output, value in values.items()}


def _listed(value: Any) -> list[str]:
    """Return a value as AutomationParameterMap has it: a list of strings."""
    return [written(item) for item in value] if isinstance(value, list) else [written(value)]


def _failure_message(step: _Step) -> str:
    name, action = step.definition["name"], step.definition["action"]
    if step.status == "TimedOut":
        return f"Step timed out while it is executing action. Step name: {name}, action: {action}. {step.failure}"
    return f"Step fails when it is Execute/Cancelling action. {step.failure}. Step name: {name}, action: {action}"


def _described_step(step: _Step) -> dict[str, Any]:
    definition = step.definition
    on_failure = definition.get("onFailure", "Abort")
    failed = step.status in ("Failed", "TimedOut")
    return {
        "StepExecutionId": step.id,
        "StepName": definition["name"],
        "Action": definition["action"],
        "TimeoutSeconds": definition.get("timeoutSeconds"),
        "OnFailure": on_failure,
        "MaxAttempts": definition.get("maxAttempts", 1),
        "ExecutionStartTime": step.started,
        "ExecutionEndTime": step.ended,
        "StepStatus": step.status,
        "ResponseCode": {"Success": "0", "Failed": "1", "TimedOut": "1"}.get(step.status),
        "Inputs": step.inputs or None,
        "Outputs": step.outputs or None,
        "FailureMessage": step.failure if failed else None,
        "FailureDetails": {"FailureStage": "Invocation", "FailureType": "ActionFailed"} if failed else None,
        "IsEnd": definition.get("isEnd", False),
        "NextStep": definition.get("nextStep"),
        "IsCritical": definition.get("isCritical", on_failure != "Continue"),
    }


def _passes(execution: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    key, values = one["Key"], one["Values"]
    if key == "DocumentNamePrefix":
        return any(execution["DocumentName"].startswith(value) for value in values)
    if key == "ExecutionStatus":
        return execution["AutomationExecutionStatus"] in values
    if key == "ExecutionId":
        return execution["AutomationExecutionId"] in values
    if key in ("StartTimeBefore", "StartTimeAfter"):
        bound = datetime.fromisoformat(values[0])
        started: datetime = execution["ExecutionStartTime"]
        return started < bound if key == "StartTimeBefore" else started > bound
    if key == "AutomationType":
        return "Local" in values
    raise NotImplementedError(f"DescribeAutomationExecutions: filter {key} is not emulated")


def _written_time(moment: datetime) -> str:
    """Return a time as in Automation's events: `Nov 29, 2024 7:43:20 PM`, in UTC."""
    moment = moment.astimezone(UTC)
    return f"{moment:%b} {moment.day}, {moment.year} {moment.hour % 12 or 12}:{moment:%M:%S %p}"
