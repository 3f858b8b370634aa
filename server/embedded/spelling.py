"""Folds British and American spelling into one, so that either spelling is found by the other.

Speech recognition writes American English, people write both. The folded form need not be correct English, only the same for both:
"raised" may become "raized" as long as it always does.
"""

from __future__ import annotations

import re

_WORDS = {
    "aeroplane": "airplane", "aluminium": "aluminum", "cheque": "check", "cheques": "checks", "cosy": "cozy",
    "defence": "defense", "doughnut": "donut", "doughnuts": "donuts", "draught": "draft", "enrol": "enroll",
    "fulfil": "fulfill", "grey": "gray", "greys": "grays", "jewellery": "jewelry", "kerb": "curb", "licence": "license",
    "licences": "licenses", "maths": "math", "moustache": "mustache", "mould": "mold", "mum": "mom", "mum's": "mom's",
    "offence": "offense", "plough": "plow", "practise": "practice", "practised": "practiced", "pretence": "pretense",
    "programme": "program", "programmes": "programs", "pyjamas": "pajamas", "sceptic": "skeptic", "skilful": "skillful",
    "storey": "story", "sulphur": "sulfur", "tyre": "tire", "tyres": "tires", "whisky": "whiskey", "yoghurt": "yogurt",
}  # fmt: skip
_OUR = (
    "arm|behavi|cand|clam|col|demean|endeav|fav|ferv|flav|glam|harb|hon|hum|lab|misdemean|neighb|od|parl|ranc|rig|rum|"
    "sav|savi|splend|succ|tum|val|vap|vig"
)
_RULES = (
    (re.compile(rf"\b((?:dis|un|multi)?(?:{_OUR}))our"), r"\1or"),
    (re.compile(r"\b((?:kilo|centi|milli)?(?:cent|theat|met|lit|fib|calib|somb|spect|lust|meag))re(s?)\b"), r"\1er\2"),
    (re.compile(r"\b(\w{3,})is(e|ed|es|er|ers|ing|ation|ations)\b"), r"\1iz\2"),
    (re.compile(r"\b(anal|paral|catal)ys(e|ed|es|ing)\b"), r"\1yz\2"),
    (re.compile(r"\b(catal|dial|anal|monol|epil|prol)ogue(s?)\b"), r"\1og\2"),
    (re.compile(r"\b(trave|cance|labe|mode|fue|leve|marve|signa|counse|que|jewe)ll(ed|ing|er|ers|ous|or)\b"), r"\1l\2"),
)
_WORD = re.compile(r"[\w']+")


def folded(text: str) -> str:
    """The text in lower case with folded spelling."""
    text = _WORD.sub(lambda found: _WORDS.get(found[0], found[0]), text.lower())
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
