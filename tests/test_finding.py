"""Findings of every shape become one typed Finding; what contradicts itself is malformed, and the error says where."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from sandbox.samples import custom_action_event, finding, imported_event, standards
from sharr.arns import PARTITIONS
from sharr.finding import (
    CUSTOM_ACTIONS,
    Compliance,
    Finding,
    MalformedEvent,
    MalformedFinding,
    RecordState,
    Severity,
    Workflow,
    custom_action_arn,
    parse_event,
    parse_finding,
)

STANDARDS = standards()
ADMIN, MEMBER, OTHER, REGION = "111111111111", "222222222222", "333333333333", "eu-west-1"
FSBP = "aws-foundational-security-best-practices/v/1.0.0"
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def sample(name: str = "AFSBP", control: str = "S3.5", **overrides):
    arguments = {
        "account": MEMBER,
        "region": REGION,
        "resource_id": "arn:aws:s3:::example",
        "resource_type": "AwsS3Bucket",
        "now": NOW,
    }
    return finding(name, control, **{**arguments, **overrides})


def parse(*args, **overrides) -> Finding:
    return parse_finding(sample(*args, **overrides), STANDARDS)


def refusal(raw: object) -> MalformedFinding:
    with pytest.raises(MalformedFinding) as refused:
        parse_finding(raw, STANDARDS)
    return refused.value


def compliance(**changes):
    changed = {**sample()["Compliance"], **changes}
    return {name: value for name, value in changed.items() if value is not None}


def product_fields(name: str = "AFSBP", control: str = "S3.5", **changes):
    return {**sample(name, control)["ProductFields"], **changes}


def resource(**changes):
    return [{**sample()["Resources"][0], **changes}]


def test_a_finding_is_read_whole():
    parsed = parse(
        Compliance=compliance(SecurityControlParameters=[{"Name": "requiredTagKeys", "Value": ["owner", "cost"]}]),
        Resources=resource(Tags={"owner": "Jörg"}),
        Note={"Text": "ours\nsince May", "UpdatedBy": "SHARR", "UpdatedAt": "2026-01-30T12:00:00.5+01:00"},
        LastObservedAt="2026-01-31T11:00:00.123456789Z",
    )
    raw = sample()

    assert parsed == Finding(
        uid=raw["Id"],
        product_arn="arn:aws:securityhub:eu-west-1::product/aws/securityhub",
        partition="aws",
        account=MEMBER,
        account_name="account-2222",
        region=REGION,
        control="S3.5",
        standard="AFSBP",
        standard_control="S3.5",
        severity=Severity.MEDIUM,
        title=raw["Title"],
        resources=parsed.resources,
        compliance=Compliance.FAILED,
        parameters={"requiredTagKeys": ("owner", "cost")},
        workflow=Workflow.NEW,
        record_state=RecordState.ACTIVE,
        created_at=parsed.created_at,
        observed_at=datetime(2026, 1, 31, 11, 0, 0, 123456, tzinfo=UTC),
        changed_at=NOW,
        note=parsed.note,
        source="asff",
    )
    (only,) = parsed.resources
    assert (only.type, only.id, only.region, only.tags) == (
        "AwsS3Bucket",
        "arn:aws:s3:::example",
        REGION,
        {"owner": "Jörg"},
    )
    assert parsed.note
    assert (parsed.note.text, parsed.note.author) == ("ours\nsince May", "SHARR")
    assert parsed.note.updated_at == datetime(2026, 1, 30, 11, 0, 0, 500000, tzinfo=UTC)


def test_a_finding_cannot_be_changed_and_can_be_written_down():
    parsed = parse()

    with pytest.raises(dataclasses.FrozenInstanceError):
        parsed.account = OTHER  # type: ignore[misc]  # that it is refused is the point
    assert dataclasses.asdict(parsed)["resources"][0]["id"] == "arn:aws:s3:::example"


def test_without_what_may_be_absent_it_is_still_a_finding():
    parsed = parse(LastObservedAt=None, AwsAccountName=None, Note=None, Resources=[{"Type": "Other", "Id": "x"}])

    assert (parsed.observed_at, parsed.account_name, parsed.note, parsed.parameters) == (NOW, None, None, {})
    assert (parsed.resources[0].region, parsed.resources[0].tags) == (None, {})


@pytest.mark.parametrize(
    ("standard", "control", "shape", "own_id", "expected"),
    [
        ("AFSBP", "S3.5", "standard", None, ("AFSBP", "S3.5")),
        ("CT", "S3.5", "standard", None, ("CT", "CT.S3.5")),
        ("CIS120", "IAM.16", "standard", None, ("CIS120", "1.10")),
        ("CIS120", "CloudWatch.1", "standard", "1.1", ("CIS120", "1.1")),
        ("CIS120", "CloudWatch.1", "standard", "3.3", ("CIS120", "3.3")),
        ("CIS140", "S3.5", "standard", None, ("CIS140", "2.1.2")),
        ("CIS140", "S3.8", "standard", "2.1.5", ("CIS140", "2.1.5")),
        ("CIS300", "S3.8", "standard", "2.1.4.2", ("CIS300", "2.1.4.2")),
        ("CIS500", "RDS.15", "standard", "2.2.4", ("CIS500", "2.2.4")),
        ("CIS500", "RDS.15", "standard", "2.2.4.1", ("CIS500", "2.2.4.1")),
        ("PCI321", "Lambda.1", "standard", None, ("PCI321", "PCI.Lambda.1")),
        ("PCI401", "KMS.4", "standard", None, ("PCI401", "KMS.4")),
        ("NIST80053", "SQS.1", "standard", None, ("NIST80053", "SQS.1")),
        ("NIST800171", "CloudTrail.2", "standard", None, ("NIST800171", "CloudTrail.2")),
        ("AISBP", "BedrockAgentCore.2", "standard", None, ("AISBP", "BedrockAgentCore.2")),
        ("Tagging", "ACM.3", "consolidated", None, ("Tagging", None)),
        ("SC", "S3.5", "consolidated", None, ("SC", None)),
        ("CIS300", "S3.8", "consolidated", None, ("SC", None)),
    ],
)
@pytest.mark.parametrize("partition", PARTITIONS)
def test_every_shape_in_every_partition_says_the_same_control(partition, standard, control, shape, own_id, expected):
    region = sorted(PARTITIONS[partition].regions)[0]
    parsed = parse(
        standard,
        control,
        shape=shape,
        own_id=own_id,
        partition=partition,
        region=region,
        resource_id=f"arn:{partition}:s3:::example",
    )

    assert (parsed.control, parsed.standard, parsed.standard_control) == (control, *expected)
    assert (parsed.partition, parsed.region) == (partition, region)


@pytest.mark.parametrize(
    ("case", "raw", "control"),
    [
        ("lower case everywhere", sample("SC", "IAM.9", GeneratorId="security-control/iam.9"), "IAM.9"),
        ("SecurityControlId in another case", sample(Compliance=compliance(SecurityControlId="s3.5")), "S3.5"),
        (
            "no SecurityControlId, own numbering",
            sample("CIS140", Compliance=compliance(SecurityControlId=None)),
            "S3.5",
        ),
        ("no SecurityControlId, AFSBP", sample(Compliance=compliance(SecurityControlId=None)), "S3.5"),
        (
            "CIS 1.2.0 with the commercial partition in its generator",
            sample("CIS120", "IAM.16", partition="aws-us-gov", region="us-gov-west-1", resource_id="x")
            | {"GeneratorId": "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/1.10"},
            "IAM.16",
        ),
        (
            "Id with the suffix, GeneratorId with the bare requirement",
            sample("CIS300", "S3.8", own_id="2.1.4.2", GeneratorId="cis-aws-foundations-benchmark/v/3.0.0/2.1.4"),
            "S3.8",
        ),
        (
            "StandardsArn with a Region",
            sample(ProductFields=product_fields(StandardsArn=f"arn:aws:securityhub:eu-west-1::standards/{FSBP}")),
            "S3.5",
        ),
        (
            "a NIST finding with an FSBP StandardsControlArn, as in the user guide",
            sample(
                "NIST80053",
                "SQS.1",
                ProductFields=product_fields(
                    "NIST80053",
                    "SQS.1",
                    StandardsControlArn=f"arn:aws:securityhub:eu-west-1:{MEMBER}:control/{FSBP}/SQS.1",
                ),
            ),
            "SQS.1",
        ),
        (
            "Tagging with an Id under subscription/",
            sample("Tagging", "IAM.24")
            | {
                "Id": f"arn:aws:securityhub:eu-west-1:{MEMBER}:subscription/aws-resource-tagging-standard/v/1.0.0"
                "/IAM.24/finding/0f1e2d3c-aaaa-bbbb-cccc-000000000001"
            },
            "IAM.24",
        ),
        ("the product under its old name", sample(ProductName="Security Hub"), "S3.5"),
        ("a control that is retired", sample("SC", "S3.4"), "S3.4"),
    ],
)
def test_spellings_that_aws_uses_are_taken(case, raw, control):
    assert parse_finding(raw, STANDARDS).control == control, case


@pytest.mark.parametrize(
    ("case", "raw", "field"),
    [
        ("ids of two standards", sample() | {"Id": sample("NIST80053")["Id"]}, "Id"),
        ("consolidated Id, own generator", sample() | {"Id": sample("SC")["Id"]}, "Id"),
        ("own Id, consolidated generator", sample("SC") | {"Id": sample()["Id"]}, "Id"),
        ("generator of no standard", sample(GeneratorId="cis-aws-foundations-benchmark/v/9.9.9/1.1"), "GeneratorId"),
        ("generator with more behind it", sample(GeneratorId=f"{sample()['GeneratorId']}/x"), "GeneratorId"),
        (
            "generator of an unknown partition",
            sample(
                "CIS120",
                "IAM.16",
                GeneratorId="arn:aws-mars:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/1.10",
            ),
            "GeneratorId",
        ),
        (
            "another control in GeneratorId",
            sample() | {"GeneratorId": sample(control="S3.6")["GeneratorId"]},
            "GeneratorId",
        ),
        (
            "another control in ControlId",
            sample(ProductFields=product_fields(ControlId="S3.6")),
            "ProductFields.ControlId",
        ),
        (
            "another standard in StandardsArn",
            sample("NIST80053", ProductFields=product_fields()),
            "ProductFields.StandardsArn",
        ),
        (
            "another standard in StandardsGuideArn",
            sample(ProductFields=product_fields(StandardsGuideArn="x")),
            "ProductFields.StandardsGuideArn",
        ),
        (
            "a standard in a consolidated finding",
            sample("SC", ProductFields=product_fields()),
            "ProductFields.StandardsArn",
        ),
        (
            "another control in SecurityControlId",
            sample(Compliance=compliance(SecurityControlId="S3.6")),
            "Compliance.SecurityControlId",
        ),
        (
            "a control that is not the number's",
            sample("CIS140", Compliance=compliance(SecurityControlId="S3.6")),
            "Compliance.SecurityControlId",
        ),
        (
            "a control that is unknown",
            sample(Compliance=compliance(SecurityControlId="S3.999")),
            "Compliance.SecurityControlId",
        ),
        (
            "one of two controls, which is not said",
            sample("CIS140", "S3.8", own_id="2.1.5", Compliance=compliance(SecurityControlId=None)),
            "Compliance.SecurityControlId",
        ),
        (
            "the other suffix",
            sample("CIS300", "S3.8", own_id="2.1.4.2", Compliance=compliance(SecurityControlId="S3.1")),
            "Compliance.SecurityControlId",
        ),
        (
            "two requirements of one control",
            sample("CIS120", "CloudWatch.1", own_id="1.1")
            | {"GeneratorId": sample("CIS120", "CloudWatch.1", own_id="3.3")["GeneratorId"]},
            "GeneratorId",
        ),
        ("another account in Id", sample() | {"Id": sample(account=OTHER)["Id"]}, "Id"),
        ("another Region in Id", sample() | {"Id": sample(region="us-east-1")["Id"]}, "Id"),
        ("another partition in Id", sample(Id=sample()["Id"].replace("arn:aws:", "arn:aws-cn:")), "Id"),
        ("another Region in ProductArn", sample(ProductArn=sample(region="us-east-1")["ProductArn"]), "ProductArn"),
        ("another product", sample(ProductArn="arn:aws:securityhub:eu-west-1::product/aws/guardduty"), "ProductArn"),
        (
            "a custom product",
            sample(ProductArn=f"arn:aws:securityhub:eu-west-1:{MEMBER}:product/{MEMBER}/default"),
            "ProductArn",
        ),
        (
            "a custom product that looks like ours",
            sample(ProductArn=f"arn:aws:securityhub:eu-west-1:{MEMBER}:product/aws/securityhub"),
            "ProductArn",
        ),
        ("an unknown Region", sample(Region="eu-west-9"), "Region"),
        ("no Region", sample(Region=None), "Region"),
        ("an account of eleven digits", sample(AwsAccountId="22222222222"), "AwsAccountId"),
        ("an account in other digits", sample(AwsAccountId="\u0662" * 12), "AwsAccountId"),
        ("an Id without /finding/", sample(Id=sample()["Id"].rpartition("/finding/")[0]), "Id"),
        ("an Id with a line break", sample(Id=sample()["Id"] + "\n"), "Id"),
        ("a compliance status of no kind", sample(Compliance=compliance(Status="MAYBE")), "Compliance.Status"),
        ("no workflow", sample(Workflow=None), "Workflow.Status"),
        ("a record state in another case", sample(RecordState="active"), "RecordState"),
        ("no severity", sample(Severity={"Normalized": 40}), "Severity.Label"),
        ("a day that is none", sample(UpdatedAt="2026-02-31T00:00:00Z"), "UpdatedAt"),
        ("a time without a zone", sample(LastObservedAt="2026-01-31T00:00:00"), "LastObservedAt"),
        ("a time before time", sample(UpdatedAt="0001-01-01T00:00:00+14:00"), "UpdatedAt"),
        ("no title", sample(Title=""), "Title"),
        ("a note without author", sample(Note={"Text": "x", "UpdatedAt": "2026-01-31T00:00:00Z"}), "Note.UpdatedBy"),
        (
            "a parameter twice",
            sample(Compliance=compliance(SecurityControlParameters=[{"Name": "a", "Value": []}] * 2)),
            "Compliance.SecurityControlParameters[1].Name",
        ),
    ],
)
def test_what_contradicts_itself_is_malformed_at_the_field_that_does(case, raw, field):
    assert refusal(raw).field == field, case


@pytest.mark.parametrize(
    ("resource_id", "resource_type"),
    [
        ("arn:aws:s3:::example", "AwsS3Bucket"),
        (f"arn:aws:iam::{MEMBER}:user/a+b=c,d.e@f_g-h/i", "AwsIamUser"),
        (f"arn:aws:rds:eu-west-1:{MEMBER}:snapshot:awsbackup:job-1a2b", "AwsRdsDbSnapshot"),
        (
            f"arn:aws:autoscaling:us-east-1:{MEMBER}:autoScalingGroup:0f1e:autoScalingGroupName/my group",
            "AwsAutoScalingAutoScalingGroup",
        ),
        (f"AWS::::Account:{MEMBER}", "AwsAccount"),
        (MEMBER, "AwsAccount"),
        ("0f1e2d3c-aaaa-bbbb-cccc-000000000001", "AwsKmsKey"),
        ("x" * 512, "Other"),
    ],
)
def test_ids_of_real_resources_are_taken(resource_id, resource_type):
    parsed = parse(Resources=resource(Id=resource_id, Type=resource_type))

    assert parsed.resources[0].id == resource_id


@pytest.mark.parametrize(
    ("resource_id", "resource_type", "says"),
    [
        (f"arn:aws:iam::{OTHER}:user/somebody", "AwsIamUser", "a resource of another account"),
        ("arn:aws:iam::aws:policy/AdministratorAccess", "AwsIamPolicy", "a resource of another account"),
        (f"AWS::::Account:{OTHER}", "AwsAccount", "the finding's own account"),
        (f"AWS::::Account:{OTHER}", "Other", "the finding's own account"),
        (OTHER, "AwsAccount", "the finding's own account"),
        ("everything", "AwsAccount", "the finding's own account"),
        (f"arn:aws-cn:sqs:cn-north-1:{MEMBER}:q", "AwsSqsQueue", "the finding's partition aws"),
        (f"arn:aws:sqs:cn-north-1:{MEMBER}:q", "AwsSqsQueue", "partition and Region that this release knows"),
        (f"arn:aws:sqs:eu-west-9:{MEMBER}:q", "AwsSqsQueue", "partition and Region that this release knows"),
        (f"Arn:aws:iam::{OTHER}:user/x", "AwsIamUser", "partition and Region that this release knows"),
        (f" arn:aws:iam::{OTHER}:user/x", "AwsIamUser", "printable ASCII"),
        ("arn:aws:s3:::bucket/../other", "AwsS3Bucket", "without ../"),
        ("bucket\nother", "AwsS3Bucket", "printable ASCII"),
        ("bucket\x7f", "AwsS3Bucket", "printable ASCII"),
        ("bücket", "AwsS3Bucket", "printable ASCII"),
        ("sg-\u0661\u0662", "AwsEc2SecurityGroup", "printable ASCII"),
        ("", "Other", "printable ASCII"),
        ("x" * 513, "Other", "printable ASCII"),
    ],
)
def test_ids_that_no_resource_of_the_account_has_are_malformed(resource_id, resource_type, says):
    error = refusal(sample(Resources=resource(Id=resource_id, Type=resource_type)))

    assert error.field == "Resources[0].Id"
    assert says in error.wanted


def test_one_bad_resource_among_good_ones_is_named_by_its_place():
    bad = [*resource(), *resource(Id=f"arn:aws:iam::{OTHER}:user/x")]

    assert refusal(sample(Resources=bad)).field == "Resources[1].Id"


@pytest.mark.parametrize(("count", "taken"), [(0, False), (1, True), (32, True), (33, False)])
def test_a_finding_has_1_to_32_resources(count, taken):
    raw = sample(Resources=resource() * count)

    if taken:
        assert len(parse_finding(raw, STANDARDS).resources) == count
    else:
        assert refusal(raw).field == "Resources"


@pytest.mark.parametrize(
    ("partition", "region", "asff"),
    [("aws-iso", "us-iso-east-1", "aws-us-iso"), ("aws-iso-b", "us-isob-east-1", "aws-us-iso-b")],
)
def test_the_names_that_findings_have_for_isolated_partitions_are_taken(partition, region, asff):
    entry = [{"Type": "AwsS3Bucket", "Id": f"arn:{partition}:s3:::b", "Partition": asff, "Region": region}]

    assert parse(partition=partition, region=region, Resources=entry).partition == partition


@pytest.mark.parametrize(
    ("change", "field"),
    [({"Partition": "aws-cn"}, "Partition"), ({"Region": "cn-north-1"}, "Region"), ({"Region": "moon-1"}, "Region")],
)
def test_a_resource_of_another_partition_is_malformed(change, field):
    assert refusal(sample(Resources=resource(**change))).field == f"Resources[0].{field}"


def test_a_malformed_finding_can_be_told_about_where_its_handle_is_security_hubs_own():
    error = refusal(sample(Resources=[]))

    assert (error.uid, error.product_arn) == (sample()["Id"], sample()["ProductArn"])


@pytest.mark.parametrize(
    "change",
    [
        {"Id": "arn:aws:securityhub:eu-west-1:222222222222:subscription/x"},
        {"ProductArn": f"arn:aws:securityhub:eu-west-1:{MEMBER}:product/{MEMBER}/default"},
        {"ProductArn": sample(region="us-east-1")["ProductArn"]},
        {"Id": None},
        {"ProductArn": ["x"]},
    ],
)
def test_a_handle_that_is_forged_is_not_passed_on(change):
    error = refusal(sample(**change))

    assert (error.uid, error.product_arn) == (None, None)


def test_an_error_says_field_value_and_what_was_wanted_in_short():
    assert str(refusal(sample(AwsAccountId="12"))) == "AwsAccountId is '12': expected twelve digits"
    assert str(refusal(sample(AwsAccountId=12))) == "AwsAccountId is of type int: expected twelve digits"
    assert str(refusal([1, 2])) == "the finding is a list of 2: expected an object"
    assert len(refusal(sample(AwsAccountId="\u0662" * 5000)).value) <= 100


@pytest.mark.parametrize(
    "raw",
    [
        sample(Note={"Text": "hunter2\x00", "UpdatedBy": "me", "UpdatedAt": "2026-01-31T00:00:00Z"}),
        sample(Resources=resource(Tags={"password": "hunter2\x00"})),
        sample(Compliance=compliance(SecurityControlParameters=[{"Name": "p", "Value": ["hunter2\n"]}])),
    ],
)
def test_what_people_wrote_is_not_repeated_in_an_error(raw):
    assert "hunter2" not in str(refusal(raw))


def event(**changes):
    changed = {**imported_event([sample()], admin_account=ADMIN, region="us-east-1"), **changes}
    return {name: value for name, value in changed.items() if value is not None}


def read(raw: object):
    return parse_event(raw, STANDARDS, admin_account=ADMIN, region="us-east-1")


def test_an_event_is_a_delivery_with_its_id_and_time():
    delivery = read(event(id="0f1e2d3c-aaaa-bbbb-cccc-000000000002", time="2026-01-31T12:00:00Z"))

    assert (delivery.trigger, delivery.request, delivery.at) == (
        "automatic",
        "0f1e2d3c-aaaa-bbbb-cccc-000000000002",
        NOW,
    )
    assert [each.uid for each in delivery.findings] == [sample()["Id"]]
    assert delivery.malformed == ()


def test_a_bad_finding_does_not_stop_the_others():
    delivery = read(
        imported_event([sample(), sample(Resources=[]), sample("SC")], admin_account=ADMIN, region="us-east-1")
    )

    assert [each.standard for each in delivery.findings] == ["AFSBP", "SC"]
    assert [(each.field, each.uid) for each in delivery.malformed] == [("Resources", sample()["Id"])]


@pytest.mark.parametrize("action", CUSTOM_ACTIONS, ids=lambda action: action.id)
def test_a_button_is_known_by_its_arn_and_its_name_fits(action):
    delivery = read(custom_action_event(action, [sample()], admin_account=ADMIN, region="us-east-1"))

    assert delivery.trigger == action.trigger
    assert len(action.id) <= 20
    assert len(action.name) <= 20


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source": "aws.ec2"}, "source"),
        ({"source": None}, "source"),
        ({"account": MEMBER}, "account"),
        ({"region": "eu-west-1"}, "region"),
        ({"id": None}, "id"),
        ({"id": "a\nb"}, "id"),
        ({"time": "yesterday"}, "time"),
        ({"detail-type": "Security Hub Insight Results"}, "detail-type"),
        ({"detail": None}, "detail"),
        ({"detail": "text"}, "detail"),
        ({"detail": {}}, "detail.findings"),
        ({"detail": {"findings": "text"}}, "detail.findings"),
        ({"detail": {"findings": []}}, "detail.findings"),
        ({"detail": {"findings": [{}] * 101}}, "detail.findings"),
        ({"detail": {"findings": {"0": {}}}}, "detail.findings"),
    ],
)
def test_an_event_that_is_not_for_us_is_refused_with_the_reason(change, reason):
    with pytest.raises(MalformedEvent) as refused:
        read(event(**change))

    assert refused.value.reason.startswith(f"{reason} is ")


@pytest.mark.parametrize(
    "resources",
    [
        None,
        [],
        "text",
        [custom_action_arn(CUSTOM_ACTIONS[0], account=MEMBER, region="us-east-1")],
        [custom_action_arn(CUSTOM_ACTIONS[0], account=ADMIN, region="eu-west-1")],
        [custom_action_arn(CUSTOM_ACTIONS[0], account=ADMIN, region="us-east-1") + "X"],
        [custom_action_arn(CUSTOM_ACTIONS[0], account=ADMIN, region="us-east-1").lower()],
        [custom_action_arn(action, account=ADMIN, region="us-east-1") for action in CUSTOM_ACTIONS],
        [{}],
    ],
)
def test_a_button_of_somebody_else_is_refused_whatever_its_name_says(resources):
    pressed = custom_action_event(CUSTOM_ACTIONS[0], [sample()], admin_account=ADMIN, region="us-east-1")

    with pytest.raises(MalformedEvent, match="resources"):
        read({**pressed, "resources": resources})


@pytest.mark.parametrize("raw", [None, [], "text", 3, {}])
def test_what_is_no_event_is_refused(raw):
    with pytest.raises(MalformedEvent):
        read(raw)
