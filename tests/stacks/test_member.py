"""The member stack: runbooks by service, and the word back to the admin account."""

from __future__ import annotations

from sharr.loader import load_all
from stacks.member import SPLIT, stack_of
from tests.stacks.assembly import Assembly


def test_every_remediation_that_may_be_a_runbook_has_its_document(assembly: Assembly) -> None:
    documents = {
        d["Name"]: d
        for name in assembly.templates
        if name.startswith("Documents")
        for d in assembly.resources(name, "AWS::SSM::Document").values()
    }

    assert documents.keys() == {r.document_name for r in load_all() if "runbook" in r.places}
    for document in documents.values():
        assert document["DocumentType"] == "Automation"
        assert document["DocumentFormat"] == "JSON"
        assert document["UpdateMethod"] == "NewVersion", "a replacement would want the same name twice"


def test_where_a_document_is_depends_on_its_id_alone() -> None:
    assert stack_of("kms/rotate_key") == "Kms"
    for service, parts in SPLIT.items():
        stacks = {stack_of(f"{service}/verb_{n}") for n in range(200)}
        assert stacks == {f"{service.capitalize()}{n + 1}" for n in range(parts)}


def test_the_rule_forwards_ends_of_our_runbooks_to_the_admin_s_bus_under_the_events_role(assembly: Assembly) -> None:
    (rule,) = assembly.resources("member", "AWS::Events::Rule").values()
    (target,) = rule["Targets"]

    assert target["Arn"] == {
        "Fn::Sub": "arn:${AWS::Partition}:events:${HomeRegion}:${SecHubAdminAccount}:event-bus/sharr"
    }
    assert target["RoleArn"] == {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/sharr/sharr-events"}
    assert rule["EventPattern"]["detail"]["Definition"] == [{"prefix": "SHARR-"}]
    assert "EventBusName" not in rule


def test_an_idle_member_account_pays_nothing(assembly: Assembly) -> None:
    free = {"AWS::SSM::Document", "AWS::Events::Rule", "AWS::CloudFormation::Stack", "AWS::IAM::Role"}
    for name, template in assembly.templates.items():
        if name.startswith("Documents") or name in ("member", "member-roles"):
            assert {r["Type"] for r in template["Resources"].values()} <= free, name
