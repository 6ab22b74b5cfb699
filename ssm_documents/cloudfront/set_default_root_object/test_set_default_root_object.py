"""CloudFront.1: the user's object, where the bucket has it; everything else of the distribution stays."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "cloudfront/set_default_root_object"
BUCKET = "site-for-cloudfront-1"
CANARY = "canary-header-cloudfront-1"
INDEX = {"defaultRootObject": "index.html"}
S3 = {"S3OriginConfig": {"OriginAccessIdentity": ""}}
CUSTOM = {"CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}}


def distribution(b: Bench, domain: str, kind: dict[str, Any] = S3, **more: Any) -> str:
    headers = {"Quantity": 1, "Items": [{"HeaderName": "X-Key", "HeaderValue": CANARY}]}
    origin = {"Id": "main", "DomainName": domain, "CustomHeaders": headers, "OriginAccessControlId": "E2QWRUHAPOMQZL"}
    config = {
        "CallerReference": f"for-cloudfront-1-{domain}",
        "Comment": "kept",
        "Enabled": True,
        "Origins": {"Quantity": 1, "Items": [origin | kind | more]},
        "DefaultCacheBehavior": {"TargetOriginId": "main", "ViewerProtocolPolicy": "https-only", "CachePolicyId": "p"},
    }
    return str(b.client("cloudfront").create_distribution(DistributionConfig=config)["Distribution"]["ARN"])


def bucket(b: Bench, *keys: str) -> str:
    b.client("s3").create_bucket(Bucket=BUCKET)
    for key in keys:
        b.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"")
    return f"{BUCKET}.s3.{b.region}.amazonaws.com"


def with_object(b: Bench) -> str:
    return distribution(b, bucket(b, "index.html", "index.html.old"))


def application(b: Bench) -> str:
    return distribution(b, "shop-for-cloudfront-1.example.com", CUSTOM)


def config_of(b: Bench, resource_id: str) -> dict[str, Any]:
    id_ = resource_id.rpartition("/")[2]
    found: dict[str, Any] = b.client("cloudfront").get_distribution_config(Id=id_)["DistributionConfig"]
    return found


def passes(b: Bench, resource_id: str) -> bool:
    """The Config rule cloudfront-default-root-object-configured."""
    return bool(config_of(b, resource_id)["DefaultRootObject"])


CASES = [
    Case(
        "CloudFront.1",
        "a bucket that has the object",
        with_object,
        passes,
        settings=INDEX,
        secrets=(CANARY,),
    ),
    Case(
        "CloudFront.1",
        "an origin that is no bucket",
        application,
        passes,
        settings={"defaultRootObject": "start/home.html"},
        secrets=(CANARY,),
    ),
]


def plan(root: str | None = None, wanted: str | None = "index.html", there: bool | None = None) -> list[dict[str, Any]]:
    facts = {"bucket": "b", "has_object": there}
    target = {"resource": {"distribution": "E1"}, "parameters": {"defaultRootObject": wanted}}
    state = {"config": {"default_root_object": root}, "facts": facts, "busy": None}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, target)
    return made


def test_any_object_will_do_where_there_is_one() -> None:
    assert plan(root="home.html", wanted=None) == []


@pytest.mark.parametrize("there", [True, None])
def test_what_cannot_be_told_does_not_stop_the_repair(there: bool | None) -> None:
    assert [c["operation"] for c in plan(there=there)] == ["get_distribution_config", "update_distribution"]


def test_no_name_is_guessed() -> None:
    with pytest.raises(CannotRepair, match="known to its owner only") as error:
        plan(wanted=None)
    assert "set defaultRootObject" in error.value.to_do


@pytest.mark.parametrize(
    ("name", "keys", "path", "outcome"),
    [
        ("the bucket has only another object of that beginning", ["index.html.old"], "", "FAILED"),
        ("the bucket has it at another path", ["index.html"], "/site", "FAILED"),
        ("the bucket has it at the origin's path", ["site/index.html"], "/site", "REMEDIATED"),
    ],
)
def test_the_object_must_be_where_the_origin_looks(name: str, keys: list[str], path: str, outcome: str) -> None:
    with bench(ID) as b:
        arn = distribution(b, bucket(b, *keys), OriginPath=path)

        result = b.remediate("CloudFront.1", arn, settings=INDEX)

        assert result["outcome"] == outcome, (name, result)
        assert passes(b, arn) == (outcome == "REMEDIATED")


def test_a_bucket_of_another_account_is_not_read_and_does_not_stop_the_repair() -> None:
    with bench(ID) as b:
        other = b.world.organization.members[1]
        b.client("s3", account=other).create_bucket(Bucket="theirs-for-cloudfront-1")
        arn = distribution(b, "theirs-for-cloudfront-1.s3.amazonaws.com")

        assert b.remediate("CloudFront.1", arn, settings=INDEX)["outcome"] == "REMEDIATED"


def test_everything_else_of_the_distribution_stays() -> None:
    with bench(ID) as b:
        arn = with_object(b)
        before = config_of(b, arn)

        b.remediate("CloudFront.1", arn, settings=INDEX)

        assert config_of(b, arn) == before | {"DefaultRootObject": "index.html"}


def test_an_undo_keeps_what_a_colleague_changed_since() -> None:
    with bench(ID) as b:
        arn = with_object(b)
        attempt = b.attempt("CloudFront.1", arn, settings=INDEX)
        attempt.finish()
        cloudfront, id_ = b.client("cloudfront"), arn.rpartition("/")[2]
        now = cloudfront.get_distribution_config(Id=id_)
        changed = now["DistributionConfig"] | {"Comment": "changed since"}
        cloudfront.update_distribution(Id=id_, IfMatch=now["ETag"], DistributionConfig=changed)

        assert attempt.undo()["outcome"] == "UNDONE"

        assert config_of(b, arn) == changed | {"DefaultRootObject": ""}


def test_a_distribution_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        gone = b.arn("cloudfront", "distribution/E1GONE", region="")

        assert b.remediate("CloudFront.1", gone)["outcome"] == "COMPLIANT"
