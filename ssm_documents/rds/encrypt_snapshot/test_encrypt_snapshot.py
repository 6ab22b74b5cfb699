"""RDS.4: a manual snapshot is replaced by an encrypted copy where the user said so, and by nothing less."""

from __future__ import annotations

from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from moto.rds.models import rds_backends

from sandbox.identity import IdentityCenter
from sandbox.ports import Call
from sharr.loader import DOCUMENTS
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of, load_script
from tests.harness import Bench, Case, bench, remediation_of

ID = "rds/encrypt_snapshot"
NAME = "plain-rds-4"
OWNER = {"MasterUsername": "owner", "MasterUserPassword": "Not-a-secret-1"}
TAGS = [{"Key": "team", "Value": "orders"}, {"Key": "keep", "Value": "7 years"}]
DELETE = {"deleteOriginal": "true"}
JOB = "awsbackup:job-1a2b3c4d-1a2b-1a2b-1a2b-1a2b3c4d5e6f"


def snapshot(b: Bench, name: str = NAME, *, encrypted: bool = False) -> str:
    rds, of = b.client("rds"), f"{name[:40]}-db"
    rds.create_db_instance(
        DBInstanceIdentifier=of,
        Engine="mysql",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        StorageEncrypted=encrypted,
        **OWNER,
    )
    made = rds.create_db_snapshot(DBSnapshotIdentifier=name, DBInstanceIdentifier=of, Tags=TAGS)["DBSnapshot"]
    return str(made["DBSnapshotArn"])


def with_a_key(b: Bench) -> str:
    key = b.client("kms").create_key()["KeyMetadata"]["KeyId"]
    b.client("kms").create_alias(AliasName="alias/backups-rds-4", TargetKeyId=key)
    return snapshot(b, "keyed-rds-4")


def half_done(b: Bench) -> str:
    """A snapshot whose encrypted copy is there already."""
    arn = snapshot(b, "half-done-rds-4")
    b.client("rds").copy_db_snapshot(
        SourceDBSnapshotIdentifier="half-done-rds-4",
        TargetDBSnapshotIdentifier="half-done-rds-4-encrypted",
        KmsKeyId="alias/aws/rds",
        CopyTags=True,
    )
    b.world.advance(3600)
    return arn


def cluster_snapshot(b: Bench, *, encrypted: bool = False) -> str:
    rds = b.client("rds")
    rds.create_db_cluster(DBClusterIdentifier="shop", Engine="aurora-mysql", StorageEncrypted=encrypted, **OWNER)
    made = rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier="shop-1", DBClusterIdentifier="shop")
    return str(made["DBClusterSnapshot"]["DBClusterSnapshotArn"])


def one(b: Bench, name: str) -> dict[str, Any] | None:
    rds = b.client("rds")
    try:
        return dict(rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0])
    except rds.exceptions.DBSnapshotNotFoundFault:
        return None


def replaced(b: Bench, arn: str) -> bool:
    name = arn.rsplit(":", 1)[-1]
    copy = one(b, f"{name}-encrypted")
    return bool(one(b, name) is None and copy and copy["Encrypted"] and copy["Status"] == "available")


def set_snapshot(b: Bench, name: str, **attributes: Any) -> None:
    vars(rds_backends[b.account][b.region].database_snapshots[name]).update(attributes)


LOST = "the unencrypted snapshot is deleted"
CASES = [
    Case("RDS.4", "a manual snapshot", snapshot, replaced, settings=DELETE, irreversible=LOST),
    Case(
        "RDS.4",
        "under a key of the account",
        with_a_key,
        replaced,
        settings=DELETE | {"kmsKeyId": "alias/backups-rds-4"},
        irreversible=LOST,
    ),
    Case("RDS.4", "with a copy already", half_done, replaced, settings=DELETE, irreversible=LOST),
]


def test_without_being_asked_to_delete_nothing_is_copied_either() -> None:
    # AWS's solution deletes without asking.
    with bench(ID) as b:
        arn = snapshot(b)
        with b.watched() as calls:
            result = b.remediate("RDS.4", arn)

        assert (result["outcome"], b.writes(calls)) == ("FAILED", [])
        assert "set deleteOriginal" in result["to_do"]
        assert one(b, NAME)


def test_the_original_stays_until_the_copy_is_complete() -> None:
    with bench(ID) as b:
        attempt = b.attempt("RDS.4", snapshot(b), settings=DELETE)

        assert attempt.look()["outcome"] == "PENDING"
        b.world.advance(60)
        assert attempt.look()["outcome"] == "PENDING"
        assert one(b, NAME)
        b.world.advance(3600)
        assert attempt.look()["outcome"] == "REMEDIATED"
        assert one(b, NAME) is None


def test_the_copy_has_the_tags_and_the_key() -> None:
    with bench(ID) as b:
        arn = with_a_key(b)
        b.attempt("RDS.4", arn, settings=DELETE | {"kmsKeyId": "alias/backups-rds-4"}).finish()

        copy = one(b, "keyed-rds-4-encrypted")
        key = b.client("kms").describe_key(KeyId="alias/backups-rds-4")["KeyMetadata"]["Arn"]
        assert copy
        assert (copy["TagList"], copy["KmsKeyId"]) == (TAGS, key)


def test_the_session_may_use_that_key_only_and_only_through_rds() -> None:
    with bench(ID) as b:
        arn = with_a_key(b)
        with b.watched() as calls:
            b.remediate("RDS.4", arn, settings=DELETE | {"kmsKeyId": "alias/backups-rds-4"})

        key = b.client("kms").describe_key(KeyId="alias/backups-rds-4")["KeyMetadata"]["Arn"]
        (write,) = b.writes(calls)
        policy: Any = write.principal.session_policy
        (grant,) = [s for s in policy["Statement"] if "kms:CreateGrant" in s["Action"]]
        assert grant["Resource"] == key
        assert grant["Condition"] == {"StringLike": {"kms:ViaService": f"rds.{b.region}.*"}}


@pytest.mark.parametrize("key", ["disabled", "absent"])
def test_a_key_that_cannot_be_used_is_told_before_the_first_call(key: str) -> None:
    with bench(ID) as b:
        arn, kms = with_a_key(b), b.client("kms")
        if key == "disabled":
            kms.disable_key(KeyId=kms.describe_key(KeyId="alias/backups-rds-4")["KeyMetadata"]["KeyId"])
        else:
            kms.delete_alias(AliasName="alias/backups-rds-4")
        with b.watched() as calls:
            result = b.remediate("RDS.4", arn, settings=DELETE | {"kmsKeyId": "alias/backups-rds-4"})

        assert (result["outcome"], b.writes(calls)) == ("FAILED", [])
        assert "kmsKeyId" in result["to_do"]


@pytest.mark.parametrize(
    ("key", "to_do"), [("alias/backups-rds-4", "kms:CreateGrant"), ("alias/aws/rds", "in this Region once")]
)
def test_a_key_that_amazon_rds_cannot_use_leaves_the_original_alone(key: str, to_do: str) -> None:
    # rds-snapshot-tool #24: the key's policy forbids it, or the default key is not there yet.
    with bench(ID) as b:
        arn = with_a_key(b)

        def refuse(one: Call) -> None:
            if one.operation == "CopyDBSnapshot":
                raise ClientError({"Error": {"Code": "KMSKeyNotAccessibleFault", "Message": ""}}, one.operation)

        cast("IdentityCenter", b.world.identity).before.append(refuse)
        result = b.remediate("RDS.4", arn, settings=DELETE | {"kmsKeyId": key})

        assert result["outcome"] == "FAILED"
        assert to_do in result["to_do"]
        assert one(b, "keyed-rds-4")


@pytest.mark.parametrize(
    ("name", "copy"),
    [
        ("a", "a-encrypted"),
        ("a-b", "a-b-encrypted"),
        ("x" * 255, "x" * 245 + "-encrypted"),
        ("x" * 244 + "-" + "y" * 10, "x" * 244 + "-encrypted"),
    ],
)
def test_every_legal_name_gets_a_legal_copy(name: str, copy: str) -> None:
    # AWS's solution made names of more than 255 characters.
    with bench(ID) as b:
        arn = snapshot(b, name)

        assert b.attempt("RDS.4", arn, settings=DELETE).finish((3600,))["outcome"] == "REMEDIATED"
        made = one(b, copy)
        assert made
        assert made["Encrypted"]


def test_another_snapshot_with_the_name_of_the_copy_is_left_alone() -> None:
    with bench(ID) as b:
        arn = snapshot(b)
        snapshot(b, f"{NAME}-encrypted", encrypted=True)
        with b.watched() as calls:
            result = b.remediate("RDS.4", arn, settings=DELETE)

        assert (result["outcome"], b.writes(calls)) == ("FAILED", [])
        assert one(b, NAME)


def test_a_snapshot_that_is_shared_is_left_to_a_person() -> None:
    # AWS's solution lost the accounts that it was shared with.
    with bench(ID) as b:
        arn = snapshot(b)
        b.client("rds").modify_db_snapshot_attribute(
            DBSnapshotIdentifier=NAME, AttributeName="restore", ValuesToAdd=["333333333333"]
        )
        with b.watched() as calls:
            result = b.remediate("RDS.4", arn, settings=DELETE)

        assert (result["outcome"], b.writes(calls)) == ("FAILED", [])
        assert "333333333333" in result["why"]


@pytest.mark.parametrize(("name", "type_"), [("rds:db-2021-01-01-00-00", "automated"), (JOB, "awsbackup")])
def test_a_snapshot_of_aws_itself_is_not_copied_for_nothing(name: str, type_: str) -> None:
    # ASR #152: the colon; and AWS's solution made the copy before it failed.
    with bench(ID) as b:
        snapshot(b)
        snapshots: Any = rds_backends[b.account][b.region].database_snapshots
        snapshots[name] = snapshots.pop(NAME)
        set_snapshot(b, name, snapshot_type=type_, _db_snapshot_identifier=name)
        with b.watched() as calls:
            result = b.remediate("RDS.4", b.arn("rds", f"snapshot:{name}"), settings=DELETE)

        assert (result["outcome"], b.writes(calls)) == ("FAILED", [])
        assert "encrypt the database" in result["to_do"]


@pytest.mark.parametrize(("encrypted", "outcome"), [(False, "FAILED"), (True, "COMPLIANT")])
def test_a_snapshot_of_a_cluster_is_told_how_to_do_it_by_hand(encrypted: bool, outcome: str) -> None:
    with bench(ID) as b:
        arn = cluster_snapshot(b, encrypted=encrypted)
        with b.watched() as calls:
            result = b.remediate("RDS.4", arn, settings=DELETE)

        assert (result["outcome"], b.writes(calls)) == (outcome, [])
        assert ("restore it with a KMS key" in result["to_do"]) == (not encrypted)


def test_a_snapshot_that_is_being_made_is_pending() -> None:
    with bench(ID) as b:
        arn = snapshot(b)
        set_snapshot(b, NAME, status="creating")
        attempt = b.attempt("RDS.4", arn, settings=DELETE)
        with b.watched() as calls:
            assert attempt.look()["outcome"] == "PENDING"
        assert not b.writes(calls)
        set_snapshot(b, NAME, status="available")

        assert attempt.finish((3600, 3600))["outcome"] == "REMEDIATED"


@pytest.mark.parametrize(
    "name", ["snapshot:gone", "cluster-snapshot:gone", "snapshot:rds:gone-2021-01-01-00-00", f"snapshot:{JOB}"]
)
def test_a_snapshot_that_is_gone_is_compliant(name: str) -> None:
    with bench(ID) as b:
        result = b.remediate("RDS.4", b.arn("rds", name), settings=DELETE)

        assert (result["outcome"], result["gone"]) == ("COMPLIANT", True)


def test_an_encrypted_snapshot_needs_nothing() -> None:
    with bench(ID) as b:
        assert b.remediate("RDS.4", snapshot(b, encrypted=True), settings=DELETE)["outcome"] == "COMPLIANT"


COPY = {"encrypted": True, "status": "available", "same": True, "tags": True}
FACTS: dict[str, Any] = {
    "encrypted": False,
    "type": "manual",
    "status": "available",
    "shared": [],
    "copy": None,
    "copy_name": "s-encrypted",
    "key": "usable",
    "key_account": "222222222222",
    "key_id": "none",
}


def plan(
    *, delete: bool = True, original: bool = True, key: str = "alias/aws/rds", **facts: Any
) -> list[dict[str, Any]]:
    found = FACTS | facts
    state = {"config": {"original": original, "copy": found["copy"] is not None}, "facts": found, "busy": None}
    target = {
        "resource": {"snapshot": "s", "type": "AwsRdsDbSnapshot"},
        "parameters": {"deleteOriginal": delete, "kmsKeyId": key},
    }
    return list(code_of(remediation_of(ID)).plan(state, target))


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        ({}, ["copy_db_snapshot", "wait", "delete_db_snapshot"]),
        ({"copy": COPY}, ["delete_db_snapshot"]),
        ({"copy": COPY, "key": "alias/gone"}, ["delete_db_snapshot"]),
        ({"original": False, "copy": COPY}, []),
        ({"encrypted": True, "delete": False, "type": "automated"}, []),
    ],
)
def test_plan(change: dict[str, Any], steps: list[str]) -> None:
    assert [entry.get("operation", "wait") for entry in plan(**change)] == steps


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"delete": False}, "set deleteOriginal"),
        ({"type": "automated"}, "retention ends"),
        ({"type": "awsbackup"}, "AWS Backup"),
        ({"shared": ["all"]}, "shared with all"),
        ({"key": "alias/x", "status": "failed"}, "failed"),
        ({"copy": COPY | {"status": "failed"}}, "failed"),
        ({"copy": COPY | {"encrypted": False}}, "no encrypted copy"),
        ({"copy": COPY | {"same": False}}, "no encrypted copy"),
        ({"copy": COPY | {"tags": False}}, "lacks tags"),
    ],
)
def test_what_must_not_be_replaced_is_refused_before_the_first_call(change: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(**change)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("alias/aws/ebs", "the key of another service"),
        ("arn:aws:kms:eu-west-1:222222222222:key/00000000-0000-0000-0000-000000000000", "not of this Region"),
        ("arn:aws-cn:kms:us-east-1:222222222222:key/00000000-0000-0000-0000-000000000000", "not of this Region"),
    ],
)
def test_a_key_that_cannot_be_meant_is_refused_without_asking_for_it(key: str, found: str) -> None:
    with bench(ID) as b:
        result = b.remediate("RDS.4", snapshot(b), settings=DELETE | {"kmsKeyId": key})

        assert result["outcome"] == "FAILED"
        assert found in result["why"]


@pytest.mark.parametrize("name", ["plain", "rds:db-2021-01-01-00-00"])
def test_an_answer_without_a_snapshot_means_that_it_is_gone(name: str) -> None:
    class Rds:
        class exceptions:  # noqa: N801  # boto3's name
            DBSnapshotNotFoundFault = DBClusterSnapshotNotFoundFault = KeyError

        def describe_db_snapshots(self, **_asked: str) -> Any:
            return {"DBSnapshots": []}

    assert load_script(DOCUMENTS / ID / "script.py").one(Rds(), name) is None
