"""
The sandbox as a whole: an organization on moto, in which templates are deployed and events find their way.

    with Sandbox() as world:
        world.deploy(Path("cdk.out"), "Admin", world.organization.admin, world.organization.home)
        world.emit(account, region, source="aws.securityhub", detail_type="...", detail={...})
        world.run()
        world.advance(60)

There is one moto in a process, so there is one world at a time.
"""

from __future__ import annotations

import heapq
import io
import itertools
import json
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from unittest.mock import patch

import moto.iam.models
import moto.settings
from botocore.model import OperationNotFoundError
from moto import mock_aws
from moto.awslambda.models import lambda_backends
from moto.events.models import events_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.test import run_wsgi_app

from sandbox.assets import Assembly
from sandbox.clock import TurnableClock
from sandbox.cloudformation import Deployed, Engine
from sandbox.events import Router
from sandbox.functions import Functions
from sandbox.identity import IdentityCenter, client_with
from sandbox.local import CONTROL_PATH
from sandbox.not_emulated import INTERNAL_FAILURE, NOT_IMPLEMENTED, asked_by, is_page, printable, refusal
from sandbox.organization import Organization
from sandbox.ports import Call, Clock, Credentials, Identity
from sandbox.queues import Queues

Control = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What the endpoint does for a JSON object beside AWS's API; raises ValueError for one that it cannot take."""
LARGEST_CONTROL_BYTES = 100_000
_FAULTS = {NOT_IMPLEMENTED: "does not emulate", INTERNAL_FAILURE: "failed over"}
_MOTO_SAYS_IT = "action has not been implemented"
_NOT_KNOWN = ("UnknownOperation", "UnknownPolicyElement", "NotImplementedError")


class NeverIdle(RuntimeError):
    """run() ended with work still to do: something keeps making work for itself, at one time of the clock."""


@dataclass(frozen=True, slots=True)
class Hop:
    """
    One step of something through the organization.

    *kind* is "event to rule", "rule to target", "topic to queue", "queue to function", "invoke", "schedule",
    "dead letter", "dropped", "log" or "delete from queue". *id* is the event's id up to a queue, the message's from
    there on; *message_id* and *request_id* are what the step gave it. *source* and *destination* are ARNs. *error*
    says what went wrong.
    """

    at: datetime
    kind: str
    id: str | None
    source: str | None
    destination: str | None
    message_id: str | None = None
    request_id: str | None = None
    error: str | None = None


@dataclass(order=True, slots=True)
class _Job:
    due: datetime
    number: int
    do: Callable[[], None] = field(compare=False)


class Sandbox:
    """
    The emulated organization; a context manager. Implements ports.World.

    *start* is the time at which its clock starts, None for now.
    """

    def __init__(self, organization: Organization | None = None, start: datetime | None = None) -> None:
        self.organization = organization or Organization()
        self.turnable = TurnableClock(start)
        self.clock: Clock = self.turnable
        self.identity: Identity
        self.router = Router(self)
        self.queues = Queues(self)
        self.functions = Functions(self)
        self.cloudformation = Engine(self)
        self.deliveries: list[Hop] = []
        self.troubles: list[Hop] = []
        """Hops that failed for a reason that a real account would show in a metric at best: look here first."""
        self._jobs: list[_Job] = []
        self._numbers = itertools.count()
        self._beside: dict[str, dict[str, Any]] = {}
        self._lock = threading.RLock()
        self._running = False
        self._exits = ExitStack()

    def __enter__(self) -> Sandbox:
        with ExitStack() as exits:
            for context in self._contexts():
                exits.enter_context(context)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._exits.close()

    def _contexts(self) -> Iterator[AbstractContextManager[Any]]:
        """Yield what makes up the world, in the order of starting; each is entered before the next is made."""
        # Here, not at the top: these modules hook into moto as the world's parts do, and know the world by its port.
        from sandbox import additions
        from sandbox.additions import cloudformation

        # Nobody here starts instances; moto would make over a thousand images again for every account and Region.
        yield patch.object(moto.settings, "ec2_load_default_amis", return_value=False)
        yield mock_aws()
        yield self.turnable
        # Requests at the endpoint whose key belongs to nobody are the admin account's.
        yield patch.object(moto.iam.models, "DEFAULT_ACCOUNT_ID", self.organization.admin)
        identity = IdentityCenter(self.organization)
        self.identity = identity
        yield identity
        yield self.functions.installed()
        yield self.queues.installed()
        yield self.router.installed()
        yield additions.installed(self)
        yield cloudformation.installed(self.cloudformation)

    # ----------------------------------------------------------------------------------------------------- ports.World
    def emit(
        self,
        account: str,
        region: str,
        *,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str] = (),
    ) -> None:
        """Put an event of an AWS service on the default event bus; it is routed when the world runs next."""
        self.router.emit(account, region, source, detail_type, detail, resources)

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Have *do* called by run() as soon as the clock is *seconds* further (0: at the next run)."""
        due = self.clock.now() + timedelta(seconds=seconds)
        heapq.heappush(self._jobs, _Job(due, next(self._numbers), do))

    # ----------------------------------------------------------------------------------------------- for its own parts
    def client_with(self, credentials: Credentials, service: str, region: str) -> Any:
        """Return a client that calls with *credentials*; data models are read once for the whole world."""
        return client_with(credentials, service, region)

    def record(
        self,
        kind: str,
        id: str | None,
        source: str | None,
        destination: str | None,
        *,
        message_id: str | None = None,
        request_id: str | None = None,
        error: str | None = None,
    ) -> None:
        """Append to the log of deliveries; "dropped" is a trouble too."""
        hop = Hop(self.clock.now(), kind, id, source, destination, message_id, request_id, error)
        self.deliveries.append(hop)
        if kind == "dropped":
            self.troubles.append(hop)

    def trouble(self, kind: str, id: str | None, source: str | None, destination: str | None, *, error: str) -> None:
        """Append a hop that failed to the log of deliveries and to the troubles."""
        self.record(kind, id, source, destination, error=error)
        self.troubles.append(self.deliveries[-1])

    def beside_moto(self, arn: str) -> dict[str, Any]:
        """Return the properties of a resource that moto has no place for; the caller may write into it."""
        return self._beside.setdefault(arn, {})

    def dead_letter_arns(self) -> set[str]:
        """Return the dead-letter queues of rule targets and functions."""
        targets = (
            target.get("DeadLetterConfig", {}).get("Arn")
            for regions in list(events_backends.values())
            for backend in list(regions.values())
            for bus in backend.event_buses.values()
            for rule in bus.rules.values()
            for target in rule.targets
        )
        functions = (kept.get("DeadLetterConfig", {}).get("TargetArn") for kept in self._beside.values())
        destinations = (
            config.config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
            for regions in list(lambda_backends.values())
            for backend in list(regions.values())
            for function in backend.list_functions()
            for config in function.event_invoke_config
        )
        every = itertools.chain(targets, functions, destinations)
        return {arn for arn in every if arn and arn.split(":")[2] == "sqs"}

    # ------------------------------------------------------------------------------------------------------ deployment
    def deploy(
        self,
        assembly: Path,
        stack: str,
        account: str,
        region: str,
        parameters: Mapping[str, str] | None = None,
        *,
        name: str | None = None,
    ) -> Deployed:
        """
        Create the stack of a cloud assembly in an account and Region; *name* is the stack's name if not the assembly's.

        Raises cloudformation.TemplateError before anything is made, DeployError after the stack was rolled back.
        """
        with self._lock:
            files = Assembly(assembly)
            its_name, template = files.template(stack)
            return self.cloudformation.create(name or its_name, template, account, region, parameters or {}, files.read)

    def update(
        self,
        assembly: Path,
        stack: str,
        account: str,
        region: str,
        parameters: Mapping[str, str] | None = None,
        *,
        name: str | None = None,
    ) -> Deployed:
        """
        Update a deployed stack to what the assembly has now: create, change and delete; roll back if that fails.

        A parameter that is not given keeps its value. Raises TemplateError and DeployError as deploy() does.
        """
        with self._lock:
            files = Assembly(assembly)
            its_name, template = files.template(stack)
            return self.cloudformation.update(name or its_name, template, account, region, parameters or {}, files.read)

    def delete(self, stack: str, account: str, region: str) -> None:
        """Delete a stack by its name, but what is retained. Raises LookupError, DeployError."""
        with self._lock:
            self.cloudformation.delete(stack, account, region)

    # --------------------------------------------------------------------------------------------------------- running
    def run(self, max_rounds: int = 10_000) -> int:
        """
        Route events, deliver messages and do due jobs until nothing is left to do now; return how many rounds it took.

        The clock is not turned (it runs on, and what sleeps turns it). Raises NeverIdle after *max_rounds*.
        """
        with self._lock:
            if self._running:  # a part that is run asks to run: the outer run goes on anyway
                return 0
            self._running = True
            try:
                for rounds in range(max_rounds):
                    if not self._round():
                        return rounds
            finally:
                self._running = False
            raise NeverIdle(f"still busy after {max_rounds} rounds; last: {self.deliveries[-3:]}")

    def _round(self) -> bool:
        self.router.notice_schedules()
        busy = self.router.route() + self._do_due_jobs() + self.queues.deliver()
        return busy > 0

    def _do_due_jobs(self) -> int:
        now = self.clock.now()
        due = []
        while self._jobs and self._jobs[0].due <= now:
            due.append(heapq.heappop(self._jobs))
        for job in due:
            job.do()
        return len(due)

    def advance(self, seconds: float, max_rounds: int = 10_000) -> None:
        """
        Turn the clock by *seconds*, and have happen on the way, in order, what is due on the way.

        That is: schedules, later() jobs, messages whose delay or visibility time-out ends, batching windows. What is
        due now is done first; so advance(0) catches up with a clock that ran on by itself.
        """
        with self._lock:
            end = self.clock.now() + timedelta(seconds=seconds)
            self.run(max_rounds)
            while True:
                jobs = self._jobs[0].due if self._jobs else None
                queues = self.queues
                moments = (self.router.next_schedule(), jobs, queues.next_visible(), queues.next_window())
                due = [moment for moment in moments if moment is not None]
                now = self.clock.now()
                if not due or min(due) > end:
                    self.clock.advance(max(0.0, (end - now).total_seconds()))
                    self._fire()
                    self.run(max_rounds)
                    return
                self.clock.advance(max(0.0, (min(due) - now).total_seconds()))
                self._fire()
                self.run(max_rounds)

    def next_work(self) -> datetime | None:
        """Return when the next later() job, hidden message or batching window is due; schedules are left out."""
        jobs = self._jobs[0].due if self._jobs else None
        moments = (jobs, self.queues.next_visible(), self.queues.next_window())
        return min((moment for moment in moments if moment is not None), default=None)

    def settle(self, most: int = 20) -> None:
        """
        Run, and turn the clock until no function's batch is gathered any more.

        Then all has come that waits for no schedule, time-out or service. A batch that cannot be received is not waited
        for again. Raises NeverIdle after *most* windows.
        """
        with self._lock:
            self.advance(0)
            for _ in range(most):
                end, invoked = self.queues.next_window(), len(self.functions.invocations)
                if end is None:
                    return
                self.advance(max(0.0, (end - self.clock.now()).total_seconds()))
                if len(self.functions.invocations) == invoked:
                    return
            raise NeverIdle(f"messages are still gathered after {most} windows; last: {self.deliveries[-3:]}")

    def _fire(self) -> None:
        self.router.fire_schedules()

    # --------------------------------------------------------------------------------------------------------- looking
    def hops_of(self, event_id: str) -> list[Hop]:
        """Return the way of one event: to rules, targets, functions and dead letters, in order of time."""
        ids = {event_id}
        found = []
        for hop in self.deliveries:
            if hop.id in ids:
                found.append(hop)
                ids |= {other for other in (hop.message_id, hop.request_id) if other}
        return found

    def not_known(self) -> list[Call]:
        """Return the calls that failed because the sandbox lacks them, not because AWS would refuse them."""
        return [call for call in self.identity.calls if call.error in _NOT_KNOWN]

    def dead_letters(self) -> dict[str, list[dict[str, Any]]]:
        """Return the messages in each dead-letter queue by its ARN; see Queues.contents()."""
        return self.queues.dead_letters()

    # --------------------------------------------------------------------------------------------------------- serving
    @contextmanager
    def serve(self, port: int = 0, controls: Mapping[str, Control] | None = None) -> Iterator[str]:
        """
        Within: the organization answers at the URL given, on 127.0.0.1 only, to AWS CLI, SDKs and scanners.

        Callers are administrators of the account that their access key belongs to: of a role's session, of a user, else
        of the admin account. What a request causes has happened when it is answered: settle() is part of it. *port*
        0 takes a free one. Each of *controls* answers POST of a JSON object to /sharr-sandbox/<its name>.
        """
        application = _Endpoint(self, controls or {})
        server = make_server("127.0.0.1", port, application, threaded=True, request_handler=_QuietHandler)
        thread = threading.Thread(target=server.serve_forever, daemon=True, name="sandbox-endpoint")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            _stop(server, thread)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Within: no request at the endpoint is answered, and nobody else runs the world."""
        with self._lock:
            yield


def _stop(server: BaseWSGIServer, thread: threading.Thread) -> None:
    server.shutdown()
    thread.join()
    server.server_close()


class _QuietHandler(MotoRequestHandler):
    """Does not write a line to the terminal per request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


class _Services(DomainDispatcherApplication):
    """moto's choice of the service that a request is for."""

    def get_backend_for_host(self, host: str | None) -> Any:
        """Return moto's name of the service, None for no host; raises NotImplementedError where moto has none."""
        with redirect_stdout(io.StringIO()):  # moto prints advice to its own developers
            backend = super().get_backend_for_host(host)
        if host is not None and backend is None:
            raise NotImplementedError("moto has no such service")
        return backend


class _Endpoint:
    """The WSGI application: moto's, one request at a time, each with what it causes."""

    def __init__(self, world: Sandbox, controls: Mapping[str, Control]) -> None:
        self._world = world
        self._controls = controls
        self._moto = _Services(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith("/moto-api"):
            text = "moto's own controls are not open here: they would pull the world from under its parts"
            return _say(start_response, HTTPStatus.FORBIDDEN, text)
        with self._world.exclusive():
            if path.startswith(CONTROL_PATH):
                answer = self._control(path.removeprefix(CONTROL_PATH), environ, start_response)
            else:
                answer = self._aws(environ, start_response)
            self._world.settle()
        return answer

    def _aws(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """Answer as AWS, also what moto and the additions do not know: with an error, and a line on the terminal."""
        asked = asked_by(environ)
        try:
            body, status, headers = run_wsgi_app(self._moto, environ, buffered=True)
            if asked.is_head or not is_page(status, headers.get("Content-Type", "")):
                start_response(status, list(headers))
                return list(body)
            code, why = NOT_IMPLEMENTED, ""
        except (NotImplementedError, OperationNotFoundError) as error:
            code, why = NOT_IMPLEMENTED, "" if str(error).endswith(_MOTO_SAYS_IT) else str(error)
        except Exception as error:  # noqa: BLE001  # told, to both sides
            code, why = INTERNAL_FAILURE, repr(error)
        said = f"the sandbox {_FAULTS[code]} {asked.service} {asked.action}" + f": {printable(why)}" * bool(why)
        print(said, file=sys.stderr)
        answer = refusal(asked, code, said)
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _control(self, name: str, environ: Mapping[str, Any], start_response: Any) -> list[bytes]:
        control = self._controls.get(name)
        if control is None:
            known = ", ".join(self._controls) or "none"
            return _say(start_response, HTTPStatus.NOT_FOUND, f"there is no control {name!r}; there are: {known}")
        if environ["REQUEST_METHOD"] != "POST":
            return _say(start_response, HTTPStatus.METHOD_NOT_ALLOWED, "use POST")
        # A page in a browser on this machine can send a form here, but no JSON without asking first.
        if environ.get("CONTENT_TYPE", "").partition(";")[0].strip() != "application/json":
            return _say(start_response, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "use Content-Type: application/json")
        length = environ.get("CONTENT_LENGTH") or "0"
        if not re.fullmatch("[0-9]{1,6}", length) or int(length) > LARGEST_CONTROL_BYTES:
            text = f"more than {LARGEST_CONTROL_BYTES} bytes"
            return _say(start_response, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
        try:
            body = json.loads(environ["wsgi.input"].read(int(length)))
            answer = control(body) if isinstance(body, dict) else None
        except ValueError as error:
            return _say(start_response, HTTPStatus.BAD_REQUEST, str(error))
        if answer is None:
            return _say(start_response, HTTPStatus.BAD_REQUEST, "expected a JSON object")
        return _say(start_response, HTTPStatus.OK, json.dumps(answer), "application/json")


def _say(start_response: Any, status: HTTPStatus, text: str, content_type: str = "text/plain") -> list[bytes]:
    start_response(f"{status.value} {status.phrase}", [("Content-Type", f"{content_type}; charset=utf-8")])
    return [text.encode()]
