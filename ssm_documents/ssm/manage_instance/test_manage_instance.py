"""SSM.1: how an agent gets its rights, whose role is not touched, and that the outcome waits until it reports."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from sandbox.additions.ssm_agents import without_agent
from sandbox.identity import IdentityCenter
from sandbox.ports import Call
from sharr.loader import DOCUMENTS
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of, load_script
from tests.harness import Bench, Case, bench, remediation_of

ID = "ssm/manage_instance"
CORE = "AmazonSSMManagedInstanceCore"
PROFILE = "profile-for-SSM.1"
Json = dict[str, Any]


def profile(b: Bench, name: str = PROFILE, *policies: str, path: str = "/", service: str = "ec2.amazonaws.com") -> None:
    """Make an instance profile with a role of the same name, and attach AWS managed policies to that."""
    iam = b.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=document)
    iam.create_instance_profile(InstanceProfileName=name, Path=path)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    for policy in policies:
        arn = b.arn("iam", f"policy/{policy}", region="", account="aws")
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)


def instance(b: Bench, name: str = "") -> str:
    """Start an instance, with an instance profile where one is named; return its ARN."""
    given: Json = {"IamInstanceProfile": {"Name": name}} if name else {}
    made = b.client("ec2").run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, **given)
    return b.arn("ec2", f"instance/{made['Instances'][0]['InstanceId']}")


def role_without_policy(b: Bench) -> str:
    profile(b, PROFILE, path="/app/web/")
    return instance(b, PROFILE)


def shared_role(b: Bench) -> str:
    profile(b)
    instance(b, PROFILE)
    return instance(b, PROFILE)


def no_profile(b: Bench) -> str:
    profile(b, "given-for-SSM.1", CORE, path="/app/")
    return instance(b)


def passes(b: Bench, resource_id: str) -> bool:
    asked = [{"Key": "InstanceIds", "Values": [resource_id.split("/")[1]]}]
    found = b.client("ssm").describe_instance_information(Filters=asked)["InstanceInformationList"]
    return [one["PingStatus"] for one in found] == ["Online"]


def policies(b: Bench, name: str = PROFILE) -> list[str]:
    found = b.client("iam").list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    return [one["PolicyName"] for one in found]


def described(b: Bench, resource_id: str) -> Json:
    asked = [resource_id.split("/")[1]]
    found: Json = b.client("ec2").describe_instances(InstanceIds=asked)["Reservations"][0]["Instances"][0]
    return found


GIVEN = {"instanceProfile": "given-for-SSM.1"}
CASES = [
    Case("SSM.1", "an instance whose role has no policy for the agent", role_without_policy, passes),
    Case("SSM.1", "an instance without an instance profile", no_profile, passes, settings=GIVEN),
]


def test_the_outcome_waits_until_the_agent_reports() -> None:
    """ASR counted the attached policy as the repair."""
    with bench(ID) as b:
        resource_id = role_without_policy(b)
        attempt = b.attempt("SSM.1", resource_id)

        first = attempt.look()
        assert first["outcome"] == "PENDING"
        assert "the agent has not reported" in first["why"]
        assert (policies(b), passes(b, resource_id)) == ([CORE], False)
        assert attempt.finish()["outcome"] == "REMEDIATED"


def test_an_agent_that_never_reports_is_failed_after_an_hour_and_says_what_it_needs() -> None:
    with bench(ID) as b:
        resource_id = role_without_policy(b)
        without_agent(b.account, b.region, resource_id.split("/")[1])
        attempt = b.attempt("SSM.1", resource_id)
        attempt.look()
        b.world.advance(3000)
        assert attempt.look()["outcome"] == "PENDING"
        b.world.advance(590)
        assert attempt.look()["outcome"] == "PENDING"

        b.world.clock.advance(20)
        result = attempt.look()

        assert result["outcome"] == "FAILED"
        assert "after 60 minutes still: the agent has not reported; it must be installed" in result["why"]


def test_a_role_that_other_instances_use_is_changed_only_where_the_user_said_so() -> None:
    with bench(ID) as b:
        resource_id = shared_role(b)
        with b.watched() as calls:
            result = b.remediate("SSM.1", resource_id)

        assert result["outcome"] == "FAILED"
        assert "1 other instances use the role" in result["why"]
        assert "shareRole" in result["to_do"]
        assert not b.writes(calls)

        assert b.attempt("SSM.1", resource_id, settings={"shareRole": "true"}).finish()["outcome"] == "REMEDIATED"


def test_an_instance_without_a_profile_gets_none_unless_the_user_names_one() -> None:
    with bench(ID) as b:
        result = b.remediate("SSM.1", instance(b))

        assert result["outcome"] == "FAILED"
        assert "has no instance profile" in result["why"]
        assert "instanceProfile" in result["to_do"]


def test_an_undo_takes_the_profile_away_and_leaves_no_mark() -> None:
    with bench(ID) as b:
        resource_id = no_profile(b)
        attempt = b.attempt("SSM.1", resource_id, settings=GIVEN)

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert described(b, resource_id)["IamInstanceProfile"]["Arn"].endswith("/app/given-for-SSM.1")
        assert not described(b, resource_id).get("Tags")
        assert attempt.undo()["outcome"] == "UNDONE"
        assert not described(b, resource_id).get("IamInstanceProfile")
        assert not described(b, resource_id).get("Tags")


def test_an_instance_profile_that_somebody_else_gave_meanwhile_is_not_taken_away_by_an_undo() -> None:
    with bench(ID) as b:
        resource_id = no_profile(b)
        profile(b, "owners", CORE)
        attempt = b.attempt("SSM.1", resource_id, settings=GIVEN)

        def die(one: Call) -> None:
            if one.operation == "CreateTags":
                raise KeyboardInterrupt

        cast("IdentityCenter", b.world.identity).after.append(die)
        with pytest.raises(KeyboardInterrupt):
            attempt.look()
        cast("IdentityCenter", b.world.identity).after.remove(die)
        attempt.journal = json.loads(attempt.saved[-1])
        owners = {"Name": "owners"}
        b.client("ec2").associate_iam_instance_profile(InstanceId=resource_id.split("/")[1], IamInstanceProfile=owners)

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert not described(b, resource_id).get("Tags")
        attempt.undo()
        assert described(b, resource_id)["IamInstanceProfile"]["Arn"].endswith("/owners")


def test_a_policy_of_the_accounts_own_with_the_name_of_awss_does_not_count() -> None:
    with bench(ID) as b:
        resource_id = role_without_policy(b)
        statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
        made = b.client("iam").create_policy(
            PolicyName=CORE, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        )
        b.client("iam").attach_role_policy(RoleName=PROFILE, PolicyArn=made["Policy"]["Arn"])

        assert b.attempt("SSM.1", resource_id).finish()["outcome"] == "REMEDIATED"
        assert policies(b) == [CORE, CORE]


def test_the_session_may_set_no_tag_but_its_mark() -> None:
    with bench(ID) as b:
        resource_id = no_profile(b)
        with b.watched() as calls:
            b.remediate("SSM.1", resource_id, settings=GIVEN)

        session: Any = b.writes(calls)[0].principal.session_policy
        (statement,) = [s for s in session["Statement"] if "ec2:CreateTags" in s["Action"]]
        assert statement["Condition"]["ForAllValues:StringEquals"] == {"aws:TagKeys": ["sharr:instance-profile"]}


def test_a_stopped_instance_is_compliant() -> None:
    with bench(ID) as b:
        resource_id = role_without_policy(b)
        b.client("ec2").stop_instances(InstanceIds=[resource_id.split("/")[1]])

        assert b.remediate("SSM.1", resource_id)["outcome"] == "COMPLIANT"


def test_an_instance_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("SSM.1", b.arn("ec2", "instance/i-00000000000000000"))["outcome"] == "COMPLIANT"


ROLE: Json = {"name": "web", "path": "app/web", "policies": [], "trusts": True, "shared": 0}
ARN = "arn:aws:iam::111111111111:instance-profile/app/web"


def plan(profile: str | None, facts: Json, partition: str = "aws", **parameters: Any) -> list[Json]:
    given = {"state": "running", "managed": False, "role": ROLE, "association_id": "iip-1", "mark": None, **facts}
    target = {
        "partition": partition,
        "resource": {"instance_id": "i-1"},
        "parameters": {"instanceProfile": None, "shareRole": False, **parameters},
    }
    state = {"config": {"profile": profile, "policy": None}, "facts": given, "busy": None}
    made: list[Json] = code_of(remediation_of(ID)).plan(state, target)
    return made


ALLOWED = ROLE | {"policies": [CORE]}


@pytest.mark.parametrize(
    ("case", "profile", "facts", "operations"),
    [
        ("the agent reports", ARN, {"managed": True}, []),
        ("stopped", None, {"state": "stopped", "role": None}, []),
        ("the policy is missing", ARN, {}, ["attach_role_policy", None]),
        ("the policy is there, the agent silent", ARN, {"role": ALLOWED}, [None]),
        ("an older policy that is enough", ARN, {"role": ROLE | {"policies": ["AmazonEC2RoleforSSM"]}}, [None]),
        ("a profile is wanted", None, {"role": ALLOWED}, ["create_tags", "associate_iam_instance_profile", None]),
        ("the profile was given just now", ARN, {"role": ALLOWED, "mark": "web"}, ["delete_tags", None]),
        ("somebody gave it another one meanwhile", ARN, {"role": ALLOWED, "mark": "given"}, ["delete_tags", None]),
        ("given, and the agent reports", ARN, {"role": ALLOWED, "mark": "web", "managed": True}, ["delete_tags"]),
    ],
)
def test_plan(case: str, profile: str | None, facts: Json, operations: list[str | None]) -> None:
    assert [one.get("operation") for one in plan(profile, facts, instanceProfile="given")] == operations, case


@pytest.mark.parametrize(
    ("profile", "facts", "parameters", "why"),
    [
        (ARN, {"role": None}, {}, "no role in the instance profile"),
        (ARN, {"role": ROLE | {"trusts": False}}, {}, "web does not trust Amazon EC2"),
        (ARN, {"role": ROLE | {"shared": 3}}, {}, "3 other instances use the role web"),
        (None, {"role": None}, {}, "has no instance profile"),
        (None, {"role": None}, {"instanceProfile": "given"}, "no instance profile given with a role"),
        (None, {}, {"instanceProfile": "given"}, "web of given does not let the agent in"),
        (None, {"role": ALLOWED | {"trusts": False}}, {"instanceProfile": "given"}, "does not trust Amazon EC2"),
    ],
)
def test_what_cannot_work_is_said_before_the_first_write(
    profile: str | None, facts: Json, parameters: Json, why: str
) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(profile, facts, **parameters)


@pytest.mark.parametrize("partition", ["aws", "aws-us-gov", "aws-cn"])
def test_the_policy_is_of_the_targets_own_partition(partition: str) -> None:
    """ASR named the commercial one everywhere."""
    attach = plan(ARN, {}, partition)[0]

    assert attach["parameters"]["PolicyArn"] == f"arn:{partition}:iam::aws:policy/{CORE}"
    assert attach["undo"][0]["parameters"] == attach["parameters"]


@pytest.mark.parametrize(
    ("principal", "trusts"),
    [
        ({"Service": "ec2.amazonaws.com"}, True),
        ({"Service": ["lambda.amazonaws.com", "ec2.amazonaws.com.cn"]}, True),
        ({"Service": "lambda.amazonaws.com"}, False),
        ({"AWS": "*"}, False),
        ("*", False),
    ],
)
def test_a_role_is_of_use_only_where_it_trusts_ec2(principal: Any, trusts: bool) -> None:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    script = load_script(DOCUMENTS / ID / "script.py")

    assert script.trusts_ec2({"Version": "2012-10-17", "Statement": [statement]}) is trusts
    assert script.trusts_ec2({"Version": "2012-10-17", "Statement": statement}) is trusts
