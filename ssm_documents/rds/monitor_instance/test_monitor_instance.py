"""RDS.6: instances get Enhanced Monitoring, at the interval that the control asks for; a role in use stays."""

from __future__ import annotations

from typing import Any

import pytest
from moto.rds.models import rds_backends

from sharr.runtime.contract import CannotRepair
from sharr.runtime.planning import plan_of
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of
from tests.resources import delivery_role

ID = "rds/monitor_instance"
NAME = "unmonitored-rds-6"
ROLE = "sharr-rds-monitoring"
OWNER = {"MasterUsername": "owner", "MasterUserPassword": "Not-a-secret-1"}


def instance(b: Bench, name: str = NAME, **more: Any) -> str:
    delivery_role(b, "rds_monitoring")
    wanted = {"Engine": "postgres", "DBInstanceClass": "db.t3.micro", "AllocatedStorage": 20, **OWNER}
    made = b.client("rds").create_db_instance(DBInstanceIdentifier=name, **wanted | more)
    return str(made["DBInstance"]["DBInstanceArn"])


def aurora(b: Bench) -> str:
    b.client("rds").create_db_cluster(DBClusterIdentifier="aurora-rds-6", Engine="aurora-mysql", **OWNER)
    member = {"DBClusterIdentifier": "aurora-rds-6", "Engine": "aurora-mysql", "DBInstanceClass": "db.r6g.large"}
    return instance(b, "aurora-rds-6-1", **member)


def own_role(b: Bench) -> str:
    return b.arn("iam", "role/rds-monitoring-role", region="")


def too_seldom(b: Bench) -> str:
    return instance(b, "seldom-rds-6", MonitoringInterval=60, MonitoringRoleArn=own_role(b))


def found(b: Bench, arn: str) -> dict[str, Any]:
    name = arn.rsplit(":", 1)[-1]
    return dict(b.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0])


def monitored(b: Bench, arn: str) -> bool:
    return bool(found(b, arn)["MonitoringInterval"])


def every_15(b: Bench, arn: str) -> bool:
    return bool(found(b, arn)["MonitoringInterval"] == 15)


CASES = [
    Case("RDS.6", "an instance without it", instance, monitored),
    Case("RDS.6", "an instance of an Aurora cluster", aurora, monitored),
    Case("RDS.6", "another interval", too_seldom, every_15, parameters={"monitoringInterval": ["15"]}),
]


@pytest.mark.parametrize(("parameters", "interval"), [({}, 60), ({"monitoringInterval": ["5"]}, 5)])
def test_the_interval_is_the_controls(parameters: dict[str, list[str]], interval: int) -> None:
    # AWS's solution always takes 60.
    with bench(ID) as b:
        arn = instance(b)

        assert b.attempt("RDS.6", arn, parameters).finish()["outcome"] == "REMEDIATED"

        now = found(b, arn)
        assert now["MonitoringInterval"] == interval
        assert now["MonitoringRoleArn"] == b.arn("iam", f"role/sharr/{ROLE}", region="")


def test_a_role_that_the_instance_has_stays() -> None:
    with bench(ID) as b:
        arn = too_seldom(b)
        attempt = b.attempt("RDS.6", arn, {"monitoringInterval": ["15"]})

        attempt.finish()
        assert found(b, arn)["MonitoringRoleArn"] == own_role(b)
        assert attempt.undo()["outcome"] == "UNDONE"
        assert (found(b, arn)["MonitoringInterval"], found(b, arn)["MonitoringRoleArn"]) == (60, own_role(b))


@pytest.mark.parametrize("case", ["no role", "a role that the service may not assume"])
def test_without_the_role_nothing_is_changed_and_the_stack_is_named(case: str) -> None:
    with bench(ID) as b:
        arn = instance(b)
        b.client("iam").delete_role(RoleName=ROLE)
        if case != "no role":
            delivery_role(b, "rds_monitoring", "ec2.amazonaws.com")

        result = b.attempt("RDS.6", arn).finish()

        assert result["outcome"] == "FAILED"
        assert "member-roles" in result["to_do"]
        assert not monitored(b, arn)


def test_an_instance_that_is_being_modified_is_pending() -> None:
    with bench(ID) as b:
        arn = instance(b)
        rds_backends[b.account][b.region].databases[NAME].status = "backing-up"
        attempt = b.attempt("RDS.6", arn)
        with b.watched() as calls:
            assert attempt.look()["outcome"] == "PENDING"
        assert not b.writes(calls)
        rds_backends[b.account][b.region].databases[NAME].status = "available"

        assert attempt.finish()["outcome"] == "REMEDIATED"


def test_changes_that_others_left_for_the_maintenance_window_go_on_waiting() -> None:
    with bench(ID) as b:
        arn = instance(b)
        b.client("rds").modify_db_instance(DBInstanceIdentifier=NAME, MultiAZ=True)

        assert b.attempt("RDS.6", arn).finish()["outcome"] == "REMEDIATED"

        assert found(b, arn)["PendingModifiedValues"] == {"MultiAZ": True}
        assert not found(b, arn)["MultiAZ"]


def test_an_instance_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("RDS.6", b.arn("rds", "db:gone"))["outcome"] == "COMPLIANT"


def plan(interval: int = 0, wanted: int | None = None, partition: str = "aws", **facts: Any) -> list[dict[str, Any]]:
    state = {
        "config": {"interval": interval, "role": "r" if interval else None},
        "facts": {
            "status": "available",
            "engine": "mysql",
            "cluster": None,
            "aux": {"rds_monitoring": {"role": True}},
        }
        | facts,
        "busy": None,
    }
    target = {
        "resource": {"instance": "i"},
        "partition": partition,
        "account": "222222222222",
        "parameters": {"monitoringInterval": wanted},
    }
    return list(plan_of(code_of(remediation_of(ID)), state, target))


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
@pytest.mark.parametrize(
    ("interval", "wanted", "to"),
    [
        (0, None, 60),
        (0, 1, 1),
        (60, None, None),
        (5, None, None),
        (60, 60, None),
        (60, 5, 5),
        (1, 60, 60),
    ],
)
def test_plan(interval: int, wanted: int | None, to: int | None, partition: str) -> None:
    role = f"arn:{partition}:iam::222222222222:role/sharr/{ROLE}"
    parameters = {"DBInstanceIdentifier": "i", "MonitoringInterval": to} | (
        {} if interval else {"MonitoringRoleArn": role}
    )

    assert [one["parameters"] for one in plan(interval, wanted, partition)] == ([parameters] if to else [])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"wanted": 20}, "every 20 seconds"),
        ({"engine": "custom-oracle-ee"}, "does not exist"),
        ({"engine": "neptune", "cluster": "g"}, "does not exist"),
        ({"engine": "docdb", "cluster": "d"}, "does not exist"),
        ({"cluster": "shop"}, "of the cluster shop"),
        ({"status": "stopped"}, "stopped; start it"),
        ({"status": "failed"}, "mend or delete it"),
        ({"aux": {"rds_monitoring": {"role": False}}}, "no role"),
    ],
)
def test_what_cannot_be_monitored_is_refused_before_the_first_call(change: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(**change)
