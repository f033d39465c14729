import pytest
from pydantic import ValidationError

from sandbox.faults import Fault, FaultBook, FaultRule, marker_words, parse_fault, without_markers

CATALOGUE = {"create": {"late": "", "<code>": ""}, "callback": {"lost": "", "barrier": ""}}


def book(*rules: FaultRule) -> FaultBook:
    made = FaultBook(CATALOGUE)
    for rule in rules:
        made.add(rule)
    return made


def applied(faults: FaultBook, text: str = "a prompt", times: int = 8) -> list[int]:
    """Return which of the next opportunities (counted from 1) met a fault."""
    return [number for number in range(1, times + 1) if faults.draw(("callback",), text)]


@pytest.mark.parametrize(
    ("text", "fault", "times"),
    [
        ("callback=lost", Fault("callback", "lost"), None),
        ("create=late:5000", Fault("create", "late", "5000"), None),
        ("create=402*3", Fault("create", "402"), 3),
        ("create=late:10*1", Fault("create", "late", "10"), 1),
    ],
)
def test_a_fault_is_written_as_channel_word_argument_and_times(text: str, fault: Fault, times: int | None) -> None:
    assert parse_fault(text) == (fault, times)


@pytest.mark.parametrize("text", ["", "callback", "callback=", "=lost", "create=late:soon", "Create=late", "create=-1"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"fault|number"):
        parse_fault(text)


def test_an_unknown_channel_or_word_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match="callback, create"):
        book(FaultRule(fault="colour=red"))
    with pytest.raises(ValueError, match="barrier, lost"):
        book(FaultRule(fault="callback=found"))


@pytest.mark.parametrize(
    ("rule", "which"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"times": 2}, [1, 2]),
        ({"every": 3}, [3, 6]),
        ({"skip": 5}, [6, 7, 8]),
        ({"skip": 1, "every": 2, "times": 2}, [3, 5]),
        ({"for_ms": 0}, []),
        ({"match": "cat"}, []),
        ({"match": "prompt"}, [1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_a_rule_applies_when_it_says(rule: dict[str, object], which: list[int]) -> None:
    assert applied(book(FaultRule.model_validate({"fault": "callback=lost", **rule}))) == which


def test_opportunities_of_other_channels_and_prompts_do_not_count() -> None:
    faults = book(FaultRule(fault="callback=lost", match="cat", every=2))
    assert faults.draw(("create",), "a cat") == []
    assert faults.draw(("callback",), "a dog") == []
    assert applied(faults, "a cat", 2) == [2]


def test_looking_without_counting_uses_nothing_up() -> None:
    faults = book(FaultRule(fault="callback=lost", times=1))
    assert [len(faults.draw(("callback",), "x", count=False)) for _ in range(3)] == [1, 1, 1]
    assert applied(faults) == [1]


def test_a_marker_counts_for_its_own_prompt() -> None:
    faults = book()
    assert applied(faults, "a cat [twin:callback=lost*2]") == [1, 2]
    assert applied(faults, "a dog [twin:callback=lost*1]") == [1]


def test_markers_hold_several_faults_and_are_hidden_from_people() -> None:
    prompt = "A cat [twin:callback=lost, create=402*1] on a roof [twin:seconds=1]"
    assert marker_words(prompt) == ["callback=lost", "create=402*1", "seconds=1"]
    assert without_markers(prompt) == "A cat on a roof"
    drawn = book().draw(("callback", "create"), prompt)
    assert [(fault.channel, fault.how) for fault in drawn] == [("callback", "lost"), ("create", "402")]


def test_a_marker_of_another_twin_is_passed_over_and_a_wrong_word_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert book().draw(("callback",), "x [twin:ingest=never]") == []
    assert caplog.text == ""
    assert book().draw(("callback",), "x [twin:callback=lots]") == []
    assert "callback=lots is unknown" in caplog.text


def test_a_group_is_what_the_pattern_finds_in_the_prompt() -> None:
    faults = book(FaultRule(fault="callback=barrier:2", group=r"job \d+"))
    assert [f.group for f in faults.draw(("callback",), "job 17 shot 2")] == ["job 17"]
    with pytest.raises(ValidationError, match="regular expression"):
        FaultRule(fault="callback=barrier", group="(")


def test_rules_can_be_removed_and_show_how_often_they_applied() -> None:
    faults = FaultBook(CATALOGUE)
    rule_id = faults.add(FaultRule(fault="callback=lost*1"))
    assert applied(faults, times=3) == [1]
    (shown,) = faults.snapshot()
    assert (shown["id"], shown["times"], shown["applied"]) == (rule_id, 1, 1)
    assert faults.remove(rule_id)
    assert not faults.remove(rule_id)
