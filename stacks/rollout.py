"""
The rollout stack: StackSets that bring member-roles and member-flat into every account of the organization's units.

For the management account, or a delegated administrator of CloudFormation StackSets, in the home Region. A new account
is covered without a hand. No StackSet of this kind deploys to the management account itself. Source:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacksets-orgs-associate-stackset-with-org.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aws_cdk import CfnCondition, CfnParameter, CfnStackSet, Stack, Token
from constructs import Construct

from stacks import names
from stacks.intrinsics import ACCOUNT, Json, attribute, either, equals, join, negated, ref, sub, text, texts
from stacks.member import REGION
from stacks.member_flat import FIRST

UNIT: Final = "^(r-[0-9a-z]{4,32}|ou-[0-9a-z]{4,32}-[0-9a-z]{8,32})$"
"""Source: https://docs.aws.amazon.com/organizations/latest/APIReference/API_OrganizationalUnit.html"""
FOLDER: Final = r"^https://[a-z0-9.-]{3,300}(/[A-Za-z0-9._-]{1,200}){1,10}$"
"""As `make publish` prints it. CloudFormation takes templates from S3 only."""

PREFERENCES: Final = CfnStackSet.OperationPreferencesProperty(
    region_concurrency_type="PARALLEL",
    # A quarter of the accounts at a time, whatever failed before; where a tenth failed, nothing more is begun there.
    max_concurrent_percentage=25,
    failure_tolerance_percentage=10,
    concurrency_mode="SOFT_FAILURE_TOLERANCE",
)


class RolloutStack(Stack):
    """
    One StackSet for the roles (one Region), one for each member-flat template of *flat* (Regions by parameter).

    An account that leaves its unit loses the stacks: roles that nobody in its organization watches over any more
    should not stay behind, and what was repaired stays repaired. Undo it before the account is moved out.
    """

    def __init__(self, scope: Construct, id: str, *, flat: Sequence[str], version: str, **kwargs: Any) -> None:
        about = "member-roles and member-flat in all accounts, by StackSets with auto-deployment"
        super().__init__(scope, id, description=f"SHARR {version}: {about}", **kwargs)
        self._parameters()
        admin = {"SecHubAdminAccount": ref("SecHubAdminAccount")}
        self._stack_set(
            "sharr-member-roles",
            regions=[text(ref("HomeRegion"))],
            parameters={**admin, "OrganizationId": ref("OrganizationId")},
            capabilities=["CAPABILITY_NAMED_IAM"],
        )
        for name in flat:
            self._stack_set(
                name,
                regions=ref("MemberRegions"),
                parameters={**admin, "HomeRegion": ref("HomeRegion")} if name == FIRST else {},
                # The rule's target names a role, which EventBridge looks for.
                after="sharr-member-roles",
            )

    def _parameters(self) -> None:
        for name, kind, pattern, hint, about in (
            ("SecHubAdminAccount", "String", "^[0-9]{12}$", "an account id of twelve digits", "Account of sharr-admin"),
            ("HomeRegion", "String", REGION, "the id of a Region", "Region of sharr-admin; the roles are made there"),
            (
                "OrganizationId",
                "String",
                "^o-[a-z0-9]{10,32}$",
                "an organization's id (o-exampleorgid)",
                "The roles are assumed from this organization only",
            ),
            (
                "OrganizationalUnitIds",
                "CommaDelimitedList",
                UNIT,
                "ids of organizational units, or of the root",
                "The accounts of these units, and of those below them; the root (r-...) stands for all",
            ),
            (
                "MemberRegions",
                "CommaDelimitedList",
                REGION,
                "ids of Regions",
                "Regions that get the runbooks; all that are enabled in every account",
            ),
            (
                "TemplatesUrl",
                "String",
                FOLDER,
                "the URL of a folder in S3 without a slash at the end",
                "Where `make publish` put this release; a new release has another one",
            ),
        ):
            CfnParameter(self, name, type=kind, allowed_pattern=pattern, constraint_description=hint, description=about)
        CfnParameter(
            self,
            "CallAs",
            type="String",
            default="SELF",
            allowed_values=["SELF", "DELEGATED_ADMIN"],
            description="SELF in the management account, DELEGATED_ADMIN in a delegated administrator's of StackSets",
        )
        CfnParameter(
            self,
            "ManagementAccount",
            type="String",
            default="",
            allowed_pattern="^([0-9]{12})?$",
            constraint_description="an account id of twelve digits, or nothing",
            description="For DELEGATED_ADMIN: the management account, in which its StackSets are made; else empty",
        )
        for condition, expression in (
            ("NamesManagementAccount", negated(equals(ref("ManagementAccount"), ""))),
            ("KnowsOwner", negated(equals(join("", [ref("CallAs"), ref("ManagementAccount")]), "DELEGATED_ADMIN"))),
        ):
            CfnCondition(self, condition).expression = Token.as_any(expression)

    def _stack_set(
        self,
        name: str,
        *,
        regions: Any,
        parameters: dict[str, Json],
        capabilities: list[str] | None = None,
        after: str | None = None,
    ) -> None:
        logical_id = names.camel(name.removeprefix("sharr-"))
        # What comes after another one refers to it in auto_deployment: CloudFormation makes them in this order.
        CfnStackSet(
            self,
            logical_id,
            stack_set_name=name,
            description=f"SHARR: {name}",
            permission_model="SERVICE_MANAGED",
            call_as=text(ref("CallAs")),
            template_url=text(sub(f"${{TemplatesUrl}}/{name}.template.json")),
            capabilities=capabilities,
            auto_deployment=CfnStackSet.AutoDeploymentProperty(
                enabled=True,
                retain_stacks_on_account_removal=False,
                depends_on=None if after is None else [text(either("KnowsOwner", self._arn_of(after)))],
            ),
            managed_execution={"Active": True},
            operation_preferences=PREFERENCES,
            parameters=[
                CfnStackSet.ParameterProperty(parameter_key=key, parameter_value=text(value))
                for key, value in parameters.items()
            ]
            or None,
            stack_instances_group=[
                CfnStackSet.StackInstancesProperty(
                    deployment_targets=CfnStackSet.DeploymentTargetsProperty(
                        organizational_unit_ids=texts(ref("OrganizationalUnitIds"))
                    ),
                    regions=texts(regions),
                )
            ],
        )

    def _arn_of(self, name: str) -> Json:
        """`<name>:<uuid>`, which GetAtt gives, is the end of the ARN."""
        owner = either("NamesManagementAccount", ref("ManagementAccount"), ACCOUNT)
        made = attribute(names.camel(name.removeprefix("sharr-")), "StackSetId")
        start = "arn:${AWS::Partition}:cloudformation:${AWS::Region}:${Owner}:stackset/${Made}"
        return {"Fn::Sub": [start, {"Owner": owner, "Made": made}]}
