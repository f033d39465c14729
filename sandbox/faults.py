"""Faults on request: one small language for the control plane, the tests and markers inside a prompt.

A fault is written `channel=how[:argument]`, for example `callback=late:5000`, `file=broken`, `create=402`.
The channel says which part of the contract misbehaves; each twin publishes the channels and words that it knows
as a `Catalogue`. A fault comes into force in one of two ways:

* as a `FaultRule` added through the control plane: globally, for the next k requests, every k-th request, for a
  while, or only where the prompt (or the record's text) contains a substring;
* as a marker `[twin:callback=lost]` in the prompt itself. `*n` after it limits it to the first n times that this
  prompt meets it: `[twin:file=403*1]`. Several faults share a marker, separated by commas.

Nothing here does I/O: `FaultBook.draw` only decides.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

logger = logging.getLogger(__name__)

#: Channel to word to one-line explanation. The word `CODE` stands for any number.
Catalogue = Mapping[str, Mapping[str, str]]
CODE = "<code>"

_MARKER = re.compile(r"\[twin:([^\]]*)\]")
_FAULT = re.compile(r"^(?P<channel>[a-z_]+)=(?P<how>[a-z0-9_]+)(?::(?P<argument>[^*]*))?(?:\*(?P<times>\d+))?$")


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour.

    Attributes:
        channel: Which part of the contract misbehaves.
        how: The word that says how.
        argument: What follows the colon, or "".
        group: Which tasks belong together, for faults that hold several of them.
    """

    channel: str
    how: str
    argument: str = ""
    group: str = ""

    def number(self, default: float) -> float:
        """Return the argument as a number, or the default where there is none."""
        return float(self.argument) if self.argument else default


def parse_fault(text: str) -> tuple[Fault, int | None]:
    """Return the fault that a text names, and how often it applies (None = always).

    Raises:
        ValueError: The text has another form.
    """
    match = _FAULT.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no fault: write channel=how[:argument], such as callback=late:5000")
    times = match["times"]
    fault = Fault(match["channel"], match["how"], (match["argument"] or "").strip())
    if fault.argument and fault.how in {"late", "latency", "slow"}:
        try:
            float(fault.argument)
        except ValueError:
            raise ValueError(f"{text!r}: {fault.argument!r} is no number") from None
    return fault, int(times) if times else None


def check_fault(fault: Fault, catalogue: Catalogue) -> None:
    """Make sure that a twin knows the fault.

    Raises:
        ValueError: It does not; the message lists what it knows.
    """
    words = catalogue.get(fault.channel)
    if words is None:
        raise ValueError(f"no channel {fault.channel!r}; there are: {', '.join(sorted(catalogue))}")
    if fault.how not in words and not (fault.how.isdecimal() and CODE in words):
        raise ValueError(f"{fault.channel}={fault.how} is unknown; {fault.channel} takes: {', '.join(sorted(words))}")


def without_markers(prompt: str) -> str:
    """Return the prompt as a person should see it, without `[twin:…]`."""
    return re.sub(r"\s{2,}", " ", _MARKER.sub(" ", prompt)).strip()


def marker_words(prompt: str) -> list[str]:
    """Return the comma-separated items of all markers in a prompt."""
    return [word.strip() for marker in _MARKER.findall(prompt) for word in marker.split(",") if word.strip()]


class FaultRule(BaseModel):
    """A fault and when it applies, as the control plane takes it.

    Attributes:
        fault: `channel=how[:argument]`.
        match: Applies only where the prompt (Airtable: path or text of the record) contains this.
        times: Lapses after this many applications.
        every: Applies to every k-th opportunity only (5 = the fifth, tenth, …).
        skip: Lets this many opportunities pass first.
        for_ms: Lapses this long after it was added.
        group: Regular expression on the prompt; what it matches names the group of `barrier` and `reordered`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fault: str
    match: str = ""
    times: int | None = Field(None, ge=1)
    every: int = Field(1, ge=1)
    skip: int = Field(0, ge=0)
    for_ms: int | None = Field(None, ge=0)
    group: str = ""

    @field_validator("group")
    @classmethod
    def _group_is_a_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value


@dataclass(slots=True)
class _Standing:
    """A rule in force and what became of it."""

    rule: FaultRule
    fault: Fault
    added_s: float
    seen: int = 0
    applied: int = 0

    def opportunity(self, now_s: float) -> bool:
        """Count one opportunity and say whether the fault applies to it."""
        rule = self.rule
        if rule.times is not None and self.applied >= rule.times:
            return False
        if rule.for_ms is not None and (now_s - self.added_s) * 1000 >= rule.for_ms:
            return False
        self.seen += 1
        beyond = self.seen - rule.skip
        if beyond <= 0 or beyond % rule.every:
            return False
        self.applied += 1
        return True

    def resolved(self, text: str) -> Fault:
        if not self.rule.group:
            return self.fault
        found = re.search(self.rule.group, text)
        return replace(self.fault, group=found.group(0) if found else "")


@dataclass
class FaultBook:
    """All faults in force at one twin.

    Attributes:
        catalogue: What this twin knows.
    """

    catalogue: Catalogue
    _standing: dict[str, _Standing] = field(default_factory=dict)
    _markers: dict[tuple[str, str], _Standing | None] = field(default_factory=dict)
    _number: int = 0

    def add(self, rule: FaultRule) -> str:
        """Put a rule into force and return its id.

        Raises:
            ValueError: The twin does not know the fault.
        """
        fault, times = parse_fault(rule.fault)
        check_fault(fault, self.catalogue)
        if times is not None:
            rule = rule.model_copy(update={"times": times})
        self._number += 1
        rule_id = f"fault-{self._number}"
        self._standing[rule_id] = _Standing(rule, fault, time.monotonic())
        return rule_id

    def remove(self, rule_id: str) -> bool:
        """Take a rule out of force; False when there is none of that id."""
        return self._standing.pop(rule_id, None) is not None

    def clear(self) -> None:
        """Forget all rules and all counts of markers."""
        self._standing.clear()
        self._markers.clear()

    def draw(self, channels: Iterable[str], text: str, *, subject: str = "", count: bool = True) -> list[Fault]:
        """Return the faults that apply to one opportunity, rules first, then markers.

        Args:
            channels: Which parts of the contract are about to be exercised.
            text: The prompt, or what else stands for the request; markers are read from it.
            subject: For whom markers count their `*n`; the text itself where nothing better is known.
            count: False looks without using anything up (for `HEAD`).
        """
        wanted, now_s = set(channels), time.monotonic()
        candidates = [s for s in self._standing.values() if s.rule.match in text]
        candidates += self._from_markers(text, subject or text)
        drawn = []
        for standing in candidates:
            if standing.fault.channel not in wanted:
                continue
            seen, applied = standing.seen, standing.applied
            if standing.opportunity(now_s):
                drawn.append(standing.resolved(text))
            if not count:
                standing.seen, standing.applied = seen, applied
        return drawn

    def _from_markers(self, text: str, subject: str) -> list[_Standing]:
        standing = []
        for word in marker_words(text):
            key = (subject, word)
            if key not in self._markers:
                self._markers[key] = self._standing_of(word)
            if (known := self._markers[key]) is not None:
                standing.append(known)
        return standing

    def _standing_of(self, word: str) -> _Standing | None:
        """Return the rule that a marker stands for; None for the other twin's faults and for clip settings."""
        if word.partition("=")[0].strip() not in self.catalogue:
            return None
        try:
            fault, times = parse_fault(word)
            check_fault(fault, self.catalogue)
        except ValueError as error:
            logger.warning("marker ignored: %s", error)
            return None
        return _Standing(FaultRule(fault=word.split("*", maxsplit=1)[0], times=times), fault, time.monotonic())

    def snapshot(self) -> list[dict[str, Any]]:
        """Return all rules with how often they had an opportunity and how often they applied."""
        return [
            {"id": rule_id, **s.rule.model_dump(), "seen": s.seen, "applied": s.applied}
            for rule_id, s in self._standing.items()
        ]
