"""Security Hub of the sandbox, held against AWS's documentation (pages named in each test)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from sandbox import additions
from sandbox.additions import securityhub
from tests.sandbox.fakes import FakeWorld, a_world, error_of

ADMIN, PAYMENTS, SHOP, MANAGEMENT = "111111111111", "222222222222", "333333333333", "100000000001"
HOME, IRELAND = "us-east-1", "eu-west-1"


@pytest.fixture
def world() -> Iterator[FakeWorld]:
    with a_world() as world:
        yield world


def finding(number: int = 1, account: str = PAYMENTS, region: str = IRELAND, **changes: Any) -> dict[str, Any]:
    return {
        "SchemaVersion": "2018-10-08",
        "Id": f"arn:aws:securityhub:{region}:{account}:security-control/S3.5/finding/{number}",
        "ProductArn": f"arn:aws:securityhub:{region}::product/aws/securityhub",
        "GeneratorId": "security-control/S3.5",
        "AwsAccountId": account,
        "Region": region,
        "Types": ["Software and Configuration Checks"],
        "CreatedAt": "2026-03-01T00:00:00.000Z",
        "UpdatedAt": f"2026-03-01T00:00:{number % 60:02d}.000Z",
        "Severity": {"Label": "MEDIUM"},
        "Title": f"S3 general purpose buckets should require TLS {number}",
        "Description": "a check",
        "Resources": [{"Type": "AwsS3Bucket", "Id": f"arn:aws:s3:::bucket-{number}", "Tags": {"team": "blue"}}],
        "Compliance": {"Status": "FAILED", "SecurityControlId": "S3.5"},
    } | changes


def identifier(of: dict[str, Any]) -> dict[str, str]:
    return {"Id": of["Id"], "ProductArn": of["ProductArn"]}


def hub(world: FakeWorld, account: str = ADMIN, region: str = HOME) -> Any:
    return world.identity.client("securityhub", account, region)


def ids(world: FakeWorld, account: str = ADMIN, region: str = HOME, **query: Any) -> list[str]:
    return [f["Id"].rsplit("/", 1)[1] for f in hub(world, account, region).get_findings(**query)["Findings"]]


# --- visibility and events


def test_a_finding_is_seen_by_its_account_the_administrator_and_in_the_home_region(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/latest/userguide/finding-aggregation.html"""
    securityhub.publish(world, finding())

    seen = [(a, r) for a in (ADMIN, PAYMENTS, SHOP) for r in (HOME, IRELAND) if ids(world, a, r)]

    assert seen == [(ADMIN, HOME), (ADMIN, IRELAND), (PAYMENTS, HOME), (PAYMENTS, IRELAND)]


def test_a_finding_in_the_home_region_is_not_seen_in_other_regions(world: FakeWorld) -> None:
    securityhub.publish(world, finding(region=HOME))

    assert ids(world) == ["1"]
    assert ids(world, region=IRELAND) == []


def test_every_change_is_one_event_on_the_bus_of_everybody_who_sees_the_finding(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-cwe-integration-types.html"""
    of = finding()
    securityhub.publish(world, of)
    first = list(world.events)
    hub(world).batch_update_findings(FindingIdentifiers=[identifier(of)], Workflow={"Status": "NOTIFIED"})
    second = world.events[len(first) :]

    places = [(PAYMENTS, IRELAND), (PAYMENTS, HOME), (ADMIN, IRELAND), (ADMIN, HOME)]
    assert [(e["account"], e["region"]) for e in first] == places
    assert [(e["account"], e["region"]) for e in second] == places
    assert {e["detail-type"] for e in world.events} == {"Security Hub Findings - Imported"}
    assert first[-1]["resources"] == [f"{of['ProductArn']}/{of['Id']}"]
    assert [e["detail"]["findings"][0]["Workflow"]["Status"] for e in (first[-1], second[-1])] == ["NEW", "NOTIFIED"]


def test_an_event_keeps_what_the_finding_was_then(world: FakeWorld) -> None:
    securityhub.publish(world, finding())
    event = world.events[-1]["detail"]["findings"][0]
    event["Workflow"]["Status"] = "SPOILED"

    assert hub(world).get_findings()["Findings"][0]["Workflow"] == {"Status": "NEW"}


def test_a_new_world_has_no_findings() -> None:
    with a_world() as first:
        securityhub.publish(first, finding())
        assert ids(first) == ["1"]
    with a_world() as second:
        assert ids(second) == []


def test_the_additions_cannot_be_installed_twice(world: FakeWorld) -> None:
    with pytest.raises(RuntimeError, match="another world"):
        additions.install(world)


def test_uninstall_gives_moto_back_as_it_was() -> None:
    from moto.securityhub.responses import SecurityHubResponse
    from moto.securityhub.urls import url_paths

    methods, paths = dict(vars(SecurityHubResponse)), dict(url_paths)
    with a_world():
        assert "batch_update_findings" in vars(SecurityHubResponse)
    assert dict(vars(SecurityHubResponse)) == methods
    assert url_paths == paths


# --- what Security Hub does to findings


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ("RESOLVED", {"Compliance": {"Status": "FAILED", "SecurityControlId": "S3.5"}}, "NEW"),
        ("NOTIFIED", {"Compliance": {"Status": "WARNING", "SecurityControlId": "S3.5"}}, "NEW"),
        ("NOTIFIED", {"Compliance": {"Status": "NOT_AVAILABLE", "SecurityControlId": "S3.5"}}, "NEW"),
        ("SUPPRESSED", {"Compliance": {"Status": "FAILED", "SecurityControlId": "S3.5"}}, "SUPPRESSED"),
        ("NOTIFIED", {}, "NOTIFIED"),
    ],
)
def test_workflow_is_reset_when_a_passed_check_fails_again(
    world: FakeWorld, before: str, change: dict[str, Any], after: str
) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_Workflow.html"""
    passed = finding(Compliance={"Status": "PASSED", "SecurityControlId": "S3.5"})
    securityhub.publish(world, passed)
    hub(world).batch_update_findings(FindingIdentifiers=[identifier(passed)], Workflow={"Status": before})

    securityhub.publish(world, passed | change)

    assert hub(world).get_findings()["Findings"][0]["Workflow"]["Status"] == after


def test_a_wrong_resolved_stays_while_the_check_keeps_failing(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_Workflow.html"""
    securityhub.publish(world, finding())
    hub(world).batch_update_findings(FindingIdentifiers=[identifier(finding())], Workflow={"Status": "RESOLVED"})

    securityhub.publish(world, finding(UpdatedAt="2026-03-02T00:00:00Z"))

    assert hub(world).get_findings()["Findings"][0]["Workflow"]["Status"] == "RESOLVED"


def test_an_archived_finding_that_comes_back_is_new(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_Workflow.html"""
    securityhub.publish(world, finding(RecordState="ARCHIVED"))
    hub(world).batch_update_findings(FindingIdentifiers=[identifier(finding())], Workflow={"Status": "RESOLVED"})

    securityhub.publish(world, finding(RecordState="ACTIVE"))

    assert hub(world).get_findings()["Findings"][0]["Workflow"]["Status"] == "NEW"


def test_a_control_that_passes_is_resolved(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/latest/userguide/finding-workflow-status.html"""
    securityhub.publish(world, finding())
    securityhub.publish(world, finding(Compliance={"Status": "PASSED", "SecurityControlId": "S3.5"}))

    assert hub(world).get_findings()["Findings"][0]["Workflow"]["Status"] == "RESOLVED"


def test_an_update_of_the_provider_leaves_what_the_customer_wrote(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_BatchImportFindings.html"""
    securityhub.publish(world, finding())
    hub(world).batch_update_findings(
        FindingIdentifiers=[identifier(finding())],
        Note={"Text": "looked at", "UpdatedBy": "me"},
        UserDefinedFields={"a": "b"},
        Severity={"Label": "LOW"},
    )

    note = {"Text": "x", "UpdatedBy": "y", "UpdatedAt": "2026-03-02T00:00:00Z"}
    securityhub.publish(world, finding(Title="another title", Note=note))

    now = hub(world).get_findings()["Findings"][0]
    assert (now["Title"], now["Note"]["Text"], now["UserDefinedFields"]) == ("another title", "looked at", {"a": "b"})
    assert now["Severity"] == {"Label": "LOW", "Normalized": 1}
    assert now["FindingProviderFields"]["Severity"]["Label"] == "MEDIUM"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"Title": None}, "Title"),
        ({"SchemaVersion": "2019-01-01"}, "SchemaVersion"),
        ({"AwsAccountId": "22222222222²"}, "twelve digits"),
        ({"Resources": []}, "Resources"),
        ({"CreatedAt": "yesterday"}, "CreatedAt"),
        ({"Severity": {"Label": "BAD"}}, "Severity.Label"),
        ({"Surprise": "x"}, "Surprise"),
        ({"Description": "x" * 1025}, "Description"),
        ({"ProductArn": "arn:aws:securityhub:eu-west-1:222222222222:product/222222222222/default"}, "ProductArn"),
        ({"Region": "us-east-1"}, "Region"),
        ({"AwsAccountId": "999999999999"}, "not enabled"),
    ],
)
def test_publish_refuses_what_is_no_finding_of_an_aws_service(
    world: FakeWorld, changes: dict[str, Any], complaint: str
) -> None:
    """https://docs.aws.amazon.com/securityhub/latest/userguide/asff-required-attributes.html"""
    with pytest.raises(ValueError, match=complaint):
        securityhub.publish(world, finding() | changes)
    assert world.events == []


# --- BatchImportFindings


def custom(account: str = PAYMENTS, region: str = IRELAND, **changes: Any) -> dict[str, Any]:
    own = f"arn:aws:securityhub:{region}:{account}:product/{account}/default"
    return finding(account=account, region=region, ProductArn=own, Id="custom-1") | changes


def test_an_account_imports_findings_of_its_own_product(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/latest/userguide/finding-update-batchimportfindings.html"""
    answer = hub(world, PAYMENTS, IRELAND).batch_import_findings(Findings=[custom()])

    assert (answer["SuccessCount"], answer["FailedCount"], answer["FailedFindings"]) == (1, 0, [])
    assert hub(world).get_findings()["Findings"][0]["ProductName"] == "Default"


@pytest.mark.parametrize(
    "changes",
    [
        {"ProductArn": f"arn:aws:securityhub:{IRELAND}::product/aws/securityhub"},
        {"ProductArn": f"arn:aws:securityhub:{IRELAND}:{SHOP}:product/{SHOP}/default"},
        {"AwsAccountId": SHOP},
        {"Region": HOME},
        {"Title": "x" * 257},
    ],
)
def test_a_forged_finding_is_not_imported(world: FakeWorld, changes: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/securityhub/latest/userguide/finding-update-batchimportfindings.html"""
    answer = hub(world, PAYMENTS, IRELAND).batch_import_findings(Findings=[custom(**changes)])

    assert (answer["SuccessCount"], answer["FailedCount"], answer["FailedFindings"][0]["Id"]) == (0, 1, "custom-1")
    assert ids(world) == []
    assert world.events == []


# --- BatchUpdateFindings


def test_a_note_gets_the_time_and_updated_at_of_the_finding_stays(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_BatchUpdateFindings.html"""
    of = finding()
    securityhub.publish(world, of)
    world.clock.advance(61)

    answer = hub(world).batch_update_findings(
        FindingIdentifiers=[identifier(of)], Note={"Text": "n" * 512, "UpdatedBy": "SHARR"}
    )

    assert answer["ProcessedFindings"] == [identifier(of)]
    now = hub(world).get_findings()["Findings"][0]
    assert now["Note"]["UpdatedAt"] == "2026-03-02T09:01:01.000Z"
    assert now["UpdatedAt"] == of["UpdatedAt"]


def test_unprocessed_findings_are_told_with_aws_codes(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_BatchUpdateFindingsUnprocessedFinding.html"""
    for number in (1, 2):
        securityhub.publish(world, finding(number))
    one, two = identifier(finding(1)), identifier(finding(2))
    unknown = one | {"Id": "nowhere"}

    asked = [one, two, two, unknown]
    answer = hub(world).batch_update_findings(FindingIdentifiers=asked, Workflow={"Status": "RESOLVED"})

    assert answer["ProcessedFindings"] == [one]
    assert [(u["FindingIdentifier"], u["ErrorCode"]) for u in answer["UnprocessedFindings"]] == [
        (two, "DuplicatedFindingIdentifier"),
        (unknown, "FindingNotFound"),
    ]
    assert [f["Workflow"]["Status"] for f in hub(world).get_findings()["Findings"]] == ["NEW", "RESOLVED"]


def test_only_who_sees_a_finding_may_update_it(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_BatchUpdateFindings.html"""
    of = finding()
    securityhub.publish(world, of)

    def updated(account: str, region: str) -> bool:
        answer = hub(world, account, region).batch_update_findings(
            FindingIdentifiers=[identifier(of)], Workflow={"Status": "NOTIFIED"}
        )
        return bool(answer["ProcessedFindings"])

    assert updated(PAYMENTS, IRELAND)
    assert updated(ADMIN, HOME)
    assert not updated(SHOP, IRELAND)


@pytest.mark.parametrize(
    "update",
    [
        {"Note": {"Text": "n" * 513, "UpdatedBy": "SHARR"}},
        {"Note": {"Text": " ", "UpdatedBy": "SHARR"}},
        {"Workflow": {"Status": "DONE"}},
        {"Severity": {"Label": "SEVERE"}},
        {"Confidence": 101},
        {},
    ],
)
def test_an_invalid_update_is_refused_as_a_whole(world: FakeWorld, update: dict[str, Any]) -> None:
    securityhub.publish(world, finding())
    events = len(world.events)

    code = error_of(lambda: hub(world).batch_update_findings(FindingIdentifiers=[identifier(finding())], **update))

    assert code == "InvalidInputException"
    assert len(world.events) == events


def test_a_batch_has_at_most_a_hundred_findings(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/latest/userguide/finding-update-batchupdatefindings.html"""
    many = [{"Id": str(number), "ProductArn": "arn"} for number in range(101)]

    code = error_of(lambda: hub(world).batch_update_findings(FindingIdentifiers=many, Workflow={"Status": "NEW"}))

    assert code == "InvalidInputException"


# --- GetFindings


def several(world: FakeWorld) -> None:
    securityhub.publish(world, finding(1, Title="CloudFront needs TLS", Confidence=10))
    securityhub.publish(world, finding(2, account=SHOP, Title="CloudWatch alarm", Confidence=50))
    securityhub.publish(world, finding(3, region=HOME, Title="Bucket policy", UpdatedAt="2026-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"Title": [("CONTAINS", "CloudFront"), ("CONTAINS", "CloudWatch")]}, "12"),
        ({"Title": [("NOT_CONTAINS", "CloudFront"), ("NOT_CONTAINS", "CloudWatch")]}, "3"),
        ({"Title": [("CONTAINS_WORD", "tls")]}, "1"),
        ({"AwsAccountId": [("EQUALS", PAYMENTS)]}, "13"),
        ({"AwsAccountId": [("NOT_EQUALS", PAYMENTS)]}, "2"),
        ({"Region": [("PREFIX", "eu")]}, "12"),
        ({"Region": [("PREFIX_NOT_EQUALS", "eu")]}, "3"),
        ({"Title": [("PREFIX", "Cloud"), ("NOT_EQUALS", "CloudWatch alarm")]}, "1"),
        ({"ResourceId": [("EQUALS", "arn:aws:s3:::bucket-2"), ("EQUALS", "arn:aws:s3:::bucket-3")]}, "23"),
        ({"ComplianceSecurityControlId": [("EQUALS", "S3.5")], "Region": [("EQUALS", HOME)]}, "3"),
        ({"WorkflowStatus": [("EQUALS", "RESOLVED")]}, ""),
        ({"Type": [("PREFIX", "Software")], "RecordState": [("EQUALS", "ACTIVE")]}, "123"),
    ],
)
def test_string_filters(world: FakeWorld, filters: dict[str, list[tuple[str, str]]], found: str) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_StringFilter.html"""
    several(world)
    asked = {name: [{"Comparison": c, "Value": v} for c, v in given] for name, given in filters.items()}

    assert sorted(ids(world, Filters=asked)) == list(found)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"Confidence": [{"Gte": 10, "Lte": 20}]}, "1"),
        ({"Confidence": [{"Eq": 10}, {"Gt": 49}]}, "12"),
        ({"SeverityNormalized": [{"Lt": 40}]}, ""),
        ({"UpdatedAt": [{"Start": "2026-02-01T00:00:00Z", "End": "2026-03-01T00:00:01Z"}]}, "1"),
        ({"UpdatedAt": [{"DateRange": {"Value": 7, "Unit": "DAYS"}}]}, "12"),
        ({"UpdatedAt": [{"DateRange": {"Value": 7, "Unit": "DAYS", "Comparison": "OLDER_THAN"}}]}, "3"),
        ({"ResourceTags": [{"Key": "team", "Value": "blue", "Comparison": "EQUALS"}]}, "123"),
        ({"ResourceTags": [{"Key": "team", "Value": "blue", "Comparison": "NOT_EQUALS"}]}, ""),
        ({"Keyword": [{"Value": "CLOUDFRONT"}]}, "1"),
    ],
)
def test_other_filters(world: FakeWorld, filters: dict[str, Any], found: str) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_AwsSecurityFindingFilters.html"""
    several(world)

    assert sorted(ids(world, Filters=filters)) == list(found)


def test_filters_that_exclude_each_other_are_refused(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_StringFilter.html"""
    both = [{"Comparison": "EQUALS", "Value": "a"}, {"Comparison": "NOT_EQUALS", "Value": "b"}]

    assert error_of(lambda: ids(world, Filters={"Title": both})) == "InvalidInputException"


def test_every_filter_of_the_api_is_known() -> None:
    from sandbox.additions import asff, finding_filters

    finding_shape = asff.service_model().shape_for("AwsSecurityFinding")
    for attribute in asff.service_model().shape_for("AwsSecurityFindingFilters").members:
        if attribute in (*finding_filters._UNKNOWN, "Keyword"):
            continue
        shape = finding_shape
        for key in finding_filters._PATHS.get(attribute, attribute).split("."):
            while shape.type_name == "list":
                shape = shape.member
            assert key in shape.members, attribute
            shape = shape.members[key]


def test_findings_are_sorted_and_paged(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_GetFindings.html"""
    for number in range(1, 6):
        securityhub.publish(world, finding(number))
    order = [{"Field": "UpdatedAt", "SortOrder": "asc"}]
    pages = hub(world).get_paginator("get_findings").paginate(SortCriteria=order, PaginationConfig={"PageSize": 2})

    assert [[f["Id"][-1] for f in p["Findings"]] for p in pages] == [["1", "2"], ["3", "4"], ["5"]]
    assert ids(world) == ["5", "4", "3", "2", "1"]
    assert error_of(lambda: ids(world, NextToken="made up")) == "InvalidInputException"
    assert error_of(lambda: ids(world, MaxResults=101)) == "InvalidInputException"


# --- custom actions


def test_custom_actions_live_and_die(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_DescribeActionTargets.html"""
    client = hub(world)
    arn = client.create_action_target(Name="Remediate", Description="repair", Id="Remediate")["ActionTargetArn"]
    client.update_action_target(ActionTargetArn=arn, Name="Repair it")

    assert arn == f"arn:aws:securityhub:{HOME}:{ADMIN}:action/custom/Remediate"
    shown = client.describe_action_targets(ActionTargetArns=[arn])["ActionTargets"]
    assert shown == [{"ActionTargetArn": arn, "Name": "Repair it", "Description": "repair"}]
    assert hub(world, region=IRELAND).describe_action_targets()["ActionTargets"] == []
    assert client.delete_action_target(ActionTargetArn=arn)["ActionTargetArn"] == arn
    assert error_of(lambda: client.delete_action_target(ActionTargetArn=arn)) == "ResourceNotFoundException"
    assert error_of(lambda: client.update_action_target(ActionTargetArn=arn, Name="x")) == "ResourceNotFoundException"
    missing = error_of(lambda: client.describe_action_targets(ActionTargetArns=[arn]))
    assert missing == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Id": "a" * 21}, "InvalidInputException"),
        ({"Id": "with-dash"}, "InvalidInputException"),
        ({"Name": "n" * 21}, "InvalidInputException"),
        ({"Description": " "}, "InvalidInputException"),
        ({"Id": "Taken"}, "ResourceConflictException"),
    ],
)
def test_custom_actions_have_limits(world: FakeWorld, changes: dict[str, str], code: str) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_CreateActionTarget.html"""
    client = hub(world)
    client.create_action_target(Name="taken", Description="d", Id="Taken")

    asked = {"Name": "n", "Description": "d", "Id": "i"} | changes
    assert error_of(lambda: client.create_action_target(**asked)) == code


def test_custom_actions_are_paged_and_limited_in_number(world: FakeWorld) -> None:
    client = hub(world)
    for number in range(50):
        client.create_action_target(Name="n", Description="d", Id=f"A{number}")
    pages = client.get_paginator("describe_action_targets").paginate(PaginationConfig={"PageSize": 20})

    assert [len(p["ActionTargets"]) for p in pages] == [20, 20, 10]
    over = error_of(lambda: client.create_action_target(Name="n", Description="d", Id="Over"))
    assert over == "LimitExceededException"


def test_the_button_sends_one_event_per_finding_from_where_it_is_pressed(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-cwe-event-formats.html"""
    for number in (1, 2):
        securityhub.publish(world, finding(number))
    arn = hub(world).create_action_target(Name="Remediate", Description="repair", Id="Remediate")["ActionTargetArn"]
    world.events.clear()

    securityhub.press(world, arn, [finding(2)["Id"], finding(1)["Id"]])

    assert [(e["account"], e["region"], e["resources"]) for e in world.events] == [(ADMIN, HOME, [arn])] * 2
    assert {e["detail-type"] for e in world.events} == {"Security Hub Findings - Custom Action"}
    detail = world.events[0]["detail"]
    assert (detail["actionName"], detail["actionDescription"]) == ("Remediate", "repair")
    assert [f["Id"] for f in detail["findings"]] == [finding(2)["Id"]]


def test_the_button_refuses_unknown_actions_and_findings(world: FakeWorld) -> None:
    securityhub.publish(world, finding())
    arn = hub(world).create_action_target(Name="Remediate", Description="repair", Id="Remediate")["ActionTargetArn"]

    with pytest.raises(ValueError, match="no custom action"):
        securityhub.press(world, arn + "X", [finding()["Id"]])
    with pytest.raises(ValueError, match="no such finding"):
        securityhub.press(world, arn, ["nowhere"])
    with pytest.raises(ValueError, match="1 to 20"):
        securityhub.press(world, arn, [])


# --- accounts and Regions


def test_the_administrator_lists_its_members(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_ListMembers.html"""
    members = hub(world).list_members()["Members"]

    assert [m["AccountId"] for m in members] == [MANAGEMENT, PAYMENTS, SHOP, "444444444444"]
    assert {m["MemberStatus"] for m in members} == {"Enabled"}
    assert hub(world, PAYMENTS).list_members()["Members"] == []
    got = hub(world).get_members(AccountIds=[SHOP, "999999999999"])
    assert [m["AccountId"] for m in got["Members"]] == [SHOP]
    assert [u["AccountId"] for u in got["UnprocessedAccounts"]] == ["999999999999"]


def test_a_member_without_security_hub_is_listed_on_request_only(world: FakeWorld) -> None:
    hub(world, SHOP).disable_security_hub()

    assert SHOP not in [m["AccountId"] for m in hub(world).list_members()["Members"]]
    assert SHOP in [m["AccountId"] for m in hub(world).list_members(OnlyAssociated=False)["Members"]]
    assert error_of(lambda: hub(world, SHOP).describe_hub()) == "InvalidAccessException"
    assert error_of(lambda: hub(world, SHOP).get_findings()) == "InvalidAccessException"
    hub(world, SHOP).enable_security_hub()
    assert hub(world, SHOP).describe_hub()["HubArn"] == f"arn:aws:securityhub:{HOME}:{SHOP}:hub/default"
    assert error_of(lambda: hub(world, SHOP).enable_security_hub()) == "ResourceConflictException"


def test_administrator_and_aggregation_region_can_be_found(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_GetFindingAggregator.html"""
    assert hub(world, PAYMENTS).get_administrator_account()["Administrator"]["AccountId"] == ADMIN
    assert "Administrator" not in hub(world).get_administrator_account()
    admins = hub(world, MANAGEMENT).list_organization_admin_accounts()["AdminAccounts"]
    assert admins == [{"AccountId": ADMIN, "Status": "ENABLED"}]
    assert error_of(lambda: hub(world).list_organization_admin_accounts()) == "InvalidAccessException"
    (aggregator,) = hub(world, region=IRELAND).list_finding_aggregators()["FindingAggregators"]
    got = hub(world).get_finding_aggregator(FindingAggregatorArn=aggregator["FindingAggregatorArn"])
    assert (got["FindingAggregationRegion"], got["Regions"]) == (HOME, [IRELAND])
    unknown = error_of(lambda: hub(world).get_finding_aggregator(FindingAggregatorArn="arn:x/y"))
    assert unknown == "ResourceNotFoundException"


# --- over HTTP


def test_any_client_of_a_moto_server_reaches_the_same_findings(world: FakeWorld) -> None:
    of = finding()
    securityhub.publish(world, of)
    arn = hub(world).create_action_target(Name="n", Description="d", Id="Remediate")["ActionTargetArn"]
    credentials = world.services.credentials(ADMIN)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        remote = boto3.client(
            "securityhub",
            region_name=HOME,
            endpoint_url=f"http://{host}:{port}",
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token,
        )
        found = remote.get_findings(Filters={"Id": [{"Value": of["Id"], "Comparison": "EQUALS"}]})["Findings"]
        remote.batch_update_findings(FindingIdentifiers=[identifier(of)], Workflow={"Status": "NOTIFIED"})
        remote.update_action_target(ActionTargetArn=arn, Name="renamed")
        aggregator = remote.list_finding_aggregators()["FindingAggregators"][0]["FindingAggregatorArn"]
        region = remote.get_finding_aggregator(FindingAggregatorArn=aggregator)["FindingAggregationRegion"]
    finally:
        server.stop()

    assert [f["Id"] for f in found] == [of["Id"]]
    assert region == HOME
    assert hub(world).get_findings()["Findings"][0]["Workflow"]["Status"] == "NOTIFIED"
    assert hub(world).describe_action_targets()["ActionTargets"][0]["Name"] == "renamed"
