"""The bucket of our trail: private from the start, completed where half made, never another's, its policy kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sharr.loader import DOCUMENTS
from sharr.runtime.contract import CannotRepair
from sharr.scripts import load_script
from tests.harness import Bench, bench

ID = "cloudtrail/create_trail"
ACCOUNT = "222222222222"
ALL = [
    "create_bucket", "put_public_access_block", "put_bucket_versioning", "put_bucket_lifecycle_configuration",
    "put_bucket_policy",
]  # fmt: skip


def script() -> Any:
    return load_script(DOCUMENTS / "auxiliary" / "trail_bucket" / "script.py")


def target(partition: str = "aws", region: str = "us-east-1", keep: int = 365) -> dict[str, Any]:
    return {"partition": partition, "account": ACCOUNT, "region": region, "parameters": {"keepDays": keep}}


def name(region: str = "us-east-1") -> str:
    return f"sharr-trail-{ACCOUNT}-{region}"


def ours(**more: Any) -> dict[str, Any]:
    policy = {"Version": "2012-10-17", "Statement": script().statements(name(), target())}
    complete = {"blocked": True, "versioned": True, "expires": True, "policy": policy}
    return {"name": name(), "is": "ours", **complete, **more}


@pytest.mark.parametrize(
    ("case", "facts", "operations"),
    [
        ("absent", {"name": name(), "is": "absent"}, ALL),
        ("complete", ours(), []),
        ("without block", ours(blocked=False), ["put_public_access_block"]),
        ("without versions", ours(versioned=False), ["put_bucket_versioning"]),
        ("without lifecycle", ours(expires=False), ["put_bucket_lifecycle_configuration"]),
        ("without policy", ours(policy=None), ["put_bucket_policy"]),
    ],
)
def test_make(case: str, facts: dict[str, Any], operations: list[str]) -> None:
    calls = script().make(facts, target())

    assert operations == [one["operation"] for one in calls], case
    assert all(one["kept"] for one in calls)


def test_every_call_but_the_first_names_the_owner_that_it_expects() -> None:
    first, *rest = script().make({"name": name(), "is": "absent"}, target())

    assert first["operation"] == "create_bucket"
    assert all(one["parameters"]["ExpectedBucketOwner"] == ACCOUNT for one in rest)


def test_a_bucket_of_another_is_refused() -> None:
    with pytest.raises(CannotRepair, match="exists and is not ours"):
        script().make({"name": name(), "is": "another's"}, target())


@pytest.mark.parametrize(
    "change",
    [
        lambda statements: statements[:2],
        lambda statements: [{"Sid": "Mine", "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket"}],
    ],
)
def test_a_policy_that_somebody_changed_is_not_overwritten(change: Any) -> None:
    """cloud-custodian 881: enabling a trail replaced the policy that a bucket had."""
    facts = ours()
    facts["policy"]["Statement"] = change(facts["policy"]["Statement"])

    with pytest.raises(CannotRepair, match="not as we made it"):
        script().make(facts, target())


def test_the_policy_is_known_in_the_form_in_which_s3_shows_it() -> None:
    """S3 sorts lists, and shows a list of one as its member alone: terraform-provider-aws 4278."""
    facts = ours()
    for statement in facts["policy"]["Statement"]:
        if isinstance(statement["Resource"], list):
            statement["Resource"] = sorted(statement["Resource"], reverse=True)
        statement["Action"] = [statement["Action"]]

    assert script().make(facts, target()) == []


def test_statements_that_somebody_added_stay() -> None:
    facts = ours()
    facts["policy"]["Statement"] = [{"Sid": "Auditors"}, *facts["policy"]["Statement"]]

    assert script().make(facts, target()) == []


@pytest.mark.parametrize(
    ("partition", "region"),
    [
        ("aws", "eu-west-1"),
        ("aws-us-gov", "us-gov-west-1"),
        ("aws-cn", "cn-northwest-1"),
        ("aws-eusc", "eusc-de-east-1"),
    ],
)
def test_the_policy_lets_this_very_trail_in_and_asks_everybody_for_tls(partition: str, region: str) -> None:
    acl, write, tls = script().statements(name(region), target(partition, region))

    bucket, trail = (
        f"arn:{partition}:s3:::{name(region)}",
        f"arn:{partition}:cloudtrail:{region}:{ACCOUNT}:trail/sharr-trail",
    )
    assert (acl["Action"], acl["Resource"]) == ("s3:GetBucketAcl", bucket)
    assert acl["Condition"] == {"StringEquals": {"aws:SourceArn": trail}}
    assert (write["Action"], write["Resource"]) == ("s3:PutObject", f"{bucket}/AWSLogs/{ACCOUNT}/*")
    assert write["Condition"]["StringEquals"] == {
        "aws:SourceArn": trail,
        "s3:x-amz-acl": "bucket-owner-full-control",
    }
    assert acl["Principal"] == write["Principal"] == {"Service": "cloudtrail.amazonaws.com"}
    assert (tls["Effect"], tls["Principal"], tls["Resource"]) == ("Deny", "*", [bucket, f"{bucket}/*"])
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_what_is_in_a_bucket_that_died_half_made_is_seen() -> None:
    with bench(ID) as b:
        make(b, {"sharr": "trail_bucket"})

        facts = script().look(b, target())

        assert facts == {
            "name": name(), "is": "ours", "blocked": False, "versioned": False, "expires": False, "policy": None,
        }  # fmt: skip


@pytest.mark.parametrize("tags", [{}, {"team": "audit"}, {"sharr": "another auxiliary"}])
def test_a_bucket_without_our_tag_is_anothers(tags: dict[str, str]) -> None:
    with bench(ID) as b:
        make(b, tags)

        assert script().look(b, target()) == {"name": name(), "is": "another's"}


def test_a_bucket_of_another_account_is_anothers_though_it_has_our_tag() -> None:
    with bench(ID) as b:
        make(b, {"sharr": "trail_bucket"}, owner=b.world.organization.members[1])

        assert script().look(b, target()) == {"name": name(), "is": "another's"}


def test_a_bucket_that_is_not_there_is_absent() -> None:
    with bench(ID) as b:
        assert script().look(b, target()) == {"name": name(), "is": "absent"}


def test_the_bucket_passes_the_controls_that_we_repair() -> None:
    with bench(ID) as b:
        b.remediate("CloudTrail.1", f"AWS::::Account:{b.account}")

        s3 = b.client("s3")
        rules = s3.get_bucket_lifecycle_configuration(Bucket=name())["Rules"]
        assert all(s3.get_public_access_block(Bucket=name())["PublicAccessBlockConfiguration"].values())  # S3.8
        assert s3.get_bucket_versioning(Bucket=name())["Status"] == "Enabled"  # S3.14
        assert [(r["Status"], r["Expiration"]["Days"]) for r in rules] == [("Enabled", 365)]  # S3.10, S3.13
        ownership = s3.get_bucket_ownership_controls(Bucket=name())["OwnershipControls"]["Rules"]
        assert [r["ObjectOwnership"] for r in ownership] == ["BucketOwnerEnforced"]  # S3.12
        statements = json.loads(s3.get_bucket_policy(Bucket=name())["Policy"])["Statement"]
        assert any(
            s["Effect"] == "Deny" and "aws:SecureTransport" in s["Condition"]["Bool"] for s in statements[2:]
        )  # S3.5


def test_a_denied_read_of_our_bucket_is_not_taken_for_absent() -> None:
    class Denied:
        def client(self, _service: str) -> Denied:
            return self

        def get_bucket_tagging(self, **_: str) -> dict[str, Any]:
            return {"TagSet": [{"Key": "sharr", "Value": "trail_bucket"}]}

        def get_public_access_block(self, **_: str) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetPublicAccessBlock")

    with pytest.raises(ClientError):
        script().look(Denied(), target())


def make(b: Bench, tags: dict[str, str], owner: str | None = None) -> None:
    s3 = b.client("s3", account=owner)
    s3.create_bucket(Bucket=name())
    if tags:
        s3.put_bucket_tagging(Bucket=name(), Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in tags.items()]})
