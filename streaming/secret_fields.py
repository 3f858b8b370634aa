"""Which fields hold secrets, by their names: of JSON, of a page's forms, and of addresses. One list for observers, recordings and the log.

A name counts however it is written: `apiKey`, `API_KEY`, `api-key`. Names about secrets are none: `token_count`, `tokens`, `ticket_id`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

HIDDEN = "(hidden)"
_WORDS = (
    "token", "ticket", "cookie", "secret", "pass", "pwd", "credential", "authorization",
    "headers", "server_url", "server-url", "serverurl", "otp", "cvv", "cvc",
)  # fmt: skip
_KEY = r"(?:api|private|secret|access|signing|encryption|auth)[ _.-]?key"
_KEYS = re.compile(_KEY)
_ENDING = (
    rf"(?:token|ticket|cookies?|secrets?|pass[ _.-]?w(?:or)?ds?|pwd|pass[ _.-]?(?:phrase|code)s?|credentials?|authorization|t?otp|cvv|cvc|{_KEY}s?)"
    r"(?:[ _.-]?(?:value|header|hash|data|again|repeat(?:ed)?|confirm(?:ation|ed)?|old|new|\d{1,4}))?"
)
# Headers and the address are of `mcp` tools in OpenAI's dialect.
_SECRET = re.compile(rf"(?:{_ENDING}|^headers|^server[ _.-]?url)\Z")
# Of JSON whose end is missing: there, a quote follows each name.
_HELD = re.compile(rf"(?:{_ENDING}|headers|server[ _.-]?url)[\"\\]")
_HELD_TARGET = re.compile(r"selector[\"\\]")
MAX_NAME_CHARS = 128  # a longer name is none

# Words in the name of a form's field. Safety asks about the same (policies/browser.cedar).
_FIELDS = frozenset({
    "pass", "pwd", "pin", "otp", "totp", "mfa", "cvv", "cvc", "csc", "card", "cc", "iban", "ssn", "secret", "token", "key", "apikey",
})  # fmt: skip
_IN_FIELDS = ("passw", "passphrase", "passcode", "creditcard", "cardnumber")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FIELD_WORDS = re.compile(r"[^\W_]+")
_TARGET = "selector"  # what an action's parameters call the field
TYPED = ("text", "value")  # and what goes into it

# What stands in an address before the host; browsers take any number of slashes, of either kind.
_ACCOUNT = re.compile(r"(:[/\\]+)([^\s/\\@:]*):[^\s/\\]+@")
_ADDRESS = re.compile(r":[/\\]+[^\s\"'<>]+")
# Of its query or fragment. Another address may follow in it, or a command, which is not hidden.
_PARAMETER = re.compile(r"([?&;#]([^\s?&;#=/\"'<>]{1,64})=)[^?&;#|$(){}`]+")
_IN_NAMES = re.compile(r"[\[\]]+")  # "user[password]"


def may_name_secrets(text: str) -> bool:
    """False if no secret is in the text of a message: no name of one, nor an escape by which JSON can spell it, nor an address with one."""
    lower = text.lower()
    return (
        "\\u" in text
        or any(word in lower for word in _WORDS)
        or ("key" in lower and _KEYS.search(lower) is not None)
        or _TARGET in lower
        or ("@" in text and _ACCOUNT.search(text) is not None)
    )


def is_secret_field(name: str) -> bool:
    """True if a field of this name holds what opens something."""
    return len(name) <= MAX_NAME_CHARS and _SECRET.search(name.lower()) is not None


def secret_fields(names: Collection[str]) -> list[str]:
    """Those of these names. Thousands take little time."""
    return list(filter(is_secret_field, names)) if may_name_secrets("\n".join(names)) else []


def names_secret_value(text: str) -> bool:
    """True if JSON that cannot be read seems to have such a field, or to say what is typed into one."""
    lower = text.lower()
    return (
        "\\u" in text
        or _HELD.search(lower) is not None
        or (_HELD_TARGET.search(lower) is not None and is_secret_target(text))
    )


def is_secret_target(name: str) -> bool:
    """True if a form's field that is called so, or has this selector, takes a password or a means of payment."""
    lower = name.lower()
    return any(part in lower for part in _IN_FIELDS) or not _FIELDS.isdisjoint(
        _FIELD_WORDS.findall(_CAMEL.sub(" ", name).lower())
    )


def typed_secret(parameters: Mapping[str, Any]) -> str:
    """The parameter that is typed into a secret field, `text` or `value`; empty if there is none."""
    target = parameters.get(_TARGET)
    if type(target) is not str or not is_secret_target(target):
        return ""
    return next((name for name in TYPED if parameters.get(name)), "")


def clean_addresses(text: str, shown: str = rf"\1\2:{HIDDEN}@") -> str:
    """The text with what opens something hidden in its addresses: passwords, and parameters that are called so.

    `shown` stands in place of the slashes, the name and the password.
    """
    if "@" in text and ":" in text:
        text = _ACCOUNT.sub(shown, text)
    return _ADDRESS.sub(_without_values, text) if "=" in text else text


def _without_values(address: re.Match[str]) -> str:
    return _PARAMETER.sub(_without_value, address[0])


def _without_value(parameter: re.Match[str]) -> str:
    names = _IN_NAMES.split(unquote(parameter[2]))
    return f"{parameter[1]}{HIDDEN}" if any(map(is_secret_field, names)) else parameter[0]
