"""CloudTrail.1 and .3: which trail is enough, which is started, when one is made, and when that is left to a person."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.world import Sandbox
from sharr.loader import DOCUMENTS
from sharr.runtime.contract import CannotRepair
from sharr.runtime.planning import Aws, plan_of
from sharr.scripts import code_of, load_script
from sharr.targets import lease_key
from tests.harness import Bench, Case, bench, remediation_of
from tests.resources import trail_bucket

ID = "cloudtrail/create_trail"
WRITES = [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True, "DataResources": []}]


def account(b: Bench) -> str:
    return f"AWS::::Account:{b.account}"


def trail(
    b: Bench,
    name: str = "audit",
    *,
    region: str | None = None,
    owner: str | None = None,
    on: bool = True,
    multi: bool = True,
    **more: Any,
) -> str:
    """Make somebody's trail and return its ARN; *more* is for CreateTrail."""
    region, owner = region or b.region, owner or b.account
    cloudtrail = b.client("cloudtrail", region, owner)
    logs = trail_bucket(b, f"logs-{owner}-{name}", region, owner)
    made = cloudtrail.create_trail(Name=name, S3BucketName=logs, IsMultiRegionTrail=multi, **more)
    if on:
        cloudtrail.start_logging(Name=made["TrailARN"])
    return str(made["TrailARN"])


def nothing(b: Bench) -> str:
    return account(b)


def half_made_bucket(b: Bench) -> str:
    """A run that died right after it had made the bucket."""
    s3, name = b.client("s3"), f"sharr-trail-{b.account}-{b.region}"
    s3.create_bucket(Bucket=name, ObjectOwnership="BucketOwnerEnforced")
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "sharr", "Value": "trail_bucket"}]})
    return account(b)


def stopped(b: Bench) -> str:
    trail(b, on=False)
    return account(b)


def stopped_elsewhere(b: Bench) -> str:
    trail(b, on=False, region="eu-west-1")
    return account(b)


def one_region_only(b: Bench) -> str:
    trail(b, multi=False)
    return account(b)


def stopped_in_one_region(b: Bench) -> str:
    trail(b, multi=False, on=False)
    return account(b)


def writes_only(b: Bench) -> str:
    arn = trail(b)
    b.client("cloudtrail").put_event_selectors(TrailName=arn, EventSelectors=WRITES)
    return account(b)


def seen(b: Bench) -> list[tuple[dict[str, Any], bool]]:
    """Return the trails seen in this Region, each with: is it on?"""
    cloudtrail = b.client("cloudtrail")
    trails = cloudtrail.describe_trails()["trailList"]
    return [(one, cloudtrail.get_trail_status(Name=one["TrailARN"])["IsLogging"]) for one in trails]


def all_is_recorded(b: Bench, _resource_id: str) -> bool:
    """CloudTrail.1, for the basic selectors that the cases use."""
    for one, on in seen(b):
        selectors = b.client("cloudtrail").get_event_selectors(TrailName=one["TrailARN"])["EventSelectors"]
        if on and one["IsMultiRegionTrail"] and any(s["ReadWriteType"] == "All" for s in selectors):
            return True
    return False


def one_is_on(b: Bench, _resource_id: str) -> bool:
    return any(on for _, on in seen(b))


CASES = [
    Case("CloudTrail.1", "no trail", nothing, all_is_recorded),
    Case("CloudTrail.1", "no trail, in another Region", nothing, all_is_recorded, region="eu-west-1"),
    Case("CloudTrail.1", "a bucket that a former run left half made", half_made_bucket, all_is_recorded),
    Case("CloudTrail.1", "a trail that was stopped", stopped, all_is_recorded),
    Case("CloudTrail.1", "a stopped trail whose home is another Region", stopped_elsewhere, all_is_recorded),
    Case("CloudTrail.1", "a trail of one Region only", one_region_only, all_is_recorded),
    Case("CloudTrail.3", "no trail at all", nothing, one_is_on),
    Case("CloudTrail.3", "a stopped trail of one Region", stopped_in_one_region, one_is_on),
]

ALL = {"ReadWriteType": "All", "IncludeManagementEvents": True, "ExcludeManagementEventSources": []}
MANAGEMENT = {"Field": "eventCategory", "Equals": ["Management"]}
WRITES_FIELD = {"Field": "readOnly", "Equals": ["false"]}
NOT_KMS = {"Field": "eventSource", "NotEquals": ["kms.amazonaws.com"]}
MAKES = [
    "create_bucket", "put_public_access_block", "put_bucket_versioning", "put_bucket_lifecycle_configuration",
    "put_bucket_policy", "create_trail", "start_logging",
]  # fmt: skip
ACCOUNT = "222222222222"


def arn_of(name: str, owner: str = ACCOUNT) -> str:
    return f"arn:aws:cloudtrail:us-east-1:{owner}:trail/{name}"


def known(**more: Any) -> dict[str, Any]:
    return {"logs": True, "enough": True, "multi": True, "startable": False, **more}


def target(partition: str = "aws", region: str = "us-east-1", **parameters: Any) -> dict[str, Any]:
    given = {"keepDays": 365, "secondTrail": False, **parameters}
    return {"partition": partition, "account": ACCOUNT, "region": region, "parameters": given}


def plan(trails: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    name = f"sharr-trail-{ACCOUNT}-{target['region']}"
    facts = {"trails": trails, "aux": {"trail_bucket": {"name": name, "is": "absent"}}}
    return plan_of(code_of(remediation_of(ID)), {"config": {}, "facts": facts, "busy": None}, target)


IDLE = known(logs=False, startable=True)


@pytest.mark.parametrize(
    ("case", "trails", "operations"),
    [
        ("nothing", {}, MAKES),
        ("one that is enough", {arn_of("a"): known()}, []),
        ("an organization's", {arn_of("a", "100000000001"): known()}, []),
        ("one that was stopped", {arn_of("a"): IDLE}, ["start_logging"]),
        ("a stopped one that cannot deliver", {arn_of("a"): known(logs=False)}, MAKES),
        ("a stopped one that would not be enough", {arn_of("a"): IDLE | {"enough": False}}, MAKES),
        ("one of a single Region", {arn_of("a"): known(enough=False, multi=False)}, MAKES),
    ],
)
def test_plan(case: str, trails: dict[str, Any], operations: list[str]) -> None:
    assert operations == [one["operation"] for one in plan(trails, target())], case


@pytest.mark.parametrize(
    ("selectors", "whole"),
    [
        ({"EventSelectors": [ALL]}, True),
        ({"EventSelectors": [ALL | {"ReadWriteType": "WriteOnly"}]}, False),
        ({"EventSelectors": [ALL | {"ReadWriteType": "ReadOnly"}, ALL | {"ReadWriteType": "WriteOnly"}]}, False),
        ({"EventSelectors": [ALL | {"IncludeManagementEvents": False}]}, False),
        ({"EventSelectors": [ALL | {"ExcludeManagementEventSources": ["kms.amazonaws.com"]}]}, False),
        ({"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": True}]}, True),
        ({"AdvancedEventSelectors": [{"FieldSelectors": [MANAGEMENT]}]}, True),
        ({"AdvancedEventSelectors": [{"FieldSelectors": [MANAGEMENT, WRITES_FIELD]}]}, False),
        ({"AdvancedEventSelectors": [{"FieldSelectors": [MANAGEMENT, NOT_KMS]}]}, False),
        ({"AdvancedEventSelectors": [{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Data"]}]}]}, False),
        ({}, False),
    ],
)
def test_what_a_trails_selectors_take(selectors: dict[str, Any], whole: bool) -> None:
    assert load_script(DOCUMENTS / ID / "script.py").is_whole(selectors) is whole


def test_a_trail_that_covers_all_regions_is_started_before_one_of_a_single_region() -> None:
    single = known(logs=False, startable=True, multi=False)

    (one,) = plan({arn_of("a"): single, arn_of("b"): IDLE}, target())

    assert one["parameters"]["Name"] == arn_of("b")


@pytest.mark.parametrize(
    ("trail", "why"),
    [
        (known(enough=False), "leaves out management events"),
        (known(enough=None), "cannot be read from this account"),
        (known(logs=None, enough=None), "cannot be read from this account"),
    ],
)
def test_no_second_trail_is_paid_for_beside_one_that_logs_all_regions(trail: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why) as caught:
        plan({arn_of("a", "100000000001"): trail}, target())

    assert "account 100000000001" in caught.value.to_do
    asked = plan({arn_of("a", "100000000001"): trail}, target(secondTrail=True))
    assert [one["operation"] for one in asked] == MAKES


def test_a_trail_of_our_name_that_we_did_not_make_so_is_left_alone() -> None:
    trails = {arn_of("sharr-trail"): known(enough=False, multi=False)}

    with pytest.raises(CannotRepair, match="not as we make it"):
        plan(trails, target())


@pytest.mark.parametrize(
    ("partition", "region", "place"),
    [
        ("aws", "us-east-1", {}),
        ("aws", "eu-central-1", {"LocationConstraint": "eu-central-1"}),
        ("aws-us-gov", "us-gov-west-1", {"LocationConstraint": "us-gov-west-1"}),
        ("aws-cn", "cn-north-1", {"LocationConstraint": "cn-north-1"}),
    ],
)
def test_bucket_policy_and_location_are_of_the_partition_and_region(
    partition: str, region: str, place: dict[str, str]
) -> None:
    calls = {one["operation"]: one for one in plan({}, target(partition, region))}

    trail = f"arn:{partition}:cloudtrail:{region}:{ACCOUNT}:trail/sharr-trail"
    policy = json.dumps(calls["put_bucket_policy"]["parameters"]["Policy"]["$json"])
    made = calls["create_bucket"]["parameters"]["CreateBucketConfiguration"]
    assert made == {**place, "Tags": [{"Key": "sharr", "Value": "trail_bucket"}]}
    assert f'"aws:SourceArn": "{trail}"' in policy
    assert policy.count(f"arn:{partition}:") == policy.count('"arn:')
    assert calls["create_trail"]["undo"][0]["parameters"]["Name"] == trail
    assert calls["start_logging"]["region"] == region


def test_a_region_whose_finding_comes_second_finds_the_trail_and_writes_nothing() -> None:
    with Sandbox() as world:
        first = Bench(world, remediation_of(ID))
        resource_id = account(first)
        assert first.remediate("CloudTrail.1", resource_id)["outcome"] == "REMEDIATED"
        first.region = "eu-west-1"

        with first.watched() as calls:
            second = first.remediate("CloudTrail.1", resource_id)

        assert second["outcome"] == "COMPLIANT"
        assert not first.writes(calls)


def test_findings_of_two_regions_wait_for_each_other() -> None:
    with bench(ID) as b:
        keys = set()
        for region in ("us-east-1", "eu-west-1"):
            b.region = region
            for control in ("CloudTrail.1", "CloudTrail.3"):
                keys.add(lease_key(b.remediation, b.target(control, account(b))))

        assert len(keys) == 1


@pytest.mark.parametrize("control", ["CloudTrail.1", "CloudTrail.3"])
def test_an_organizations_trail_that_logs_is_enough(control: str) -> None:
    with bench(ID) as b:
        trail(b, owner=b.world.organization.management, IsOrganizationTrail=True)

        with b.watched() as calls:
            result = b.remediate(control, account(b))

        assert result["outcome"] == "COMPLIANT", result
        assert not b.writes(calls)


class Member:
    """What a member account sees of its organization's trail, whose selectors (or all else) it may not read."""

    def __init__(self, *, custom: bool, denied: str) -> None:
        self.custom, self.denied = custom, denied

    def client(self, *_: str) -> Member:
        return self

    def auxiliary(self, _name: str) -> dict[str, Any]:
        return {"name": "b", "is": "absent"}

    def describe_trails(self) -> dict[str, Any]:
        shown = {"TrailARN": arn_of("org", "100000000001"), "HomeRegion": "us-east-1", "IsOrganizationTrail": True}
        return {"trailList": [{**shown, "IsMultiRegionTrail": True, "HasCustomEventSelectors": self.custom}]}

    def get_trail_status(self, Name: str) -> dict[str, Any]:  # noqa: N803  # boto3's own name
        if self.denied == "all":
            raise ClientError({"Error": {"Code": "TrailNotFoundException"}}, "GetTrailStatus")
        return {"IsLogging": True}

    def get_event_selectors(self, TrailName: str) -> dict[str, Any]:  # noqa: N803
        raise ClientError({"Error": {"Code": "CloudTrailARNInvalidException"}}, "GetEventSelectors")


@pytest.mark.parametrize(
    ("custom", "denied", "known_as"),
    [(False, "selectors", (True, True)), (True, "selectors", (True, None)), (False, "all", (None, True))],
)
def test_what_a_member_may_not_read_of_an_organizations_trail_is_not_guessed(
    custom: bool, denied: str, known_as: tuple[Any, Any]
) -> None:
    code, asked = code_of(remediation_of(ID)), target() | {"control": "CloudTrail.1"}

    state = code.inspect(Member(custom=custom, denied=denied), asked)

    (one,) = state["facts"]["trails"].values()
    assert (one["logs"], one["enough"]) == known_as
    assert state["config"] == {"logging": {}}
    if all(known_as):
        assert code.plan(state, asked) == []
    else:
        with pytest.raises(CannotRepair, match="cannot be read from this account"):
            code.plan(state, asked)


def test_a_trail_that_records_writes_only_is_told_and_not_doubled() -> None:
    with bench(ID) as b:
        result = b.remediate("CloudTrail.1", writes_only(b))

        assert result["outcome"] == "FAILED"
        assert "leaves out management events" in result["why"]
        assert len(seen(b)) == 1


def test_a_second_trail_is_made_where_a_person_says_so() -> None:
    with bench(ID) as b:
        asked = b.target("CloudTrail.1", writes_only(b))
        asked["parameters"]["secondTrail"] = True
        code = code_of(b.remediation)
        aws = Aws(lambda service, region: b.client(service, region), asked, "home", code.auxiliaries)

        made = plan_of(code, code.inspect(aws, asked), asked)

        assert [one["operation"] for one in made] == MAKES


def test_an_undo_stops_and_deletes_the_trail_and_keeps_the_bucket() -> None:
    with bench(ID) as b:
        attempt = b.attempt("CloudTrail.1", nothing(b))
        attempt.look()

        assert attempt.undo()["outcome"] == "UNDONE"
        assert not seen(b)
        assert b.client("s3").head_bucket(Bucket=f"sharr-trail-{b.account}-us-east-1")


def test_an_undo_stops_a_trail_that_was_stopped_and_does_not_delete_it() -> None:
    with bench(ID) as b:
        attempt = b.attempt("CloudTrail.1", stopped(b))
        attempt.look()

        assert attempt.undo()["outcome"] == "UNDONE"
        ((one, on),) = seen(b)
        assert (one["Name"], on) == ("audit", False)


def test_the_trail_signs_its_log_files_and_takes_global_services() -> None:
    with bench(ID) as b:
        b.remediate("CloudTrail.1", nothing(b))

        ((one, on),) = seen(b)
        assert on
        assert one["LogFileValidationEnabled"]
        assert one["IncludeGlobalServiceEvents"]


def test_a_bucket_of_our_name_in_another_account_is_not_used() -> None:
    with bench(ID) as b:
        name = f"sharr-trail-{b.account}-us-east-1"
        b.client("s3", account=b.world.organization.members[1]).create_bucket(Bucket=name)

        result = b.remediate("CloudTrail.1", account(b))

        assert result["outcome"] == "FAILED"
        assert f"{name} exists and is not ours" in result["why"]
        assert not seen(b)
