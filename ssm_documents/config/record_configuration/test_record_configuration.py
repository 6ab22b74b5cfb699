"""Config.1: what is made, what of a recorder that is there stays, and where global types are recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.additions.config_recorder import set_security_hub_rule
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "config/record_configuration"
ACCOUNT = "222222222222"
LINKED = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig"
OWN = f"arn:aws:iam::{ACCOUNT}:role/corp/recorder"
DAILY = {"recordingFrequency": "DAILY", "recordingModeOverrides": []}
IAM_USER, BUCKET, VPC, KEY = "AWS::IAM::User", "AWS::S3::Bucket", "AWS::EC2::VPC", "AWS::KMS::Key"
Json = dict[str, Any]
ALL: Json = {
    "allSupported": True,
    "includeGlobalResourceTypes": False,
    "recordingStrategy": {"useOnly": "ALL_SUPPORTED_RESOURCE_TYPES"},
}


def only(*types: str) -> Json:
    strategy = {"useOnly": "INCLUSION_BY_RESOURCE_TYPES"}
    return ALL | {"allSupported": False, "resourceTypes": [*types], "recordingStrategy": strategy}


def all_but(*types: str) -> Json:
    strategy = {"useOnly": "EXCLUSION_BY_RESOURCE_TYPES"}
    excluded = {"resourceTypes": [*types]}
    return ALL | {"allSupported": False, "exclusionByResourceTypes": excluded, "recordingStrategy": strategy}


# --- cases


def nothing(b: Bench) -> str:
    """No recorder, no channel, no service-linked role."""
    config = b.client("config")
    for recorder in config.describe_configuration_recorders()["ConfigurationRecorders"]:
        config.stop_configuration_recorder(ConfigurationRecorderName=recorder["name"])
        for channel in config.describe_delivery_channels()["DeliveryChannels"]:
            config.delete_delivery_channel(DeliveryChannelName=channel["name"])
        config.delete_configuration_recorder(ConfigurationRecorderName=recorder["name"])
    return f"AWS::::Account:{b.account}"


def corp_recorder(b: Bench) -> str:
    """A stopped recorder with a name, a role, a group and a mode of its own, that delivers to the company's bucket."""
    arn = nothing(b)
    corp(b, only(VPC, BUCKET), admitted=True)
    set_security_hub_rule(b.account, b.region, "S3_BUCKET_VERSIONING_ENABLED", [BUCKET])
    set_security_hub_rule(b.account, b.region, "CMK_BACKING_KEY_ROTATION_ENABLED", [KEY])
    return arn


def corp_recorder_without_a_channel(b: Bench) -> str:
    """The same with nowhere to deliver, and a log bucket as an attempt leaves it that died making it."""
    arn = corp_recorder(b)
    b.client("config").delete_delivery_channel(DeliveryChannelName="corp-channel")
    bucket = f"sharr-logs-{b.account}-{b.region}"
    b.client("s3").create_bucket(Bucket=bucket)
    tags = {"TagSet": [{"Key": "sharr", "Value": "log_bucket"}]}
    b.client("s3").put_bucket_tagging(Bucket=bucket, Tagging=tags)
    return arn


def corp(b: Bench, group: Json, *, admitted: bool, role: str = OWN, bucket: str = "bucket-for-config-1") -> None:
    iam, s3, config = b.client("iam"), b.client("s3"), b.client("config")
    trust = {"Effect": "Allow", "Principal": {"Service": "config.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    if role == OWN:
        iam.create_role(RoleName="recorder", Path="/corp/", AssumeRolePolicyDocument=document)
    else:
        iam.create_service_linked_role(AWSServiceName="config.amazonaws.com")
    s3.create_bucket(Bucket=bucket)
    if admitted:
        actions = {"Action": ["s3:GetBucketAcl", "s3:PutObject"], "Principal": {"Service": "config.amazonaws.com"}}
        where = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": where, **actions}]}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    recorder = {"name": "corp-recorder", "roleARN": role, "recordingGroup": group, "recordingMode": DAILY}
    config.put_configuration_recorder(ConfigurationRecorder=recorder)
    config.put_delivery_channel(DeliveryChannel={"name": "corp-channel", "s3BucketName": bucket})


def recorders(b: Bench) -> list[Json]:
    found: list[Json] = b.client("config").describe_configuration_recorders()["ConfigurationRecorders"]
    return found


def passes(b: Bench, _: str) -> bool:
    """As the control says, for a group that has all types or names those that are asked for here."""
    status = b.client("config").describe_configuration_recorder_status()["ConfigurationRecordersStatus"]
    if not any(one["recording"] for one in status):
        return False
    (recorder,) = recorders(b)
    group = recorder["recordingGroup"]
    enough = group["allSupported"] or {BUCKET, KEY} <= set(group["resourceTypes"])
    return enough and recorder["roleARN"] == LINKED


CASES = [
    Case("Config.1", "a Region without a recorder", nothing, passes),
    Case("Config.1", "a stopped recorder with a role and types of its own", corp_recorder_without_a_channel, passes),
]


# --- plan, without AWS


def state(group: Json | None = None, *, role: str = LINKED, recording: bool = True, **facts: Any) -> Json:
    old = [{"name": "corp-recorder", "roleARN": role, "recordingGroup": group, "recordingMode": DAILY}] if group else []
    channel = [{"name": "corp-channel", "s3BucketName": "corp"}] if group else []
    known = {"needed": [], "global_here": True, "recorder_role": "corp/recorder", **facts}
    known["aux"] = {"log_bucket": {"name": "sharr-logs-222222222222-us-east-1"}}
    return {"config": {"recorder": old, "channel": channel, "recording": recording and bool(old)}, "facts": known}


def plan(given: Json, *, check: bool = True, partition: str = "aws") -> list[Json]:
    target = {"partition": partition, "account": ACCOUNT, "region": "us-east-1"}
    target["parameters"] = {"requireServiceLinkedRole": check}  # type: ignore[assignment]
    made: list[Json] = code_of(remediation_of(ID)).plan(given, target)
    return made


def names(calls: list[Json]) -> list[str]:
    return [one.get("operation") or one["auxiliary"] for one in calls]


def put(calls: list[Json]) -> Json:
    (one,) = [c for c in calls if c.get("operation") == "put_configuration_recorder"]
    found: Json = one["parameters"]["ConfigurationRecorder"]
    return found


PUT, DELIVER, START = "put_configuration_recorder", "put_delivery_channel", "start_configuration_recorder"
ROLE = "create_service_linked_role"


@pytest.mark.parametrize(
    ("case", "given", "operations"),
    [
        ("nothing", state(), [ROLE, PUT, "log_bucket", DELIVER, START]),
        ("all is well", state(ALL), []),
        ("stopped", state(ALL, recording=False), [START]),
        ("another role", state(ALL, role=OWN), [ROLE, PUT, DELIVER]),
        ("another role, stopped", state(ALL, role=OWN, recording=False), [ROLE, PUT, DELIVER, START]),
        ("a group that lacks a type", state(only(VPC), needed=[BUCKET]), [PUT]),
        ("a group that is enough", state(only(VPC, BUCKET), needed=[BUCKET]), []),
    ],
)
def test_plan(case: str, given: Json, operations: list[str]) -> None:
    assert names(plan(given)) == operations, case


def test_a_recorder_with_a_name_of_its_own_is_the_one_that_is_started() -> None:
    """ASR 209: StartConfigurationRecorder("default") failed, and the run was called a success."""
    (start,) = plan(state(ALL, recording=False))

    assert start["parameters"] == {"ConfigurationRecorderName": "corp-recorder"}
    assert start["undo"][0]["parameters"] == {"ConfigurationRecorderName": "corp-recorder"}


def test_a_role_of_the_accounts_own_stays_where_the_control_does_not_look_at_it() -> None:
    assert plan(state(ALL, role=OWN), check=False) == []
    (one,) = plan(state(only(VPC), role=OWN, needed=[BUCKET]), check=False)

    assert one["parameters"]["ConfigurationRecorder"]["roleARN"] == OWN


def test_name_and_mode_of_a_recorder_stay_when_its_role_changes() -> None:
    """The predecessor overwrites the group and the frequency of a recorder that is there."""
    given = state(all_but(VPC), role=OWN)

    assert put(plan(given)) == given["config"]["recorder"][0] | {"roleARN": LINKED}


@pytest.mark.parametrize(
    ("case", "group", "needed", "here", "wanted"),
    [
        ("types are added, in their order", only(VPC), [KEY, BUCKET], True, only(VPC, KEY, BUCKET) | {}),
        ("IAM's types are added where they are asked for", only(VPC), [IAM_USER], True, only(VPC, IAM_USER)),
        ("and not elsewhere", only(VPC), [IAM_USER], False, None),
        ("one exclusion is taken away", all_but(VPC, BUCKET), [BUCKET], True, all_but(VPC)),
        ("an exclusion that harms nothing stays", all_but(VPC), [BUCKET], True, None),
        ("the last exclusion", all_but(BUCKET), [BUCKET], True, ALL | {"includeGlobalResourceTypes": True}),
        ("all and IAM's", ALL, [IAM_USER], True, ALL | {"includeGlobalResourceTypes": True}),
        ("all, IAM's elsewhere", ALL, [IAM_USER, BUCKET], False, None),
        ("all, IAM's not asked for", ALL, [BUCKET], True, None),
    ],
)
def test_a_recording_group_is_widened_by_what_enabled_controls_need_alone(
    case: str, group: Json, needed: list[str], here: bool, wanted: Json | None
) -> None:
    calls = plan(state(group, needed=needed, global_here=here))
    if wanted is None:
        assert calls == [], case
        return
    found = put(calls)["recordingGroup"]
    if "resourceTypes" in wanted:
        assert sorted(found.pop("resourceTypes")) == sorted(wanted.pop("resourceTypes")), case
    assert found == wanted, case


@pytest.mark.parametrize("here", [True, False])
def test_a_new_recorder_records_all_types_and_global_ones_in_one_region(here: bool) -> None:
    """The predecessor records global types in every Region."""
    assert put(plan(state(global_here=here)))["recordingGroup"] == ALL | {"includeGlobalResourceTypes": here}


@pytest.mark.parametrize("partition", ["aws-us-gov", "aws-cn", "aws-eusc"])
def test_the_role_is_of_the_accounts_partition(partition: str) -> None:
    assert put(plan(state(), partition=partition))["roleARN"] == LINKED.replace("arn:aws:", f"arn:{partition}:")


class Hub:
    """A Security Hub with one aggregator, or none."""

    def __init__(self, answer: Json | None) -> None:
        self.answer = answer

    def client(self, _: str) -> Hub:
        return self

    def list_finding_aggregators(self) -> Json:
        return {"FindingAggregators": [{"FindingAggregatorArn": "a"}] if self.answer else []}

    def get_finding_aggregator(self, FindingAggregatorArn: str) -> Json:  # noqa: N803  # boto3's name
        assert self.answer
        return self.answer


def aggregator(home: str, mode: str = "ALL_REGIONS", *regions: str) -> Json:
    return {"FindingAggregationRegion": home, "RegionLinkingMode": mode, "Regions": [*regions]}


@pytest.mark.parametrize(
    ("case", "answer", "chosen", "is_asked"),
    [
        ("no aggregation", None, None, True),
        ("the aggregation Region", aggregator("us-east-1"), None, True),
        ("a linked Region", aggregator("eu-west-1"), None, False),
        ("a linked Region by name", aggregator("eu-west-1", "SPECIFIED_REGIONS", "us-east-1"), None, False),
        ("not linked", aggregator("eu-west-1", "SPECIFIED_REGIONS", "us-east-2"), None, True),
        ("left out", aggregator("eu-west-1", "ALL_REGIONS_EXCEPT_SPECIFIED", "us-east-1"), None, True),
        ("no linked Regions", aggregator("eu-west-1", "NO_REGIONS"), None, True),
        ("the user says another", aggregator("us-east-1"), "eu-west-1", False),
        ("the user says this", aggregator("eu-west-1"), "us-east-1", True),
    ],
)
def test_where_global_types_are_asked_for(case: str, answer: Json | None, chosen: str | None, is_asked: bool) -> None:
    asks = code_of(remediation_of(ID)).inspect.__globals__["is_global_here"]
    target = {"region": "us-east-1", "parameters": {"globalTypesRegion": chosen}}

    assert asks(Hub(answer), target) is is_asked, case


# --- on the bench


def test_what_the_company_set_up_stays_but_for_what_the_control_asks() -> None:
    with bench(ID) as b:
        assert b.remediate("Config.1", corp_recorder(b))["outcome"] == "REMEDIATED"

        (recorder,) = recorders(b)
        assert recorder["name"] == "corp-recorder"
        assert recorder["recordingMode"]["recordingFrequency"] == "DAILY"
        assert recorder["recordingGroup"]["resourceTypes"] == [VPC, BUCKET, KEY]
        (channel,) = b.client("config").describe_delivery_channels()["DeliveryChannels"]
        assert channel == {"name": "corp-channel", "s3BucketName": "bucket-for-config-1"}


def test_a_bucket_that_took_the_old_role_only_keeps_the_old_role() -> None:
    with bench(ID) as b:
        arn = nothing(b)
        corp(b, ALL, admitted=False)

        result = b.remediate("Config.1", arn)

        assert result["outcome"] == "FAILED"
        assert result["restored"]
        assert "InsufficientDeliveryPolicyException" in result["why"]
        assert "config.amazonaws.com" in result["to_do"]
        assert recorders(b)[0]["roleARN"] == OWN


def test_a_recorder_that_has_nowhere_to_deliver_is_no_success() -> None:
    """ASR 209, second half: the Step Function said "Remediation Succeeded"."""
    with bench(ID) as b:
        arn = nothing(b)
        corp(b, ALL, admitted=True, role=LINKED)
        b.client("config").delete_delivery_channel(DeliveryChannelName="corp-channel")
        another = b.client("s3", account=b.world.organization.members[1])
        another.create_bucket(Bucket=f"sharr-logs-{b.account}-us-east-1")

        result = b.remediate("Config.1", arn)

        assert result["outcome"] == "FAILED"
        assert "not ours" in result["why"]


def test_the_findings_own_parameter_decides_whether_the_role_matters() -> None:
    with bench(ID) as b:
        arn = nothing(b)
        corp(b, ALL, admitted=False)
        parameters = {"includeConfigServiceLinkedRoleCheck": ["false"]}

        assert b.remediate("Config.1", arn, parameters=parameters)["outcome"] == "REMEDIATED"

        assert recorders(b)[0]["roleARN"] == OWN


def test_aws_config_delivers_under_its_own_prefix_of_the_log_bucket() -> None:
    """The predecessor's bucket has a key that AWS Config may not use."""
    with bench(ID) as b:
        b.remediate("Config.1", nothing(b))

        (channel,) = b.client("config").describe_delivery_channels()["DeliveryChannels"]
        bucket = f"sharr-logs-{b.account}-us-east-1"
        assert channel == {"name": "default", "s3BucketName": bucket, "s3KeyPrefix": "config"}


def test_rules_that_are_not_security_hubs_ask_for_nothing() -> None:
    with bench(ID) as b:
        arn = nothing(b)
        corp(b, only(VPC), admitted=True, role=LINKED)
        rule = {"Source": {"Owner": "AWS", "SourceIdentifier": "S3_BUCKET_VERSIONING_ENABLED"}}
        scope = {"Scope": {"ComplianceResourceTypes": [BUCKET]}}
        b.client("config").put_config_rule(ConfigRule={"ConfigRuleName": "securityhub-lookalike", **rule, **scope})

        b.remediate("Config.1", arn)

        assert recorders(b)[0]["recordingGroup"]["resourceTypes"] == [VPC]
