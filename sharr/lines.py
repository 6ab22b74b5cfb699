"""Lets held attempts go on: the oldest of each line, as many as its limit has room for. The sweeper calls it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sharr.attempts import Attempt, Attempts
from sharr.limits import AT_ONCE, HOUR_LINE, Limits, control_line, may_begin


def released(attempts: Attempts, limits: Limits, now: datetime, until: datetime) -> Iterator[Attempt]:
    """
    Yield the held attempts that may go on now; each is due at *until* again, should its message be lost.

    Of a control that is in its first repairs one goes on; of one that is past them all go on, up to 100 at a time.
    """
    if limits.per_hour == 0:
        return
    for control in attempts.held_controls():
        turn = limits.turn_of(control)
        if limits.first == 0 or may_begin(turn, limits.first, now):
            most = AT_ONCE if limits.first == 0 or turn.verified >= limits.first else 1
            for attempt in attempts.get_many(attempts.held(control_line(control), most)):
                if attempts.release(attempt, until, reserved=False):
                    yield attempt
    hour = limits.hour(now)
    room = min(hour.room, AT_ONCE)
    waiting = attempts.get_many(attempts.held(HOUR_LINE, room)) if room else []
    if waiting and limits.reserve(len(waiting), now):
        for attempt in waiting:
            if attempts.release(attempt, until, reserved=True):
                yield attempt
    if hour.somebody_waits and len(waiting) < room:
        limits.none_waits()
