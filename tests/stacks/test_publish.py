"""Publishing: what is in the bucket, its policy, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.world import Sandbox
from stacks.publish import BLOCKED, Bucket, CannotPublish, Place, commands, main, merged, publish, release_of
from tests.stacks.assembly import Assembly
from tests.stacks.published import BUCKET, Organization

ADMIN, MEMBER, HOME = "111111111111", "222222222222", "us-east-1"
PLACE = Place(BUCKET, "sharr", HOME, ADMIN)


@pytest.fixture(scope="module")
def organization(assembly: Assembly) -> Iterator[Organization]:
    with Sandbox() as world:
        yield Organization(world, assembly.folder)


def code_of(do: Any) -> str:
    with pytest.raises(ClientError) as error:
        do()
    return str(error.value.response["Error"]["Code"])


# ------------------------------------------------------------------------------------------------------------- release
def test_a_release_names_no_bootstrap_bucket_and_nothing_that_is_not_there(assembly: Assembly) -> None:
    release = release_of(assembly.folder, PLACE)
    texts = {k: v.decode() for k, v in {**release.assets, **release.templates}.items() if k.endswith(".json")}

    tops = {"admin", "member", "member-flat", "member-roles", "rollout"}
    assert {k.removeprefix(f"{release.folder}/") for k in release.templates} == {
        f"sharr-{name}.template.json" for name in tops
    }
    for key, text in texts.items():
        assert "cdk-hnb659fds" not in text, key
        for kind in ("TemplateURL", "S3Key"):
            for reference in values_of(json.loads(text), kind):
                if isinstance(reference, str):
                    assert reference.removeprefix(PLACE.url("")) in release.assets, (key, reference)
    nested = [u for text in texts.values() for u in values_of(json.loads(text), "TemplateURL") if isinstance(u, str)]
    assert len(nested) > 40
    assert all(u.startswith(f"https://{BUCKET}.s3.us-east-1.amazonaws.com/sharr/assets/") for u in nested)
    assert {k.rpartition(".")[2] for k in release.assets} == {"json", "zip"}


def values_of(value: Any, key: str) -> list[Any]:
    if isinstance(value, list):
        return [found for item in value for found in values_of(item, key)]
    if not isinstance(value, dict):
        return []
    here = [value[key]] if key in value else []
    return here + [found for item in value.values() for found in values_of(item, key)]


def test_equal_sources_make_an_equal_release_and_others_another_folder(assembly: Assembly) -> None:
    again = release_of(assembly.folder, PLACE)
    elsewhere = release_of(assembly.folder, Place("another-bucket", "sharr", HOME, ADMIN))

    assert again == release_of(assembly.folder, PLACE)
    assert elsewhere.folder != again.folder, "the bucket's name is in the templates"


# -------------------------------------------------------------------------------------------------------------- bucket
def test_assets_come_first_and_the_top_templates_last(organization: Organization) -> None:
    calls = [c for c in organization.world.identity.calls if c.operation == "PutObject"]
    keys = [str(c.parameters["Key"]) for c in calls]

    assert keys == organization.published.written
    tops = [k.startswith(organization.published.release.folder) for k in keys]
    assert tops == sorted(tops)
    assert all(c.parameters["ExpectedBucketOwner"] == ADMIN for c in calls)
    assert all(c.parameters["IfNoneMatch"] == "*" for c in calls)


def test_publishing_twice_writes_nothing(organization: Organization, assembly: Assembly) -> None:
    s3 = organization.as_role(ADMIN, "s3")
    done = publish(s3, assembly.folder, organization.place, organization.world.organization.id)

    assert (done.written, done.policy_changed) == ([], False)


def test_what_was_left_half_done_is_finished(organization: Organization, assembly: Assembly) -> None:
    s3 = organization.as_role(ADMIN, "s3")
    lost = organization.published.written[-2:]
    for key in lost:
        s3.delete_object(Bucket=BUCKET, Key=key)

    done = publish(s3, assembly.folder, organization.place, organization.world.organization.id)

    assert done.written == lost


def test_an_object_that_somebody_changed_is_not_overwritten(organization: Organization, assembly: Assembly) -> None:
    s3 = organization.as_role(ADMIN, "s3")
    key = next(k for k in organization.published.release.assets if k.endswith(".json"))
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
    try:
        with pytest.raises(CannotPublish, match=f"{key} has another content"):
            publish(s3, assembly.folder, organization.place, None)
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"{}"
    finally:
        s3.put_object(Bucket=BUCKET, Key=key, Body=organization.published.release.assets[key])


def test_the_organization_reads_what_was_published_and_nobody_else_anything(organization: Organization) -> None:
    ours = next(iter(organization.published.release.templates))
    organization.as_role(ADMIN, "s3").put_object(Bucket=BUCKET, Key="private/notes", Body=b"no")
    member = organization.as_role(MEMBER, "s3")
    try:
        assert member.get_object(Bucket=BUCKET, Key=ours)["Body"].read()
        assert code_of(lambda: member.get_object(Bucket=BUCKET, Key="private/notes")) == "AccessDenied"
        assert code_of(lambda: member.put_object(Bucket=BUCKET, Key=ours, Body=b"forged")) == "AccessDenied"
    finally:
        organization.as_role(ADMIN, "s3").delete_object(Bucket=BUCKET, Key="private/notes")


@pytest.mark.parametrize("switch", BLOCKED)
def test_a_bucket_that_could_be_public_is_refused(organization: Organization, switch: str) -> None:
    s3 = organization.as_role(ADMIN, "s3")
    block = dict.fromkeys(BLOCKED, True)
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration={**block, switch: False})
    try:
        with pytest.raises(CannotPublish, match=f"could be public: switch on {switch} "):
            Bucket(s3, organization.place).check()
    finally:
        s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=block)


def test_other_buckets_are_refused(organization: Organization) -> None:
    s3 = organization.as_role(ADMIN, "s3")
    organization.as_role(MEMBER, "s3").create_bucket(Bucket="another-accounts")
    s3.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    for name, said in (
        ("another-accounts", "belongs to another account"),
        ("far-away", "is in eu-west-1: sharr-admin in us-east-1 takes no code there"),
        ("not-there-at-all", "there is no bucket"),
    ):
        with pytest.raises(CannotPublish, match=said):
            Bucket(s3, Place(name, "sharr", HOME, ADMIN)).check()
    with pytest.raises(CannotPublish, match="another account"):
        Bucket(s3, Place("another-accounts", "sharr", HOME, ADMIN)).create()


# -------------------------------------------------------------------------------------------------------------- policy
statements = st.lists(
    st.fixed_dictionaries(
        {"Effect": st.sampled_from(["Allow", "Deny"]), "Action": st.sampled_from(["s3:GetObject", "s3:*"])},
        optional={"Sid": st.sampled_from(["Mine", "Theirs", ""])},
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(statements, st.sampled_from([None, "o-exampleorg1"]), st.booleans())
def test_a_policy_that_is_there_stays_whole(theirs: list[dict[str, str]], organization: str | None, id_: bool) -> None:
    before: dict[str, Any] = {"Version": "2012-10-17", "Statement": theirs} | ({"Id": "x"} if id_ else {})
    once = merged(before, PLACE, organization)

    assert [s for s in once["Statement"] if not s.get("Sid", "").startswith("Sharr")] == theirs
    assert once.get("Id") == before.get("Id")
    assert merged(once, PLACE, organization) == once
    assert merged(once, PLACE, None) == once, "a publishing without an organization takes nothing away"
    other = merged(once, PLACE, "o-anotherorg1")
    ours = [s for s in other["Statement"] if "Organiz" in s.get("Sid", "")]
    ids = [s["Condition"]["StringEquals"]["aws:PrincipalOrgID"] for s in ours]
    assert ids == ["o-anotherorg1"]


def test_only_our_prefix_is_opened_and_by_tls_only() -> None:
    deny, allow = merged(None, PLACE, "o-exampleorg1")["Statement"]

    assert deny["Resource"] == allow["Resource"] == f"arn:aws:s3:::{BUCKET}/sharr/*"
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert (allow["Effect"], allow["Action"]) == ("Allow", "s3:GetObject")


# ------------------------------------------------------------------------------------------------------------ commands
def test_the_commands_name_what_was_published(organization: Organization) -> None:
    release = organization.published.release
    said = commands(organization.place, release, "build/published", "o-exampleorg1")

    assert f"TemplatesUrl={organization.place.url(release.folder)} " in said
    assert "--parameter-overrides OrganizationId=o-exampleorg1" in said
    assert "ParameterKey=SecHubAdminAccount,ParameterValue=111111111111" in said
    for key in release.templates:
        assert organization.place.url(key) in said


@pytest.mark.parametrize("name", ["has.dots", "UPPER", "x", "a/b", "--create"])
def test_a_name_that_is_no_bucket_is_refused_at_once(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--bucket", name])
    assert "bucket" in capsys.readouterr().err
