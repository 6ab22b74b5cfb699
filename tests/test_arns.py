"""Partitions, Regions and ARNs: what is taken, and that nothing else is."""

from __future__ import annotations

import botocore.loaders
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharr.arns import LONGEST_ARN, PARTITIONS, Arn, MalformedArn, UnknownRegion, arn, parse_arn, partition_of

REGIONS = [
    ("us-east-1", "aws"),
    ("ap-southeast-7", "aws"),
    ("mx-central-1", "aws"),
    ("cn-north-1", "aws-cn"),
    ("us-gov-west-1", "aws-us-gov"),
    ("us-iso-east-1", "aws-iso"),
    ("us-isob-east-1", "aws-iso-b"),
    ("eu-isoe-west-1", "aws-iso-e"),
    ("us-isof-south-1", "aws-iso-f"),
    ("eusc-de-east-1", "aws-eusc"),
]


@pytest.mark.parametrize(("region", "partition"), REGIONS)
def test_every_partition_is_known_by_its_regions(region, partition):
    assert partition_of(region) == partition
    assert region in PARTITIONS[partition].regions


def test_the_data_has_every_region_that_botocore_knows_and_no_other():
    theirs = {
        region
        for partition in botocore.loaders.Loader().load_data("partitions")["partitions"]
        for region in partition["regions"]
        if not region.endswith("-global")
    }

    assert {region for partition in PARTITIONS.values() for region in partition.regions} == theirs


def test_no_region_is_in_two_partitions():
    regions = [region for partition in PARTITIONS.values() for region in partition.regions]

    assert len(regions) == len(set(regions))


def test_console_hosts_differ_and_are_absent_where_none_is_published():
    hosts = {name: partition.console for name, partition in PARTITIONS.items()}

    assert hosts["aws-cn"] == "console.amazonaws.cn"
    assert {name for name, host in hosts.items() if host is None} == {"aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"}


@pytest.mark.parametrize(
    "region", ["", "aws-global", "eu-west-11", "EU-WEST-1", "eu-west-1\n", "eu-west-\u0661", "x" * 9999]
)
def test_what_is_no_region_has_no_partition(region):
    with pytest.raises(UnknownRegion) as refused:
        partition_of(region)

    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("arn:aws:s3:::example-bucket", ("aws", "s3", "", "", "example-bucket")),
        (
            "arn:aws-cn:iam::111122223333:user/a+b=c,d.e@f_g-h",
            ("aws-cn", "iam", "", "111122223333", "user/a+b=c,d.e@f_g-h"),
        ),
        (
            "arn:aws:rds:eu-west-1:111122223333:snapshot:awsbackup:job-1a2b",
            ("aws", "rds", "eu-west-1", "111122223333", "snapshot:awsbackup:job-1a2b"),
        ),
        (
            "arn:aws:autoscaling:us-east-1:111122223333:autoScalingGroup:0f1e:autoScalingGroupName/my group/1",
            (
                "aws",
                "autoscaling",
                "us-east-1",
                "111122223333",
                "autoScalingGroup:0f1e:autoScalingGroupName/my group/1",
            ),
        ),
        ("arn:aws-us-gov:iam::aws:policy/ReadOnlyAccess", ("aws-us-gov", "iam", "", "aws", "policy/ReadOnlyAccess")),
        ("arn:aws-eusc:sqs:eusc-de-east-1:111122223333:q", ("aws-eusc", "sqs", "eusc-de-east-1", "111122223333", "q")),
    ],
)
def test_an_arn_is_taken_apart_and_put_together_again(text, parts):
    parsed = parse_arn(text)

    assert parsed == Arn(*parts)
    assert str(parsed) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "arn:aws:s3:::",
        "arn:aws:s3::example-bucket",
        " arn:aws:s3:::example-bucket",
        "arn:aws:s3:::example-bucket\n",
        "arn:aws:s3:::example\nbucket",
        "arn:aws:s3:::example\x00bucket",
        "arn:aws:s3:::bücket",
        "ARN:aws:s3:::example-bucket",
        "arn:aws-mars:s3:::example-bucket",
        "arn:aws:sqs:cn-north-1:111122223333:q",
        "arn:aws:sqs:eu-west-1:11112222333:q",
        "arn:aws:sqs:eu-west-1:1111222233334:q",
        "arn:aws:sqs:eu-west-1:\u0661\u0661\u0661\u0661\u0662\u0662\u0662\u0662\u0663\u0663\u0663\u0663:q",
        "arn:aws:sqs:eu-west-\uff11:111122223333:q",
        "arn:aws:s3:::" + "b" * (LONGEST_ARN - 12),
    ],
)
def test_anything_but_a_whole_arn_is_refused_in_a_short_text(text):
    with pytest.raises(MalformedArn) as refused:
        parse_arn(text)

    assert len(str(refused.value)) < 600


def test_the_longest_arn_is_taken():
    text = "arn:aws:s3:::" + "b" * (LONGEST_ARN - 13)

    assert str(parse_arn(text)) == text


@given(st.text())
def test_any_text_is_an_arn_that_reads_the_same_or_malformed(text):
    try:
        parsed = parse_arn(text)
    except MalformedArn:
        return
    assert str(parsed) == text


@given(
    st.sampled_from(REGIONS),
    st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True),
    st.from_regex(r"[0-9]{12}", fullmatch=True),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1),
)
def test_what_is_built_is_parsed(place, service, account, resource):
    region, partition = place

    built = arn(partition, service, region, account, resource)

    assert parse_arn(built) == Arn(partition, service, region, account, resource)
