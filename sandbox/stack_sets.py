"""
CloudFormation StackSets with service-managed permissions: stacks in the accounts of organizational units.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacksets-orgs-associate-stackset-with-org.html,
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacksets-orgs-manage-auto-deployment.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from sandbox.assets import AssetNotFound
from sandbox.cloudformation import (
    DeployError,
    Engine,
    Place,
    Resource,
    ResourceFailed,
    TemplateError,
    partition_of,
    read_template,
)
from sandbox.resource_types import Made, Properties, ResourceType, bucket_and_key, names, scalar

PRINCIPAL = "member.org.stacksets.cloudformation.amazonaws.com"
"""Source: https://docs.aws.amazon.com/organizations/latest/userguide/services-that-can-integrate-cloudformation.html"""
BODY_LIMIT = 51_200
"""Bytes of a template that is not in S3. Source: AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""
NAMED_IAM = {"AWS::IAM::Role": "RoleName", "AWS::IAM::User": "UserName", "AWS::IAM::Group": "GroupName"}
IAM = ("AWS::IAM::AccessKey", "AWS::IAM::InstanceProfile", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", *NAMED_IAM)


@dataclass(slots=True)
class StackInstance:
    """A stack of a set in one account and Region; *stack_id* is None and *reason* says why where it is OUTDATED."""

    account: str
    region: str
    stack_id: str | None = None
    status: str = "CURRENT"
    reason: str | None = None


@dataclass(slots=True)
class StackSet:
    """*owner* is the management account, whoever made it. *groups* are (units, Regions)."""

    name: str
    id: str
    owner: str
    region: str
    template: str
    parameters: dict[str, str]
    groups: list[tuple[list[str], list[str]]]
    auto_deployment: bool
    retains: bool
    after: list[str]
    tolerance: float
    instances: dict[tuple[str, str], StackInstance] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:{partition_of(self.region)}:cloudformation:{self.region}:{self.owner}:stackset/{self.id}"


class OrganizationsAccess(ResourceFailed):
    """StackSets may not ask the organization, or the account may not work with them."""


class StackSets:
    """All sets of the organization, and what StackSets does by itself when an account moves."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.sets: dict[str, StackSet] = {}
        self.has_trusted_access = False

    def check_caller(self, account: str, call_as: str) -> None:
        """Raise OrganizationsAccess where *account* may not work with sets of this kind."""
        organization = self._engine.world.organization
        if not self.has_trusted_access:
            raise OrganizationsAccess("You must enable organizations access to operate a service managed stack set")
        if call_as == "SELF" and account == organization.management:
            return
        if call_as == "DELEGATED_ADMIN" and account in self._delegated():
            return
        raise OrganizationsAccess(
            "You must be the management account or delegated admin account of an organization before operating a "
            f"SERVICE_MANAGED stack set; account {account}, CallAs {call_as}"
        )

    def add(self, made: StackSet) -> None:
        """Make a set and its stacks. Raises ResourceFailed; then nothing of it is left."""
        if made.name in self.sets:
            raise ResourceFailed(f"StackSet {made.name} already exists")
        known = {other.arn for other in self.sets.values()}
        if unknown := [arn for arn in made.after if arn not in known]:
            raise ResourceFailed(f"AutoDeployment.DependsOn: no such StackSet: {', '.join(unknown)}")
        self.sets[made.name] = made
        try:
            self.bring(made, self.wanted(made), anew=False)
        except ResourceFailed:
            self.remove(made.name)
            raise

    def remove(self, name: str) -> None:
        """Delete a set with its stacks. Raises DeployError."""
        found = self.sets[name]
        self.bring(found, set(), anew=False)
        del self.sets[name]

    def wanted(self, of: StackSet) -> set[tuple[str, str]]:
        """Return the accounts and Regions where stacks of the set have to be. Raises ResourceFailed for no unit."""
        management = self._engine.world.organization.management
        return {
            (account, region)
            for units, regions in of.groups
            for unit in units
            for account in self._accounts_of(unit)
            if account != management
            for region in regions
        }

    def bring(self, of: StackSet, wanted: Iterable[tuple[str, str]], *, anew: bool, retains: bool = False) -> None:
        """
        Make, delete and (*anew*) update stacks until they are where they are wanted.

        Raises ResourceFailed where more failed in a Region than the set's tolerance; else those are OUTDATED.
        """
        places = sorted(wanted, key=lambda place: (place[1], place[0]))
        for key in [key for key in of.instances if key not in places]:
            self._delete(of, key, retains=retains)
        failed: dict[str, list[StackInstance]] = {}
        counts: dict[str, int] = {}
        for account, region in places:
            instance = of.instances.get((account, region)) or StackInstance(account, region)
            counts[region] = counts.get(region, 0) + 1
            if instance.stack_id is not None and instance.status == "CURRENT" and not anew:
                continue
            of.instances[account, region] = instance
            try:
                self._make(of, instance)
            except (DeployError, TemplateError) as error:
                instance.status, instance.reason = "OUTDATED", str(error)
                failed.setdefault(region, []).append(instance)
        for region, instances in failed.items():
            for instance in instances:
                where = f"{of.name} {instance.account} {region}"
                self._engine.world.trouble("stack set", None, of.arn, where, error=str(instance.reason))
            if len(instances) > int(counts[region] * of.tolerance):
                raise ResourceFailed(f"{of.name}: {instances[0].account} {region}: {instances[0].reason}")

    def account_moved(self) -> None:
        """Bring every set with auto-deployment to the units as they are now, those that others wait for first."""
        waiting = [each for each in self.sets.values() if each.auto_deployment]
        while waiting:
            pending = {each.arn for each in waiting}
            ready = [each for each in waiting if not pending & set(each.after)]
            for each in ready or waiting:
                try:
                    self.bring(each, self.wanted(each), anew=False, retains=each.retains)
                except ResourceFailed as error:
                    self._engine.world.trouble("auto-deployment", None, each.arn, None, error=str(error))
            waiting = [each for each in waiting if each not in ready] if ready else []

    def _make(self, of: StackSet, instance: StackInstance) -> None:
        engine = self._engine
        if instance.stack_id is None:
            unique = hashlib.sha256(f"{of.id}/{instance.account}/{instance.region}".encode()).hexdigest()
            dashed = "-".join((unique[:8], unique[8:12], unique[12:16], unique[16:20], unique[20:32]))
            name = f"StackSet-{of.name[:80]}-{dashed}"
            made = engine.create(name, of.template, instance.account, instance.region, of.parameters, no_assets)
            instance.stack_id = made.stack_id
        else:
            engine.update(
                instance.stack_id,
                of.template,
                instance.account,
                instance.region,
                of.parameters,
                no_assets,
                keeps_parameters=False,
            )
        instance.status, instance.reason = "CURRENT", None

    def _delete(self, of: StackSet, key: tuple[str, str], *, retains: bool) -> None:
        instance = of.instances.pop(key)
        if instance.stack_id is not None and not retains:
            self._engine.delete(instance.stack_id, instance.account, instance.region)

    def _accounts_of(self, unit: str) -> set[str]:
        """Return the active accounts of a unit and of those below it."""
        client = self._organizations()
        try:
            pages = client.get_paginator("list_accounts_for_parent").paginate(ParentId=unit)
            found = {a["Id"] for page in pages for a in page["Accounts"] if a["Status"] == "ACTIVE"}
            below = client.get_paginator("list_organizational_units_for_parent").paginate(ParentId=unit)
            units = [child["Id"] for page in below for child in page["OrganizationalUnits"]]
        except ClientError as error:
            raise ResourceFailed(f"organizational unit {unit}: {error}") from error
        return found.union(*(self._accounts_of(child) for child in units))

    def _delegated(self) -> set[str]:
        answer = self._organizations().list_delegated_administrators(ServicePrincipal=PRINCIPAL)
        return {each["Id"] for each in answer["DelegatedAdministrators"]}

    def _organizations(self) -> Any:
        world = self._engine.world
        return world.identity.client("organizations", world.organization.management, world.organization.home)


def no_assets(object_key: str) -> bytes:
    raise AssetNotFound(f"sandbox: templates of StackSets with files beside them ({object_key}) are not known")


def check_capabilities(template: Mapping[str, Any], capabilities: Iterable[str]) -> str | None:
    """
    Return what is wrong with the capabilities given for a template, or None.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html (Capabilities)
    """
    given = set(capabilities)
    kinds = {resource["Type"]: resource.get("Properties", {}) for resource in template["Resources"].values()}
    named = any(
        NAMED_IAM.get(resource["Type"], "-") in resource.get("Properties", {})
        for resource in template["Resources"].values()
    )
    if named and "CAPABILITY_NAMED_IAM" not in given:
        return "Requires capabilities : [CAPABILITY_NAMED_IAM]"
    if kinds.keys() & set(IAM) and not given & {"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"}:
        return "Requires capabilities : [CAPABILITY_IAM]"
    return None


class StackSetResource(ResourceType):
    """Self-managed permissions, account filters and Region order are not known to the sandbox."""

    name = "AWS::CloudFormation::StackSet"
    known = names(
        "StackSetName PermissionModel CallAs Description TemplateURL TemplateBody Capabilities AutoDeployment "
        "ManagedExecution OperationPreferences Parameters StackInstancesGroup Tags"
    )
    needed = names("StackSetName PermissionModel")
    fixed = names("StackSetName PermissionModel CallAs")
    _preferences: ClassVar[frozenset[str]] = names(
        "RegionConcurrencyType MaxConcurrentPercentage FailureTolerancePercentage ConcurrencyMode"
    )

    def create(self, place: Place, properties: Properties) -> Made:
        made = self._read(place, properties)
        sets = place.engine.stack_sets
        sets.check_caller(place.account, properties.get("CallAs", "SELF"))
        sets.add(made)
        return made.id, {"StackSetId": made.id}

    def update(self, place: Place, before: Resource, properties: Properties) -> Made:
        from sandbox.cloudformation import NotUpdatable

        if any(before.properties.get(key) != properties.get(key) for key in self.fixed):
            raise NotUpdatable
        sets = place.engine.stack_sets
        sets.check_caller(place.account, properties.get("CallAs", "SELF"))
        new, there = self._read(place, properties), sets.sets[properties["StackSetName"]]
        anew = (new.template, new.parameters) != (there.template, there.parameters)
        for key in ("template", "parameters", "groups", "auto_deployment", "retains", "after", "tolerance"):
            setattr(there, key, getattr(new, key))
        sets.bring(there, sets.wanted(there), anew=anew)
        return before.physical_id, before.attributes

    def delete(self, place: Place, resource: Resource) -> None:
        sets = place.engine.stack_sets
        sets.check_caller(place.account, resource.properties.get("CallAs", "SELF"))
        if resource.properties["StackSetName"] in sets.sets:
            sets.remove(resource.properties["StackSetName"])

    def _read(self, place: Place, properties: Properties) -> StackSet:
        """Return the set that the properties describe. Raises ResourceFailed for what AWS would not take."""
        if properties["PermissionModel"] != "SERVICE_MANAGED":
            raise ResourceFailed("sandbox: only StackSets with service-managed permissions are known")
        if not re.fullmatch("[A-Za-z][A-Za-z0-9-]{0,127}", properties["StackSetName"]):
            raise ResourceFailed("StackSetName: letters, digits and hyphens, 128 at most, a letter first")
        text = self._template(place, properties)
        self._check_template(text, properties)
        automatic = properties.get("AutoDeployment", {})
        preferences = properties.get("OperationPreferences", {})
        if unknown := set(preferences) - self._preferences:
            raise ResourceFailed(f"sandbox: OperationPreferences {sorted(unknown)} are not known")
        if unknown := set(automatic) - {"Enabled", "RetainStacksOnAccountRemoval", "DependsOn"}:
            raise ResourceFailed(f"AutoDeployment has no {sorted(unknown)}")
        unique = hashlib.sha256(f"{place.stack.id}/{place.logical_id}".encode()).hexdigest()
        dashed = "-".join((unique[:8], unique[8:12], unique[12:16], unique[16:20], unique[20:32]))
        return StackSet(
            name=properties["StackSetName"],
            id=f"{properties['StackSetName']}:{dashed}",
            owner=place.world.organization.management,
            region=place.region,
            template=text,
            parameters={p["ParameterKey"]: scalar(p["ParameterValue"]) for p in properties.get("Parameters", [])},
            groups=[self._group(group) for group in properties.get("StackInstancesGroup", [])],
            auto_deployment=_true(automatic.get("Enabled", False)),
            retains=_true(automatic.get("RetainStacksOnAccountRemoval", False)),
            after=list(automatic.get("DependsOn", [])),
            tolerance=float(preferences.get("FailureTolerancePercentage", 0)) / 100,
        )

    @staticmethod
    def _template(place: Place, properties: Properties) -> str:
        if ("TemplateURL" in properties) == ("TemplateBody" in properties):
            raise ResourceFailed("Either TemplateURL or TemplateBody must be specified, and not both")
        if "TemplateURL" in properties:
            return place.read_object(*bucket_and_key(properties["TemplateURL"])).decode()
        body = str(properties["TemplateBody"])
        if len(body.encode()) > BODY_LIMIT:
            raise ResourceFailed(f"TemplateBody has {len(body.encode())} bytes, more than {BODY_LIMIT}")
        return body

    @staticmethod
    def _check_template(text: str, properties: Properties) -> None:
        """Source: .../UserGuide/stacksets-orgs-associate-stackset-with-org.html, Considerations"""
        template = read_template(text)  # refuses transforms
        kinds = {resource["Type"] for resource in template["Resources"].values()}
        if "AWS::CloudFormation::Stack" in kinds:
            raise ResourceFailed("StackSets with service-managed permissions do not take templates with nested stacks")
        if wrong := check_capabilities(template, properties.get("Capabilities", [])):
            raise ResourceFailed(f"InsufficientCapabilitiesException: {wrong}")

    @staticmethod
    def _group(group: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        targets = group.get("DeploymentTargets", {})
        if set(group) != {"DeploymentTargets", "Regions"} or set(targets) != {"OrganizationalUnitIds"}:
            raise ResourceFailed("sandbox: a group has Regions and DeploymentTargets with OrganizationalUnitIds")
        return list(targets["OrganizationalUnitIds"]), list(group["Regions"])


def _true(value: Any) -> bool:
    return scalar(value) == "true"
