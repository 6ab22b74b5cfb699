"""
The Resource Groups Tagging API as its reference describes it, over every service.

Tags of resources that the emulated account has are kept by their own service, as in AWS: the API makes the service's
tagging call. For types of resources that moto has no backend for, enlist() says that there is one: then its tags are
all that the sandbox knows of it. GetResources lists what has, or once had, a tag; users and roles of IAM and Auto
Scaling groups it never lists.

Sources: https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_TagResources.html,
https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/supported-services.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError
from moto.resourcegroupstaggingapi.models import resourcegroupstaggingapi_backends
from moto.resourcegroupstaggingapi.responses import ResourceGroupsTaggingAPIResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

MOST_ARNS_TO_TAG = 20
MOST_ARNS_TO_GET = 100
MOST_TAGS = 50
NOT_LISTED = ("iam", "autoscaling")
Tags = dict[str, str]


@dataclass(slots=True)
class Tagging:
    """Tags of resources without a backend, and which resources ever had a tag, by ARN."""

    enlisted: dict[str, Tags] = field(default_factory=dict)
    once_tagged: set[str] = field(default_factory=set)


def state(account: str) -> Tagging:
    """Return what an account has beside moto's own backends; it goes with them."""
    backend: Any = resourcegroupstaggingapi_backends[account]["us-east-1"]
    found: Tagging = vars(backend).setdefault("beside_services", Tagging())
    return found


def enlist(account: str, arn: str, tags: Mapping[str, str] | None = None) -> str:
    """Say that an account has a resource of a type without a backend; return its ARN."""
    state(account).enlisted[arn] = dict(tags or {})
    if tags:
        state(account).once_tagged.add(arn)
    return arn


def install(world: World, patches: Patches) -> None:
    """Add the API's operations."""

    def tag(request: Request) -> Mapping[str, Any]:
        arns, tags = request.parameters.get("ResourceARNList", []), request.parameters.get("Tags", {})
        _check_arns(arns, MOST_ARNS_TO_TAG)
        _check_keys(tags)
        if any(len(value) > 256 for value in tags.values()):
            raise Refused("InvalidParameterException", "a value of a tag has at most 256 characters")
        return _each(arns, request, lambda arn: _tag(world, request, arn, tags))

    def untag(request: Request) -> Mapping[str, Any]:
        arns, keys = request.parameters.get("ResourceARNList", []), request.parameters.get("TagKeys", [])
        _check_arns(arns, MOST_ARNS_TO_TAG)
        _check_keys(keys)
        return _each(arns, request, lambda arn: _untag(world, request, arn, keys))

    def get(request: Request) -> Mapping[str, Any]:
        arns = request.parameters.get("ResourceARNList")
        if not arns:
            raise NotImplementedError("GetResources without ResourceARNList")
        _check_arns(arns, MOST_ARNS_TO_GET)
        found = []
        for arn in arns:
            if arn.split(":")[2] in NOT_LISTED or arn.split(":")[3] not in ("", request.region):
                continue
            try:
                tags = _read(world, request, arn)
            except ClientError:
                continue  # what is not there is not listed
            if tags or arn in state(request.account).once_tagged:
                listed = [{"Key": key, "Value": value} for key, value in tags.items()]
                found.append({"ResourceARN": arn, "Tags": listed})
        return {"ResourceTagMappingList": found, "PaginationToken": ""}

    for operation, do in (("TagResources", tag), ("UntagResources", untag), ("GetResources", get)):
        patches.answer(ResourceGroupsTaggingAPIResponse, operation, do)


def _check_arns(arns: Any, most: int) -> None:
    if not 1 <= len(arns) <= most:
        raise Refused("InvalidParameterException", f"ResourceARNList must have 1 to {most} ARNs")
    if not all(arn.startswith("arn:") and arn.count(":") >= 5 for arn in arns):
        raise Refused("InvalidParameterException", "ResourceARNList holds what is not an ARN")


def _check_keys(keys: Any) -> None:
    if not 1 <= len(keys) <= MOST_TAGS:
        raise Refused("InvalidParameterException", f"1 to {MOST_TAGS} tags are wanted")
    if any(not 1 <= len(key) <= 128 or key.lower().startswith("aws:") for key in keys):
        raise Refused("InvalidParameterException", "a key has 1 to 128 characters and does not begin with aws:")


def _each(arns: list[str], request: Request, do: Callable[[str], None]) -> Mapping[str, Any]:
    """Answer 200 whatever happens, with the resources that failed."""
    failed = {}
    for arn in arns:
        _, _, _, region, account, _ = arn.split(":", 5)
        try:
            if region not in ("", request.region) or account not in ("", request.account):
                raise Refused("InvalidParameterException", f"{arn} is not in {request.account} and {request.region}")
            do(arn)
        except (ClientError, Refused) as error:
            said = error.response["Error"]["Message"] if isinstance(error, ClientError) else error.message
            failed[arn] = {"StatusCode": 400, "ErrorCode": "InvalidParameterException", "ErrorMessage": str(said)}
    return {"FailedResourcesMap": failed}


def _tag(world: World, request: Request, arn: str, tags: Tags) -> None:
    own = _own(world, request, arn)
    there = _read(world, request, arn)
    if len({**there, **tags}) > MOST_TAGS:
        raise Refused("InvalidParameterException", f"a resource has at most {MOST_TAGS} tags")
    if own is None:
        state(request.account).enlisted[arn] |= tags
    else:
        own.tag(tags)
    state(request.account).once_tagged.add(arn)


def _untag(world: World, request: Request, arn: str, keys: list[str]) -> None:
    own = _own(world, request, arn)
    _read(world, request, arn)
    if own is None:
        for key in keys:
            state(request.account).enlisted[arn].pop(key, None)
    else:
        own.untag(keys)


def _read(world: World, request: Request, arn: str) -> Tags:
    """Return the tags; raises ClientError or Refused where the resource is not there."""
    own = _own(world, request, arn)
    if own is not None:
        return own.read()
    if arn not in state(request.account).enlisted:
        raise ClientError({"Error": {"Code": "NotFound", "Message": f"{arn} does not exist"}}, request.operation)
    return state(request.account).enlisted[arn]


# Service -> its calls to read (with where the tags are in the answer), to tag and to untag, and what takes the ARN.
_BY_ARN = {
    "dynamodb": ("list_tags_of_resource", "Tags", "tag_resource", "untag_resource", "ResourceArn"),
    "sns": ("list_tags_for_resource", "Tags", "tag_resource", "untag_resource", "ResourceArn"),
    "rds": ("list_tags_for_resource", "TagList", "add_tags_to_resource", "remove_tags_from_resource", "ResourceName"),
    "lambda": ("list_tags", "map", "tag_resource", "untag_resource", "Resource"),
}


@dataclass(frozen=True, slots=True)
class _Own:
    """How a resource's own service tags it."""

    read: Callable[[], Tags]
    tag: Callable[[Tags], Any]
    untag: Callable[[list[str]], Any]


def _own(world: World, request: Request, arn: str) -> _Own | None:
    """Return the service's own calls for what moto keeps; None for what it does not."""
    if arn in state(request.account).enlisted:
        return None
    service, path = arn.split(":")[2], arn.split(":", 5)[5]
    name = path.split("/")[-1]

    def client(of: str) -> Any:
        return world.identity.client(of, request.account, request.region)

    def pairs(tags: Tags) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in tags.items()]

    def flat(tags: Any) -> Tags:
        return {tag["Key"]: tag["Value"] for tag in tags}

    if service == "ec2":
        ec2 = client("ec2")

        def read_ec2() -> Tags:
            # Refused where there is no such resource: a describe call per type would say no more.
            ec2.create_tags(Resources=[name], Tags=[])
            return flat(ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [name]}])["Tags"])

        return _Own(
            read_ec2,
            lambda tags: ec2.create_tags(Resources=[name], Tags=pairs(tags)),
            lambda keys: ec2.delete_tags(Resources=[name], Tags=[{"Key": key} for key in keys]),
        )
    if service in _BY_ARN:
        to_read, shown, to_tag, to_untag, takes_arn = _BY_ARN[service]
        calls, of = client(service), {takes_arn: arn}

        def given(tags: Tags) -> Any:
            return pairs(tags) if shown != "map" else tags

        def read_by_arn() -> Tags:
            answer = getattr(calls, to_read)(**of)
            return dict(answer["Tags"]) if shown == "map" else flat(answer[shown])

        return _Own(
            read_by_arn,
            lambda tags: getattr(calls, to_tag)(**of, Tags=given(tags)),
            lambda keys: getattr(calls, to_untag)(**of, TagKeys=keys),
        )
    if service == "autoscaling":
        groups = client("autoscaling")
        who = {"ResourceId": path.split("autoScalingGroupName/")[1], "ResourceType": "auto-scaling-group"}

        def read_group() -> Tags:
            found = groups.describe_auto_scaling_groups(AutoScalingGroupNames=[who["ResourceId"]])["AutoScalingGroups"]
            if not found:
                raise ClientError({"Error": {"Code": "ValidationError", "Message": f"no {arn}"}}, "DescribeTags")
            return flat(found[0]["Tags"])

        return _Own(
            read_group,
            lambda tags: groups.create_or_update_tags(
                Tags=[{**who, "Key": key, "Value": value, "PropagateAtLaunch": False} for key, value in tags.items()]
            ),
            lambda keys: groups.delete_tags(Tags=[{**who, "Key": key} for key in keys]),
        )
    if service == "iam":
        iam, kind = client("iam"), path.split("/")[0]
        named = {f"{kind.title()}Name": name}
        return _Own(
            lambda: flat(getattr(iam, f"list_{kind}_tags")(**named)["Tags"]),
            lambda tags: getattr(iam, f"tag_{kind}")(**named, Tags=pairs(tags)),
            lambda keys: getattr(iam, f"untag_{kind}")(**named, TagKeys=keys),
        )
    return None
