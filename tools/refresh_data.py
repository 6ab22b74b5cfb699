"""
Write the data files that the product ships: partitions, controls and the facts of each standard.

Run by hand when AWS adds Regions, controls or standards; equal inputs give equal bytes.

    python tools/refresh_data.py [--research DIRECTORY]

Sources:
    sharr/data/partitions.json  botocore's `partitions.json` (every Region of every partition, DNS suffix), the
                                Partition enum of botocore's Security Hub model (older names in findings), and CONSOLES
    sharr/data/controls.json    `controls.json` of the research directory: the control reference of the Security Hub
                                CSPM user guide (2026 copy) and an export of its API; what it says of each is `source`
    playbooks/*/playbook.yaml   the same file for the ids of each standard, PLAYBOOKS for the formats: the user guide's
                                pages "Sample control findings" and "Impact of consolidation on control findings"
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.loaders
import yaml

ROOT = Path(__file__).resolve().parent.parent

# Hosts of the AWS Management Console as AWS documents them; the isolated partitions publish none: no link, then.
# https://docs.aws.amazon.com/general/latest/gr/rande.html, https://docs.amazonaws.cn/en_us/aws/latest/userguide/endpoints-arns.html,
# https://docs.aws.amazon.com/govcloud-us/latest/UserGuide/using-govcloud-endpoints.html, https://docs.aws.eu/general/latest/gr/endpoints.html
CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
    "aws-eusc": "console.amazonaws-eusc.eu",
}

# Resources[].Partition of a finding has names of its own for two partitions (the enum of the API model).
ASFF_PARTITION_NAMES = {"aws-us-iso": "aws-iso", "aws-us-iso-b": "aws-iso-b"}

GUIDE = "https://docs.aws.amazon.com/securityhub/latest/userguide"
SAMPLES = f"{GUIDE}/sample-control-findings.html"
BY_ANALOGY = f"{SAMPLES} has no sample of this standard: formats by analogy with NIST SP 800-53, not confirmed"


@dataclass(frozen=True, slots=True)
class Playbook:
    """What a playbook.yaml says besides the ids: see `sharr.standards.Standard` for each field."""

    name: str
    title: str
    version: str
    generator: tuple[dict[str, str], ...]
    source: str
    data_name: str | None = None
    standards_arn: str | None = None
    own_numbering: bool = False
    control_prefix: str = ""
    consolidated: bool = False


def standard(name: str, title: str, path: str, data_name: str | None, source: str = SAMPLES, **more: Any) -> Playbook:
    return Playbook(
        name=name,
        title=title,
        version=path.rpartition("/")[2],
        generator=({"prefix": f"{path}/"},),
        source=source,
        data_name=data_name,
        standards_arn=f"standards/{path}",
        **more,
    )


CIS, CIS_TITLE = "cis-aws-foundations-benchmark/v", "CIS AWS Foundations Benchmark"
TAGGING = "aws-resource-tagging-standard/v/1.0.0"
PLAYBOOKS = (
    standard(
        "AFSBP",
        "AWS Foundational Security Best Practices",
        "aws-foundational-security-best-practices/v/1.0.0",
        "FSBP",
    ),
    Playbook(
        name="CIS120",
        title=CIS_TITLE,
        version="1.2.0",
        generator=({"wildcard": f"arn:*:securityhub:::ruleset/{CIS}/1.2.0/rule/*"},),
        source=SAMPLES,
        data_name="CIS_1_2_0",
        standards_arn=f"ruleset/{CIS}/1.2.0",
        own_numbering=True,
    ),
    standard("CIS140", CIS_TITLE, f"{CIS}/1.4.0", "CIS_1_4_0", own_numbering=True),
    standard("CIS300", CIS_TITLE, f"{CIS}/3.0.0", "CIS_3_0_0", own_numbering=True),
    standard("CIS500", CIS_TITLE, f"{CIS}/5.0.0", "CIS_5_0_0", own_numbering=True),
    standard("PCI321", "PCI DSS", "pci-dss/v/3.2.1", "PCI_3_2_1", own_numbering=True),
    standard("PCI401", "PCI DSS", "pci-dss/v/4.0.1", "PCI_4_0_1", source=BY_ANALOGY),
    standard("NIST80053", "NIST SP 800-53 Revision 5", "nist-800-53/v/5.0.0", "NIST_800_53_R5"),
    standard("NIST800171", "NIST SP 800-171 Revision 2", "nist-800-171/v/2.0.0", "NIST_800_171_R2"),
    standard(
        "CT",
        "Service-managed standard: AWS Control Tower",
        "service-managed-aws-control-tower/v/1.0.0",
        None,
        control_prefix="CT.",
    ),
    Playbook(
        name="Tagging",
        title="AWS Resource Tagging Standard",
        version="1.0.0",
        # Always in the consolidated shape; the second form is what an Id under subscription/ would come with.
        generator=({"prefix": "security-control/"}, {"prefix": f"{TAGGING}/"}),
        source=SAMPLES,
        data_name="TAGGING",
        standards_arn=f"standards/{TAGGING}",
        consolidated=True,
    ),
    standard(
        "AISBP",
        "AI Security Best Practices",
        "ai-security-best-practices/v/1.0.0",
        "AI_SBP",
        source=BY_ANALOGY,
    ),
    Playbook(
        name="SC",
        title="Consolidated control findings",
        version="1.0.0",
        generator=({"prefix": "security-control/"},),
        source=f"{GUIDE}/asff-changes-consolidation.html",
        consolidated=True,
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--research", type=Path, default=Path("/work/shared/data"), help="where controls.json is")
    research = parser.parse_args().research
    controls = json.loads((research / "controls.json").read_text("utf-8"))["controls"]
    write_json(ROOT / "sharr/data/partitions.json", partitions())
    write_json(ROOT / "sharr/data/controls.json", {c["id"]: reduced(c) for c in controls})
    for playbook in PLAYBOOKS:
        folder = ROOT / "playbooks" / playbook.name.lower()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "playbook.yaml").write_text(playbook_yaml(playbook, controls), "utf-8")


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write one key a line, so that a refresh reads well as a diff."""
    lines = (f"{json.dumps(key)}: {json.dumps(data[key])}" for key in sorted(data, key=natural))
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def natural(control: str) -> tuple[tuple[str, int], ...]:
    """Sort key that puts S3.2 before S3.10."""
    return tuple((part, 0) if not part.isdigit() else ("", int(part)) for part in control.split("."))


def partitions() -> dict[str, Any]:
    data = botocore.loaders.Loader().load_data("partitions")
    asff_names: dict[str, list[str]] = defaultdict(list)
    for name, partition in sorted(ASFF_PARTITION_NAMES.items()):
        asff_names[partition].append(name)
    return {
        each["id"]: {
            "dns_suffix": each["outputs"]["dnsSuffix"],
            "console": CONSOLES.get(each["id"]),
            "asff_names": asff_names[each["id"]],
            # Pseudo Regions such as aws-global are endpoints of botocore's, no place where a resource is.
            "regions": sorted(region for region in each["regions"] if not region.endswith("-global")),
        }
        for each in data["partitions"]
    }


def reduced(control: dict[str, Any]) -> dict[str, Any]:
    names = {p.data_name: p.name for p in PLAYBOOKS if p.data_name}
    return {
        "title": control["title"],
        "severity": control["severity"],
        "status": control["status"],
        "resource_types": control["resource_types"],
        "standards": {names[key]: own for key, own in sorted(own_ids(control).items())},
        "source": control["source"]["title"],
    }


def own_ids(control: dict[str, Any]) -> dict[str, list[str]]:
    """Return the ids that each standard (by the name in the research data) has for the control today."""
    return {
        key: [ids] if isinstance(ids := entry["control_id"], str) else sorted(ids, key=natural)
        for key, entry in control["standards"].items()
        if entry.get("current", True)
    }


def playbook_yaml(playbook: Playbook, controls: list[dict[str, Any]]) -> str:
    of_standard = {
        control["id"]: own[playbook.data_name]
        for control in controls
        if playbook.data_name in (own := own_ids(control))
    }
    facts: dict[str, Any] = {
        "name": playbook.name,
        "title": playbook.title,
        "version": playbook.version,
        "shape": "consolidated" if playbook.consolidated else "standard",
        "generator": list(playbook.generator),
    }
    if playbook.standards_arn:
        facts["standards_arn"] = playbook.standards_arn
    if playbook.consolidated:
        facts["associated_standard"] = {"only" if playbook.standards_arn else "except": f"standards/{TAGGING}"}
    if playbook.control_prefix:
        facts["control_prefix"] = playbook.control_prefix
    facts["ids"] = ids_of(of_standard) if playbook.own_numbering else "security-control-ids"
    if not playbook.own_numbering:
        facts["controls"] = sorted(of_standard, key=natural) or "all"
    facts["source"] = playbook.source
    text = yaml.safe_dump(facts, sort_keys=False, width=110, allow_unicode=True)
    return f"# Written by tools/refresh_data.py, which says where each fact comes from.\n{text}"


def ids_of(of_standard: dict[str, list[str]]) -> dict[str, list[str]]:
    """
    Return the standard's own id -> the security controls that may come under it.

    Two controls of one requirement have ids with .1 and .2 behind it where seen (CIS 1.4.0, 3.0.0). The guide lists
    the bare requirement only, so that is taken too; and where the order of the suffixes was never seen (CIS 5.0.0),
    each of both controls may have either.
    """
    ids: dict[str, set[str]] = defaultdict(set)
    for control, own in of_standard.items():
        for each in own:
            ids[each].add(control)
    for own_id, shared in sorted(ids.items()):
        first, second = f"{own_id}.1", f"{own_id}.2"
        if len(shared) > 1 and len(own_id.split(".")) == 3 and first not in ids and second not in ids:
            ids[first], ids[second] = set(shared), set(shared)
        requirement, _, suffix = own_id.rpartition(".")
        if suffix == "1" and requirement.count(".") == 2 and f"{requirement}.2" in ids and requirement not in ids:
            ids[requirement] = shared | ids[f"{requirement}.2"]
    return {own_id: sorted(ids[own_id], key=natural) for own_id in sorted(ids, key=natural)}


if __name__ == "__main__":
    main()
