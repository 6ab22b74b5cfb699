"""
CodeBuild.2: move AWS credentials in clear text from a project's environment into SecureString parameters.

The values are read late, by the plan's first call, and go from there into the parameters; no state, plan or record
holds them. The project's role may read what is below the project's own path.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, as_json, call, ref

ALWAYS = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the types of the variables, which parameters are there, and the inline policy of the project's role.

    Source: https://docs.aws.amazon.com/codebuild/latest/APIReference/API_EnvironmentVariable.html
    """
    name = target["resource"]["project"]
    found = aws.client("codebuild").batch_get_projects(names=[name])["projects"]
    if not found:
        raise ResourceGone(name)
    wanted = {*ALWAYS, *target["parameters"]["moreVariables"]}
    variables = {v["name"]: v for v in found[0]["environment"].get("environmentVariables", []) if v["name"] in wanted}
    role = found[0].get("serviceRole", "")
    facts = {
        "role_arn": role,
        "role": role.partition(":role/")[2],
        "empty": sorted(n for n, v in variables.items() if not v["value"]),
    }
    types = {n: v.get("type", "PLAINTEXT") for n, v in variables.items()}
    there = stored(aws.client("ssm"), name, sorted(types))
    facts["readable"] = sorted(p["Name"] for p in there if p["Type"] != "SecureString")
    config = {"variables": types, "parameters": {p["Name"]: p["Version"] for p in there}, "policy": None}
    if types:
        facts["role_found"], config["policy"] = policy_of(aws.client("iam"), facts["role"], policy_name(target))
    return {"config": config, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that move what is in clear text: parameters, the role's right to read them, the project."""
    config, facts, project = state["config"], state["facts"], target["resource"]["project"]
    clear = sorted(name for name, type_ in config["variables"].items() if type_ == "PLAINTEXT")
    if not clear:
        return []
    empty = [name for name in clear if name in facts["empty"]]
    if empty:
        raise CannotRepair(
            f"{', '.join(empty)} is empty, and a parameter cannot be", "take the variable out of the project"
        )
    if facts["readable"]:
        why = f"the parameter {facts['readable'][0]} is there, and is no SecureString; its type cannot be changed"
        raise CannotRepair(why, "delete that parameter, then repair again")
    own = f"arn:{target['partition']}:iam::{target['account']}:role/"
    if not facts["role_arn"].startswith(own) or not facts["role_found"]:
        why = f"the project's role {facts['role_arn']} is not there"
        raise CannotRepair(why, "give the project a role of its account")
    if facts["role"].startswith(("sharr/", "aws-service-role/")):
        raise CannotRepair(
            f"the project's role {facts['role']} must not be changed", "give the project a role of its own"
        )
    calls = [call("codebuild", "batch_get_projects", {"names": [project]}, name="old", secret=True)]
    for name in clear:
        parameter = {"Name": parameter_of(project, name)}
        # What is there by this name already is from an earlier repair; the project's value is the one in use.
        there = config["parameters"].get(parameter["Name"])
        value = f"projects[0].environment.environmentVariables[?name=='{name}'].value | [0]"
        calls.append(
            call(
                "ssm",
                "put_parameter",
                parameter
                | {
                    "Value": ref("old", value),
                    "Type": "SecureString",
                    "Overwrite": bool(there),
                    "Description": f"{name} of the CodeBuild project {project}",
                },
                undo=None if there else [call("ssm", "delete_parameter", parameter, fine=["ParameterNotFound"])],
                kept="the parameter was there already; its earlier value is in its history" if there else None,
                explain={"ValidationException": "the value does not fit a parameter: move it by hand"},
            )
        )
    path = parameter_of(project, "*")
    place = f"arn:{target['partition']}:ssm:{target['region']}:{target['account']}:parameter"
    allowed = {"Sid": "Credentials", "Effect": "Allow", "Action": "ssm:GetParameters", "Resource": place + path}
    document = {"Version": "2012-10-17", "Statement": [allowed]}
    if config["policy"] != document:
        policy = {"RoleName": facts["role"].rpartition("/")[2], "PolicyName": policy_name(target)}
        before = config["policy"]
        if before:
            undo = call("iam", "put_role_policy", policy | {"PolicyDocument": as_json(before)})
        else:
            undo = call("iam", "delete_role_policy", policy, fine=["NoSuchEntity"])
        full = {"LimitExceeded": "the role's inline policies are full: move one into a managed policy"}
        calls.append(
            call("iam", "put_role_policy", policy | {"PolicyDocument": as_json(document)}, undo=[undo], explain=full)
        )
    moved = [{"name": n, "value": parameter_of(project, n), "type": "PARAMETER_STORE"} for n in clear]
    is_clear = f"contains(`{json.dumps(clear)}`, name) && (!type || type == 'PLAINTEXT')"
    variables = f"[environmentVariables[?!({is_clear})], `{json.dumps(moved)}`][]"
    environment = ref("old", "projects[0].environment.merge(@, {environmentVariables: " + variables + "})")
    final = "clear text is not written back; the project reads the same values from Parameter Store"
    calls.append(call("codebuild", "update_project", {"name": project, "environment": environment}, final=final))
    return calls


def parameter_of(project: str, variable: str) -> str:
    return f"/sharr/codebuild/{project}/{variable}"


def policy_name(target: dict[str, Any]) -> str:
    """The same for a project at any time, another one for another project or Region; IAM takes 128 characters."""
    project = target["resource"]["project"]
    short = project if len(project) <= 80 else f"{project[:71]}-{hashlib.sha256(project.encode()).hexdigest()[:8]}"
    return f"sharr-codebuild-{target['region']}-{short}"


def stored(ssm: Any, project: str, variables: list[str]) -> list[dict[str, Any]]:
    """The parameters of the project that are there. No value is decrypted, and none is kept."""
    names = [parameter_of(project, variable) for variable in variables]
    found: list[dict[str, Any]] = []
    for start in range(0, len(names), 10):  # ten names a call
        answer = ssm.get_parameters(Names=names[start : start + 10], WithDecryption=False)
        found += answer["Parameters"]
    return found


def policy_of(iam: Any, role: str, name: str) -> tuple[bool, dict[str, Any] | None]:
    """Whether the role is there, and its inline policy of that name."""
    role_name = role.rpartition("/")[2]
    try:
        iam.get_role(RoleName=role_name)
    except iam.exceptions.NoSuchEntityException:
        return False, None
    try:
        document: dict[str, Any] = iam.get_role_policy(RoleName=role_name, PolicyName=name)["PolicyDocument"]
    except iam.exceptions.NoSuchEntityException:
        return True, None
    return True, document
