"""RDS.5: a standby is made in the maintenance window, or at once where nobody else's changes would come along."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from moto.rds.models import rds_backends

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "rds/add_standby"
NAME = "alone-rds-5"
OWNER = {"MasterUsername": "owner", "MasterUserPassword": "Not-a-secret-1"}
AT_ONCE = {"applyImmediately": "true"}
HOUR = 3600


def instance(b: Bench, name: str = NAME, **more: Any) -> str:
    wanted = {"Engine": "postgres", "DBInstanceClass": "db.t3.medium", "AllocatedStorage": 20, **OWNER}
    made = b.client("rds").create_db_instance(DBInstanceIdentifier=name, **wanted | more)
    return str(made["DBInstance"]["DBInstanceArn"])


def replica(b: Bench) -> str:
    instance(b, "source-rds-5", Engine="mysql", MultiAZ=False)
    b.client("rds").create_db_instance_read_replica(
        DBInstanceIdentifier="replica-rds-5", SourceDBInstanceIdentifier="source-rds-5"
    )
    return b.arn("rds", "db:replica-rds-5")


def found(b: Bench, arn: str) -> dict[str, Any]:
    name = arn.rsplit(":", 1)[-1]
    return dict(b.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0])


def has_standby(b: Bench, arn: str) -> bool:
    return bool(found(b, arn)["MultiAZ"])


def window_opens_in(b: Bench, hours: int) -> None:
    begin = b.world.clock.now() + timedelta(hours=hours)
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    ends = [f"{days[t.weekday()]}:{t:%H:%M}" for t in (begin, begin + timedelta(minutes=30))]
    # The backup window that moto gives an instance would overlap at some times of the day.
    backup = [f"{t:%H:%M}" for t in (begin + timedelta(hours=6), begin + timedelta(hours=6, minutes=30))]
    rds = b.client("rds")
    rds.modify_db_instance(DBInstanceIdentifier=NAME, PreferredBackupWindow="-".join(backup))
    rds.modify_db_instance(DBInstanceIdentifier=NAME, PreferredMaintenanceWindow="-".join(ends))


def leave_for_the_window(b: Bench, **change: Any) -> None:
    b.client("rds").modify_db_instance(DBInstanceIdentifier=NAME, **change)


# What waits for a maintenance window takes a week of looks, there and back: see the tests below.
CASES = [
    Case("RDS.5", "an instance", instance, has_standby, settings=AT_ONCE),
    Case("RDS.5", "a read replica", replica, has_standby, settings=AT_ONCE),
]


def test_by_default_the_standby_is_made_in_the_maintenance_window() -> None:
    with bench(ID) as b:
        arn = instance(b)
        window_opens_in(b, 3)
        attempt = b.attempt("RDS.5", arn)

        result = attempt.look()
        assert (result["outcome"], result["seconds"]) == ("PENDING", 3600)
        assert "maintenance window" in result["why"]
        b.world.advance(HOUR)
        assert attempt.look()["outcome"] == "PENDING"
        assert not has_standby(b, arn)
        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert has_standby(b, arn)


def test_an_undo_of_what_was_made_in_the_window_waits_for_the_next_one() -> None:
    with bench(ID) as b:
        arn = instance(b)
        window_opens_in(b, 1)
        attempt = b.attempt("RDS.5", arn)
        attempt.finish()
        window_opens_in(b, 2)
        begun = b.world.clock.now()

        assert attempt.undo()["outcome"] == "UNDONE"
        assert not has_standby(b, arn)
        assert b.world.clock.now() - begun >= timedelta(hours=2)


def test_while_the_change_waits_a_second_attempt_asks_for_nothing() -> None:
    with bench(ID) as b:
        arn = instance(b)
        b.remediate("RDS.5", arn)
        with b.watched() as calls:
            result = b.remediate("RDS.5", arn)

        assert (result["outcome"], b.writes(calls)) == ("PENDING", [])


def test_what_others_left_for_the_window_is_not_applied_at_once() -> None:
    # AWS's solution applies it.
    with bench(ID) as b:
        arn = instance(b)
        leave_for_the_window(b, AllocatedStorage=100)
        with b.watched() as calls:
            result = b.remediate("RDS.5", arn, settings=AT_ONCE)

        assert (result["outcome"], b.writes(calls)) == ("FAILED", [])
        assert "AllocatedStorage" in result["why"]
        assert "applyImmediately" in result["to_do"]
        assert found(b, arn)["PendingModifiedValues"] == {"AllocatedStorage": 100}


def test_in_the_window_it_comes_along_with_what_others_left_for_it() -> None:
    with bench(ID) as b:
        arn = instance(b)
        window_opens_in(b, 2)
        leave_for_the_window(b, AllocatedStorage=100)

        assert b.attempt("RDS.5", arn).finish()["outcome"] == "REMEDIATED"
        assert found(b, arn)["AllocatedStorage"] == 100


def test_an_undo_at_once_waits_for_what_others_left_for_the_window() -> None:
    with bench(ID) as b:
        arn = instance(b)
        attempt = b.attempt("RDS.5", arn, settings=AT_ONCE)
        attempt.finish()
        window_opens_in(b, 2)
        leave_for_the_window(b, AllocatedStorage=100)
        begun = b.world.clock.now()

        assert attempt.undo()["outcome"] == "UNDONE"
        assert not has_standby(b, arn)
        assert b.world.clock.now() - begun >= timedelta(hours=2)


def test_a_password_that_waits_for_the_window_is_named_and_not_kept() -> None:
    class Rds:
        class exceptions:  # noqa: N801  # boto3's name
            DBInstanceNotFoundFault = KeyError

        def client(self, _service: str) -> Rds:
            return self

        def describe_db_instances(self, **_asked: str) -> Any:
            pending = {"MasterUserPassword": "****", "EngineVersion": "16.4"}
            one = {"DBInstanceStatus": "available", "Engine": "postgres", "MultiAZ": False}
            return {"DBInstances": [one | {"PendingModifiedValues": pending}]}

    state = code_of(remediation_of(ID)).inspect(Rds(), {"resource": {"instance": "i"}, "parameters": {}})

    assert state["facts"]["others"] == ["EngineVersion", "MasterUserPassword"]
    assert "****" not in str(state)


def test_an_instance_that_is_being_modified_is_pending() -> None:
    with bench(ID) as b:
        arn = instance(b)
        rds_backends[b.account][b.region].databases[NAME].status = "backing-up"
        attempt = b.attempt("RDS.5", arn, settings=AT_ONCE)
        with b.watched() as calls:
            assert attempt.look()["outcome"] == "PENDING"
        assert not b.writes(calls)
        rds_backends[b.account][b.region].databases[NAME].status = "available"

        assert attempt.finish()["outcome"] == "REMEDIATED"


def test_an_instance_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("RDS.5", b.arn("rds", "db:gone"))["outcome"] == "COMPLIANT"


def plan(*, standby: bool = False, now: bool = False, **facts: Any) -> list[dict[str, Any]]:
    state = {
        "config": {"standby": standby},
        "facts": {
            "status": "available",
            "engine": "mysql",
            "cluster": None,
            "replica": False,
            "asked": False,
            "others": [],
        }
        | facts,
        "busy": None,
    }
    target = {"resource": {"instance": "i"}, "parameters": {"applyImmediately": now}}
    return list(code_of(remediation_of(ID)).plan(state, target))


@pytest.mark.parametrize("now", [False, True])
@pytest.mark.parametrize("facts", [{}, {"replica": True}, {"engine": "sqlserver-se"}, {"engine": "db2-ae"}])
def test_an_instance_gets_a_standby_when_it_was_asked_for(now: bool, facts: dict[str, Any]) -> None:
    first = plan(now=now, **facts)[0]

    assert first["parameters"] == {"DBInstanceIdentifier": "i", "MultiAZ": True, "ApplyImmediately": now}
    assert [one["parameters"] for one in first["undo"]] == [first["parameters"] | {"MultiAZ": False}]


def test_an_instance_with_a_standby_needs_nothing() -> None:
    assert plan(standby=True, now=True, status="stopped", others=["EngineVersion"]) == []


def test_changes_that_wait_do_not_matter_in_the_window() -> None:
    assert len(plan(others=["EngineVersion"])) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"engine": "aurora-mysql", "cluster": "shop"}, "a replica in another Availability Zone to the cluster shop"),
        ({"engine": "neptune", "cluster": "graph"}, "the cluster graph"),
        ({"engine": "postgres", "cluster": "c"}, "spans three"),
        ({"engine": "sqlserver-ex"}, "Express"),
        ({"engine": "custom-sqlserver-se"}, "RDS Custom"),
        ({"engine": "sqlserver-ee", "replica": True}, "read replica"),
        ({"status": "stopped"}, "stopped; start it"),
        ({"status": "incompatible-network"}, "mend or delete it"),
        ({"now": True, "others": ["EngineVersion"]}, "changes of EngineVersion wait"),
    ],
)
def test_what_cannot_have_a_standby_is_refused_before_the_first_call(change: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(**change)
