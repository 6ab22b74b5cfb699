"""
CodeBuild.2: move AWS credentials in clear text from a project's environment into one secret of Secrets Manager.

The values are read late, by the plan's first call, and go from there into the secret; no state, plan or record holds
them, and the secret is never read. Its resource policy lets the project's service role read it: within an account that
is enough, so no role is changed.
"""

from __future__ import annotations

import json
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, as_json, call, ref

ALWAYS = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
TAG = {"Key": "sharr", "Value": "store_credentials"}
SID = "SharrProjectRole"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the types of the variables, which of all refer to the project's secret, and what the secret is.

    Source: https://docs.aws.amazon.com/codebuild/latest/APIReference/API_EnvironmentVariable.html
    """
    name = target["resource"]["project"]
    found = aws.client("codebuild").batch_get_projects(names=[name])["projects"]
    if not found:
        raise ResourceGone(name)
    every = found[0]["environment"].get("environmentVariables", [])
    wanted = {*ALWAYS, *target["parameters"]["moreVariables"]}
    variables = {v["name"]: v for v in every if v["name"] in wanted}
    role = found[0].get("serviceRole", "")
    facts = {
        "role_arn": role,
        "role": role.partition(":role/")[2],
        "empty": sorted(n for n, v in variables.items() if not v.get("value")),
        "refers": sorted(v["name"] for v in every if refers(v, secret_of(name))),
        "is": "absent",
    }
    types = {n: v.get("type", "PLAINTEXT") for n, v in variables.items()}
    config: dict[str, Any] = {"variables": types, "secret": None, "policy": None}
    if types:
        facts["is"], config["secret"], config["policy"] = stored(aws.client("secretsmanager"), secret_of(name))
    return {"config": config, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that move what is in clear text: the secret, the role's right to read it, the project."""
    config, facts, project = state["config"], state["facts"], target["resource"]["project"]
    clear = sorted(name for name, type_ in config["variables"].items() if type_ == "PLAINTEXT")
    if not clear:
        return []
    secret = secret_of(project)
    check(facts, clear, secret, f"arn:{target['partition']}:iam::{target['account']}:role/")
    values = "projects[0].environment.environmentVariables[?name=='%s'].value | [0]"
    value = {"SecretString": as_json({name: ref("old", values % name) for name in clear})}
    explain = {
        "InvalidRequestException": f"the secret {secret} is being deleted: restore it, or repair again when it is gone",
        "MalformedPolicyDocumentException": "the project's role may be gone: give the project a role that is there",
        "PublicPolicyException": f"the policy of the secret {secret} is public: take that out, then repair again",
    }
    calls = [call("codebuild", "batch_get_projects", {"names": [project]}, name="old", secret=True)]
    if facts["is"] == "absent":
        new = {"Name": secret, "Description": f"Credentials of the CodeBuild project {project}", "Tags": [TAG]}
        # The project has the values still when this is played: a recovery window would only block the name for days.
        gone = {"SecretId": secret, "ForceDeleteWithoutRecovery": True}
        undo = [call("secretsmanager", "delete_secret", gone, fine=["ResourceNotFoundException"])]
        calls.append(call("secretsmanager", "create_secret", new | value, undo=undo, explain=explain))
    else:
        # The project does not refer to it: an earlier repair was given up, or the clear text was put back since.
        kept = "the secret was there already; its earlier value is its version AWSPREVIOUS"
        calls.append(
            call("secretsmanager", "put_secret_value", {"SecretId": secret} | value, kept=kept, explain=explain)
        )
    before = config["policy"]
    document = policy_with(before, facts["role_arn"])
    if document != before:
        policy = {"SecretId": secret, "BlockPublicPolicy": True}
        back = policy | {"ResourcePolicy": as_json(before)}
        if before:
            inverse = call("secretsmanager", "put_resource_policy", back)
        else:
            inverse = call(
                "secretsmanager", "delete_resource_policy", {"SecretId": secret}, fine=["ResourceNotFoundException"]
            )
        calls.append(
            call(
                "secretsmanager",
                "put_resource_policy",
                policy | {"ResourcePolicy": as_json(document)},
                undo=[inverse],
                retry=["ResourceNotFoundException"],
                explain=explain,
            )
        )
    moved = [{"name": n, "value": f"{secret}:{n}", "type": "SECRETS_MANAGER"} for n in clear]
    is_clear = f"contains(`{json.dumps(clear)}`, name) && (!type || type == 'PLAINTEXT')"
    variables = f"[environmentVariables[?!({is_clear})], `{json.dumps(moved)}`][]"
    environment = ref("old", "projects[0].environment.merge(@, {environmentVariables: " + variables + "})")
    final = "clear text is not written back; the project reads the same values from Secrets Manager"
    calls.append(call("codebuild", "update_project", {"name": project, "environment": environment}, final=final))
    return calls


def check(facts: dict[str, Any], clear: list[str], secret: str, roles: str) -> None:
    """Raise CannotRepair for what cannot be moved whole."""
    empty = [name for name in clear if name in facts["empty"]]
    if empty:
        raise CannotRepair(f"{', '.join(empty)} has no value to move", "take the variable out of the project")
    if not facts["role_arn"].startswith(roles):
        why = f"the project's role {facts['role_arn']} is not of its account"
        raise CannotRepair(why, "give the project a role of its account")
    why, to_do = {
        "another's": ("is not ours (no tag sharr=store_credentials)", "delete it, or move the credentials by hand"),
        "deleted": ("is scheduled for deletion", "restore it, or repair again when it is gone"),
        "keyed": ("has a KMS key that we may not use", "encrypt it by aws/secretsmanager, or add to it by hand"),
    }.get(facts["is"], ("", ""))
    if why:
        raise CannotRepair(f"the secret {secret} {why}", to_do)
    if facts["refers"]:
        # What is in it is not read, so nothing can be added to it; a value of its own would take the other keys away.
        why = f"the secret {secret} is in use for {', '.join(facts['refers'])}, and a repair cannot add to it"
        keys = ", ".join(f"{secret}:{name}" for name in clear)
        raise CannotRepair(why, f"add {', '.join(clear)} to that secret by hand, and refer to {keys}")


def secret_of(project: str) -> str:
    """
    Return the secret's name; a name that ends like the project may end in a hyphen and six characters, as ARNs do.

    Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
    """
    return f"sharr/codebuild/{project}/variables"


def refers(variable: dict[str, Any], secret: str) -> bool:
    """Whether the variable is a key of the secret, which it names by its name or by its ARN."""
    if variable.get("type") != "SECRETS_MANAGER":
        return False
    named = variable.get("value", "").rpartition(":secret:")[2].partition(":")[0]
    return secret in (named, named.rpartition("-")[0])


def stored(manager: Any, secret: str) -> tuple[str, str | None, dict[str, Any] | None]:
    """
    What the secret is (absent, ours, another's, deleted, keyed), its current version, and its policy.

    Its key is told only where it is not aws/secretsmanager, which we and the project's role could not use.
    Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
    """
    try:
        found = manager.describe_secret(SecretId=secret)
    except manager.exceptions.ResourceNotFoundException:
        return "absent", None, None
    if found.get("DeletedDate"):
        return "deleted", None, None
    if TAG not in found.get("Tags", []):
        return "another's", None, None
    if not found.get("KmsKeyId", "alias/aws/secretsmanager").endswith("alias/aws/secretsmanager"):
        return "keyed", None, None
    current = [n for n, stages in found.get("VersionIdsToStages", {}).items() if "AWSCURRENT" in stages]
    policy = manager.get_resource_policy(SecretId=secret).get("ResourcePolicy")
    return "ours", current[0] if current else None, json.loads(policy) if policy else None


def policy_with(before: dict[str, Any] | None, role: str) -> dict[str, Any]:
    """The policy that lets this role read the secret; statements of others stay."""
    mine = {
        "Sid": SID,
        "Effect": "Allow",
        "Principal": {"AWS": role},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
    }
    there = (before or {}).get("Statement", [])
    there = there if isinstance(there, list) else [there]
    if before and mine in there:
        return before
    return {"Version": "2012-10-17", **(before or {}), "Statement": [*(s for s in there if s.get("Sid") != SID), mine]}
