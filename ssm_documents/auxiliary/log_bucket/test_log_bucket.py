"""The bucket of delivered logs: private from the start, completed where half made, never another's, its policy kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sharr.loader import DOCUMENTS
from sharr.runtime.contract import CannotRepair
from sharr.runtime.driver import resolve
from sharr.scripts import load_script
from tests.harness import Bench, bench

ID = "s3/log_server_access"
ACCOUNT = "222222222222"
ALL = [
    "create_bucket", "put_public_access_block", "put_bucket_versioning", "put_bucket_lifecycle_configuration",
    "put_bucket_policy",
]  # fmt: skip
Json = dict[str, Any]


def script() -> Any:
    return load_script(DOCUMENTS / "auxiliary" / "log_bucket" / "script.py")


def target(partition: str = "aws", region: str = "us-east-1", keep: int = 365) -> Json:
    return {"partition": partition, "account": ACCOUNT, "region": region, "parameters": {"keepDays": keep}}


def name(region: str = "us-east-1") -> str:
    return f"sharr-logs-{ACCOUNT}-{region}"


def wanted(region: str = "us-east-1", partition: str = "aws") -> list[Json]:
    found: list[Json] = script().statements(name(region), region, target(partition, region))
    return found


def absent(region: str = "us-east-1") -> Json:
    return {"name": name(region), "region": region, "is": "absent"}


def ours(**more: Any) -> Json:
    policy = {"Version": "2012-10-17", "Statement": wanted()}
    complete = {"blocked": True, "versioned": True, "expires": True, "kms": False, "policy": policy}
    return {**absent(), "is": "ours", **complete, **more}


def put_policy(facts: Json) -> Json:
    (one,) = script().make(facts, target())
    found: Json = json.loads(resolve(one["parameters"], {}, {})["Policy"])
    return found


@pytest.mark.parametrize(
    ("case", "facts", "operations"),
    [
        ("absent", absent(), ALL),
        ("complete", ours(), []),
        ("without block", ours(blocked=False), ["put_public_access_block"]),
        ("without versions", ours(versioned=False), ["put_bucket_versioning"]),
        ("without lifecycle", ours(expires=False), ["put_bucket_lifecycle_configuration"]),
        ("without policy", ours(policy=None), ["put_bucket_policy"]),
    ],
)
def test_make(case: str, facts: Json, operations: list[str]) -> None:
    calls = script().make(facts, target())

    assert operations == [one["operation"] for one in calls], case
    assert all(one["kept"] for one in calls)


def test_every_call_goes_to_the_buckets_region_and_all_but_the_first_name_the_owner() -> None:
    first, *rest = script().make(absent("eu-west-1"), target())

    assert first["operation"] == "create_bucket"
    assert first["parameters"]["CreateBucketConfiguration"]["LocationConstraint"] == "eu-west-1"
    assert all(one["region"] == "eu-west-1" for one in (first, *rest))
    assert all(one["parameters"]["ExpectedBucketOwner"] == ACCOUNT for one in rest)


def test_two_repairs_at_once_make_one_bucket() -> None:
    first = script().make(absent("eu-west-1"), target())[0]

    assert first["fine"] == ["BucketAlreadyOwnedByYou"]


def test_a_bucket_of_another_is_refused() -> None:
    with pytest.raises(CannotRepair, match="exists and is not ours"):
        script().make({**absent(), "is": "another's"}, target())


def test_a_bucket_with_a_kms_key_is_refused_for_s3_delivers_nothing_there() -> None:
    with pytest.raises(CannotRepair, match="KMS key") as caught:
        script().make(ours(kms=True), target())

    assert "SSE-S3" in caught.value.to_do


def test_a_statement_of_ours_that_somebody_changed_is_not_overwritten_nor_doubled() -> None:
    """cloud-custodian 881: enabling a log replaced the policy that a bucket had."""
    facts = ours()
    facts["policy"]["Statement"][0] |= {"Resource": f"arn:aws:s3:::{name()}/s3/one/*"}

    with pytest.raises(CannotRepair, match=r"not as we made it: SharrS3;"):
        script().make(facts, target())


@pytest.mark.parametrize(
    "theirs", [{"Sid": "Auditors", "Effect": "Deny"}, [{"Sid": "Auditors", "Effect": "Deny"}, wanted()[2]]]
)
def test_what_is_missing_is_added_and_all_that_is_there_stays_first(theirs: Any) -> None:
    there = theirs if isinstance(theirs, list) else [theirs]

    put = put_policy(ours(policy={"Version": "2008-10-17", "Id": "p", "Statement": theirs}))

    assert (put["Version"], put["Id"]) == ("2008-10-17", "p")
    assert put["Statement"] == [*there, *(s for s in wanted() if s not in there)]


def test_our_statements_are_known_in_the_form_in_which_s3_shows_them() -> None:
    """https://github.com/hashicorp/terraform/pull/4278: S3 sorts lists, and makes a list of one a text."""

    def shown(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shown(inner) for key, inner in value.items()}
        return value if isinstance(value, str) else value[0] if len(value) == 1 else sorted(value)

    facts = ours()
    facts["policy"]["Statement"] = [shown(statement) for statement in wanted()]

    assert facts["policy"]["Statement"] != wanted()
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
def test_each_service_writes_under_its_own_prefix_for_this_account_alone(partition: str, region: str) -> None:
    s3, redshift, config, tls = wanted(region, partition)

    bucket, put, look = f"arn:{partition}:s3:::{name(region)}", "s3:PutObject", "s3:GetBucketAcl"
    rows = [
        (s3, "logging.s3", [put], [f"{bucket}/s3/*"]),
        (redshift, "redshift", [put, look], [bucket, f"{bucket}/redshift/*"]),
        (config, "config", [put, look, "s3:ListBucket"], [bucket, f"{bucket}/config/*"]),
    ]
    for one, service, actions, resources in rows:
        assert (one["Effect"], one["Principal"]) == ("Allow", {"Service": f"{service}.amazonaws.com"})
        assert (one["Action"], one["Resource"]) == (actions, resources)
        assert one["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert (tls["Effect"], tls["Principal"], tls["Resource"]) == ("Deny", "*", [bucket, f"{bucket}/*"])
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize(
    ("partition", "region", "service"),
    [
        ("aws", "ap-southeast-2", "redshift"),
        ("aws", "ap-east-1", "redshift.ap-east-1"),
        ("aws", "eu-south-2", "redshift.eu-south-2"),
        ("aws-us-gov", "us-gov-east-1", "redshift"),
    ],
)
def test_redshift_has_a_name_of_its_own_in_regions_that_must_be_turned_on(
    partition: str, region: str, service: str
) -> None:
    found = [s["Principal"]["Service"] for s in wanted(region, partition) if s["Sid"].startswith("SharrRedshift")]

    assert found == [f"{service}.amazonaws.com"]


def test_what_is_in_a_bucket_that_died_half_made_is_seen() -> None:
    with bench(ID) as b:
        make(b, {"sharr": "log_bucket"})

        assert script().look(b, target()) == {
            "name": name(), "region": "us-east-1", "is": "ours", "blocked": False, "versioned": False,
            "expires": False, "kms": False, "policy": None,
        }  # fmt: skip


def test_a_bucket_that_uses_a_kms_key_is_seen() -> None:
    with bench(ID) as b:
        make(b, {"sharr": "log_bucket"})
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
        b.client("s3").put_bucket_encryption(Bucket=name(), ServerSideEncryptionConfiguration={"Rules": [rule]})

        assert script().look(b, target())["kms"] is True


@pytest.mark.parametrize("tags", [{}, {"team": "audit"}, {"sharr": "another auxiliary"}])
def test_a_bucket_without_our_tag_is_anothers(tags: dict[str, str]) -> None:
    with bench(ID) as b:
        make(b, tags)

        assert script().look(b, target()) == {**absent(), "is": "another's"}


def test_a_bucket_of_another_account_is_anothers_though_it_has_our_tag() -> None:
    with bench(ID) as b:
        make(b, {"sharr": "log_bucket"}, owner=b.world.organization.members[1])

        assert script().look(b, target()) == {**absent(), "is": "another's"}


def test_a_bucket_that_is_not_there_is_absent() -> None:
    with bench(ID) as b:
        assert script().look(b, target()) == absent()


def test_the_bucket_stands_where_the_findings_bucket_stands() -> None:
    with bench(ID) as b:
        place = {"LocationConstraint": "eu-west-1"}
        b.client("s3", "eu-west-1").create_bucket(Bucket="source", CreateBucketConfiguration=place)

        assert script().look(b, target() | {"resource": {"bucket": "source"}}) == absent("eu-west-1")


def test_the_bucket_passes_the_controls_that_we_repair() -> None:
    with bench(ID) as b:
        b.client("s3").create_bucket(Bucket="source")
        b.remediate("S3.9", b.arn("s3", "source", region="", account=""))

        s3 = b.client("s3")
        rules = s3.get_bucket_lifecycle_configuration(Bucket=name())["Rules"]
        assert all(s3.get_public_access_block(Bucket=name())["PublicAccessBlockConfiguration"].values())  # S3.2, .3, .8
        assert s3.get_bucket_versioning(Bucket=name())["Status"] == "Enabled"  # S3.14
        assert [(r["Status"], r["Expiration"]["Days"]) for r in rules] == [("Enabled", 365)]  # S3.10, S3.13
        ownership = s3.get_bucket_ownership_controls(Bucket=name())["OwnershipControls"]["Rules"]
        assert [r["ObjectOwnership"] for r in ownership] == ["BucketOwnerEnforced"]  # S3.12
        found = json.loads(s3.get_bucket_policy(Bucket=name())["Policy"])["Statement"]
        assert found == wanted()
        assert any(s["Effect"] == "Deny" and "aws:SecureTransport" in s["Condition"]["Bool"] for s in found[3:])  # S3.5
        assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=name())


def test_a_denied_read_of_our_bucket_is_not_taken_for_absent() -> None:
    class Denied:
        def client(self, *_: str) -> Denied:
            return self

        def get_bucket_tagging(self, **_: str) -> Json:
            return {"TagSet": [{"Key": "sharr", "Value": "log_bucket"}]}

        def get_public_access_block(self, **_: str) -> Json:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetPublicAccessBlock")

    with pytest.raises(ClientError):
        script().look(Denied(), target())


def make(b: Bench, tags: dict[str, str], owner: str | None = None) -> None:
    s3 = b.client("s3", account=owner)
    s3.create_bucket(Bucket=name())
    if tags:
        s3.put_bucket_tagging(Bucket=name(), Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in tags.items()]})
