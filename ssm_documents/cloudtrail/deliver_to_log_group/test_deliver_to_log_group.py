"""CloudTrail.5: which trails get a log group, where it is made, that events are seen to arrive, and what fails."""

from __future__ import annotations

from typing import Any

import pytest
from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.responses import ActionResult

from sharr.runtime.contract import CannotRepair
from sharr.runtime.planning import plan_of
from sharr.scripts import code_of
from sharr.targets import NotATarget
from tests.harness import Bench, Case, bench, remediation_of
from tests.resources import delivery_role, trail_bucket

ID = "cloudtrail/deliver_to_log_group"
ROLE = "sharr-trail-log-delivery"
ACCOUNT = "222222222222"
HOME = "eu-west-1"


def trail(b: Bench, name: str, region: str, *, account: str | None = None, start: bool = True, **more: Any) -> str:
    """Make a trail with a bucket of its own, and return its ARN."""
    account = account or b.account
    bucket = trail_bucket(b, f"{name}-{account}-{region}", region, account)
    cloudtrail = b.client("cloudtrail", region, account)
    trail_arn = str(cloudtrail.create_trail(Name=name, S3BucketName=bucket, **more)["TrailARN"])
    if start:
        cloudtrail.start_logging(Name=trail_arn)
    return trail_arn


def here(b: Bench) -> str:
    delivery_role(b, "trail_log_group")
    return trail(b, "for-cloudtrail-5", b.region)


def elsewhere(b: Bench) -> str:
    delivery_role(b, "trail_log_group")
    return trail(b, "for-cloudtrail-5-far", HOME, IsMultiRegionTrail=True)


def half_made(b: Bench) -> str:
    """A trail whose log group is ours already, without a retention; nothing is logged, so nothing will arrive."""
    delivery_role(b, "trail_log_group")
    b.client("logs").create_log_group(logGroupName="/sharr/trail/for.cloudtrail_5", tags={"sharr": "trail_log_group"})
    return trail(b, "for.cloudtrail_5", b.region, start=False)


def found(b: Bench, arn: str) -> dict[str, Any]:
    one: dict[str, Any] = b.client("cloudtrail", arn.split(":")[3]).get_trail(Name=arn)["Trail"]
    return one


def group_of(b: Bench, arn: str) -> dict[str, Any]:
    """Return the log group that we make for the trail, {} where there is none."""
    name = f"/sharr/trail/{arn.split('/')[1]}"
    logs = b.client("logs", arn.split(":")[3])
    groups: list[dict[str, Any]] = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return next((one for one in groups if one["logGroupName"] == name), {})


def delivers(b: Bench, arn: str) -> bool:
    return bool(found(b, arn).get("CloudWatchLogsLogGroupArn"))


CASES = [
    Case("CloudTrail.5", "a trail of this Region", here, delivers),
    Case("CloudTrail.5", "a trail made in another Region", elsewhere, delivers),
    Case("CloudTrail.5", "a stopped trail whose log group was half made", half_made, delivers),
]

ARN = f"arn:aws:cloudtrail:{HOME}:{ACCOUNT}:trail/audit"
AUX = {"trail_log_group": {"name": "/sharr/trail/audit", "home": HOME, "role": True, "group": None}}
MINE = f"arn:aws:logs:{HOME}:{ACCOUNT}:log-group:/sharr/trail/audit:*"


def plan(group: str | None = None, **facts: Any) -> list[dict[str, Any]]:
    given = {"owner": ACCOUNT, "organization": False, "failed": False, "aux": AUX, **facts}
    state = {"config": {"group": group, "role": None}, "facts": given, "busy": None}
    target = {
        "partition": "aws", "account": ACCOUNT, "region": "us-east-1", "control": "CloudTrail.5",
        "resource": {"id": ARN, "home": HOME, "trail": "audit"}, "parameters": {"retentionDays": "365"},
    }  # fmt: skip
    return plan_of(code_of(remediation_of(ID)), state, target)


def test_all_is_made_and_changed_in_the_trails_home_region() -> None:
    calls = plan()

    assert [one.get("operation") for one in calls] == ["create_log_group", "put_retention_policy", "update_trail", None]
    assert {one["region"] for one in calls[:3]} == {HOME}
    assert calls[2]["parameters"]["CloudWatchLogsLogGroupArn"] == MINE
    assert calls[2]["undo"][0]["parameters"]["CloudWatchLogsLogGroupArn"] == ""


@pytest.mark.parametrize(
    ("group", "failed"),
    [(MINE, False), (f"arn:aws:logs:{HOME}:{ACCOUNT}:log-group:theirs:*", True)],
)
def test_a_trail_with_a_log_group_is_left_alone(group: str, failed: bool) -> None:
    assert plan(group, failed=failed) == []


def test_our_log_group_to_which_nothing_can_be_delivered_fails_and_is_taken_back() -> None:
    (one,) = plan(MINE, failed=True)

    assert (one["operation"], one["fail_if"]) == ("get_trail_status", "LatestCloudWatchLogsDeliveryError")


def test_an_organizations_trail_is_left_to_the_account_that_owns_it() -> None:
    with pytest.raises(CannotRepair, match="the organization's trail belongs to account 100000000001") as caught:
        plan(owner="100000000001", organization=True)

    assert "cloudtrail:UpdateTrail" in caught.value.to_do


def test_the_organizations_trail_is_no_target_in_a_member_account() -> None:
    with bench(ID) as b:
        arn = trail(b, "org", b.region, account=b.world.organization.management, IsOrganizationTrail=True)

        with pytest.raises(NotATarget):
            b.remediate("CloudTrail.5", arn)


def test_a_missing_role_is_said_before_anything_is_made() -> None:
    with bench(ID) as b:
        arn = trail(b, "audit", b.region)

        result = b.remediate("CloudTrail.5", arn)

        assert result["outcome"] == "FAILED"
        assert "member-roles" in result["to_do"]
        assert not group_of(b, arn)


def test_the_log_group_gets_a_retention() -> None:
    """A log group that keeps its events for ever costs for ever: AWS's own solution makes it so."""
    with bench(ID) as b:
        arn = here(b)

        b.attempt("CloudTrail.5", arn, settings={"retentionDays": "731"}).finish()

        assert group_of(b, arn)["retentionInDays"] == 731


def test_the_buckets_policy_stays_as_it_is() -> None:
    """AWS's own solution limits the bucket's policy to this trail: every other trail of the bucket falls silent."""
    with bench(ID) as b:
        arn = here(b)
        bucket = found(b, arn)["S3BucketName"]
        before = b.client("s3").get_bucket_policy(Bucket=bucket)["Policy"]

        result = b.attempt("CloudTrail.5", arn).finish()

        assert result["outcome"] == "REMEDIATED"
        assert b.client("s3").get_bucket_policy(Bucket=bucket)["Policy"] == before


def test_a_role_that_cloudtrail_cannot_assume_leaves_the_trail_as_it_was() -> None:
    with bench(ID) as b:
        delivery_role(b, "trail_log_group", "vpc-flow-logs.amazonaws.com")
        arn = trail(b, "audit", b.region)

        result = b.remediate("CloudTrail.5", arn)

        assert result["outcome"] == "FAILED"
        assert "InvalidCloudWatchLogsRoleArnException" in result["why"]
        assert not delivers(b, arn)


def test_a_delivery_that_fails_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    error = {"IsLogging": True, "LatestCloudWatchLogsDeliveryError": "Access denied"}
    with bench(ID) as b:
        arn = here(b)
        attempt = b.attempt("CloudTrail.5", arn)
        assert attempt.look()["outcome"] == "PENDING"
        monkeypatch.setattr(CloudTrailResponse, "get_trail_status", lambda _: ActionResult(error))
        b.world.advance(600)

        result = attempt.look()

        assert result["outcome"] == "FAILED"
        assert "Access denied" in result["why"]
        assert result["restored"]
        assert not delivers(b, arn)


def test_a_trail_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("CloudTrail.5", b.arn("cloudtrail", "trail/gone"))["outcome"] == "COMPLIANT"
