"""SSM.1: give a running instance the rights that its Systems Manager agent needs, and wait until that reports."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, ResourceGone, call, ref, wait

CORE = "AmazonSSMManagedInstanceCore"
ENOUGH = (CORE, "AmazonSSMManagedEC2InstanceDefaultPolicy", "AmazonEC2RoleforSSM", "AdministratorAccess")
MARK = "sharr:instance-profile"  # on the instance while it is given a profile: see settle
SILENT = "the agent has not reported; it must be installed, run, and reach ssm, ssmmessages and ec2messages on port 443"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the instance, whether its agent reports, its instance profile, and that profile's role.

    Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_InstanceInformation.html
    """
    ec2, instance_id = aws.client("ec2"), target["resource"]["instance_id"]
    try:
        instance = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidInstanceID.NotFound":
            raise
        raise ResourceGone(instance_id) from error
    state = instance["State"]["Name"]
    if state in ("shutting-down", "terminated"):
        raise ResourceGone(instance_id)
    pages = (
        aws.client("ssm")
        .get_paginator("describe_instance_information")
        .paginate(Filters=[{"Key": "InstanceIds", "Values": [instance_id]}])
    )
    managed = any(one["PingStatus"] == "Online" for page in pages for one in page["InstanceInformationList"])
    every = associations(ec2)
    mine = next((a for a in every if a["InstanceId"] == instance_id), None)
    profile = mine["IamInstanceProfile"]["Arn"] if mine else None
    wanted = target["parameters"]["instanceProfile"]
    name = profile.rsplit("/", 1)[1] if profile else wanted
    role = role_of(aws.client("iam"), name, every, instance_id) if name else None
    config = {"profile": profile, "policy": bool(role and CORE in role["policies"]) if profile else None}
    facts = {
        "state": state,
        "managed": managed,
        "role": role,
        "role_path": role and role["path"],
        "association_id": mine and mine["AssociationId"],
        "mark": next((tag["Value"] for tag in instance.get("Tags", []) if tag["Key"] == MARK), None),
    }
    moving = state == "pending" or (mine and mine["State"] == "associating")
    return {"config": config, "facts": facts, "busy": "the instance is being changed" if moving else None}


def associations(ec2: Any) -> list[dict[str, Any]]:
    """Return the instance profile associations of all instances in the Region."""
    pages = ec2.get_paginator("describe_iam_instance_profile_associations").paginate()
    every = [one for page in pages for one in page["IamInstanceProfileAssociations"]]
    return [one for one in every if one["State"] in ("associating", "associated")]


def role_of(iam: Any, name: str, every: list[dict[str, Any]], instance_id: str) -> dict[str, Any] | None:
    """Return a profile's role: name, path, (AWS managed) policies, trusts (EC2), shared (other instances with it)."""
    try:
        roles = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
        return None
    if not roles:
        return None
    role = {"RoleName": roles[0]["RoleName"]}
    pages = iam.get_paginator("list_attached_role_policies").paginate(**role)
    attached = [p for page in pages for p in page["AttachedPolicies"]]
    policies = sorted(p["PolicyName"] for p in attached if ":iam::aws:policy/" in p["PolicyArn"])  # not a namesake
    pages = iam.get_paginator("list_instance_profiles_for_role").paginate(**role)
    profiles = [p["Arn"] for page in pages for p in page["InstanceProfiles"]]
    using = {a["InstanceId"] for a in every if a["IamInstanceProfile"]["Arn"] in profiles} - {instance_id}
    trust = roles[0]["AssumeRolePolicyDocument"]
    return {
        "name": roles[0]["RoleName"],
        "path": roles[0]["Arn"].split(":role/", 1)[1],
        "policies": policies,
        "trusts": trusts_ec2(trust),
        "shared": len(using),
    }


def trusts_ec2(trust: dict[str, Any]) -> bool:
    """Tell whether a trust policy names Amazon EC2 (in China it has a name of its own)."""
    statements = trust["Statement"] if isinstance(trust["Statement"], list) else [trust["Statement"]]
    services: list[str] = []
    for one in statements:
        named = one["Principal"].get("Service", []) if isinstance(one.get("Principal"), dict) else []
        services += [named] if isinstance(named, str) else named
    return any(service in ("ec2.amazonaws.com", "ec2.amazonaws.com.cn") for service in services)


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that let the agent in, and the wait for it; [] where it reports or the instance is stopped."""
    config, facts = state["config"], state["facts"]
    if facts["mark"] is not None and config["profile"]:
        return settle(config, facts, target)
    if facts["managed"] or facts["state"] != "running":
        return []
    role = facts["role"]
    if not config["profile"]:
        return given_profile(role, target)
    if not role:
        raise CannotRepair(f"there is no role in the instance profile {config['profile']}", "put one in")
    trusted(role)
    if set(ENOUGH) & set(role["policies"]):
        return [wait(SILENT, 300)]
    if role["shared"] and not target["parameters"]["shareRole"]:
        raise CannotRepair(
            f"{role['shared']} other instances use the role {role['name']}, too",
            f"attach {CORE} to it, or set shareRole",
        )
    parameters = {
        "RoleName": role["name"],
        "PolicyArn": f"arn:{target['partition']}:iam::aws:policy/{CORE}",
    }
    back = call("iam", "detach_role_policy", parameters, fine=["NoSuchEntity"], leaf=["policy"])
    explain = {
        "UnmodifiableEntity": "the role is an AWS service's own: give the instance another one",
        "LimitExceeded": "the role has as many policies as it may: take one off, or have the quota raised",
    }
    return [call("iam", "attach_role_policy", parameters, undo=[back], explain=explain), wait(SILENT, 300)]


def given_profile(role: dict[str, Any] | None, target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that give the instance the profile of the user's choice."""
    wanted = target["parameters"]["instanceProfile"]
    if not wanted:
        raise CannotRepair(
            "the instance has no instance profile",
            f"give it one whose role has {CORE}, or set instanceProfile to the name of such a one",
        )
    if not role:
        raise CannotRepair(f"there is no instance profile {wanted} with a role", "correct instanceProfile")
    trusted(role)
    if not set(ENOUGH) & set(role["policies"]):
        raise CannotRepair(f"the role {role['name']} of {wanted} does not let the agent in", f"attach {CORE} to it")
    instance_id = target["resource"]["instance_id"]
    mark = {"Resources": [instance_id], "Tags": [{"Key": MARK, "Value": wanted}]}
    request = {"InstanceId": instance_id, "IamInstanceProfile": {"Name": wanted}}
    made = ref("made", "IamInstanceProfileAssociation.AssociationId")
    undo = [disassociation(made)]
    retry = ["InvalidParameterValue"]  # a profile made a moment ago
    return [
        call("ec2", "create_tags", mark, undo=[unmarking(target)]),
        call("ec2", "associate_iam_instance_profile", request, name="made", undo=undo, retry=retry),
        wait("the instance is being given its instance profile", 30),
    ]


def settle(config: dict[str, Any], facts: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that takes the mark away, once the association has an id by which it can be undone."""
    # A look of its own, the id written out: the undo is known even if the look that made it died before saving the id.
    # The wait lets the undo see that the profile is off before it comes to the inverse of the first look.
    undo = [disassociation(facts["association_id"]), wait("the instance profile is being taken off", 30)]
    ours = config["profile"].rsplit("/", 1)[1] == facts["mark"]
    done = unmarking(target) | ({"undo": undo} if ours else {"kept": "the profile that somebody else gave"})
    return [done] if facts["managed"] else [done, wait(SILENT, 120)]


def trusted(role: dict[str, Any]) -> None:
    """Raise CannotRepair where Amazon EC2 cannot use the role."""
    if not role["trusts"]:
        raise CannotRepair(
            f"the role {role['name']} does not trust Amazon EC2", "let its trust policy name the service"
        )


def unmarking(target: dict[str, Any]) -> dict[str, Any]:
    tags = [{"Key": MARK}]
    return call("ec2", "delete_tags", {"Resources": [target["resource"]["instance_id"]], "Tags": tags})


def disassociation(association_id: Any) -> dict[str, Any]:
    gone = ["InvalidAssociationID.NotFound"]
    return call(
        "ec2", "disassociate_iam_instance_profile", {"AssociationId": association_id}, fine=gone, leaf=["profile"]
    )
