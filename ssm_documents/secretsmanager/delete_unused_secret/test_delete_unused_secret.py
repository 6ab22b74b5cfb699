"""SecretsManager.3: an unused secret is deleted only where the user said so, with a window in which it comes back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sandbox.additions.secretsmanager_rotation import set_dates
from sharr.runtime.contract import CannotRepair, ResourceGone
from sharr.runtime.planning import Aws
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "secretsmanager/delete_unused_secret"
NAME = "orders-for-secretsmanager-3"
CANARY = "canary-7c2d"
DELETE = {"deleteSecret": "true"}


def secret(b: Bench, created: int, read: int | None = None, name: str = NAME, **more: Any) -> str:
    """Make a secret; *created* and *read* are days ago."""
    arn = b.client("secretsmanager").create_secret(Name=name, SecretString=CANARY, **more)["ARN"]
    now = b.world.clock.now()
    accessed = None if read is None else now - timedelta(days=read)
    set_dates(b.account, b.region, name, created=now - timedelta(days=created), accessed=accessed)
    return str(arn)


def unused(b: Bench) -> str:
    return secret(b, 400, 100)


def never_read(b: Bench) -> str:
    return secret(b, 40, name=f"{NAME}-never-read")


def passes(days: int) -> Any:
    """The Config rule secretsmanager-secret-unused, which does not see a secret whose deletion is scheduled."""

    def check(b: Bench, resource_id: str) -> bool:
        told = b.client("secretsmanager").describe_secret(SecretId=resource_id)
        last = told.get("LastAccessedDate") or told["CreatedDate"]
        return "DeletedDate" in told or last >= b.world.clock.now() - timedelta(days=days)

    return check


CASES = [
    Case("SecretsManager.3", "a secret not read for long", unused, passes(90), settings=DELETE, secrets=(CANARY,)),
    Case(
        "SecretsManager.3",
        "a secret never read",
        never_read,
        passes(30),
        parameters={"unusedForDays": ["30"]},
        settings=DELETE,
        secrets=(CANARY,),
    ),
]

FACTS: dict[str, Any] = {
    "created": "2025-01-01T00:00:00+00:00",
    "read": None,
    "owner": None,
    "primary": "us-east-1",
    "replicas": [],
}


def plan(scheduled: bool = False, delete: bool = True, **facts: Any) -> list[dict[str, Any]]:
    state = {"config": {"deletion_scheduled": scheduled}, "facts": FACTS | facts, "busy": None}
    target = {
        "region": "us-east-1",
        "resource": {"id": "the-arn"},
        "now": "2026-03-02T09:00:00+00:00",
        "parameters": {"unusedForDays": 90, "deleteSecret": delete, "recoveryWindowDays": 14},
    }
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, target)
    return made


@pytest.mark.parametrize(
    ("case", "scheduled", "facts"),
    [
        ("read within the days", False, {"read": "2026-01-01T00:00:00+00:00"}),
        ("never read, but young", False, {"created": "2026-01-01T12:00:00+00:00"}),
        (
            "read on the day it was made",
            False,
            {"created": "2025-12-02T12:00:00+00:00", "read": "2025-12-02T00:00:00+00:00"},
        ),
        ("on its way out", True, {}),
    ],
)
def test_a_secret_in_use_or_on_its_way_out_is_compliant(case: str, scheduled: bool, facts: dict[str, Any]) -> None:
    assert plan(scheduled, **facts) == [], case


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"delete": False}, "only its deletion"),
        ({"owner": "rds"}, "rds manages"),
        ({"primary": "eu-west-1"}, "replica"),
        ({"replicas": ["eu-west-1"]}, "replicas in eu-west-1"),
    ],
)
def test_what_must_not_or_cannot_be_deleted_is_left_to_a_person(facts: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(**facts)


def test_the_window_is_the_users() -> None:
    assert plan()[0]["parameters"] == {"SecretId": "the-arn", "RecoveryWindowInDays": 14}


def test_a_replicated_secret_is_kept_whole() -> None:
    with bench(ID) as b:
        arn = secret(b, 400, AddReplicaRegions=[{"Region": "eu-west-1"}])

        result = b.remediate("SecretsManager.3", arn, settings=DELETE)

        assert result["outcome"] == "FAILED"
        assert "replicas in eu-west-1" in result["why"]


def test_a_secret_whose_window_is_over_is_gone_and_one_within_it_is_not() -> None:
    with bench(ID) as b:
        attempt = b.attempt("SecretsManager.3", unused(b), settings=DELETE)
        assert attempt.finish()["outcome"] == "REMEDIATED"
        code, target = code_of(b.remediation), attempt.target
        aws = Aws(lambda service, region: b.client(service, region), target, "own", {})
        assert code.inspect(aws, target)["config"] == {"deletion_scheduled": True}

        b.world.clock.advance(31 * 86400)

        with pytest.raises(ResourceGone):
            code.inspect(aws, target)
