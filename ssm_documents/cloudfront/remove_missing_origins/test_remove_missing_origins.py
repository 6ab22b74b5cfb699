"""CloudFront.12: an origin without its bucket goes where nothing uses it; one in use is left to a person."""

from __future__ import annotations

import json
from typing import Any

import jmespath
import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "cloudfront/remove_missing_origins"
CANARY = "canary-header-cloudfront-12"
HEADERS = {"Quantity": 1, "Items": [{"HeaderName": "X-Key", "HeaderValue": CANARY}]}


def origin(id_: str, domain: str, **more: Any) -> dict[str, Any]:
    whole = {"Id": id_, "DomainName": domain, "S3OriginConfig": {"OriginAccessIdentity": ""}, "CustomHeaders": HEADERS}
    return whole | more


def distribution(b: Bench, *origins: dict[str, Any], bucket: str = "there-for-cloudfront-12", **more: Any) -> str:
    """Make a distribution with these origins beside `main`, whose bucket is there."""
    b.client("s3").create_bucket(Bucket=bucket)
    every = [origin("main", f"{bucket}.s3.amazonaws.com"), *origins]
    config = {
        "CallerReference": f"for-cloudfront-12-{[one['Id'] for one in origins]}",
        "Comment": "kept",
        "Enabled": True,
        "Origins": {"Quantity": len(every), "Items": every},
        "DefaultCacheBehavior": {"TargetOriginId": "main", "ViewerProtocolPolicy": "https-only", "CachePolicyId": "p"},
    }
    answer = b.client("cloudfront").create_distribution(DistributionConfig=config | more)
    return str(answer["Distribution"]["ARN"])


def one_missing(b: Bench) -> str:
    return distribution(b, origin("old", f"gone-for-cloudfront-12.s3.{b.region}.amazonaws.com", OriginPath="/site"))


def two_missing(b: Bench) -> str:
    website = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
    plain = {"Id": "site", "DomainName": f"gone.s3-website-{b.region}.amazonaws.com", "CustomOriginConfig": website}
    return distribution(
        b,
        origin("a`]\"'", "gone-a-for-cloudfront-12.s3.amazonaws.com", CustomHeaders={"Quantity": 0}),
        origin("b", "gone.b.s3-eu-west-1.amazonaws.com", CustomHeaders={"Quantity": 0}),
        plain,
        bucket="there-too-for-cloudfront-12",
    )


def config_of(b: Bench, resource_id: str) -> dict[str, Any]:
    id_ = resource_id.rpartition("/")[2]
    found: dict[str, Any] = b.client("cloudfront").get_distribution_config(Id=id_)["DistributionConfig"]
    return found


def passes(b: Bench, resource_id: str) -> bool:
    """The Config rule cloudfront-s3-origin-non-existent-bucket; buckets with a website are not evaluated."""
    names = {bucket["Name"] for bucket in b.client("s3").list_buckets()["Buckets"]}
    origins = config_of(b, resource_id)["Origins"]["Items"]
    return all(one["DomainName"].split(".s3")[0] in names for one in origins if "S3OriginConfig" in one)


NOT_BACK = {"origins/old/CustomHeaders": "values of headers are not recorded"}
CASES = [
    Case("CloudFront.12", "an unused origin", one_missing, passes, secrets=(CANARY,), not_restored=NOT_BACK),
    Case("CloudFront.12", "two unused origins", two_missing, passes, secrets=(CANARY,)),
]


def plan(missing: list[str], unknown: list[str] | None = None, **used: list[str]) -> list[dict[str, Any]]:
    names = {"main", "old", "odd", *missing}
    origins = {name: {"DomainName": f"{name}.s3.amazonaws.com", "CustomHeaders": []} for name in names}
    facts = {"missing": missing, "unknown": unknown or [], "used": {"main": ["the default cache behavior"]} | used}
    state = {"config": {"origins": origins}, "facts": facts, "busy": None}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, {"resource": {"distribution": "E1"}})
    return made


def test_a_distribution_whose_buckets_exist_is_compliant() -> None:
    assert plan([]) == []


@pytest.mark.parametrize(
    ("missing", "unknown", "used", "why"),
    [
        (["main"], [], {}, "main.s3.amazonaws.com does not exist, and the default cache behavior"),
        (["old", "main"], [], {}, "main.s3.amazonaws.com does not exist"),
        (["old"], [], {"old": ["the origin group g"]}, "the origin group g"),
        ([], ["odd"], {}, "which bucket odd.s3.amazonaws.com means"),
        (["old"], ["odd"], {}, "which bucket odd.s3.amazonaws.com means"),
    ],
)
def test_what_is_in_use_or_not_known_is_left_to_a_person(
    missing: list[str], unknown: list[str], used: dict[str, list[str]], why: str
) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(missing, unknown, **used)


def test_an_id_cannot_end_the_expression_that_it_stands_in() -> None:
    hostile = "x`, Id)] || Origins.Items[?`true`]"
    path = plan([hostile])[1]["parameters"]["DistributionConfig"]["path"]
    items = [{"Id": "main"}, {"Id": hostile}, {"Id": "x"}]

    written = jmespath.search(path, {"DistributionConfig": {"Comment": "", "Origins": {"Quantity": 3, "Items": items}}})

    assert written == {"Comment": "", "Origins": {"Quantity": 2, "Items": [{"Id": "main"}, {"Id": "x"}]}}


def test_only_the_origin_at_fault_goes_and_the_distribution_stays_in_service() -> None:
    with bench(ID) as b:
        arn = one_missing(b)
        before = config_of(b, arn)
        attempt = b.attempt("CloudFront.12", arn)

        assert attempt.finish()["outcome"] == "REMEDIATED"

        main = [one for one in before["Origins"]["Items"] if one["Id"] == "main"]
        assert config_of(b, arn) == before | {"Origins": {"Quantity": 1, "Items": main}}
        record = attempt.journal["before"]["config"]["origins"]["old"]
        assert (record["OriginPath"], record["CustomHeaders"]) == ("/site", ["X-Key"])


def test_an_origin_in_use_is_left_even_where_another_one_could_go() -> None:
    with bench(ID) as b:
        member = [origin(name, f"gone-{name}-for-cloudfront-12.s3.amazonaws.com") for name in ("used", "unused")]
        behavior = {"TargetOriginId": "used", "PathPattern": "/img/*", "ViewerProtocolPolicy": "https-only"}
        arn = distribution(b, *member, CacheBehaviors={"Quantity": 1, "Items": [behavior]})
        before = config_of(b, arn)

        result = b.remediate("CloudFront.12", arn)

        assert result["outcome"] == "FAILED"
        assert "cache behavior /img/*" in result["why"]
        assert config_of(b, arn) == before


def test_a_bucket_of_somebody_else_is_there() -> None:
    with bench(ID) as b:
        other = b.world.organization.members[1]
        b.client("s3", account=other).create_bucket(Bucket="theirs-for-cloudfront-12")
        arn = distribution(b, origin("theirs", "theirs-for-cloudfront-12.s3.amazonaws.com"))

        assert b.remediate("CloudFront.12", arn)["outcome"] == "COMPLIANT"


def test_an_undo_keeps_an_origin_that_a_colleague_added_since() -> None:
    with bench(ID) as b:
        arn = two_missing(b)
        before = config_of(b, arn)["Origins"]["Items"]
        attempt = b.attempt("CloudFront.12", arn)
        attempt.finish()
        cloudfront, id_ = b.client("cloudfront"), arn.rpartition("/")[2]
        now = cloudfront.get_distribution_config(Id=id_)
        items = [
            *now["DistributionConfig"]["Origins"]["Items"],
            origin("new", "there-too-for-cloudfront-12.s3.amazonaws.com"),
        ]
        changed = now["DistributionConfig"] | {"Origins": {"Quantity": len(items), "Items": items}}
        cloudfront.update_distribution(Id=id_, IfMatch=now["ETag"], DistributionConfig=changed)

        assert attempt.undo()["outcome"] == "UNDONE"

        after = {one["Id"]: one for one in config_of(b, arn)["Origins"]["Items"]}
        assert after.pop("new")
        assert after == {one["Id"]: one for one in before}


def test_the_state_holds_no_header_value() -> None:
    with bench(ID) as b:
        attempt = b.attempt("CloudFront.12", one_missing(b))
        attempt.preview()

        assert CANARY not in json.dumps(attempt.journal)


def test_a_distribution_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        gone = b.arn("cloudfront", "distribution/E1GONE", region="")

        assert b.remediate("CloudFront.12", gone)["outcome"] == "COMPLIANT"
