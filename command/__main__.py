"""
`python -m command VERB` looks after a deployment of SHARR, with the AWS credentials at hand.

    python -m command redrive                    dead letters, and why they are there; --send sends them again
    python -m command limits                     how repairs are limited now, what waits, what stopped
    python -m command resume KMS.4               let a control go on that stopped at a failed first repair
    python -m command backlog KMS.4 --preview    what would be done about all open findings of a control

It runs in the admin account and the home Region; AWS_ENDPOINT_URL works. Exit codes: 0 done, 1 something failed,
2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from command import backlog, limits, redrive
from command.deployment import STACK, Clients
from command.showing import Wrong, WrongUsage, one_line

CONFIG: Final = Config(retries={"mode": "standard", "max_attempts": 8}, connect_timeout=10, read_timeout=30)
INTERRUPTED: Final = 130
Verb = Callable[[argparse.Namespace, Clients], int]


def main(arguments: Sequence[str] | None = None, clients: Clients | None = None) -> int:
    """Carry a verb out and return the exit code; *clients* makes clients, by default with the credentials at hand."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    do: Verb = options.do
    try:
        return do(options, clients or clients_of(options.profile, options.region))
    except WrongUsage as error:
        print(f"command {options.verb}: {error}", file=sys.stderr)
        return 2
    except Wrong as error:
        print(f"command {options.verb}: {error}", file=sys.stderr)
    except ClientError as error:
        code, text = (error.response["Error"].get(name, "") for name in ("Code", "Message"))
        print(f"command {options.verb}: {error.operation_name}: {code}: {one_line(text, 400)}", file=sys.stderr)
    except BotoCoreError as error:
        hint = ": choose credentials and Region, by --profile and --region or the environment"
        print(f"command {options.verb}: {one_line(error, 400)}{hint}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"command {options.verb}: interrupted; nothing is lost, run it again", file=sys.stderr)
        return INTERRUPTED
    return 1


def clients_of(profile: str | None, region: str | None) -> Clients:
    """Return what makes clients, each once, from a profile and Region; without them from the environment."""
    session = boto3.Session(profile_name=profile, region_name=region)
    return cache(partial(_client, session))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command."""
    parser = argparse.ArgumentParser(
        prog="python -m command", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, add_arguments, do in (
        ("redrive", redrive.add_arguments, redrive.run),
        ("limits", limits.add_limits_arguments, limits.show),
        ("resume", limits.add_resume_arguments, limits.resume),
        ("backlog", backlog.add_arguments, backlog.run),
    ):
        about = (do.__doc__ or "").strip().splitlines()[0]
        made = verbs.add_parser(name, help=about, description=about, allow_abbrev=False)
        add_arguments(made)
        made.add_argument("--json", action="store_true", help="print JSON")
        made.add_argument("--stack", default=STACK, help=f"the admin stack's name; default {STACK}")
        made.add_argument(
            "--profile", help="of the AWS configuration; default: what AWS_PROFILE or the environment says"
        )
        made.add_argument("--region", help="the home Region; default: the profile's, or AWS_REGION")
        made.set_defaults(do=do)
    return parser


def _client(session: Any, service: str) -> Any:
    return session.client(service, config=CONFIG)


if __name__ == "__main__":
    sys.exit(main())
