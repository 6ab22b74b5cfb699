"""
Secrets Manager: rotation needs a function, takes a minute, keeps its schedule; secrets are read, deleted and restored.

moto rotates without a function and at once, forgets the function at the next rotation, knows no schedule expression and
no date of last access, and keeps a secret whose recovery window is over. The rotation function is not run: a rotation
ends well after ROTATING_SECONDS of the world's clock, or never where fail_rotations() said so. Nothing rotates by its
schedule here.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.secretsmanager.models import FakeSecret, secretsmanager_backends
from moto.secretsmanager.responses import SecretsManagerResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

ROTATING_SECONDS = 60
DAY = 86400
_RULES = ("AutomaticallyAfterDays", "ScheduleExpression", "Duration")


def install(world: World, patches: Patches) -> None:
    """Make moto's Secrets Manager rotate, and remember, as AWS does, on *world*'s clock."""

    def now() -> float:
        return world.clock.now().timestamp()

    def settled(do: Callable[[Request, Any, Callable[[], Any]], Any]) -> Callable[[Request, Callable[[], Any]], Any]:
        """Have *do* called with the secret as it is by now; of one that is not there moto itself tells."""

        def around(request: Request, proceed: Callable[[], Any]) -> Any:
            backend = secretsmanager_backends[request.account][request.region]
            secret = backend.secrets.get(request.parameters["SecretId"])
            if isinstance(secret, FakeSecret):
                _settle(secret, now())
                if secret.deleted_date is not None and secret.deleted_date <= now():
                    backend.secrets.pop(secret.secret_id)
            return do(request, backend.secrets.get(request.parameters["SecretId"]), proceed)

        return around

    def rotate(request: Request, secret: Any, proceed: Callable[[], Any]) -> Any:
        if not isinstance(secret, FakeSecret) or secret.is_deleted():
            return proceed()
        return _rotate(request, secret, now())

    def value(_request: Request, secret: Any, proceed: Callable[[], Any]) -> Any:
        answer = proceed()
        if isinstance(secret, FakeSecret):
            # The date only. Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
            secret.last_accessed = now() // DAY * DAY  # type: ignore[attr-defined]  # ours, beside moto's own
        return answer

    def as_moto_does(_request: Request, _secret: Any, proceed: Callable[[], Any]) -> Any:
        return proceed()

    def listed(request: Request, proceed: Callable[[], Any]) -> Any:
        """The dates of a secret are in the list, too."""
        secrets = secretsmanager_backends[request.account][request.region].secrets
        told = json.loads(proceed())
        for one in told["SecretList"]:
            secret = secrets.get(one["Name"])
            if isinstance(secret, FakeSecret):
                _settle(secret, now())
                one |= _dates(secret)
        return json.dumps(told)

    patches.around(SecretsManagerResponse, "ListSecrets", listed)
    patches.around(SecretsManagerResponse, "RotateSecret", settled(rotate))
    patches.around(SecretsManagerResponse, "GetSecretValue", settled(value))
    patches.around(SecretsManagerResponse, "DescribeSecret", settled(_describe))
    patches.around(SecretsManagerResponse, "CancelRotateSecret", settled(as_moto_does))
    patches.around(SecretsManagerResponse, "DeleteSecret", settled(as_moto_does))
    patches.around(SecretsManagerResponse, "RestoreSecret", settled(as_moto_does))


def set_dates(
    account: str,
    region: str,
    name: str,
    *,
    created: datetime | None = None,
    accessed: datetime | None = None,
    rotated: datetime | None = None,
) -> None:
    """Make a secret as old, as long unused or as long not rotated as the test wants it."""
    secret = _secret(account, region, name)
    if created:
        secret.created_date = int(created.timestamp())
    if accessed:
        secret.last_accessed = accessed.astimezone(UTC).timestamp() // DAY * DAY
    if rotated:
        secret.rotated = rotated.timestamp()


def fail_rotations(account: str, region: str, name: str) -> None:
    """From now on the rotation function of the secret fails: what is begun stays pending."""
    _secret(account, region, name).rotation_fails = True


def _secret(account: str, region: str, name: str) -> Any:
    return secretsmanager_backends[account][region].secrets[name]


def _rotate(request: Request, secret: Any, now: float) -> Mapping[str, Any]:
    """Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html"""
    asked = request.parameters
    token = asked.get("ClientRequestToken") or str(uuid.uuid4())
    answer = {"ARN": secret.arn, "Name": secret.name, "VersionId": token}
    if token in secret.versions or token == getattr(secret, "tested", None):
        return answer
    function = asked.get("RotationLambdaARN") or secret.rotation_lambda_arn
    if not function and not secret.owning_service:
        raise Refused("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.")
    rules = _checked_rules(asked.get("RotationRules"))
    if _pending(secret):
        raise Refused(
            "InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted."
        )
    if function:
        _check_function(request, function)
    if rules:
        secret.rules = rules
    secret.rotation_requested = secret.rotation_enabled = True
    secret.rotation_lambda_arn = function
    if not asked.get("RotateImmediately", True):
        secret.tested = token  # the function's test step uses a pending version, which is removed again
        return answer
    secret.versions[token] = {"createdate": int(now), "version_id": token, "version_stages": ["AWSPENDING"]}
    secret.rotation_due = now + ROTATING_SECONDS
    return answer


def _checked_rules(rules: Mapping[str, Any] | None) -> dict[str, Any]:
    if not rules:
        return {}
    if ("AutomaticallyAfterDays" in rules) == ("ScheduleExpression" in rules):
        raise Refused("InvalidParameterException", "give either AutomaticallyAfterDays or ScheduleExpression")
    if not 1 <= rules.get("AutomaticallyAfterDays", 1) <= 1000:
        raise Refused("InvalidParameterException", "RotationRules.AutomaticallyAfterDays must be within 1-1000.")
    expression = rules.get("ScheduleExpression", "rate(1 day)")
    if not re.fullmatch(r"rate\([1-9][0-9]* (hours?|days?)\)|cron\([0-9A-Za-z\s*#?,/-]+\)", expression):
        raise Refused("InvalidParameterException", f"ScheduleExpression {expression!r} is not valid")
    return {name: rules[name] for name in _RULES if name in rules}


def _check_function(request: Request, arn: str) -> None:
    """
    Refuse a function that is not there, or that does not let Secrets Manager invoke it.

    Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot_rotation.html
    """
    name = arn.split(":")[6]
    function = lambda_backends[request.account][request.region]._lambdas._functions.get(name)
    if function is None or function["latest"] is None:
        raise Refused("ResourceNotFoundException", f"Lambda can't find the function {arn}")
    for statement in function["latest"].policy.statements:
        if (
            statement["Effect"] == "Allow"
            and statement["Principal"] == {"Service": "secretsmanager.amazonaws.com"}
            and statement["Action"] == "lambda:InvokeFunction"
        ):
            return
    raise Refused(
        "AccessDeniedException",
        "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to "
        "the principal secretsmanager.amazonaws.com.",
    )


def _pending(secret: Any) -> str | None:
    """The version that is pending and not current: a rotation that has not ended well."""
    for id_, version in secret.versions.items():
        if "AWSPENDING" in version["version_stages"] and "AWSCURRENT" not in version["version_stages"]:
            return str(id_)
    return None


def _settle(secret: Any, now: float) -> None:
    """End the rotation whose time is over, as its function does: the pending version becomes the current one."""
    id_, due = _pending(secret), getattr(secret, "rotation_due", None)
    if id_ is None or due is None or due > now or getattr(secret, "rotation_fails", False):
        return
    secret.rotation_due = None
    version = secret.versions[id_]
    version["version_stages"] = ["AWSCURRENT", "AWSPENDING"]
    version["secret_string"] = secret.secret_string = f"rotated-{uuid.uuid4()}"
    secret.reset_default_version(version, id_)
    secret.rotated = due
    secret.last_changed_date = int(due)


def _dates(secret: Any) -> dict[str, float]:
    """Return what is ours, beside moto's own."""
    found = {
        "LastAccessedDate": getattr(secret, "last_accessed", None),
        "LastRotatedDate": getattr(secret, "rotated", None),
    }
    return {name: at for name, at in found.items() if at}


def _describe(_request: Request, secret: Any, proceed: Callable[[], Any]) -> Any:
    """
    Add what moto does not tell. The days of a schedule expression are calculated; of a cron they stay unsaid here.

    Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
    """
    if not isinstance(secret, FakeSecret):
        return proceed()
    told = json.loads(proceed())
    told.pop("LastRotatedDate", None)
    told |= _dates(secret)
    rules = dict(getattr(secret, "rules", {}))
    if found := re.fullmatch(r"rate\(([0-9]+) days?\)", rules.get("ScheduleExpression", "")):
        rules["AutomaticallyAfterDays"] = int(found[1])
    if "RotationRules" in told:
        told["RotationRules"] = rules
        told["RotationLambdaARN"] = told["RotationLambdaARN"] or None
    return json.dumps({name: value for name, value in told.items() if value is not None})
