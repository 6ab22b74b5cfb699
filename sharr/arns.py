"""Partitions, Regions and ARNs: closed data, read once, and a parser that takes nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LONGEST_ARN: Final = 2048
"""Characters. Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""


class MalformedArn(ValueError):
    """The text is no ARN of a partition and Region that this release knows."""


class UnknownRegion(ValueError):
    """The text is no Region of any partition that this release knows."""


@dataclass(frozen=True, slots=True)
class Partition:
    """
    A group of Regions with accounts, endpoints and a console of its own.

    *console* is None where AWS publishes no host of one: no link is better than a wrong one. *asff_names* are what
    `Resources[].Partition` of a finding may say besides *id*.
    """

    id: str
    dns_suffix: str
    console: str | None
    regions: frozenset[str]
    asff_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Arn:
    """
    The parts of an ARN; *region* and *account* are empty where it has none.

    *account* may be `aws` (what AWS owns, as a managed policy) or `cloudfront` (an origin access identity).
    """

    partition: str
    service: str
    region: str
    account: str
    resource: str

    def __str__(self) -> str:
        return arn(self.partition, self.service, self.region, self.account, self.resource)


def _load() -> dict[str, Partition]:
    data = json.loads((Path(__file__).parent / "data" / "partitions.json").read_text("utf-8"))
    return {
        name: Partition(
            id=name,
            dns_suffix=facts["dns_suffix"],
            console=facts["console"],
            regions=frozenset(facts["regions"]),
            asff_names=tuple(facts["asff_names"]),
        )
        for name, facts in data.items()
    }


PARTITIONS: Final = _load()
"""Every partition by its name, as tools/refresh_data.py took it from botocore."""

_PARTITION_OF: Final = {region: name for name, partition in PARTITIONS.items() for region in partition.regions}

# The resource may hold a space and any punctuation: names of Auto Scaling groups and of IAM users do.
_ARN: Final = re.compile(
    r"arn:(?P<partition>[a-z-]{3,20}):(?P<service>[a-z0-9-]{1,63}):(?P<region>[a-z0-9-]{0,32})"
    r":(?P<account>[0-9]{12}|aws|cloudfront|):(?P<resource>[\x20-\x7e]+)"
)


def partition_of(region: str) -> str:
    """Return the partition that *region* is in; raises UnknownRegion for any text that is no known Region."""
    partition = _PARTITION_OF.get(region)
    if partition is None:
        raise UnknownRegion(f"{region[:40]!r} is no Region that this release knows")
    return partition


def is_region(region: str, partition: str) -> bool:
    """Tell whether *region* is a Region of *partition*."""
    return _PARTITION_OF.get(region) == partition


def parse_arn(text: str) -> Arn:
    """
    Return the parts of *text*.

    Raises MalformedArn unless all of it is one ARN of at most 2,048 printable ASCII characters, its partition is
    known, and its Region, if it has one, is of that partition.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
    """
    found = _ARN.fullmatch(text) if len(text) <= LONGEST_ARN else None
    if found is None:
        raise MalformedArn(f"{text[:100]!r} is no ARN: arn:partition:service:region:account:resource in ASCII")
    parsed = Arn(**found.groupdict())
    if parsed.partition not in PARTITIONS:
        raise MalformedArn(f"{text[:100]!r} is of no known partition: one of {', '.join(PARTITIONS)}")
    if parsed.region and not is_region(parsed.region, parsed.partition):
        raise MalformedArn(f"{text[:100]!r} names no known Region of partition {parsed.partition}")
    return parsed


def arn(partition: str, service: str, region: str, account: str, resource: str) -> str:
    """Return the ARN with these parts; *region* and *account* are empty strings where the service has none."""
    return f"arn:{partition}:{service}:{region}:{account}:{resource}"
