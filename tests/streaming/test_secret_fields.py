"""One list says which fields hold secrets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streaming.secret_fields import clean_addresses, is_secret_field, is_secret_target, may_name_secrets, typed_secret

SECRET = """
    token Token access_token refreshToken resume_token X-Auth-Token id_token ticket password Password PASSWORD newPassword password2
    password_confirmation passwd pwd passPhrase secret client_secret clientSecret api_key apiKey API-KEY apikey X-Api-Key private_key
    pass_word otp TOTP smsOtp cvv cvc secretAccessKey credentials Authorization Set-Cookie cookies headers server_url serverUrl
"""
NOT_SECRET = """
    tokens token_count max_tokens max_output_tokens input_tokens input_token_details cached_tokens token_id token_type confirmation_id
    event_id footprint hotplug key keys keyboard pass bypass passenger ticket_id secretary server_vad text selector name password_required
"""


@pytest.mark.parametrize("name", SECRET.split())
def test_secrets_are_known_by_name_however_it_is_written(name: str) -> None:
    assert is_secret_field(name)
    assert may_name_secrets(f'{{"{name}":"x"}}')


@pytest.mark.parametrize("name", NOT_SECRET.split())
def test_names_about_secrets_are_none(name: str) -> None:
    assert not is_secret_field(name)


@pytest.mark.parametrize(
    "name", ["#password", "input[type=password]", "#pin", "userPwd", "[name='otp']", "#cardNumber"]
)
def test_fields_of_forms_that_take_secrets_are_known(name: str) -> None:
    assert is_secret_target(name)
    assert typed_secret({"selector": name, "text": "x"}) == "text"
    assert typed_secret({"selector": name, "value": "x"}) == "value"
    assert typed_secret({"selector": name}) == ""


@pytest.mark.parametrize("name", ["#q", "#spinner", "input[name=search]", ".discard", "#keyboard"])
def test_other_fields_are_not(name: str) -> None:
    assert not is_secret_target(name)
    assert typed_secret({"selector": name, "text": "x"}) == ""


def test_they_are_those_that_safety_asks_about() -> None:
    policy = Path("server/embedded/safety/policies/browser.cedar").read_text(encoding="utf-8")
    asked = policy.partition('@id("browser-secret-field")')[2].partition("};")[0].partition("when {")[2]
    words = re.findall(r'"\*?(\w+)\*?"', asked)
    assert len(words) > 20
    assert [word for word in words if not is_secret_target(f"#{word}")] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://u:s3cret@host/", "http://u:(hidden)@host/"),
        ("open https:/\\u:s3@cret@host:80/a now", "open https:/\\u:(hidden)@host:80/a now"),
        ("redis://:s3cret@host", "redis://:(hidden)@host"),
        ("https://host/a?q=1&token=s3cret&n=2 now", "https://host/a?q=1&token=(hidden)&n=2 now"),
        ("http://h/cb#access_token=s3cret&apiKey=s3cret", "http://h/cb#access_token=(hidden)&apiKey=(hidden)"),
        (
            "http://h/?user[password]=s3cret&a%5Btoken%5D=s3cret",
            "http://h/?user[password]=(hidden)&a%5Btoken%5D=(hidden)",
        ),
        (
            "http://h/?next=https://a/b?token=s3cret;pwd=s3cret",
            "http://h/?next=https://a/b?token=(hidden);pwd=(hidden)",
        ),
        ("curl http://h/?token=s3cret;rm", "curl http://h/?token=(hidden);rm"),
        ("http://h/?%74oken=s3cret", "http://h/?%74oken=(hidden)"),
        ("for (;;token = lex(), token=next())", "for (;;token = lex(), token=next())"),
        ("sh -c 'ls;token=$(rm *)' '#cookie=../home'", "sh -c 'ls;token=$(rm *)' '#cookie=../home'"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("https://host/?tokens=3&q=token=x", "https://host/?tokens=3&q=token=x"),
        ("mail ann@example.com at 10:30", "mail ann@example.com at 10:30"),
    ],
)
def test_passwords_and_tokens_of_addresses_are_hidden(text: str, shown: str) -> None:
    assert clean_addresses(text) == shown


@pytest.mark.parametrize(
    "part", ["://a:", ":/", ":a:", "/", "@:", "://a:b@", "?token=", "://?token=x&", "://a?", "&a", ";=", "?a="]
)
def test_long_texts_take_little_time(part: str) -> None:
    """Twice the text takes about twice the time: an expression that goes back and forth would not end here."""
    assert clean_addresses(part * 200_000 + "@")
    assert not is_secret_field(part * 200_000)
