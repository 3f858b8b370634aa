"""Words that are a refusal as a whole, by how they are built: `heck no`, `I don't approve that`, `that is not fine`, `the answer is no`.

A refusal has no effects, so it is better heard once too often. Words that go on ("not interested in cats") are something else. Pure.
"""

from __future__ import annotations

import re

from server.embedded.intent.words import (
    keys_of,
    with_contractions_whole,
    without_decoration,
    without_hesitations,
    words_of,
)

MAX_CHARS = 100  # a longer text is more than a refusal

_IT = r"(?:it|that|this|them|these|those|(?:this|that|the|your) (?:action|request|step|question|command|idea|plan|suggestion|proposal)|anything|any of (?:it|that|this))"
_NO = r"(?:no+|nope|nah|nay|naw|negative|negatory|never)"
_STRONGLY = (
    r"(?:oh|ah|well|heck|hell|gosh|goodness|god|lord|dear|good|my|absolutely|definitely|certainly|hard|big|firm|clear|flat"
    r"|simply|still|again|really|very|just|a|an|i'm afraid|i am afraid|sorry)"
)
_NOT = r"(?:do not|don't|did not|didn't|can not|cannot|can't|will not|won't|would not|wouldn't|could not|couldn't|shall not|shan't|never|do n't)"
_AM_NOT = r"(?:is not|isn't|is never|am not|are not|aren't|was not|wasn't|would not be|wouldn't be|will not be|won't be|not|ain't)"
_CONSENT = r"(?:agree|approve|accept|allow|permit|consent|confirm|authori[sz]e|endorse|support|want|wish|like|need|care for|fancy|think so|think it is (?:good|wise|right))"
_GOOD = (
    r"(?:fine|ok|okay|good|right|correct|approved|acceptable|allowed|permitted|authori[sz]ed|agreed|accepted|confirmed|all right|alright|great|cool|wanted|needed"
    r"|necessary|wise|a good idea|what i (?:asked(?: you)?(?: for)?|want(?:ed)?|need(?:ed)?|meant|said|had in mind)|(?:okay|ok|fine|good) (?:with|by|for) me)"
)
_REJECT = r"(?:reject|decline|refuse|deny|disagree|disapprove|object|veto|oppose|dismiss|forbid|prohibit|protest|reconsider)(?:e?d|s)?"
_DROP = r"(?:reject|decline|refuse|deny|veto|dismiss|scrap|discard|drop|ditch|bin|abandon|forbid|withdraw|call off|nix|disregard|ignore)"
_TOWARDS = rf"(?: (?:to|with|of|by|for|on))?(?: (?:{_IT}|me|you))?"
_BEFORE = (
    rf"(?:(?:thanks|thank you|thanks a lot|thank you very much|please|but|well|oh|ah|ok|okay|hey|jarvis|computer|actually|honestly|sorry|and|so|um"
    rf"|i'm afraid|i am afraid|i'm sorry|i am sorry|i said|i say|as i said|look|listen|wait|{_NO}) )*"
)
_BEHIND = (
    r"(?: (?:please|thanks|thank you|sorry|sir|madam|jarvis|at all|now|right now|today|either|then|again|anymore|any more"
    r"|with (?:that|this|it)|to (?:that|this|it)|from me|by me|for me|i'm afraid|i am afraid))*"
)
_FORMS = (
    rf"(?:{_STRONGLY} )*{_NO}(?: {_NO})*(?: (?:ever|siree|sir))?",
    rf"(?:i|we) {_NOT} {_CONSENT}{_TOWARDS}",
    rf"(?:i|we|you) (?:should|must|may|shall|would|will|can|could|do) not(?: do)?(?: {_IT})?",
    rf"(?:i|we|you) (?:shouldn't|mustn't|wouldn't|won't|can't|cannot|don't)(?: do)?(?: {_IT})?",
    rf"(?:(?:i|i am|we|we are) )?(?:strongly |totally |completely |firmly )?{_REJECT}{_TOWARDS}",
    rf"(?:you|please) {_DROP} {_IT}|{_DROP} {_IT}|turn (?:{_IT} down|down {_IT})|throw (?:{_IT} out|out {_IT})|call {_IT} off|put {_IT} off",
    rf"(?:{_IT} )?{_AM_NOT} (?:really |very |at all )?{_GOOD}",
    r"(?:it|that|this) (?:is|would be|sounds|seems|looks) (?:a |an |really |very |such a )*(?:wrong|bad|terrible|awful|unacceptable|not good|out of the question|bad idea|terrible idea|mistake|(?:no|nope)(?: go)?)",
    r"(?:it|that|this) (?:does not|doesn't|won't|will not) (?:work|do|suit me|sound (?:good|right|okay|ok)|look (?:good|right))",
    rf"(?:my|the) (?:answer|decision|reply|response) (?:is|remains|was)(?: {_STRONGLY})* {_NO}",
    rf"(?:it|that|this) (?:is|was|will be)(?: {_STRONGLY})* {_NO}",
    rf"(?:i am |we are )?(?:not (?:really |very )?(?:interested|okay|ok|fine|happy|comfortable|in favou?r)|uncomfortable|unhappy|against|opposed){_TOWARDS}",
    r"(?:permission|access|request) (?:denied|refused|declined)|disapproved|vetoed|unapproved",
    r"not (?:a|any) chance|not in a million years|not on my watch|not by me|not for me|over my dead body|out of the question|no (?:deal|go|can do|dice)|thumbs down",
    r"(?:i will |i'll |i would |i'd )?pass(?: on (?:it|that|this))?|(?:a )?(?:bad|terrible|awful|very bad) idea|absolutely not",
    r"never ?mind(?: about)?(?: (?:(?:the|that|this|my|it|a|your)(?: [\w']+){0,2}|[\w']+))",
    r"(?:i would|i'd) (?:rather|prefer) (?:you )?(?:not|did not|didn't|to not)(?: do)?(?: (?:it|that|this|to))?",
)  # fmt: skip
_REFUSAL = re.compile(rf"{_BEFORE}(?:{'|'.join(_FORMS)}){_BEHIND}", re.IGNORECASE)


def refuses(text: str) -> bool:
    """True if the words refuse, and do nothing else."""
    if len(text) > MAX_CHARS or text.rstrip().endswith("?"):
        return False
    said = without_decoration(without_hesitations(words_of(text)))
    return any(_REFUSAL.fullmatch(keys_of(words)) is not None for words in (said, with_contractions_whole(said)))
