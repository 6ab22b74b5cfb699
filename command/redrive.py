"""The verb `redrive`: dead letters, why they are there, and sending them again."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from command import dead_letters
from command.dead_letters import Letter
from command.deployment import Clients, Queue, find
from command.showing import Progress, WrongUsage, new_file, one_line, print_json, table

AT_A_TIME: Final = 8
"""Queues that are read at a time: each answers after a second where it is empty, and there may be fourteen."""
MOST: Final = 10_000
SHOWN: Final = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--queue", metavar="NAME", help="only of this playbook (SC, CIS300 ...), or `outcomes`")
    parser.add_argument("--reason", metavar="TEXT", help="only those whose reason has this text in it")
    parser.add_argument("--id", metavar="ID", action="append", help="only this message; may be given several times")
    parser.add_argument(
        "--limit",
        metavar="N",
        type=_number,
        help=f"at most so many, the oldest first; one run reads {MOST} of each queue",
    )
    parser.add_argument(
        "--send",
        action="store_true",
        help="send them to the queue they were meant for, and delete each once SQS has its copy; what was laid aside "
        "as unreadable stays",
    )
    parser.add_argument("--laid-aside", action="store_true", help="with --send: after an upgrade, those as well")
    parser.add_argument(
        "--delete", action="store_true", help="delete them, after --save; needs --yes, and --id or --reason"
    )
    parser.add_argument(
        "--save", metavar="FILE", type=Path, help="write them, bodies included, into a new file, one JSON object a line"
    )
    parser.add_argument("--yes", action="store_true", help="with --delete: yes, delete them")


def run(options: argparse.Namespace, clients: Clients) -> int:
    """Show dead letters grouped by reason; send or delete them where that is asked for. Return the exit code."""
    _check(options)
    queues = _chosen(find(clients, options.stack, queues=True).queues.values(), options.queue)
    sqs = clients("sqs")
    letters: list[Letter] = []
    gone: set[str] = set()
    try:
        _read(sqs, queues, letters, Progress())
        done = _carried_out(sqs, letters, options)
        gone = {*done.sent, *done.deleted} - done.failed.keys()
    finally:
        _give_back(sqs, [letter for letter in letters if letter.id not in gone])
    _show(options, done)
    return 1 if done.failed else 0


@dataclass(frozen=True, slots=True)
class _Done:
    """What was chosen, and what became of it: ids, and id -> why for those that failed."""

    chosen: list[Letter]
    sent: list[str]
    deleted: list[str]
    failed: dict[str, str]
    left: int


def _carried_out(sqs: Any, letters: Sequence[Letter], options: argparse.Namespace) -> _Done:
    meant = sorted((x for x in letters if _is_meant(x, options)), key=lambda letter: letter.sent_at)
    aside = [x for x in meant if x.kind == "laid aside"] if options.send and not options.laid_aside else []
    wanted = [x for x in meant if x not in aside][: options.limit]
    if options.save:
        _save(options.save, wanted)
    sent: list[str] = []
    failed: dict[str, str] = {}
    deleted: list[str] = []
    if options.send:
        sent, failed = dead_letters.send_again(sqs, wanted, Progress())
    elif options.delete:
        failed = {one: f"not deleted: {code}" for one, code in dead_letters.delete(sqs, wanted).items()}
        deleted = [letter.id for letter in wanted if letter.id not in failed]
    return _Done([*wanted, *aside], sent, deleted, failed, len(aside))


def _give_back(sqs: Any, letters: Sequence[Letter]) -> None:
    """Let others see at once what is left. Where that fails it comes back by itself: say so, hide no other error."""
    try:
        dead_letters.give_back(sqs, letters)
    except (BotoCoreError, ClientError) as error:
        minutes = dead_letters.HIDDEN_SECONDS // 60
        print(f"{len(letters)} messages are hidden for {minutes} minutes: {one_line(error)}", file=sys.stderr)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST):
        raise argparse.ArgumentTypeError(f"{one_line(text, 40)!r} is not a number from 1 to {MOST}")
    return int(text)


def _check(options: argparse.Namespace) -> None:
    if options.send and options.delete:
        raise WrongUsage("--send or --delete, not both")
    if options.laid_aside and not options.send:
        raise WrongUsage("--laid-aside goes with --send")
    if options.delete and not (options.save and options.yes and (options.id or options.reason)):
        raise WrongUsage("--delete needs --save FILE, --yes, and which: --id ID or --reason TEXT")


def _chosen(queues: Iterable[Queue], name: str | None) -> list[Queue]:
    every = list(queues)
    if name is None:
        return every
    found = [queue for queue in every if queue.name.lower() == name.lower()]
    if not found:
        raise WrongUsage(f"--queue {one_line(name, 40)}: wanted one of {', '.join(q.name for q in every)}")
    return found


def _read(sqs: Any, queues: Sequence[Queue], into: list[Letter], progress: Progress) -> None:
    """Read all queues into *into*, which has what is hidden by now also where this is interrupted."""
    interrupted = Event()

    def read(queue: Queue) -> None:
        for letter in dead_letters.read(sqs, queue, MOST, progress):
            into.append(letter)
            if interrupted.is_set():
                return

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        try:
            for _ in pool.map(read, queues):
                pass
        except BaseException:
            interrupted.set()
            pool.shutdown(cancel_futures=True)
            raise
    if any(count >= MOST for count in Counter(letter.dead_url for letter in into).values()):
        print(f"one run reads {MOST} dead letters of each queue: there may be more, so run it again", file=sys.stderr)


def _is_meant(letter: Letter, options: argparse.Namespace) -> bool:
    by_id = not options.id or letter.id in options.id
    return by_id and (not options.reason or options.reason.lower() in letter.reason.lower())


def _save(path: Path, letters: Sequence[Letter]) -> None:
    with new_file(path) as file:
        for letter in letters:
            file.write(json.dumps(letter.saved()) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _show(options: argparse.Namespace, done: _Done) -> None:
    if options.json:
        messages = [letter.shown() for letter in done.chosen]
        print_json({"messages": messages, "sent": done.sent, "deleted": done.deleted, "failed": done.failed})
        return
    if not done.chosen:
        print("no dead letters" + (" of those" if options.queue or options.reason or options.id else ""))
        return
    groups: dict[tuple[str, str, str], list[Letter]] = defaultdict(list)
    for letter in done.chosen:
        groups[letter.queue, letter.kind, letter.reason].append(letter)
    for (queue, kind, reason), letters in sorted(groups.items(), key=lambda group: -len(group[1])):
        print(f"{queue}: {_count(len(letters))} {kind}: {one_line(reason)}\n  to do: {letters[0].to_do}")
        rows = [(x.id, _minute(x.sent_at), _minute(x.lost_at), x.about) for x in letters[:SHOWN]]
        print(textwrap.indent(table(("message", "sent (UTC)", "lost (UTC)", "about"), rows), "  "))
        if len(letters) > SHOWN:
            print(f"  and {len(letters) - SHOWN} more: --json has all")
        print()
    if options.save:
        print(f"saved in {options.save}")
    if options.send:
        print(f"{_count(len(done.sent))} sent again")
        if done.left:
            print(
                f"{_count(done.left)} left, laid aside before, as they would be again. After an upgrade that reads "
                "them: --send --laid-aside. Where nothing is to come of them: --delete"
            )
    elif options.delete:
        print(f"{_count(len(done.deleted))} deleted")
    else:
        print(f"{_count(len(done.chosen))} in all; --send sends them again")
    for one, reason in done.failed.items():
        print(f"{one} {reason}")


def _count(number: int) -> str:
    return f"{number} message{'' if number == 1 else 's'}"


def _minute(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M")
