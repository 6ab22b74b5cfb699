"""
Who is who in the sandbox, and who may do what: every API call of this process goes through one choke point.

While an IdentityCenter is installed, botocore's `BaseClient._make_api_call` tells the caller by its access key, writes
the call down, judges it by the policies that moto's backends hold, and lets it pass to moto in the account it acts in.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from types import TracebackType
from typing import Any

import boto3
import botocore.client
import botocore.loaders
import botocore.session
import yaml
from botocore.exceptions import ClientError, ParamValidationError
from botocore.validate import ParamValidator
from moto.autoscaling.models import autoscaling_backends
from moto.awslambda.models import lambda_backends
from moto.ec2.models import ec2_backends
from moto.events.models import events_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.logs.models import logs_backends
from moto.s3.models import s3_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.ssm.models import ssm_backends

from sandbox.actions import Need, Place, UnknownOperation, is_unsupplied, needs
from sandbox.iam import ContextValue, Decision, Policy, Request, Subject, UnknownPolicyElement, evaluate, parse_policy
from sandbox.organization import Organization
from sandbox.ports import Call, Credentials, Principal
from sandbox.quick_clients import quick_clients

Hook = Callable[[Call], None]
Around = Callable[[Call, Callable[[], Any]], Any]

# Limits of AssumeRole. Source: STS API Reference, API_AssumeRole.html; IAM User Guide, id_roles_terms-and-concepts.html
MIN_DURATION_SECONDS = 900
MAX_DURATION_SECONDS = 43_200
MAX_CHAINED_SECONDS = 3_600
MAX_SESSION_POLICY_CHARACTERS = 2_048
# How STS packs session policies and tags is not published; only the answer in per cent is. Compressed size against this
# many bytes gives the 6 % of the example in API_AssumeRole.html, and reaches 100 % for texts that compress badly.
PACKED_BYTES = 1_500
SERVICE_SESSION_SECONDS = 43_200
# A documentation address (RFC 5737): the calls of the sandbox come from the internet, not through a VPC endpoint.
SOURCE_IP = "198.51.100.10"
# Where the services without Regions are. Source: AWS General Reference, "IAM endpoints and quotas"
_GLOBAL_REGIONS = {
    "aws": "us-east-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-iso": "us-iso-east-1",
    "aws-iso-b": "us-isob-east-1",
}
_HEADER = "x-moto-account-id"


@dataclass(slots=True)
class Usage:
    """
    What the emulated calls made use of, to prove that everything deployed is needed.

    *roles*: ARNs of roles that were assumed. *statements*: for each identity-based or session policy
    (`<role ARN> <policy name>`) the statements that applied to a call. *resource_policies*: the same by the ARN of the
    resource; a role's ARN stands for its trust policy. A statement is its Sid, or #index.
    """

    roles: set[str] = field(default_factory=set)
    statements: dict[str, set[str]] = field(default_factory=dict)
    resource_policies: dict[str, set[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Key:
    """What belongs to an access key: whose it is and until when (seconds since the epoch; None: for ever)."""

    principal: Principal
    session_token: str | None = None
    issued: float = 0.0
    expires: float | None = None
    session_policies: tuple[Policy, ...] | None = None
    context: Mapping[str, ContextValue] = field(default_factory=dict)


def client_with(credentials: Credentials, service: str, region: str) -> Any:
    """Return a client that calls with *credentials*; all of these share one session, which knows no other settings."""
    with quick_clients():
        return _shared_session().client(
            service,
            region_name=region,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token or None,
        )


class _Paths(list[str]):
    """Search paths of the shared loader: each new boto3 session appends the same one again."""

    def append(self, path: str) -> None:
        if path not in self:
            super().append(path)


class IdentityCenter:
    """
    The identities of an organization. Use it as a context manager within moto's mock_aws().

    Args:
        organization: the accounts, and the partition and organization id that condition keys tell.
        scps: service control policies that hold for every account but the management account.

    Attributes:
        calls: every call, the refused ones too, in the order they were made.
        before, after: hooks run around the real call, after it was allowed; what a hook raises is what the caller gets.
        around: where set, it carries out each call that was allowed: it gets the call and what passes it on, and gives
            the service's answer, or raises. A plain ClientError reaches the caller as the service's own exception.
        usage: which roles, statements and resource policies were used.
    """

    def __init__(self, organization: Organization, scps: Sequence[Mapping[str, Any]] = ()) -> None:
        self.organization = organization
        self.calls: list[Call] = []
        self.before: list[Hook] = []
        self.after: list[Hook] = []
        self.around: Around | None = None
        self.usage = Usage()
        self._scps = tuple(parse_policy(document, f"scp {n}") for n, document in enumerate(scps))
        self._keys: dict[str, _Key] = {}
        self._administrators: dict[str, Credentials] = {}
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._role_ids: dict[str, str] = {}
        self._lock = threading.RLock()
        self._local = threading.local()
        self._loader = _shared_loader()
        self._originals: tuple[Any, Any, Any] | None = None
        self._lookups = {
            "kms_key": _kms_key,
            "iam_user": _iam_user,
            "iam_role": _iam_role,
            "access_key_owner": _access_key_owner,
            "automation_role": _automation_role,
            "associated_instance": _associated_instance,
            "profile_role": _profile_role,
            "scaling_group": _scaling_group,
            "launch_configuration": _launch_configuration,
        }

    # ---------- lifecycle

    def __enter__(self) -> IdentityCenter:
        if self._originals is not None:
            raise RuntimeError("this identity center is installed already")
        client_class, sessions = botocore.client.BaseClient, botocore.session
        make_api_call, make_request = client_class._make_api_call, client_class._make_request
        create_loader = sessions.create_loader
        self._originals = make_api_call, make_request, create_loader
        center = self

        def judged(client: Any, operation_name: str, api_params: Mapping[str, Any]) -> Any:
            return center._make_api_call(client, operation_name, api_params)

        def addressed(client: Any, operation_model: Any, request_dict: Any, request_context: Any) -> Any:
            account = getattr(center._local, "account", None)
            if account is not None:
                request_dict["headers"][_HEADER] = account
            return make_request(client, operation_model, request_dict, request_context)

        def loader_for(search_path_string: str | None = None) -> Any:
            return create_loader(search_path_string) if search_path_string else center._loader

        client_class._make_api_call, client_class._make_request = judged, addressed
        sessions.create_loader = loader_for
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._originals is None:
            raise RuntimeError("this identity center is not installed")
        client_class = botocore.client.BaseClient
        client_class._make_api_call, client_class._make_request, botocore.session.create_loader = self._originals
        self._originals = None

    # ---------- the interface

    @property
    def current(self) -> Call | None:
        """The call that this thread is carrying out, for emulated services that ask who calls."""
        return getattr(self._local, "call", None)

    def client(self, service: str, account: str, region: str) -> Any:
        """Return a boto3 client with an administrator's credentials in *account*; made once, then reused."""
        key = (service, account, region)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = client_with(self._administrator(account), service, region)
            return self._clients[key]

    def service_assumes_role(
        self, service: str, role_arn: str, session_name: str, context: Mapping[str, str]
    ) -> Credentials:
        """
        Return credentials of the role for an AWS service (`lambda.amazonaws.com`), good for twelve hours.

        Raises ClientError (AccessDenied) where the role is not there or its trust policy refuses the service.
        """
        account = _account_of(role_arn) or ""
        request = self._service_request(service, "sts:AssumeRole", role_arn, context, self.organization.home)
        decision = evaluate(request, resource=self._trust_policies(role_arn), resource_decides=True)
        self._note_usage(decision)
        if not decision.allowed:
            raise _denied(service, "sts:AssumeRole", role_arn, decision.reason)
        sts = self.client("sts", account, self.organization.home)
        answer = self._pass_on(
            sts,
            "AssumeRole",
            {"RoleArn": role_arn, "RoleSessionName": session_name, "DurationSeconds": SERVICE_SESSION_SECONDS},
            account,
        )
        self._register(answer, role_arn, session_name, SERVICE_SESSION_SECONDS, None, {})
        found = answer["Credentials"]
        return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])

    def authorize_service(self, service: str, action: str, resource_arn: str, context: Mapping[str, str]) -> None:
        """
        Raise ClientError (AccessDenied) unless the resource's own policy lets the service do *action*.

        For a queue or topic encrypted with a KMS key, the key's policy must let the service use the key, too.
        """
        region = resource_arn.split(":")[3] or self.organization.home
        request = self._service_request(service, action, resource_arn, context, region)
        decision = evaluate(request, resource=self._resource_policies(resource_arn, for_service=True))
        self._note_usage(decision)
        if not decision.allowed:
            raise _denied(service, action, resource_arn, decision.reason)
        for need in _encryption_needs(action, resource_arn, region):
            key_arn = need.alternatives[0][0]
            asked = self._service_request(service, need.action, key_arn, context, region)
            policies = self._resource_policies(key_arn)
            decision = evaluate(asked, resource=policies, resource_decides=True)
            self._note_usage(decision)
            if not decision.allowed:
                raise _denied(service, need.action, key_arn, decision.reason)

    @contextmanager
    def run_as(self, credentials: Credentials, region: str, environment: Mapping[str, str]) -> Iterator[None]:
        """Within: os.environ is *environment* plus credentials and Region, and boto3's default session is new."""
        old_environment, old_session = dict(os.environ), boto3.DEFAULT_SESSION
        os.environ.clear()
        os.environ.update(
            {
                **environment,
                "AWS_ACCESS_KEY_ID": credentials.access_key_id,
                "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
                "AWS_SESSION_TOKEN": credentials.session_token,
                "AWS_REGION": region,
                "AWS_DEFAULT_REGION": region,
            }
        )
        try:
            boto3.DEFAULT_SESSION = self._new_session(region)
            yield
        finally:
            os.environ.clear()
            os.environ.update(old_environment)
            boto3.DEFAULT_SESSION = old_session

    # ---------- the choke point

    def _make_api_call(self, client: Any, operation: str, parameters: Mapping[str, Any]) -> Any:
        service, region = client.meta.service_model.service_name, self._region_of(client)
        credentials = client._request_signer._credentials
        key = self._keys.get(credentials.access_key) if credentials is not None else None
        principal = key.principal if key is not None else _stranger(credentials)
        call = Call(datetime.now(UTC), principal, principal.account, region, service, operation, _copied(parameters))
        self.calls.append(call)
        outer, self._local.call = self.current, call
        start = time.perf_counter()
        try:
            call.account = self._acting_account(service, operation, parameters, principal)
            self._authenticate(client, operation, credentials, key)
            assert key is not None
            if service == "s3" and "ExpectedBucketOwner" in parameters:
                self._check_bucket_owner(client, operation, parameters)
            if service == "sts" and operation == "AssumeRole":
                self._check_assume_role(client, operation, parameters, key)
            if principal.kind != "administrator":
                try:
                    self._authorize(client, operation, parameters, key, region)
                except ClientError:
                    _check_parameters(client, operation, parameters)  # a malformed call never reaches the service
                    raise
            for hook in self.before:
                hook(call)
            answer = self._carried_out(client, operation, parameters, call)
            if service == "sts" and operation == "AssumeRole":
                self._remember_session(answer, parameters, key)
            for hook in self.after:
                hook(call)
            return answer
        except ClientError as error:
            call.error = error.response["Error"]["Code"]
            raise
        except BaseException as error:  # a simulated crash is one, too
            call.error = type(error).__name__
            raise
        finally:
            call.milliseconds = (time.perf_counter() - start) * 1000
            self._local.call = outer

    def _carried_out(self, client: Any, operation: str, parameters: Mapping[str, Any], call: Call) -> Any:
        if self.around is None:
            return self._pass_on(client, operation, parameters, call.account)
        try:
            return self.around(call, lambda: self._pass_on(client, operation, parameters, call.account))
        except ClientError as error:
            if type(error) is not ClientError:
                raise
            typed = client.exceptions.from_code(error.response["Error"]["Code"])
            raise typed(error.response, operation) from error

    def _pass_on(self, client: Any, operation: str, parameters: Mapping[str, Any], account: str) -> Any:
        if self._originals is None:
            raise RuntimeError("the identity center is not installed")
        outer, self._local.account = getattr(self._local, "account", None), account
        try:
            return self._originals[0](client, operation, parameters)
        finally:
            self._local.account = outer

    def _authenticate(self, client: Any, operation: str, credentials: Any, key: _Key | None) -> None:
        if credentials is None:
            raise _error(client, operation, "MissingAuthenticationToken", "The request has no credentials")
        if key is None or key.session_token != credentials.token:
            code = _by_protocol(client, "InvalidClientTokenId", "UnrecognizedClientException")
            raise _error(client, operation, code, "The security token included in the request is invalid.")
        if key.expires is not None and time.time() >= key.expires:
            code = _by_protocol(client, "ExpiredToken", "ExpiredTokenException")
            raise _error(client, operation, code, "The security token included in the request is expired")

    def _authorize(self, client: Any, operation: str, parameters: Mapping[str, Any], key: _Key, region: str) -> None:
        service, principal = client.meta.service_model.service_name, key.principal
        organization = self.organization
        place = Place(
            organization.partition, principal.account, region, organization.id, organization.management, self._lookups
        )
        try:
            wanted = needs(service, operation, parameters, place)
        except UnknownOperation:
            _check_parameters(client, operation, parameters)  # a wrong call is the caller's fault, not the data's
            raise
        base = self._base_context(key, region)
        for need in wanted:
            for arn in self._authorize_need(client, operation, need, key, base):
                for more in _encryption_needs(need.action, arn, region):
                    self._authorize_key_use(client, operation, more, key, base)

    def _authorize_need(
        self, client: Any, operation: str, need: Need, key: _Key, base: Mapping[str, ContextValue]
    ) -> tuple[str, ...]:
        """Return the resources by which the need is met, or raise the service's refusal."""
        met: tuple[str, ...] | None = None
        refused: tuple[str, Decision] | None = None
        for resources in need.alternatives:
            failed = False
            for arn in resources:
                decision = self._decide(need.action, arn, key, {**base, **need.context})
                if decision.allowed:
                    continue
                failed = True
                denied = decision.reason.startswith("with an explicit deny")
                if refused is None or denied:
                    refused = arn, decision
                if denied:
                    raise _refusal(client, operation, key.principal.arn, need.action, arn, decision.reason)
            if not failed and met is None:
                met = resources
        if met is None:
            assert refused is not None
            arn, decision = refused
            raise _refusal(client, operation, key.principal.arn, need.action, arn, decision.reason)
        return met

    def _authorize_key_use(
        self, client: Any, operation: str, need: Need, key: _Key, base: Mapping[str, ContextValue]
    ) -> None:
        """Judge the use of a KMS key that a service makes for the caller; each service has its own code for no."""
        arn = need.alternatives[0][0]
        if ":alias/aws/" in arn and _account_of(arn) == key.principal.account:
            return  # The policy of an AWS managed key lets all of its account use it through the service.
        decision = self._decide(need.action, arn, key, {**base, **need.context})
        if decision.allowed:
            return
        message = _sentence(key.principal.arn, need.action, arn, decision.reason)
        is_sns = client.meta.service_model.service_name == "sns"
        raise _error(client, operation, "KMSAccessDenied" if is_sns else "KMS.AccessDeniedException", message, 400)

    def _decide(self, action: str, arn: str, key: _Key, context: Mapping[str, ContextValue]) -> Decision:
        principal = key.principal
        owner = _owner_of(arn) or principal.account
        is_trust = action.startswith("sts:")
        supplied = {**context, "aws:ResourceAccount": owner}
        if owner in self.organization.accounts:
            supplied["aws:ResourceOrgID"] = self.organization.id
        request = Request(
            Subject(principal.account, principal.arn, principal.role_arn),
            action,
            arn,
            supplied,
            owner,
            is_unsupplied,
        )
        identity, boundary = self._identity_policies(principal)
        resource = self._trust_policies(arn) if is_trust else self._resource_policies(arn)
        decision = evaluate(
            request,
            identity=identity,
            resource=resource,
            session=key.session_policies,
            boundary=boundary,
            scps=self._scps if self._scps and principal.account != self.organization.management else None,
            # A key that does not exist has no policy that could decide: KMS then answers NotFoundException.
            resource_decides=is_trust or (action.startswith("kms:") and bool(resource)),
        )
        self._note_usage(decision)
        return decision

    def _note_usage(self, decision: Decision) -> None:
        for match in decision.matched:
            kind, _, name = match.policy.partition(" ")
            if kind == "resource":
                self.usage.resource_policies.setdefault(name, set()).add(match.statement)
            elif kind in ("identity", "session"):
                self.usage.statements.setdefault(name, set()).add(match.statement)

    # ---------- contexts

    def _base_context(self, key: _Key, region: str) -> dict[str, ContextValue]:
        """Source: IAM User Guide, reference_policies_condition-keys.html"""
        now = time.time()
        context: dict[str, ContextValue] = {
            **key.context,
            "aws:RequestedRegion": region,
            "ec2:Region": region,
            "aws:SecureTransport": "true",
            "aws:CurrentTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "aws:EpochTime": str(int(now)),
            "aws:SourceIp": SOURCE_IP,
            "aws:ViaAWSService": "false",
            "aws:PrincipalIsAWSService": "false",
            # What boto3 sends. Source: Service Authorization Reference, list_amazons3.html
            "s3:authType": "REST-HEADER",
            "s3:signatureversion": "AWS4-HMAC-SHA256",
            "s3:TlsVersion": "1.3",
        }
        return context

    def _session_context(
        self, principal: Principal, user_id: str, tags: Mapping[str, str], issued: float
    ) -> dict[str, ContextValue]:
        context: dict[str, ContextValue] = {
            "aws:PrincipalArn": principal.role_arn or principal.arn,
            "aws:PrincipalAccount": principal.account,
            "aws:PrincipalType": "AssumedRole",
            "aws:userid": user_id,
            "aws:MultiFactorAuthPresent": "false",
            "aws:TokenIssueTime": datetime.fromtimestamp(issued, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "kms:CallerAccount": principal.account,
            **{f"aws:PrincipalTag/{name}": value for name, value in tags.items()},
        }
        if principal.account in self.organization.accounts:
            context["aws:PrincipalOrgID"] = self.organization.id
        return context

    def _service_request(
        self, service: str, action: str, resource_arn: str, context: Mapping[str, str], region: str
    ) -> Request:
        now, owner = time.time(), _owner_of(resource_arn)
        supplied: dict[str, ContextValue] = {
            "aws:RequestedRegion": region,
            "aws:SecureTransport": "true",
            "aws:CurrentTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "aws:EpochTime": str(int(now)),
            "aws:PrincipalIsAWSService": "true",
            "aws:PrincipalServiceName": service,
            "aws:ViaAWSService": "false",
            **context,
        }
        source = context.get("aws:SourceAccount")
        if source is not None:
            supplied.setdefault("aws:SourceOwner", source)  # what the default policy of a topic asks for
        if source in self.organization.accounts:
            supplied.setdefault("aws:SourceOrgID", self.organization.id)
        if owner is not None:
            supplied["aws:ResourceAccount"] = owner
        if owner in self.organization.accounts:
            supplied["aws:ResourceOrgID"] = self.organization.id
        return Request(Subject(service=service), action, resource_arn, supplied, owner, is_unsupplied)

    # ---------- policies from moto

    def _role(self, role_arn: str) -> Any | None:
        """Return moto's role of exactly this ARN (its path is part of it), None where there is none."""
        account = _account_of(role_arn)
        if account is None:
            return None
        roles = iam_backends[account][self.organization.partition].roles
        role = roles.get(self._role_ids.get(role_arn, ""))
        if role is None:
            role = next((one for one in roles.values() if one.arn == role_arn), None)
            if role is not None:
                self._role_ids[role_arn] = role.id
        return role

    def _identity_policies(self, principal: Principal) -> tuple[list[Policy], Policy | None]:
        role = self._role(principal.role_arn) if principal.role_arn else None
        if role is None:
            return [], None
        name = f"identity {principal.role_arn} "
        policies = [parse_policy(_text(document), name + inline) for inline, document in role.policies.items()]
        policies += [parse_policy(_document_of(managed), name + arn) for arn, managed in role.managed_policies.items()]
        if role.permissions_boundary_arn is None:
            return policies, None
        boundary_arn = role.permissions_boundary_arn
        known = iam_backends[principal.account][self.organization.partition].managed_policies
        if boundary_arn not in known:
            raise UnknownPolicyElement(f"permissions boundary {boundary_arn} of {principal.role_arn} does not exist")
        return policies, parse_policy(_document_of(known[boundary_arn]), f"boundary {boundary_arn}")

    def _trust_policies(self, role_arn: str) -> list[Policy]:
        role = self._role(role_arn)
        if role is None:
            return []
        return [parse_policy(_text(role.assume_role_policy_document), f"resource {role_arn}", "trust")]

    def _resource_policies(self, arn: str, *, for_service: bool = False) -> list[Policy]:
        parts = arn.split(":", 5)
        if len(parts) < 6:
            return []
        reader = _READERS.get(parts[2])
        texts = reader(parts, for_service) if reader is not None else []
        return [parse_policy(text, f"resource {arn}", "resource") for text in texts]

    # ---------- AssumeRole

    def _check_assume_role(self, client: Any, operation: str, parameters: Mapping[str, Any], key: _Key) -> None:
        """Refuse what STS refuses before and beside permissions. Source: STS API Reference, API_AssumeRole.html"""
        _check_parameters(client, operation, parameters)
        name, policy = parameters["RoleSessionName"], parameters.get("Policy")
        duration = parameters.get("DurationSeconds", MAX_CHAINED_SECONDS)

        def invalid(message: str, code: str = "ValidationError") -> ClientError:
            return _error(client, operation, code, message, 400)

        if parameters.get("PolicyArns"):
            raise UnknownPolicyElement("AssumeRole with PolicyArns is not emulated")
        if not re.fullmatch(r"[A-Za-z0-9_+=,.@-]{2,64}", name):
            raise invalid(
                f"1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: [\\w+=,.@-]* and have a length of 2 to 64"
            )
        if not MIN_DURATION_SECONDS <= duration <= MAX_DURATION_SECONDS:
            raise invalid(
                f"1 validation error detected: Value '{duration}' at 'durationSeconds' failed to satisfy constraint: "
                f"Member must have value between {MIN_DURATION_SECONDS} and {MAX_DURATION_SECONDS}"
            )
        if key.principal.kind == "role" and duration > MAX_CHAINED_SECONDS:
            raise invalid(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
            )
        role = self._role(parameters["RoleArn"])
        if role is None:
            if key.principal.kind == "administrator":  # others are refused by the evaluation, which finds no trust
                raise _refusal(
                    client, operation, key.principal.arn, "sts:AssumeRole", parameters["RoleArn"], "(no such role)"
                )
        elif duration > int(role.max_session_duration or 3_600):
            raise invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
        if policy is None:
            return
        if not 1 <= len(policy) <= MAX_SESSION_POLICY_CHARACTERS:
            raise invalid(
                "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length "
                f"less than or equal to {MAX_SESSION_POLICY_CHARACTERS}"
            )
        try:
            parse_policy(policy, "session policy")
        except UnknownPolicyElement as error:
            raise invalid(str(error), "MalformedPolicyDocument") from error
        if (percent := _packed_percent(policy, parameters.get("Tags", []))) > 100:
            raise invalid(
                f"Packed policy consumes {percent}% of allotted space, please use smaller policy.",
                "PackedPolicyTooLarge",
            )

    def _remember_session(self, answer: dict[str, Any], parameters: Mapping[str, Any], key: _Key) -> None:
        policy = parameters.get("Policy")
        tags = {tag["Key"]: tag["Value"] for tag in parameters.get("Tags", [])}
        duration = parameters.get("DurationSeconds", MAX_CHAINED_SECONDS)
        self._register(answer, parameters["RoleArn"], parameters["RoleSessionName"], duration, policy, tags)
        if policy is None:
            answer.pop("PackedPolicySize", None)
        else:
            answer["PackedPolicySize"] = _packed_percent(policy, parameters.get("Tags", []))

    def _register(
        self,
        answer: Mapping[str, Any],
        role_arn: str,
        session_name: str,
        duration: int,
        policy: str | None,
        tags: Mapping[str, str],
    ) -> None:
        issued, account = time.time(), _account_of(role_arn) or ""
        role = self._role(role_arn)
        principal = Principal(
            kind="role",
            arn=f"arn:{self.organization.partition}:sts::{account}:assumed-role/{role_arn.rpartition('/')[2]}/{session_name}",
            account=account,
            role_arn=role_arn,
            session_name=session_name,
            session_policy=json.loads(policy) if policy is not None else None,
        )
        role_tags = {tag["Key"]: tag["Value"] for tag in role.tags} if role is not None else {}
        user_id = answer["AssumedRoleUser"]["AssumedRoleId"]
        found = answer["Credentials"]
        self._keys[found["AccessKeyId"]] = _Key(
            principal=principal,
            session_token=found["SessionToken"],
            issued=issued,
            expires=issued + duration,
            session_policies=(
                None if policy is None else (parse_policy(policy, f"session {role_arn} session policy"),)
            ),
            context=self._session_context(principal, user_id, {**role_tags, **tags}, issued),
        )
        self.usage.roles.add(role_arn)

    # ---------- helpers

    def _administrator(self, account: str) -> Credentials:
        if account not in self._administrators:
            key_id = "AKIA" + "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))
            self._administrators[account] = Credentials(key_id, secrets.token_urlsafe(30), "")
            arn = f"arn:{self.organization.partition}:iam::{account}:user/sandbox"
            self._keys[key_id] = _Key(Principal("administrator", arn, account))
        return self._administrators[account]

    def _new_session(self, region: str) -> boto3.Session:
        return boto3.Session(botocore_session=_new_core(), region_name=region)

    def _region_of(self, client: Any) -> str:
        region = str(client.meta.region_name)
        return _GLOBAL_REGIONS[self.organization.partition] if region.endswith("-global") else region

    def _acting_account(self, service: str, operation: str, parameters: Mapping[str, Any], principal: Principal) -> str:
        """Return the account in which the call takes effect: the owner of the resource where the call names one."""
        owner: str | None = None
        if service == "s3":
            if operation != "CreateBucket" and isinstance(parameters.get("Bucket"), str):
                owner = _owner_of(f"arn:{self.organization.partition}:s3:::{parameters['Bucket']}")
        elif service == "events" and operation == "PutEvents":
            named = {_account_of(str(entry.get("EventBusName", ""))) for entry in parameters.get("Entries", [])}
            owner = named.pop() if len(named) == 1 else None
        elif (name := _OWNERS.get(service)) is not None:
            value = str(parameters.get(name, ""))
            found = re.fullmatch(r"https?://[^/]+/([0-9]{12})/[^/]+", value)
            owner = found.group(1) if found else _account_of(value)
        return owner or principal.account

    def _check_bucket_owner(self, client: Any, operation: str, parameters: Mapping[str, Any]) -> None:
        """Source: S3 User Guide, bucket-owner-condition.html"""
        owner = _owner_of(f"arn:{self.organization.partition}:s3:::{parameters.get('Bucket')}")
        if owner is not None and owner != parameters["ExpectedBucketOwner"]:
            raise _error(client, operation, "AccessDenied", "Access Denied")


# ---------- facts of the backends

_OWNERS = {"sqs": "QueueUrl", "sns": "TopicArn", "sts": "RoleArn", "kms": "KeyId", "lambda": "FunctionName"}


def _account_of(arn: str) -> str | None:
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 and re.fullmatch(r"[0-9]{12}", parts[4]) else None


def _owner_of(arn: str) -> str | None:
    """Return the account that owns the resource; a bucket's ARN does not tell, moto's table of buckets does."""
    parts = arn.split(":", 5)
    if len(parts) == 6 and parts[2] == "s3":
        found = s3_backends.bucket_accounts.get(parts[5].partition("/")[0])
        return found[1] if found else None
    if len(parts) == 6 and parts[2] == "cloudtrail":
        return None  # a member sees its organization's trail as one of its own account: no policy of another's decides
    return _account_of(arn)


def _bucket_policy(parts: list[str], for_service: bool) -> list[str]:
    name = parts[5].partition("/")[0]
    found = s3_backends.bucket_accounts.get(name)
    if found is None:
        return []
    partition, account = found
    policy = s3_backends[account][partition].buckets[name].policy
    return [policy.decode()] if policy else []


def _queue_policy(parts: list[str], for_service: bool) -> list[str]:
    queue = sqs_backends[parts[4]][parts[3]].queues.get(parts[5])
    policy = queue.policy if queue is not None else None
    return [policy] if policy else []


def _topic_policy(parts: list[str], for_service: bool) -> list[str]:
    topic = sns_backends[parts[4]][parts[3]].topics.get(":".join(parts))
    return [topic.policy] if topic is not None else []


def _key_policy(parts: list[str], for_service: bool) -> list[str]:
    key = kms_backends[parts[4]][parts[3]].keys.get(parts[5].removeprefix("key/"))
    return [key.policy] if key is not None else []


def _function_policy(parts: list[str], for_service: bool) -> list[str]:
    name = parts[5].removeprefix("function:").partition(":")[0]
    found = lambda_backends[parts[4]][parts[3]]._lambdas._functions.get(name)
    if found is None:
        return []
    functions = [found["latest"], *found["versions"]]
    statements = [statement for one in functions if one is not None for statement in one.policy.statements]
    return [json.dumps({"Version": "2012-10-17", "Statement": statements})] if statements else []


def _bus_policy(parts: list[str], for_service: bool) -> list[str]:
    bus = events_backends[parts[4]][parts[3]].event_buses.get(parts[5].removeprefix("event-bus/"))
    policy = bus.policy if bus is not None else None
    return [policy] if policy else []


def _log_policies(parts: list[str], for_service: bool) -> list[str]:
    """The resource policies of CloudWatch Logs are for services. Source: API_PutResourcePolicy.html"""
    if not for_service:
        return []
    return [one.policy_document for one in logs_backends[parts[4]][parts[3]].resource_policies.values()]


_READERS: dict[str, Callable[[list[str], bool], list[str]]] = {
    "s3": _bucket_policy,
    "sqs": _queue_policy,
    "sns": _topic_policy,
    "kms": _key_policy,
    "lambda": _function_policy,
    "events": _bus_policy,
    "logs": _log_policies,
}

# What the caller of an encrypted queue or topic needs of its key. Sources: SQS Developer Guide,
# sqs-key-management.html; SNS Developer Guide, sns-key-management.html
_KEY_USES = {
    "sqs:SendMessage": ("kms:GenerateDataKey", "kms:Decrypt"),
    "sqs:ReceiveMessage": ("kms:Decrypt",),
    "sns:Publish": ("kms:GenerateDataKey", "kms:Decrypt"),
}


def _encryption_needs(action: str, arn: str, region: str) -> tuple[Need, ...]:
    """Return the uses of a KMS key that the action on an encrypted queue or topic brings with it."""
    uses = _KEY_USES.get(action)
    if uses is None:
        return ()
    parts = arn.split(":", 5)
    partition, service, where, account, name = parts[1], parts[2], parts[3], parts[4], parts[5]
    holder: Any
    if service == "sqs":
        holder = sqs_backends[account][where].queues.get(name)
    else:
        holder = sns_backends[account][where].topics.get(arn)
    key = getattr(holder, "kms_master_key_id", None)
    if not key:
        return ()
    if str(key).removeprefix(f"arn:{partition}:kms:{where}:{account}:").startswith("alias/aws/"):
        key_arn = f"arn:{partition}:kms:{where}:{account}:alias/aws/{service}"
    else:
        place = Place(partition, account, where, "", "")
        found = _kms_key(key, place)
        key_arn = found if found.startswith("arn:") else f"arn:{partition}:kms:{where}:{account}:key/{found}"
    context: dict[str, ContextValue] = {"kms:ViaService": f"{service}.{where}.amazonaws.com"}
    return tuple(Need(use, ((key_arn,),), context) for use in uses)


def _kms_key(value: Any, place: Place) -> str:
    """Return the key's ARN or id for an id, an ARN or an alias; an unknown alias stays, and matches no key."""
    text = str(value)
    parts = text.split(":", 5)
    account, region = (parts[4], parts[3]) if len(parts) == 6 else (place.account, place.region)
    name = parts[5] if len(parts) == 6 else text
    if not name.startswith("alias/"):
        return text
    key_id = kms_backends[account][region].get_key_id_from_alias(name)
    return f"arn:{place.partition}:kms:{region}:{account}:key/{key_id}" if key_id else text


def _iam_user(value: Any, place: Place) -> str:
    user = iam_backends[place.account][place.partition].users.get(str(value))
    return str(user.arn) if user is not None else str(value)


def _iam_role(value: Any, place: Place) -> str:
    roles = iam_backends[place.account][place.partition].roles.values()
    return next((str(role.arn) for role in roles if role.name == value), str(value))


def _access_key_owner(value: Any, place: Place) -> str:
    """Return the ARN of the user who has the access key, `*` where nobody has it."""
    users = iam_backends[place.account][place.partition].users.values()
    owners = (user for user in users if any(key.access_key_id == value for key in user.access_keys))
    return next((str(user.arn) for user in owners), "*")


def _associated_instance(value: Any, place: Place) -> str:
    """Return the id of the instance that an instance profile is associated with by this id, `*` where none is."""
    associations = ec2_backends[place.account][place.region].iam_instance_profile_associations.values()
    return next((str(one.instance_id) for one in associations if one.association_id == value), "*")


def _scaling_group(value: Any, place: Place) -> str:
    """Return the ARN of the group, which holds an id; the name where there is no such group."""
    found = autoscaling_backends[place.account][place.region].autoscaling_groups.get(value)
    return str(found.arn) if found else str(value)


def _launch_configuration(value: Any, place: Place) -> str:
    found = autoscaling_backends[place.account][place.region].launch_configurations.get(value)
    return str(found.arn) if found else str(value)


def _profile_role(parameters: Any, place: Place) -> str:
    """Return the ARN of the role in the instance profile that a call names, '' where there is none."""
    profile = parameters["IamInstanceProfile"]
    name = profile.get("Name") or profile.get("Arn", "").rsplit("/", 1)[-1]
    profiles = iam_backends[place.account][place.partition].instance_profiles.values()
    return next((str(role.arn) for one in profiles if one.name == name for role in one.roles), "")


def _automation_role(parameters: Any, place: Place) -> str:
    """
    Return the role that a runbook will take on, which its starter must be allowed to pass; '' where it takes none.

    Source: Systems Manager User Guide, automation-setup-iam.html
    """
    given: Mapping[str, Sequence[str]] = parameters.get("Parameters") or {}
    name = str(parameters.get("DocumentName", "")).rpartition("/")[2]
    documents = ssm_backends[place.account][place.region]._documents.get(name)
    if documents is None:
        return next(iter(given.get("AutomationAssumeRole", ())), "")
    version = parameters.get("DocumentVersion", "$DEFAULT")
    document: Any
    if version in ("$DEFAULT", ""):
        document = documents.get_default_version()
    elif version == "$LATEST":
        document = documents.get_latest_version()
    else:
        document = documents.versions.get(version)
    if document is None:
        return ""
    content = _runbook(document.content)
    known = {"global:ACCOUNT_ID": place.account, "global:REGION": place.region, "global:AWS_PARTITION": place.partition}
    declared = {key: spec.get("default", "") for key, spec in (content.get("parameters") or {}).items()}
    values = {**known, **declared, **{key: next(iter(many), "") for key, many in given.items()}}

    def fill(text: str) -> str:
        return re.sub(r"\{\{\s*([\w.:-]+)\s*\}\}", lambda found: str(values.get(found[1], "")), text)

    return fill(fill(str(content.get("assumeRole") or "")))


@lru_cache(maxsize=1024)
def _runbook(content: str) -> dict[str, Any]:
    loaded = yaml.safe_load(content)
    return loaded if isinstance(loaded, dict) else {}


# ---------- errors


def _by_protocol(client: Any, query: str, json_: str) -> str:
    """Return the code as the service's protocol spells it; SQS and others answer JSON with the old query codes."""
    metadata = client.meta.service_model.metadata
    is_json = metadata["protocol"] in ("json", "rest-json") and "awsQueryCompatible" not in metadata
    return json_ if is_json else query


def _sentence(who: str, action: str, arn: str, reason: str) -> str:
    where = "" if arn == "*" else f" on resource: {arn}"
    return f"User: {who} is not authorized to perform: {action}{where} {reason}"


def _refusal(client: Any, operation: str, who: str, action: str, arn: str, reason: str) -> ClientError:
    """Return the error of a refused call as its service words it."""
    service, message = client.meta.service_model.service_name, _sentence(who, action, arn, reason)
    if service == "ec2":
        return _error(
            client, operation, "UnauthorizedOperation", f"You are not authorized to perform this operation. {message}"
        )
    if service == "sns":
        return _error(client, operation, "AuthorizationError", message)
    if service == "s3" and operation.startswith("Head"):
        return _error(client, operation, "403", "Forbidden")  # the answer to a HEAD has no body to say more
    return _error(client, operation, _by_protocol(client, "AccessDenied", "AccessDeniedException"), message)


def _error(client: Any, operation: str, code: str, message: str, status: int = 403) -> ClientError:
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": secrets.token_hex(16), "RetryAttempts": 0},
    }
    error: ClientError = client.exceptions.from_code(code)(response, operation)
    return error


def _denied(service: str, action: str, arn: str, reason: str) -> ClientError:
    response = {
        "Error": {"Code": "AccessDenied", "Message": _sentence(service, action, arn, reason)},
        "ResponseMetadata": {"HTTPStatusCode": 403, "RequestId": secrets.token_hex(16), "RetryAttempts": 0},
    }
    return ClientError(response, action.partition(":")[2])


# ---------- details


def _check_parameters(client: Any, operation: str, parameters: Mapping[str, Any]) -> None:
    shape = client.meta.service_model.operation_model(operation).input_shape
    if shape is None:
        return
    report = ParamValidator().validate(dict(parameters), shape)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())


def _stranger(credentials: Any) -> Principal:
    key_id = credentials.access_key if credentials is not None else "no credentials"
    return Principal("role", f"unknown:{key_id}", "")


def _copied(value: Any) -> Any:
    """Copy objects and lists, so that a later change by the caller does not rewrite the log; share the rest."""
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copied(inner) for inner in value]
    return value


def _packed_percent(policy: str, tags: Sequence[Mapping[str, str]]) -> int:
    compact = json.dumps([json.loads(policy), *({**tag} for tag in tags)], separators=(",", ":"))
    return math.ceil(100 * len(zlib.compress(compact.encode(), 9)) / PACKED_BYTES)


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)


def _document_of(managed: Any) -> str:
    for version in managed.versions:
        if version.version_id == managed.default_version_id:
            return _text(version.document)
    raise UnknownPolicyElement(f"managed policy {managed.arn} has no default version {managed.default_version_id}")


@cache
def _shared_loader() -> Any:
    """Return the one loader of service models: reading them again is most of what a new session costs."""
    loader = botocore.loaders.create_loader()
    loader._search_paths = _Paths(loader._search_paths)
    return loader


def _new_core() -> Any:
    core = botocore.session.Session()
    core.set_config_variable("config_file", os.devnull)  # nothing of the developer's own settings leaks in
    core.set_config_variable("credentials_file", os.devnull)
    core.register_component("data_loader", _shared_loader())
    return core


@cache
def _shared_session() -> boto3.Session:
    """Return the session for clients whose credentials and Region are given: a new one costs ten milliseconds."""
    return boto3.Session(botocore_session=_new_core())
