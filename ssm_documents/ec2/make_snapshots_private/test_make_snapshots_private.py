"""EC2.1: public snapshots get private one by one; shares with accounts stay, and one that is refused stops no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from sandbox.ports import Call
from sharr.runtime.driver import CALLS_A_LOOK
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "ec2/make_snapshots_private"
FRIEND = "999999999999"
Json = dict[str, Any]


def account(b: Bench) -> str:
    return f"AWS::::Account:{b.account}"


def snapshots(b: Bench, number: int) -> list[str]:
    ec2 = b.client("ec2")
    volume = ec2.create_volume(AvailabilityZone=f"{b.region}a", Size=1)["VolumeId"]
    return [ec2.create_snapshot(VolumeId=volume)["SnapshotId"] for _ in range(number)]


def share(b: Bench, snapshot_id: str, **who: str) -> None:
    b.client("ec2").modify_snapshot_attribute(
        SnapshotId=snapshot_id, Attribute="createVolumePermission", CreateVolumePermission={"Add": [who]}
    )


def public(number: int) -> Callable[[Bench], str]:
    def broken(b: Bench) -> str:
        for snapshot_id in snapshots(b, number):
            share(b, snapshot_id, UserId=FRIEND)
            share(b, snapshot_id, Group="all")
        (private,) = snapshots(b, 1)
        share(b, private, UserId=FRIEND)
        return account(b)

    return broken


def sharing(b: Bench) -> list[list[Json]]:
    """Who may restore each of the account's snapshots that was made here, whoever that is."""
    ec2 = b.client("ec2")
    mine = [s for s in ec2.describe_snapshots(OwnerIds=[b.account])["Snapshots"] if s["VolumeSize"] == 1]
    asked = {"Attribute": "createVolumePermission"}
    return [
        ec2.describe_snapshot_attribute(SnapshotId=s["SnapshotId"], **asked)["CreateVolumePermissions"] for s in mine
    ]


def only_the_friend(b: Bench, _resource_id: str) -> bool:
    shares = sharing(b)
    return bool(shares) and all(one == [{"UserId": FRIEND}] for one in shares)


CASES = [
    Case("EC2.1", "one public snapshot", public(1), only_the_friend),
    Case("EC2.1", "three public snapshots", public(3), only_the_friend),
]


def test_more_snapshots_than_one_look_takes_are_done_in_the_next() -> None:
    with bench(ID) as b:
        resource_id = public(CALLS_A_LOOK + 5)(b)
        attempt = b.attempt("EC2.1", resource_id)

        assert attempt.look()["outcome"] == "PENDING"
        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert only_the_friend(b, resource_id)
        assert attempt.undo()["outcome"] == "UNDONE"
        assert sum({"Group": "all"} in one for one in sharing(b)) == CALLS_A_LOOK + 5


def refuse(b: Bench, refused: Callable[[str], bool], code: str = "UnauthorizedOperation") -> None:
    def hook(one: Call) -> None:
        ours = one.principal.role_arn == b.role_arn and one.operation == "ModifySnapshotAttribute"
        if ours and refused(one.parameters["SnapshotId"]):
            raise ClientError({"Error": {"Code": code, "Message": "not this one"}}, one.operation)

    b.world.identity.before.append(hook)  # type: ignore[attr-defined]  # the sandbox's identity center


def test_a_snapshot_that_is_refused_stops_no_other_and_the_attempt_is_failed() -> None:
    """ASR printed the errors, and reported Success."""
    with bench(ID) as b:
        resource_id = public(3)(b)
        stubborn = min(
            s["SnapshotId"]
            for s in b.client("ec2").describe_snapshots(RestorableByUserIds=["all"], OwnerIds=["self"])["Snapshots"]
        )
        refuse(b, lambda snapshot_id: snapshot_id == stubborn)
        attempt = b.attempt("EC2.1", resource_id)

        result = attempt.finish()

        assert result["outcome"] == "FAILED"
        assert stubborn in result["why"]
        assert attempt.journal["after"]["config"] == {"public": {stubborn: True}}
        assert sum({"Group": "all"} in one for one in sharing(b)) == 1
        assert attempt.undo()["outcome"] == "UNDONE"
        assert sum({"Group": "all"} in one for one in sharing(b)) == 3


def test_an_account_where_every_change_is_refused_is_failed() -> None:
    """ASR reported Success with none of them private."""
    with bench(ID) as b:
        resource_id = public(2)(b)
        refuse(b, lambda _: True)

        assert b.remediate("EC2.1", resource_id)["outcome"] == "FAILED"


def test_a_snapshot_that_is_deleted_meanwhile_is_no_failure() -> None:
    with bench(ID) as b:
        resource_id = public(2)(b)
        gone: list[str] = []

        def delete(snapshot_id: str) -> bool:
            if not gone:
                gone.append(snapshot_id)
                b.client("ec2").delete_snapshot(SnapshotId=snapshot_id)
            return False

        refuse(b, delete)

        assert b.remediate("EC2.1", resource_id)["outcome"] == "REMEDIATED"


def test_an_account_without_public_snapshots_reads_once_and_changes_none() -> None:
    """ASR then asked for all snapshots that the account can see."""
    with bench(ID) as b:
        (private,) = snapshots(b, 1)
        share(b, private, UserId=FRIEND)
        with b.watched() as calls:
            result = b.remediate("EC2.1", account(b))

        assert result["outcome"] == "COMPLIANT"
        assert [c.operation for c in calls if c.service == "ec2"] == ["DescribeSnapshots"]


def test_another_accounts_finding_is_no_target() -> None:
    pattern = remediation_of(ID).resources[0].compiled("aws", "eu-west-1", "1" * 12)

    assert pattern.fullmatch(f"AWS::::Account:{'1' * 12}")
    assert not pattern.fullmatch(f"AWS::::Account:{'2' * 12}")


def test_the_plan_changes_the_public_permission_only() -> None:
    state = {"config": {"public": {"snap-2": True, "snap-1": True}}, "facts": {}, "busy": None}
    calls = code_of(remediation_of(ID)).plan(state, {})

    assert [c["parameters"]["SnapshotId"] for c in calls] == ["snap-1", "snap-2"]
    assert {str(c["parameters"]["CreateVolumePermission"]) for c in calls} == {"{'Remove': [{'Group': 'all'}]}"}
