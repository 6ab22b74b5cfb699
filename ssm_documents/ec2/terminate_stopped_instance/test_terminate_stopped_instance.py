"""EC2.4: nothing is terminated unless the user said so, it is still stopped for too long, and an image is there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sandbox.additions.ec2_more import set_stopped
from sharr.loader import DOCUMENTS
from sharr.runtime.contract import CannotRepair
from sharr.runtime.planning import new_journal
from sharr.scripts import code_of, load_script
from tests.harness import Bench, Case, bench, remediation_of

ID = "ec2/terminate_stopped_instance"
IRREVERSIBLE = "the instance is terminated"
TERMINATE = {"terminate": "true"}
Json = dict[str, Any]


def stopped(b: Bench, days: float = 40, tag: str = "") -> str:
    """Start an instance and stop it as of some days ago; return its ARN."""
    ec2 = b.client("ec2")
    instance_id = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ec2.stop_instances(InstanceIds=[instance_id])
    set_stopped(b.account, b.region, instance_id, b.world.clock.now() - timedelta(days=days))
    if tag:
        ec2.create_tags(Resources=[instance_id], Tags=[{"Key": tag, "Value": ""}])
    return b.arn("ec2", f"instance/{instance_id}")


def long_stopped(b: Bench) -> str:
    return stopped(b)


def stopped_a_week(b: Bench) -> str:
    return stopped(b, 7.5)


def state_of(b: Bench, resource_id: str) -> str:
    asked = [resource_id.split("/")[1]]
    return str(
        b.client("ec2").describe_instances(InstanceIds=asked)["Reservations"][0]["Instances"][0]["State"]["Name"]
    )


def passes(b: Bench, resource_id: str) -> bool:
    return state_of(b, resource_id) != "stopped"


def images(b: Bench) -> list[Json]:
    found: list[Json] = b.client("ec2").describe_images(Owners=["self"])["Images"]
    return found


CASES = [
    Case(
        "EC2.4",
        "stopped for 40 days",
        long_stopped,
        passes,
        settings=TERMINATE,
        irreversible=IRREVERSIBLE,
    ),
    Case(
        "EC2.4",
        "stopped for a week where seven days are allowed, in another Region",
        stopped_a_week,
        passes,
        parameters={"AllowedDays": ["7"]},
        settings=TERMINATE,
        irreversible=IRREVERSIBLE,
        region="eu-west-1",
    ),
]


def test_an_image_with_its_tags_is_there_before_the_instance_is_terminated() -> None:
    """ASR made none."""
    with bench(ID) as b:
        resource_id = stopped(b)
        attempt = b.attempt("EC2.4", resource_id, settings=TERMINATE)

        first = attempt.look()
        assert (first["outcome"], first["why"]) == ("PENDING", "the image is being made")
        assert (state_of(b, resource_id), images(b)[0]["State"]) == ("stopped", "pending")
        b.world.advance(120)
        assert attempt.look()["outcome"] == "PENDING"
        assert state_of(b, resource_id) == "stopped"
        assert attempt.finish()["outcome"] == "REMEDIATED"
        (image,) = images(b)
        assert image["State"] == "available"
        assert resource_id.split("/")[1] in image["Name"]
        assert image["Tags"] == [{"Key": "sharr", "Value": "terminate_stopped_instance"}]


def test_without_the_switch_nothing_is_called_that_changes_anything() -> None:
    with bench(ID) as b:
        resource_id = stopped(b)
        with b.watched() as calls:
            result = b.remediate("EC2.4", resource_id)

        assert result["outcome"] == "FAILED"
        assert "stopped for 40 days" in result["why"]
        assert "set terminate" in result["to_do"]
        assert not b.writes(calls)


def test_an_instance_that_is_started_while_its_image_is_made_is_left_running() -> None:
    """ASR did not look whether it was still stopped."""
    with bench(ID) as b:
        resource_id = stopped(b)
        attempt = b.attempt("EC2.4", resource_id, settings=TERMINATE)
        attempt.look()
        b.client("ec2").start_instances(InstanceIds=[resource_id.split("/")[1]])

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert state_of(b, resource_id) == "running"


@pytest.mark.parametrize("attribute", ["DisableApiTermination", "DisableApiStop"])
def test_a_protected_instance_is_left_alone(attribute: str) -> None:
    with bench(ID) as b:
        resource_id = stopped(b)
        change: Json = {"InstanceId": resource_id.split("/")[1], attribute: {"Value": True}}
        b.client("ec2").modify_instance_attribute(**change)

        result = b.remediate("EC2.4", resource_id, settings=TERMINATE)

        assert result["outcome"] == "FAILED"
        assert attribute[1:] in result["why"]


def test_a_tag_of_the_users_choice_keeps_an_instance() -> None:
    with bench(ID) as b:
        resource_id = stopped(b, tag="team:keep")

        result = b.remediate("EC2.4", resource_id, settings={**TERMINATE, "keepTag": "team:keep"})

        assert result["outcome"] == "FAILED"
        assert "team:keep" in result["why"]


def test_a_terminated_instance_cannot_be_brought_back_and_the_undo_says_so() -> None:
    with bench(ID) as b:
        attempt = b.attempt("EC2.4", stopped(b), settings=TERMINATE)
        attempt.finish()

        result = attempt.undo()

        assert result["outcome"] == "FAILED"
        assert "an image of it stays" in result["why"]
        assert attempt.undo_journal["plan"] == new_journal("")["plan"]


def test_an_instance_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("EC2.4", b.arn("ec2", "instance/i-00000000000000000"))["outcome"] == "COMPLIANT"


NOW = "2026-03-02T09:00:00+00:00"
FACTS: Json = {
    "state": "stopped",
    "since": "2026-01-01T09:00:00+00:00",
    "group": None,
    "stack": None,
    "kept": False,
    "lifecycle": None,
    "operator": None,
    "protected": [],
    "name": "sharr-i-1-20260101-090000",
    "image": None,
}
MADE = {"id": "ami-1", "state": "available", "reason": ""}


def plan(facts: Json, **parameters: Any) -> list[Json]:
    state = {"config": {"exists": True}, "facts": FACTS | facts, "busy": None}
    given = {"AllowedDays": 30, "terminate": True, "keepTag": "sharr:keep", **parameters}
    calls: list[Json] = code_of(remediation_of(ID)).plan(
        state, {"now": NOW, "resource": {"instance_id": "i-1"}, "parameters": given}
    )
    return calls


@pytest.mark.parametrize(
    ("case", "facts", "operations"),
    [
        ("no image yet", {}, ["create_image", None, "terminate_instances"]),
        ("the image is there", {"image": MADE}, ["terminate_instances"]),
        ("stopped for exactly the allowed days", {"since": "2026-01-31T09:00:00+00:00"}, []),
        (
            "stopped for a little more",
            {"since": "2026-01-31T08:59:59+00:00"},
            ["create_image", None, "terminate_instances"],
        ),
        ("running", {"state": "running"}, []),
        ("stopping", {"state": "stopping"}, []),
        ("terminated", {"state": "terminated"}, []),
    ],
)
def test_plan(case: str, facts: Json, operations: list[str | None]) -> None:
    calls = plan(facts)

    assert [one.get("operation") for one in calls] == operations, case
    assert all(one.get("final") for one in calls if one.get("operation") == "terminate_instances")


@pytest.mark.parametrize(
    ("facts", "parameters", "why"),
    [
        ({"since": None}, {}, "does not tell since when"),
        ({"group": "web"}, {}, "Auto Scaling group web"),
        ({"stack": "app"}, {}, "CloudFormation stack app"),
        ({"kept": True}, {}, "the tag sharr:keep"),
        ({"lifecycle": "spot"}, {}, "a spot one"),
        ({"operator": "eks.amazonaws.com"}, {}, "managed by eks.amazonaws.com"),
        ({"protected": ["disableApiStop"]}, {}, "protected: disableApiStop"),
        ({"image": MADE | {"state": "failed", "reason": "out of space"}}, {}, "ami-1 is failed: out of space"),
        ({}, {"terminate": False}, "stopped for 60 days"),
    ],
)
def test_what_must_not_be_terminated_is_refused(facts: Json, parameters: Json, why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(facts, **parameters)


@pytest.mark.parametrize(
    ("instance", "operator"),
    [
        ({}, None),
        ({"Operator": {"Managed": False}}, None),
        ({"Operator": {"Managed": True, "Principal": "eks.amazonaws.com"}}, "eks.amazonaws.com"),
        ({"Operator": {"Managed": True}}, "an AWS service"),
    ],
)
def test_an_instance_that_a_service_manages_is_known(instance: Json, operator: str | None) -> None:
    """Its termination would be refused, after an image was made for nothing."""
    assert load_script(DOCUMENTS / ID / "script.py").operator_of(instance) == operator


@pytest.mark.parametrize(
    ("reason", "since"),
    [
        ("User initiated (2026-01-31 10:00:00 GMT)", "2026-01-31T10:00:00+00:00"),
        ("Server.ScheduledStop (2026-01-31 10:00:00 UTC)", "2026-01-31T10:00:00+00:00"),
        ("User initiated", None),
        ("", None),
    ],
)
def test_the_time_of_the_stop_is_read_from_the_reason(reason: str, since: str | None) -> None:
    found = load_script(DOCUMENTS / ID / "script.py").stopped_since(reason)

    assert (found and found.isoformat()) == since
