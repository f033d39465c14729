"""What is wrong with a film's form, in the words of its page: the API's messages name the fields of its body. Pure."""

import re

_EXACT = {
    (
        "minClips",
        "is for `onClipFailure` `skip`",
    ): "Is for films that leave out what cannot be made: choose that beside it",
    ("webhookEvents", "needs a `webhookUrl` to tell"): "Needs an address: there is nobody to tell",
    (
        "fields",
        "needs a `recordId`, whose fields are to be written",
    ): "Needs an Airtable record id, whose fields they are",
}
_NUMBER = re.compile(r"Input should be a valid (integer|number)\b.*")
_BOUND = re.compile(r"Input should be (greater|less) than or equal to (\S+)")
_CHOICE = re.compile(r"Input should be ('.*')")
_TOO_MANY = re.compile(r"(.+?) should have at most (\d+) items? after validation, not (\d+)")
_ONE_OF_PROMPTS = re.compile(r"is for clips that are made of a prompt; this one has `\w+`")
_BESIDE = re.compile(r"cannot stand beside `\w+`: a clip has one of them")


def problem_in_words(field: str, message: str) -> str:
    """Return a message about a field of the body as its field on the page says it."""
    if (field, message) in _EXACT:
        return _EXACT[field, message]
    if match := _NUMBER.fullmatch(message):
        return "Must be a whole number, such as 5" if match[1] == "integer" else "Must be a number, such as 1.5"
    if match := _BOUND.fullmatch(message):
        return f"Must be at {'least' if match[1] == 'greater' else 'most'} {match[2]}"
    if match := _CHOICE.fullmatch(message):
        return f"Must be one of {match[1].replace(' or ', ', ')}".replace("'", "")
    if match := _TOO_MANY.fullmatch(message):
        return f"At most {match[2]} are allowed, not {match[3]}"
    if _ONE_OF_PROMPTS.fullmatch(message):
        return "Is for clips that are made of a prompt, not for an existing film"
    if _BESIDE.fullmatch(message):
        return "A clip has either a prompt or an existing film"
    return sentence(message)


def warning_in_words(warning: str) -> str:
    """Return a warning of the estimate, which names a field of the body, in the words of the page."""
    name, colon, what = warning.partition(": ")
    match name.split("."):
        case ["clips", number, _] if number.isdecimal() and colon:
            return f"The existing film of clip {int(number) + 1} {what}"
        case ["audio", *_] if colon:
            return f"The music {what}"
        case ["overlay", *_] if colon:
            return f"The logo {what}"
    return sentence(warning)


def sentence(message: str) -> str:
    """Return a message with a capital letter."""
    return message[:1].upper() + message[1:]
