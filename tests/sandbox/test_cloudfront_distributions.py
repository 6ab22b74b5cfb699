"""CloudFront in the sandbox, held against AWS's documentation."""

from __future__ import annotations

from typing import Any

from tests.sandbox.fakes import a_world, error_of

ORIGIN: dict[str, Any] = {
    "Id": "main",
    "DomainName": "site.s3.amazonaws.com",
    "S3OriginConfig": {"OriginAccessIdentity": ""},
    "OriginAccessControlId": "E2QWRUHAPOMQZL",
    "CustomHeaders": {"Quantity": 1, "Items": [{"HeaderName": "X-Key", "HeaderValue": "secret"}]},
}
CONFIG: dict[str, Any] = {
    "CallerReference": "one",
    "Comment": "",
    "Enabled": True,
    "Origins": {"Quantity": 1, "Items": [ORIGIN]},
    "DefaultCacheBehavior": {"TargetOriginId": "main", "ViewerProtocolPolicy": "https-only", "CachePolicyId": "p"},
}


def made(world: Any) -> tuple[Any, str]:
    cloudfront = world.identity.client("cloudfront", "222222222222", "us-east-1")
    return cloudfront, str(cloudfront.create_distribution(DistributionConfig=CONFIG)["Distribution"]["Id"])


def test_what_was_given_comes_back_whole_and_can_be_given_again() -> None:
    """https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_UpdateDistribution.html"""
    with a_world() as world:
        cloudfront, id_ = made(world)
        first = cloudfront.get_distribution_config(Id=id_)
        assert first["DistributionConfig"]["Origins"]["Items"][0].items() >= ORIGIN.items()
        assert first["DistributionConfig"]["DefaultRootObject"] == ""

        config = first["DistributionConfig"] | {"DefaultRootObject": "index.html"}
        answer = cloudfront.update_distribution(Id=id_, IfMatch=first["ETag"], DistributionConfig=config)

        second = cloudfront.get_distribution_config(Id=id_)
        assert second["DistributionConfig"] == config
        assert second["ETag"] == answer["ETag"] != first["ETag"]


def test_an_update_that_does_not_fit_is_refused() -> None:
    with a_world() as world:
        cloudfront, id_ = made(world)
        first = cloudfront.get_distribution_config(Id=id_)
        config = first["DistributionConfig"]

        def update(etag: str = first["ETag"], **change: Any) -> str:
            whole = config | change
            return error_of(lambda: cloudfront.update_distribution(Id=id_, IfMatch=etag, DistributionConfig=whole))

        behavior = {"TargetOriginId": "other", "PathPattern": "/a", "ViewerProtocolPolicy": "https-only"}
        assert update(etag="E0000000000000") == "PreconditionFailed"
        assert update(CallerReference="two") == "IllegalUpdate"
        assert update(DefaultRootObject="/index.html") == "InvalidDefaultRootObject"
        assert update(Origins={"Quantity": 2, "Items": [ORIGIN]}) == "InconsistentQuantities"
        assert update(CacheBehaviors={"Quantity": 1, "Items": [behavior]}) == "NoSuchOrigin"
        assert cloudfront.get_distribution_config(Id=id_) | {"ResponseMetadata": 0} == first | {"ResponseMetadata": 0}
