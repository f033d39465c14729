from typing import Any

import pytest

from shared.airtable.errors import NoPrompts, UnknownAspectRatio, UnreadableCell
from shared.airtable.fields import FieldNames, aspect_ratio_of, prompts_of
from shared.job.model import AspectRatio


def test_prompts_come_in_the_order_of_their_numbers_not_of_their_letters() -> None:
    fields = {f"Prompt {n}": f"shot {n}" for n in (10, 2, 1)}
    assert prompts_of(fields) == ["shot 1", "shot 2", "shot 10"]


@pytest.mark.parametrize("name", ["Prompt 1", "Prompt1", "prompt 1", "PROMPT  01", " Prompt 1 "])
def test_every_common_spelling_of_a_prompt_field_is_found(name: str) -> None:
    assert prompts_of({name: "a cat"}) == ["a cat"]


@pytest.mark.parametrize("name", ["Prompt", "Prompt 0", "Prompt one", "Old Prompt 1", "Prompt 1 notes", "Prompt 12345"])
def test_similar_names_are_no_prompts(name: str) -> None:
    with pytest.raises(NoPrompts):
        prompts_of({name: "a cat"})


def test_gaps_and_blank_prompts_are_skipped() -> None:
    assert prompts_of({"Prompt 1": " ", "Prompt 3": "c", "Prompt 5": "\n", "Prompt 7": " g\n"}) == ["c", "g"]


def test_of_two_fields_with_one_number_the_first_filled_one_counts() -> None:
    assert prompts_of({"Prompt1": "b", "Prompt 1": " "}) == ["b"]
    assert prompts_of({"Prompt1": "b", "Prompt 1": "a"}) == ["a"]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (1984, "1984"),
        (7.0, "7"),
        (12345678.0, "12345678"),
        (2.5, "2.5"),
        ("**A** cat\n", "**A** cat"),
        ({"state": "generated", "value": "a cat", "isStale": False}, "a cat"),
        (["a cat", " and a dog"], "a cat and a dog"),
    ],
)
def test_cells_that_hold_text_in_other_forms_are_read(cell: Any, text: str) -> None:
    assert prompts_of({"Prompt 1": cell}) == [text]


@pytest.mark.parametrize(
    "cell", [True, {"specialValue": "NaN"}, {"error": "#ERROR!"}, [{"id": "att1", "url": "https://x"}]]
)
def test_a_cell_without_text_is_named_instead_of_ignored(cell: Any) -> None:
    with pytest.raises(UnreadableCell, match="`Prompt 2`") as caught:
        prompts_of({"Prompt 1": "a", "Prompt 2": cell})
    assert caught.value.field == "Prompt 2"


def test_an_ai_prompt_that_is_not_generated_yet_is_blank() -> None:
    assert prompts_of({"Prompt 1": {"state": "empty", "value": None}, "Prompt 2": "b"}) == ["b"]


def test_a_record_without_prompts_says_what_was_looked_for_and_what_is_there() -> None:
    with pytest.raises(NoPrompts) as caught:
        prompts_of({"Title": "x", "Prompt 1": " "})
    assert "`Prompt 1`, `Prompt 2`" in caught.value.message
    assert "`Title`" in caught.value.message


@pytest.mark.parametrize(
    ("cell", "shape"),
    [
        ("landscape", AspectRatio.LANDSCAPE),
        ("Portrait", AspectRatio.PORTRAIT),
        (" SQUARE ", AspectRatio.SQUARE),
        ("16:9", AspectRatio.LANDSCAPE),
        ("9:16", AspectRatio.PORTRAIT),
        ("1:1", AspectRatio.SQUARE),
        ("Portrait (9:16)", AspectRatio.PORTRAIT),
        (["Square"], AspectRatio.SQUARE),
        ("", None),
        (None, None),
    ],
)
def test_the_shape_is_read_from_words_and_ratios(cell: Any, shape: AspectRatio | None) -> None:
    assert aspect_ratio_of({"Aspect Ratio": cell}) is shape


@pytest.mark.parametrize("cell", ["4:3", "wide", "landscape (9:16)", "landscape please", "()"])
def test_an_unknown_or_contradictory_shape_is_refused_with_what_it_takes(cell: str) -> None:
    with pytest.raises(UnknownAspectRatio, match="landscape"):
        aspect_ratio_of({"Aspect Ratio": cell})


def test_a_record_without_the_field_has_no_wish() -> None:
    assert aspect_ratio_of({}) is None


def test_the_field_of_the_shape_can_have_another_name() -> None:
    assert aspect_ratio_of({"Format": "square"}, FieldNames(aspect_ratio="Format")) is AspectRatio.SQUARE
