"""The admin stack: who may do what, which rules listen, and what the parameters take."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sharr.loader import load_all
from sharr.patterns import LONGEST_PATTERN, automatic_pattern, button_pattern, chunks
from sharr.standards import Standard, load_standards
from stacks import names
from stacks.package import ROOT
from tests.stacks.assembly import Assembly

STANDARDS = list(load_standards(ROOT))


def statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    return [s for p in role["Policies"] for s in p["PolicyDocument"]["Statement"]]


def actions(statement: dict[str, Any]) -> set[str]:
    return {statement["Action"]} if isinstance(statement["Action"], str) else set(statement["Action"])


def rights(role: dict[str, Any]) -> set[str]:
    return {action for statement in statements(role) for action in actions(statement)}


def test_there_is_one_playbook_per_standard_and_only_sc_is_loaded_by_default(assembly: Assembly) -> None:
    nested = {
        logical_id: r["Condition"]
        for logical_id, r in assembly["admin"]["Resources"].items()
        if r["Type"] == "AWS::CloudFormation::Stack"
    }

    assert nested == {f"Playbook{s.name}": f"Loads{s.name}" for s in STANDARDS}
    parameters = assembly["admin"]["Parameters"]
    assert {s.name for s in STANDARDS if parameters[f"Load{s.name}AdminStack"]["Default"] == "yes"} == {"SC"}


@pytest.mark.parametrize("standard", STANDARDS, ids=lambda s: s.name)
def test_rule_for_automatic_repairs_is_off_until_a_control_is_listed(assembly: Assembly, standard: Standard) -> None:
    rules = assembly.resources(f"Playbook{standard.name}", "AWS::Events::Rule")

    further = {f"Automatic{n}" for n in range(2, len(chunks(standard, served_by(standard))) + 1)}
    assert rules.keys() == {"Automatic", "Buttons", "Recheck"} | further
    assert all(rules[name]["State"] == {"Fn::If": ["TakesAllControls", "ENABLED", "DISABLED"]} for name in further)
    assert rules["Automatic"]["State"] == {"Fn::If": ["HasAutomaticControls", "ENABLED", "DISABLED"]}
    controls = rules["Automatic"]["EventPattern"]["detail"]["findings"]["Compliance"]["SecurityControlId"]
    assert controls == {"Ref": "AutomaticControls"}
    assert assembly[f"Playbook{standard.name}"]["Conditions"]["HasAutomaticControls"] == {
        "Fn::Not": [{"Fn::Equals": [{"Fn::Join": [",", {"Ref": "AutomaticControls"}]}, ""]}]
    }
    assert rules["Buttons"]["State"] == "ENABLED"


@pytest.mark.parametrize("standard", STANDARDS, ids=lambda s: s.name)
def test_a_star_means_every_control_that_has_a_remediation_and_fits_in_a_pattern(
    assembly: Assembly, standard: Standard
) -> None:
    served = served_by(standard)
    given = assembly.resources("admin", "AWS::CloudFormation::Stack")[f"Playbook{standard.name}"]["Parameters"]

    if not served:
        assert given["AutomaticControls"] == ""
        return
    condition, first, chosen = given["AutomaticControls"]["Fn::If"]
    assert condition == f"Takes{standard.name}All"
    assert chosen == {"Fn::Join": [",", {"Ref": f"{standard.name}AutomaticControls"}]}
    assert given["TakesAll"] == {"Fn::If": [condition, "yes", "no"]}
    rules = assembly.resources(f"Playbook{standard.name}", "AWS::Events::Rule")
    rest = [
        rule["EventPattern"]["detail"]["findings"]["Compliance"]["SecurityControlId"]
        for name, rule in rules.items()
        if re.fullmatch("Automatic[0-9]+", name)
    ]
    lists = [first.split(","), *rest]
    assert sorted(control for controls in lists for control in controls) == sorted(served)
    for controls in lists:
        assert len(json.dumps(automatic_pattern(standard, controls), separators=(",", ":"))) <= LONGEST_PATTERN


def served_by(standard: Standard) -> list[str]:
    return [c for r in load_all() for c in r.controls if standard.serves(c)]


def test_patterns_have_texts_only() -> None:
    def leaves(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [leaf for inner in value.values() for leaf in leaves(inner)]
        if isinstance(value, list):
            return [leaf for inner in value for leaf in leaves(inner)]
        return [value]

    patterns = [names.RUNBOOK_ENDED]
    for standard in STANDARDS:
        patterns += [automatic_pattern(standard, ["S3.5"]), button_pattern(standard, ["arn"])]
    assert all(isinstance(leaf, str) for pattern in patterns for leaf in leaves(pattern))


@pytest.mark.parametrize("name", ["admin", "PlaybookSC"])
def test_queues_take_messages_from_their_own_rules_only_and_over_tls(assembly: Assembly, name: str) -> None:
    rules = set(assembly.resources(name, "AWS::Events::Rule"))
    queues = assembly.resources(name, "AWS::SQS::Queue")
    policies = assembly.resources(name, "AWS::SQS::QueuePolicy")

    assert {p["Queues"][0]["Ref"] for p in policies.values()} == queues.keys()
    for policy in policies.values():
        tls, *allowed = policy["PolicyDocument"]["Statement"]
        assert (tls["Effect"], tls["Principal"], tls["Action"]) == ("Deny", "*", "sqs:*")
        assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for statement in allowed:
            assert statement["Principal"] == {"Service": "events.amazonaws.com"}
            sources = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
            assert {source["Fn::GetAtt"][0] for source in sources} <= rules
    assert all(q["SqsManagedSseEnabled"] is True for q in queues.values())


def test_each_queue_that_is_read_has_dead_letters_and_each_sending_target_has_its_own(assembly: Assembly) -> None:
    for name, template in assembly.templates.items():
        queues = assembly.resources(name, "AWS::SQS::Queue")
        for logical_id, mapping in assembly.resources(name, "AWS::Lambda::EventSourceMapping").items():
            queue = queues[mapping["EventSourceArn"]["Fn::GetAtt"][0]]
            function = template["Resources"][mapping["FunctionName"]["Ref"]]["Properties"]
            assert queue["RedrivePolicy"]["maxReceiveCount"] == 3, logical_id
            assert queue["VisibilityTimeout"] >= 6 * function["Timeout"], logical_id
            assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        for rule in assembly.resources(name, "AWS::Events::Rule").values():
            for target in rule["Targets"]:
                if target["Id"] == "Queue":
                    dead = target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
                    assert dead in queues
                    assert dead != target["Arn"]["Fn::GetAtt"][0]
                    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] == 86_400


def test_every_dead_letter_queue_has_an_alarm_that_tells_somebody(assembly: Assembly) -> None:
    for name in ("admin", "PlaybookSC"):
        watched = {
            dimension["Value"]["Fn::GetAtt"][0]
            for alarm in assembly.resources(name, "AWS::CloudWatch::Alarm").values()
            for query in alarm["Metrics"]
            for dimension in query.get("MetricStat", {}).get("Metric", {}).get("Dimensions", [])
            if dimension["Name"] == "QueueName"
        }
        assert watched == assembly.resources(name, "AWS::SQS::Queue").keys()
        for alarm in assembly.resources(name, "AWS::CloudWatch::Alarm").values():
            assert alarm["AlarmActions"] in ([{"Ref": "Topic"}], [{"Ref": "TopicArn"}])


def test_the_repair_role_changes_nothing_but_the_table_and_queues(assembly: Assembly) -> None:
    role = assembly.resources("admin", "AWS::IAM::Role")["RepairRole"]

    assert rights(role) == {
        "sts:AssumeRole",
        *(f"dynamodb:{a}" for a in ("GetItem", "PutItem", "UpdateItem", "ConditionCheckItem")),
        "sqs:SendMessage",
        "securityhub:GetFindings",
        "securityhub:GetMembers",
        "ssm:GetParameters",
    }
    assert (role["RoleName"], role["Path"]) == ("sharr-repair", "/sharr/")


def test_the_observe_role_assumes_the_reader_only(assembly: Assembly) -> None:
    role = assembly.resources("admin", "AWS::IAM::Role")["ObserveRole"]
    (assume,) = [s for s in statements(role) if "sts:AssumeRole" in actions(s)]

    assert role["RoleName"] == "sharr-observe"
    assert all(value["Fn::Sub"].endswith(":role/sharr/sharr-reader") for value in assume["Resource"]["Fn::If"][1:])


@pytest.mark.parametrize("role_id", ["RepairRole", "ObserveRole"])
def test_roles_are_assumed_in_the_organization_only_and_without_one_in_this_account_only(
    assembly: Assembly, role_id: str
) -> None:
    role = assembly.resources("admin", "AWS::IAM::Role")[role_id]
    (assume,) = [s for s in statements(role) if "sts:AssumeRole" in actions(s)]
    _, everywhere, here = assume["Resource"]["Fn::If"]

    assert ":iam::*:" in everywhere["Fn::Sub"]
    assert ":iam::${AWS::AccountId}:" in here["Fn::Sub"]
    assert assume["Condition"] == {
        "Fn::If": [
            "InOrganization",
            {"StringEquals": {"aws:ResourceOrgID": {"Ref": "OrganizationId"}}},
            {"Ref": "AWS::NoValue"},
        ]
    }


def test_only_lambda_assumes_the_admin_roles(assembly: Assembly) -> None:
    for logical_id, role in assembly.resources("admin", "AWS::IAM::Role").items():
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}, logical_id


def test_no_policy_of_the_admin_stack_has_a_star_as_action_or_resource_but_where_iam_knows_no_resource(
    assembly: Assembly,
) -> None:
    for name in ("admin", "PlaybookSC"):
        documents = [
            p["PolicyDocument"] for r in assembly.resources(name, "AWS::IAM::Role").values() for p in r["Policies"]
        ]
        documents += [p["PolicyDocument"] for p in assembly.resources(name, "AWS::IAM::Policy").values()]
        for statement in (s for d in documents for s in d["Statement"]):
            assert not any(a == "*" or a.endswith(":*") for a in actions(statement))
            if statement["Resource"] == "*":
                assert actions(statement) == {"securityhub:ListFindingAggregators"}


def test_inline_policies_of_a_role_fit_when_every_playbook_is_loaded(assembly: Assembly) -> None:
    """IAM takes 10,240 characters for all inline policies of a role, without white space."""
    longest = {"AWS::Partition": "aws-us-gov", "AWS::Region": "ap-southeast-99", "AWS::AccountId": "1" * 12}

    def length(document: Any) -> int:
        text = json.dumps(document, separators=(",", ":"))
        for name, value in longest.items():
            text = text.replace(f"${{{name}}}", value)
        text = re.sub(r'\{"Fn::GetAtt":\[[^\]]*\]\}', json.dumps("arn:aws-us-gov:sqs:" + "x" * 110), text)
        return len(text)

    nested = [f"Playbook{s.name}" for s in STANDARDS]
    for role, own, given in (
        ("RepairRole", "RepairLogs", "RepairRights"),
        ("ObserveRole", "ObserveLogs", "ObserveRights"),
    ):
        inline = assembly.resources("admin", "AWS::IAM::Role")[role]["Policies"]
        total = sum(length(p["PolicyDocument"]) for p in inline)
        total += length(assembly.resources("admin", "AWS::IAM::Policy")[own]["PolicyDocument"])
        total += sum(length(assembly.resources(n, "AWS::IAM::Policy")[given]["PolicyDocument"]) for n in nested)
        assert total <= 10_240, (role, total)


def test_the_bus_takes_events_of_our_events_role_only(assembly: Assembly) -> None:
    (policy,) = assembly.resources("admin", "AWS::Events::EventBusPolicy").values()
    condition = policy["Statement"]["Condition"]

    assert condition["ArnLike"]["aws:PrincipalArn"]["Fn::Sub"].endswith(":iam::*:role/sharr/sharr-events")
    _, organization, account = condition["StringEquals"]["Fn::If"]
    assert organization == {"aws:PrincipalOrgID": {"Ref": "OrganizationId"}}
    assert account == {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}


def test_the_topic_is_encrypted_and_published_to_by_us_and_our_alarms_only(assembly: Assembly) -> None:
    (topic,) = assembly.resources("admin", "AWS::SNS::Topic").values()
    (policy,) = assembly.resources("admin", "AWS::SNS::TopicPolicy").values()
    (key,) = assembly.resources("admin", "AWS::KMS::Key").values()

    assert topic["KmsMasterKeyId"]["Fn::If"][0] == "MakesKey"
    assert key["EnableKeyRotation"] is True
    allowed = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    # The outcome function publishes by its role's own policy: the topic needs no statement for it.
    assert [s["Principal"] for s in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]
    assert allowed[0]["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    alarms = [s for s in key["KeyPolicy"]["Statement"] if "Service" in s["Principal"]]
    assert [s["Principal"]["Service"] for s in alarms] == ["cloudwatch.amazonaws.com"]
    assert "Condition" in alarms[0]


def test_what_is_kept_has_no_fixed_name(assembly: Assembly) -> None:
    for name, template in assembly.templates.items():
        for logical_id, resource in template["Resources"].items():
            if resource.get("DeletionPolicy", "Delete") != "Delete":
                properties = resource["Properties"]
                named = {key for key in properties if key in ("TableName", "LogGroupName", "Name", "QueueName")}
                assert not named, (name, logical_id)
    resources = assembly["admin"]["Resources"]
    kept = {logical_id for logical_id, r in resources.items() if r.get("DeletionPolicy", "Delete") != "Delete"}
    assert kept == {"Table", "OutcomeLog"}


def test_the_table_is_protected_and_not_made_where_one_is_adopted(assembly: Assembly) -> None:
    table = assembly["admin"]["Resources"]["Table"]

    assert table["Condition"] == "MakesTable"
    assert table["UpdateReplacePolicy"] == "Retain"
    assert table["Properties"]["DeletionProtectionEnabled"] is True
    assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["Properties"]["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert [i["IndexName"] for i in table["Properties"]["GlobalSecondaryIndexes"]] == ["due"]


def test_every_function_runs_from_the_one_zip_with_json_logs_and_what_settings_want(assembly: Assembly) -> None:
    code, seen = set(), set()
    for name in assembly.templates:
        for logical_id, function in assembly.resources(name, "AWS::Lambda::Function").items():
            seen.add(function["Handler"])
            code.add(json.dumps(function["Code"]))
            assert function["Runtime"] == "python3.14"
            assert function["Architectures"] == ["arm64"]
            assert function["LoggingConfig"]["LogFormat"] == "JSON"
            assert function["LoggingConfig"]["LogGroup"]["Ref"] in assembly.resources(name, "AWS::Logs::LogGroup")
            variables = function["Environment"]["Variables"]
            assert {"ADMIN_ACCOUNT", "HOME_REGION", "POWERTOOLS_METRICS_NAMESPACE"} <= variables.keys(), logical_id
            if function["Handler"] != "lambdas.custom_actions.handler.handler":
                assert {"TABLE_NAME", "OUTCOME_QUEUE_URL", "ORGANIZATION_ID"} <= variables.keys(), logical_id
    assert len(code) == 1
    assert seen == {f"lambdas.{name}.handler.handler" for name in ("playbook", "outcome", "sweeper", "custom_actions")}


@pytest.mark.parametrize(
    ("parameter", "good", "wrong"),
    [
        ("SCAutomaticControls", ["", "*", "S3.5", "DynamoDB.1"], ["s3.5", "S3", "S3.5 ", "S3.5;KMS.4", "**"]),
        ("ExcludedAccounts", ["", "111122223333"], ["11112222333", "11112222333a", "*"]),
        ("OrganizationId", ["", "o-exampleorgid"], ["exampleorgid", "o-", "r-exampleorg1"]),
        ("NotificationEmail", ["", "a@example.com"], ["a", "a@b@c", "a b@example.com", "a@example.com,b@example.com"]),
        ("ExistingTable", ["", "sharr-admin-Table-1ABC"], ["a", "x/y"]),
    ],
)
def test_parameters_take_what_is_right_only(
    assembly: Assembly, parameter: str, good: list[str], wrong: list[str]
) -> None:
    pattern = assembly["admin"]["Parameters"][parameter]["AllowedPattern"]

    assert [value for value in good if not re.fullmatch(pattern, value)] == []
    assert [value for value in wrong if re.fullmatch(pattern, value)] == []


def test_every_parameter_is_in_a_group_and_has_a_label(assembly: Assembly) -> None:
    shown = assembly["admin"]["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in shown["ParameterGroups"] for name in group["Parameters"]]

    assert sorted(grouped) == sorted(assembly["admin"]["Parameters"])
    assert shown["ParameterLabels"].keys() == assembly["admin"]["Parameters"].keys()


def test_buttons_are_made_before_playbooks_and_get_the_lists_of_loaded_ones_to_judge(assembly: Assembly) -> None:
    resources = assembly["admin"]["Resources"]

    assert "Buttons" in resources["PlaybookSC"]["DependsOn"]
    given = resources["Buttons"]["Properties"]["AutomaticControls"]
    assert given["SC"] == {"Fn::If": ["LoadsSC", {"Ref": "SCAutomaticControls"}, {"Ref": "AWS::NoValue"}]}
    assert given.keys() == {s.name for s in STANDARDS}


def test_what_the_buttons_refuse_is_refused_before_there_is_a_table_that_a_rollback_would_leave(
    assembly: Assembly,
) -> None:
    table = assembly["admin"]["Resources"]["Table"]

    assert table["DependsOn"] == ["Buttons"]
    assert table["DeletionPolicy"] == "Retain", "a protected table cannot be deleted by a rollback"
