"""
Security Hub of the emulated organization: findings, custom actions, members, events.

moto keeps findings per account and filters nothing; here the administrator and the aggregation Region see what they see
in AWS, workflow status follows the checks, and every change is an event.
"""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.securityhub.responses import SecurityHubResponse

from sandbox.additions import asff, finding_filters
from sandbox.additions.wire import Patches, Refused, Request, page
from sandbox.ports import World

IMPORTED = "Security Hub Findings - Imported"
CUSTOM_ACTION = "Security Hub Findings - Custom Action"
LONGEST_NOTE = 512
MOST_CUSTOM_ACTIONS = 50
MOST_FINDINGS_PRESSED = 20
"""Source: https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-cwe-integration-types.html"""

_CUSTOMERS_OWN = ("Note", "UserDefinedFields", "VerificationState", "Workflow")
_CUSTOMERS_IF_SET = ("Confidence", "Criticality", "RelatedFindings", "Severity", "Types")
_UPDATABLE = (*_CUSTOMERS_OWN, *_CUSTOMERS_IF_SET)
_INVALID = "InvalidInputException"
_NAMES = {
    "securityhub": ("Security Hub", "AWS"),
    "guardduty": ("GuardDuty", "Amazon"),
    "inspector": ("Inspector", "Amazon"),
    "macie": ("Macie", "Amazon"),
    "config": ("Config", "AWS"),
}


@dataclass(slots=True)
class _Stored:
    """A finding, where it lives, and which attributes a customer has set."""

    account: str
    region: str
    finding: dict[str, Any]
    set_by_customer: set[str] = field(default_factory=set)


class _Hub:
    def __init__(self, world: World) -> None:
        organization = world.organization
        self.world = world
        self.findings: dict[tuple[str, str], dict[tuple[str, str], _Stored]] = {}
        """By id and product, then by account and Region."""
        self.actions: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
        self.enabled: dict[tuple[str, str], datetime] = {
            (account, region): world.clock.now() for account in organization.accounts for region in organization.regions
        }

    def visible(self, account: str, region: str) -> Iterator[_Stored]:
        """
        Give the findings that *account* sees in *region*, the oldest first.

        The administrator sees its members' findings, the home Region those of every Region, of members too.

        Source: https://docs.aws.amazon.com/securityhub/latest/userguide/finding-aggregation.html
        """
        for places in self.findings.values():
            yield from (stored for stored in places.values() if self._sees(account, region, stored))

    def visible_by_identifier(self, account: str, region: str, identifier: tuple[str, str]) -> _Stored | None:
        """Return the finding with this id and product that *account* sees in *region*, or None."""
        places = self.findings.get(identifier, {}).values()
        return next((stored for stored in places if self._sees(account, region, stored)), None)

    def _sees(self, account: str, region: str, stored: _Stored) -> bool:
        organization = self.world.organization
        return region in (stored.region, organization.home) and account in (stored.account, organization.admin)

    def seen_in(self, stored: _Stored) -> list[tuple[str, str]]:
        """Return the accounts and Regions that see a finding, so that get its events; each once."""
        organization = self.world.organization
        places = [(a, r) for a in (stored.account, organization.admin) for r in (stored.region, organization.home)]
        return list(dict.fromkeys(places))

    def save(self, account: str, region: str, given: Mapping[str, Any]) -> None:
        """Create or update a finding as its provider sends it, and tell EventBridge."""
        places = self.findings.setdefault((given["Id"], given["ProductArn"]), {})
        stored = places.get((account, region))
        if stored is None:
            stored = places[account, region] = _Stored(account, region, self._created(region, given))
        else:
            stored.finding = self._updated(stored, given)
        if stored.finding["Workflow"]["Status"] == "NEW" and _is_passed_check(stored.finding):
            stored.finding["Workflow"] = {"Status": "RESOLVED"}
        self.announce(stored)

    def announce(self, stored: _Stored) -> None:
        """
        Put one event for a finding on the default bus of everybody who sees it.

        Source: https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-cwe-event-formats.html
        """
        for account, region in self.seen_in(stored):
            if (account, region) in self.enabled:
                self.world.emit(
                    account,
                    region,
                    source="aws.securityhub",
                    detail_type=IMPORTED,
                    detail={"findings": [copy.deepcopy(stored.finding)]},
                    resources=[f"{stored.finding['ProductArn']}/{stored.finding['Id']}"],
                )

    def _created(self, region: str, given: Mapping[str, Any]) -> dict[str, Any]:
        finding = copy.deepcopy(dict(given))
        service = given["ProductArn"].rsplit("/", 1)[1]
        name, company = _NAMES.get(service, ("Default", "Personal") if service == "default" else (service, "AWS"))
        finding.setdefault("ProductName", name)
        finding.setdefault("CompanyName", company)
        finding.setdefault("Region", region)
        finding.setdefault("RecordState", "ACTIVE")
        finding.setdefault("Workflow", {"Status": "NEW"})
        finding.setdefault("WorkflowState", "NEW")
        finding.setdefault("AwsAccountName", self.world.organization.names.get(given["AwsAccountId"], ""))
        return self._completed(finding)

    def _updated(self, stored: _Stored, given: Mapping[str, Any]) -> dict[str, Any]:
        before = stored.finding
        finding = copy.deepcopy({**before, **given})
        for attribute in (*_CUSTOMERS_OWN, *stored.set_by_customer):
            if attribute in before:
                finding[attribute] = before[attribute]
            else:
                finding.pop(attribute, None)
        if before["Workflow"]["Status"] in ("NOTIFIED", "RESOLVED") and _needs_another_look(before, finding):
            finding["Workflow"] = {"Status": "NEW"}
        return self._completed(finding)

    def _completed(self, finding: dict[str, Any]) -> dict[str, Any]:
        provider = finding.get("FindingProviderFields", {})
        if "Severity" not in finding:
            finding["Severity"] = dict(provider["Severity"])
        if "Types" not in finding and "Types" in provider:
            finding["Types"] = list(provider["Types"])
        finding["Severity"] = _severity(finding["Severity"])
        finding.setdefault(
            "FindingProviderFields", {"Severity": dict(finding["Severity"]), "Types": list(finding.get("Types", []))}
        )
        finding["ProcessedAt"] = asff.written(self.world.clock.now())
        return finding


_current: _Hub | None = None


def publish(world: World, finding: Mapping[str, Any]) -> None:
    """
    Do what Security Hub (or another integrated AWS service) does: create or update a finding of its own.

    It lives in AwsAccountId, in Region (default: the Region in ProductArn). On an update the customer's attributes
    stay, and a workflow status of NOTIFIED or RESOLVED becomes NEW when Compliance goes from PASSED to something else
    or the record from ARCHIVED to ACTIVE. A control's finding that is PASSED while NEW becomes RESOLVED. A SUPPRESSED
    finding stays so; the provider's attributes of it are kept up to date all the same.

    Raises ValueError for what is no valid ASFF finding of an AWS product in this organization.

    Source: https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_Workflow.html and
    https://docs.aws.amazon.com/securityhub/latest/userguide/finding-workflow-status.html
    """
    hub, organization = _hub(world), world.organization
    wrong = asff.faults(finding)
    if wrong:
        raise ValueError("; ".join(wrong))
    product = re.fullmatch(
        rf"arn:{organization.partition}:securityhub:([a-z0-9-]+)::product/aws/[a-z0-9-]+", finding["ProductArn"]
    )
    if product is None:
        raise ValueError(f"ProductArn is {finding['ProductArn']!r}: expected one of an AWS service in this partition")
    account, region = finding["AwsAccountId"], finding.get("Region", product[1])
    if region != product[1]:
        raise ValueError(f"Region is {region!r}, but ProductArn says {product[1]!r}")
    if (account, region) not in hub.enabled:
        raise ValueError(f"Security Hub is not enabled in account {account}, Region {region}")
    hub.save(account, region, finding)


def press(world: World, action_arn: str, finding_ids: Sequence[str]) -> None:
    """
    Do what the console does when a person presses a custom action with findings selected: one event per finding.

    Args:
        action_arn: ARN of a custom action; its account and Region are where the person is signed in.
        finding_ids: 1 to 20 ids of findings that are visible there.

    Raises ValueError where there is no such action or finding, or the number is wrong.

    Source: https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-cwe-event-formats.html
    """
    hub = _hub(world)
    arn = re.fullmatch(r"arn:[a-z-]+:securityhub:([a-z0-9-]+):([0-9]{12}):action/custom/[A-Za-z0-9]{1,20}", action_arn)
    action = hub.actions.get((arn[2], arn[1]), {}).get(action_arn) if arn else None
    if arn is None or action is None:
        raise ValueError(f"{action_arn} is no custom action here")
    if not 1 <= len(finding_ids) <= MOST_FINDINGS_PRESSED:
        raise ValueError(f"select 1 to {MOST_FINDINGS_PRESSED} findings, not {len(finding_ids)}")
    visible = {stored.finding["Id"]: stored for stored in hub.visible(arn[2], arn[1])}
    missing = [finding_id for finding_id in finding_ids if finding_id not in visible]
    if missing:
        raise ValueError(f"no such finding in account {arn[2]}, Region {arn[1]}: {', '.join(missing)}")
    for finding_id in finding_ids:
        world.emit(
            arn[2],
            arn[1],
            source="aws.securityhub",
            detail_type=CUSTOM_ACTION,
            detail={
                "actionName": action["Name"],
                "actionDescription": action["Description"],
                "findings": [copy.deepcopy(visible[finding_id].finding)],
            },
            resources=[action_arn],
        )


def install(world: World, patches: Patches) -> None:
    """Add Security Hub to moto, with an empty store for *world*; it is enabled in every account and Region."""
    hub = _Hub(world)
    patches.attribute(sys.modules[__name__], "_current", hub)
    operations = {
        "BatchImportFindings": _batch_import_findings,
        "BatchUpdateFindings": _batch_update_findings,
        "GetFindings": _get_findings,
        "CreateActionTarget": _create_action_target,
        "UpdateActionTarget": _update_action_target,
        "DeleteActionTarget": _delete_action_target,
        "DescribeActionTargets": _describe_action_targets,
        "ListMembers": _list_members,
        "GetMembers": _get_members,
        "GetAdministratorAccount": _get_administrator_account,
        "ListOrganizationAdminAccounts": _list_organization_admin_accounts,
        "ListFindingAggregators": _list_finding_aggregators,
        "GetFindingAggregator": _get_finding_aggregator,
        "DescribeHub": _describe_hub,
    }
    for operation, do in operations.items():
        patches.answer(SecurityHubResponse, operation, _where_enabled(hub, do))
    patches.answer(SecurityHubResponse, "EnableSecurityHub", lambda request: _enable_security_hub(hub, request))
    patches.answer(SecurityHubResponse, "DisableSecurityHub", lambda request: _disable_security_hub(hub, request))


def _where_enabled(hub: _Hub, do: Any) -> Any:
    def answer(request: Request) -> Any:
        if (request.account, request.region) not in hub.enabled:
            raise Refused("InvalidAccessException", f"Account {request.account} is not subscribed to AWS Security Hub")
        return do(hub, request)

    return answer


# --- findings


def _batch_import_findings(hub: _Hub, request: Request) -> dict[str, Any]:
    """Import findings of the caller's own custom product; AWS products cannot be written by anybody else."""
    findings = request.parameters["Findings"]
    if not 1 <= len(findings) <= 100:
        raise Refused(_INVALID, "Findings must have 1 to 100 entries")
    failed = []
    for finding in findings:
        error = _import_refusal(request, finding)
        if error is None:
            hub.save(request.account, request.region, finding)
        else:
            code, message = error
            failed.append({"Id": finding.get("Id") or "unknown", "ErrorCode": code, "ErrorMessage": message})
    return {"FailedCount": len(failed), "SuccessCount": len(findings) - len(failed), "FailedFindings": failed}


def _import_refusal(request: Request, finding: Mapping[str, Any]) -> tuple[str, str] | None:
    wrong = asff.faults(finding)
    if wrong:
        return "InvalidInput", "; ".join(wrong)[:1000]
    own = f"arn:{request.partition}:securityhub:{request.region}:{request.account}:product/{request.account}/default"
    if finding["ProductArn"] != own:
        return "InvalidAccess", f"account {request.account} may not import findings of product {finding['ProductArn']}"
    if finding["AwsAccountId"] != request.account:
        return "InvalidInput", f"AwsAccountId must be the account that imports, {request.account}"
    if finding.get("Region", request.region) != request.region:
        return "InvalidInput", f"Region must be the Region of the request, {request.region}"
    return None


def _get_findings(hub: _Hub, request: Request) -> dict[str, Any]:
    filters = request.parameters.get("Filters") or {}
    criteria = request.parameters.get("SortCriteria") or []
    if len(criteria) > 10:
        raise Refused(_INVALID, "at most 10 sort criteria")
    try:
        finding_filters.check(filters)
        now = hub.world.clock.now()
        found = [
            stored.finding
            for stored in hub.visible(request.account, request.region)
            if finding_filters.matches(stored.finding, filters, now)
        ]
        # without criteria, AWS gives the most recently updated findings first
        criteria = criteria or [{"Field": "UpdatedAt", "SortOrder": "desc"}]
        found = [dict(finding) for finding in finding_filters.ordered(found, criteria)]
    except finding_filters.BadFilter as error:
        raise Refused(_INVALID, str(error)) from error
    findings, token = page(found, request.parameters, most=100, invalid=_INVALID)
    return {"Findings": copy.deepcopy(findings), "NextToken": token}


def _batch_update_findings(hub: _Hub, request: Request) -> dict[str, Any]:
    """
    Update what a customer may update, for findings that are visible here.

    Source: https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_BatchUpdateFindings.html and
    https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_BatchUpdateFindingsUnprocessedFinding.html
    """
    parameters = request.parameters
    identifiers = [(one["Id"], one["ProductArn"]) for one in parameters["FindingIdentifiers"]]
    _check_update(identifiers, parameters)
    processed, unprocessed = [], []
    for identifier in dict.fromkeys(identifiers):
        named = {"Id": identifier[0], "ProductArn": identifier[1]}
        if identifiers.count(identifier) > 1:
            unprocessed.append(_unprocessed(named, "DuplicatedFindingIdentifier", "Finding Identifier is duplicated"))
        elif (stored := hub.visible_by_identifier(request.account, request.region, identifier)) is None:
            unprocessed.append(_unprocessed(named, "FindingNotFound", "Finding Not Found"))
        else:
            _apply_update(stored, parameters, hub.world.clock.now())
            hub.announce(stored)
            processed.append(named)
    return {"ProcessedFindings": processed, "UnprocessedFindings": unprocessed}


def _check_update(identifiers: Sequence[tuple[str, str]], parameters: Mapping[str, Any]) -> None:
    if not 1 <= len(identifiers) <= 100:
        raise Refused(_INVALID, "FindingIdentifiers must have 1 to 100 entries")
    if not any(attribute in parameters for attribute in _UPDATABLE):
        raise Refused(_INVALID, f"nothing to update: give at least one of {', '.join(_UPDATABLE)}")
    note = parameters.get("Note")
    if note is not None:
        for name in ("Text", "UpdatedBy"):
            if not note.get(name, "").strip():
                raise Refused(_INVALID, f"Note.{name} must not be empty")
            if len(note[name]) > LONGEST_NOTE:
                raise Refused(_INVALID, f"Note.{name} is longer than {LONGEST_NOTE} characters")
    for name, choices in (
        ("Workflow.Status", ("NEW", "NOTIFIED", "RESOLVED", "SUPPRESSED")),
        ("Severity.Label", tuple(asff.SEVERITY)),
        ("VerificationState", ("UNKNOWN", "TRUE_POSITIVE", "FALSE_POSITIVE", "BENIGN_POSITIVE")),
    ):
        outer, _, inner = name.partition(".")
        value = parameters.get(outer)
        value = value.get(inner) if inner and value is not None else value
        if value is not None and value not in choices:
            raise Refused(_INVALID, f"{name} is {value!r}: expected one of {', '.join(choices)}")
    for name in ("Confidence", "Criticality"):
        if not 0 <= parameters.get(name, 0) <= 100:
            raise Refused(_INVALID, f"{name} must be between 0 and 100")
    for name, most in (("Types", 50), ("UserDefinedFields", 50), ("RelatedFindings", 10)):
        if len(parameters.get(name, ())) > most:
            raise Refused(_INVALID, f"{name} has more than {most} entries")


def _apply_update(stored: _Stored, parameters: Mapping[str, Any], now: datetime) -> None:
    finding = copy.deepcopy(stored.finding)
    for attribute in _UPDATABLE:
        if attribute in parameters:
            finding[attribute] = copy.deepcopy(parameters[attribute])
            if attribute in _CUSTOMERS_IF_SET:
                stored.set_by_customer.add(attribute)
    if "Note" in parameters:
        finding["Note"]["UpdatedAt"] = asff.written(now)
    if "Severity" in parameters:
        given = parameters["Severity"]
        finding["Severity"] = _severity({**stored.finding["Severity"], **given}, given)
    stored.finding = finding


def _severity(severity: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return *severity* with Label and Normalized that agree; the one that was *given* rules, Label first."""
    given = severity if given is None else given
    if "Label" in given:
        return {**severity, "Normalized": given.get("Normalized", asff.SEVERITY[given["Label"]])}
    number = severity.get("Normalized", 0)
    bounds = ((1, "INFORMATIONAL"), (40, "LOW"), (70, "MEDIUM"), (90, "HIGH"))
    label = next((name for bound, name in bounds if number < bound), "CRITICAL")
    return {**severity, "Label": label, "Normalized": number}


def _unprocessed(identifier: Mapping[str, str], code: str, message: str) -> dict[str, Any]:
    return {"FindingIdentifier": identifier, "ErrorCode": code, "ErrorMessage": message}


def _is_passed_check(finding: Mapping[str, Any]) -> bool:
    own = finding["ProductArn"].endswith("::product/aws/securityhub")
    return bool(own and finding.get("Compliance", {}).get("Status") == "PASSED")


def _needs_another_look(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    was, became = before.get("Compliance", {}).get("Status"), after.get("Compliance", {}).get("Status")
    if was == "PASSED" and became in ("WARNING", "FAILED", "NOT_AVAILABLE"):
        return True
    return before.get("RecordState") == "ARCHIVED" and after.get("RecordState") == "ACTIVE"


# --- custom actions


def _create_action_target(hub: _Hub, request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_CreateActionTarget.html"""
    name, description, id_ = (request.parameters[key] for key in ("Name", "Description", "Id"))
    if not re.fullmatch(r"[A-Za-z0-9]{1,20}", id_):
        raise Refused(_INVALID, f"Id {id_!r} is not 1 to 20 alphanumeric characters")
    _check_action_text(name, description)
    actions = hub.actions.setdefault((request.account, request.region), {})
    arn = f"arn:{request.partition}:securityhub:{request.region}:{request.account}:action/custom/{id_}"
    if arn in actions:
        raise Refused("ResourceConflictException", f"custom action {id_} already exists")
    if len(actions) >= MOST_CUSTOM_ACTIONS:
        raise Refused("LimitExceededException", f"at most {MOST_CUSTOM_ACTIONS} custom actions")
    actions[arn] = {"ActionTargetArn": arn, "Name": name, "Description": description}
    return {"ActionTargetArn": arn}


def _update_action_target(hub: _Hub, request: Request) -> dict[str, Any]:
    action = _action(hub, request, request.parameters["ActionTargetArn"])
    name = request.parameters.get("Name", action["Name"])
    description = request.parameters.get("Description", action["Description"])
    _check_action_text(name, description)
    action.update(Name=name, Description=description)
    return {}


def _delete_action_target(hub: _Hub, request: Request) -> dict[str, Any]:
    arn = _action(hub, request, request.parameters["ActionTargetArn"])["ActionTargetArn"]
    del hub.actions[request.account, request.region][arn]
    return {"ActionTargetArn": arn}


def _describe_action_targets(hub: _Hub, request: Request) -> dict[str, Any]:
    arns = request.parameters.get("ActionTargetArns")
    if arns:
        actions = [_action(hub, request, arn) for arn in arns]
    else:
        actions = list(hub.actions.get((request.account, request.region), {}).values())
    targets, token = page(actions, request.parameters, most=100, invalid=_INVALID)
    return {"ActionTargets": targets, "NextToken": token}


def _action(hub: _Hub, request: Request, arn: str) -> dict[str, str]:
    try:
        return hub.actions[request.account, request.region][arn]
    except KeyError:
        raise Refused("ResourceNotFoundException", f"custom action {arn} was not found") from None


def _check_action_text(name: str, description: str) -> None:
    if not name.strip() or len(name) > 20:
        raise Refused(_INVALID, f"Name {name!r} is not 1 to 20 characters")
    if not description.strip():
        raise Refused(_INVALID, "Description must not be empty")


# --- accounts and Regions


def _enable_security_hub(hub: _Hub, request: Request) -> dict[str, Any]:
    where = (request.account, request.region)
    if where in hub.enabled:
        raise Refused("ResourceConflictException", f"Account {request.account} is already subscribed to Security Hub")
    hub.enabled[where] = hub.world.clock.now()
    return {}


def _disable_security_hub(hub: _Hub, request: Request) -> dict[str, Any]:
    if hub.enabled.pop((request.account, request.region), None) is None:
        raise Refused("InvalidAccessException", f"Account {request.account} is not subscribed to AWS Security Hub")
    return {}


def _describe_hub(hub: _Hub, request: Request) -> dict[str, Any]:
    arn = f"arn:{request.partition}:securityhub:{request.region}:{request.account}:hub/default"
    if request.parameters.get("HubArn", arn) != arn:
        raise Refused("ResourceNotFoundException", f"hub {request.parameters['HubArn']} was not found")
    return {
        "HubArn": arn,
        "SubscribedAt": asff.written(hub.enabled[request.account, request.region]),
        "AutoEnableControls": True,
        "ControlFindingGenerator": "SECURITY_CONTROL",
    }


def _list_members(hub: _Hub, request: Request) -> dict[str, Any]:
    members = [_member(hub, account) for account in _member_accounts(hub, request)]
    if request.parameters.get("OnlyAssociated", True):
        members = [member for member in members if member["MemberStatus"] == "Enabled"]
    shown, token = page(members, request.parameters, most=50, invalid=_INVALID)
    return {"Members": shown, "NextToken": token}


def _get_members(hub: _Hub, request: Request) -> dict[str, Any]:
    known = _member_accounts(hub, request)
    asked = request.parameters["AccountIds"]
    return {
        "Members": [_member(hub, account) for account in asked if account in known],
        "UnprocessedAccounts": [
            {"AccountId": account, "ProcessingResult": "The account is not a member account"}
            for account in asked
            if account not in known
        ],
    }


def _member_accounts(hub: _Hub, request: Request) -> list[str]:
    """Return the accounts that are members of the caller: all others for the administrator, none for a member."""
    organization = hub.world.organization
    if request.account != organization.admin:
        return []
    return [account for account in organization.accounts if account != organization.admin]


def _member(hub: _Hub, account: str) -> dict[str, Any]:
    organization = hub.world.organization
    since = hub.enabled.get((account, organization.home))
    return {
        "AccountId": account,
        "Email": f"{organization.names.get(account, account)}@example.com",
        "MasterId": organization.admin,
        "AdministratorId": organization.admin,
        "MemberStatus": "Enabled" if since else "Removed",
        "InvitedAt": since,
        "UpdatedAt": since,
    }


def _get_administrator_account(hub: _Hub, request: Request) -> dict[str, Any]:
    organization = hub.world.organization
    if request.account == organization.admin:
        return {}
    return {
        "Administrator": {
            "AccountId": organization.admin,
            "MemberStatus": "Enabled",
            "InvitedAt": hub.enabled[request.account, request.region],
        }
    }


def _list_organization_admin_accounts(hub: _Hub, request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_ListOrganizationAdminAccounts.html"""
    organization = hub.world.organization
    if request.account != organization.management:
        raise Refused("InvalidAccessException", "only the management account may list the administrators")
    return {"AdminAccounts": [{"AccountId": organization.admin, "Status": "ENABLED"}]}


def _aggregator_arn(hub: _Hub) -> str:
    organization = hub.world.organization
    where = f"arn:{organization.partition}:securityhub:{organization.home}:{organization.admin}"
    return f"{where}:finding-aggregator/00000000-0000-4000-8000-{organization.admin}"


def _list_finding_aggregators(hub: _Hub, request: Request) -> dict[str, Any]:
    own = request.account == hub.world.organization.admin
    return {"FindingAggregators": [{"FindingAggregatorArn": _aggregator_arn(hub)}] if own else []}


def _get_finding_aggregator(hub: _Hub, request: Request) -> dict[str, Any]:
    organization = hub.world.organization
    arn = request.parameters["FindingAggregatorArn"]
    if request.account != organization.admin or arn != _aggregator_arn(hub):
        raise Refused("ResourceNotFoundException", f"finding aggregator {arn} was not found")
    return {
        "FindingAggregatorArn": arn,
        "FindingAggregationRegion": organization.home,
        "RegionLinkingMode": "SPECIFIED_REGIONS",
        "Regions": [region for region in organization.regions if region != organization.home],
    }


def _hub(world: World) -> _Hub:
    if _current is None or _current.world is not world:
        raise RuntimeError("the additions are not installed for this world")
    return _current
