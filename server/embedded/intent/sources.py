"""What people ask of a voice agent and this one has no source for: weather, news, prices, a calendar. It says so instead of searching.

Where a web search is configured, what can be looked up there goes there: `LOOKED_UP`. Explicit searches are left alone. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from re import Pattern

WEATHER = "look up the weather"
NEWS = "look up the news"
ROUTES = "look up traffic or routes"
PLACES = "find places nearby"
PRICES = "look up prices or shares"
SPORTS = "look up sports results"
TRAVEL = "look up flights, trains or buses"
SUN = "look up when the sun rises or sets"
LOOKED_UP = frozenset({WEATHER, NEWS, ROUTES, PLACES, PRICES, SPORTS, TRAVEL, SUN})
CALENDAR = "see or change a calendar"
MAIL = "read your mail or messages"
VOLUME = "change the volume or the speed of my voice"
PLAYER = "control music or videos"
GAMES = "play games"
LOCATION = "tell where you are"
CAMERA = "take photos, or record sound"
PICTURES = "draw pictures"
TEXTS = "write texts"
ALGEBRA = "do algebra. I can only work out sums"

_ASK = (
    r"(?:(?:what|how|who|where|when) (?:is|are|was|were|will|about)(?: it)?(?: going to be)? |what |(?:show|give|tell|read|get|check|fetch|bring)(?: me| us)?"
    r"(?: about| up on)? |(?:is|are) there (?:any |some )?|do you (?:know|have) |(?:how|what) about |i (?:want|need) )?"
    r"(?:(?:in|on|the|any|some|my|today's|tomorrow's|tonight's|latest|current|local|new|next|cheap|cheapest|first|last) )*"
)
_TAIL = (
    r"(?: (?:like|today|tomorrow|tonight|now|right now|outside|here|there|this|next|in|for|on|at|over|from|to|between|about|going|doing|currently|be|again"
    r"|looking|report|forecast|updates?|later|yesterday|supposed)\b.*)?\Z"
)
_WET = r"(?:rain(?:ing|y)?|snow(?:ing|y)?|sunny|cloudy|windy|stormy|foggy|hot|cold|warm|cool|freezing|chilly|humid|nice|dry|wet)"
_GAME = r"(?:game|match|cup|bowl|race|league|final|finals|championship|tournament|olympics|grand prix|world series)"
_VEHICLE = r"(?:flights?|trains?|bus|buses|planes?|ferry|ferries|trams?)"
_NO_FILE = r"(?!.*\b(?:files?|folders?|director(?:y|ies))\b)"

_ASKED: tuple[tuple[Pattern[str], str], ...] = tuple(
    (re.compile(pattern), cannot)
    for pattern, cannot in (
        (rf"{_ASK}(?:weather(?: forecast| report)?|forecast|temperature|humidity|air quality|pollen count){_TAIL}", WEATHER),
        (r"weather (?!balloons?\b|vanes?\b|stations?\b)\w+(?: \w+){0,2}\Z", WEATHER),
        (r"(?!search\b|find\b|google\b|look\b|remember\b|note\b|forget\b|open\b|say\b)\w+(?: \w+)? weather\Z", WEATHER),
        (rf"(?:is|was|will|did) it (?:be )?(?:(?:going|supposed) to )?(?:be )?{_WET}(?: out)?{_TAIL}", WEATHER),
        (rf"(?:when|how long) (?:will|is) it (?:going to )?(?:stop )?{_WET}\b", WEATHER),
        (r"(?:do|will|should) i (?:need|take|wear|bring|have) (?:to (?:take|wear|bring) )?(?:an? |my )?(?:umbrella|coat|jacket|rain ?coat|sunscreen|hat)\b", WEATHER),
        (rf"how (?:hot|cold|warm|windy|humid) (?:is it|will it be|it is|will it get)(?: out)?{_TAIL}", WEATHER),
        (r"what should i wear\b", WEATHER),
        (rf"{_ASK}(?:world |breaking |sports? |business )?(?:news|headlines|top stories){_TAIL}", NEWS),
        (r"what (?:is|has) (?:been )?(?:happening|going on|happened) (?:in the (?:world|news)|in [a-z]+|today)\b", NEWS),
        (r"what happened (?:today|in the (?:world|news))\b", NEWS),
        (rf"{_ASK}(?:traffic|directions|(?:best|fastest|quickest|shortest) (?:way|route)){_TAIL}", ROUTES),
        (r"how (?:do|can|would) i get (?:home|to work|to (?!the (?:page|top|bottom|end)\b)[a-z]|from [a-z])", ROUTES),
        (r"how long (?:does|will|would) it take (?:me |us )?to (?:get|drive|walk|fly|go|travel|cycle)\b", ROUTES),
        (r"(?:navigate|take me|drive me|bring me)(?: to)? (?:home|work|the (?:airport|station|office|hotel))\Z", ROUTES),
        (r".*\b(?:near me|nearby|around here|close by|near here|in my area)\Z", PLACES),
        (r"(?:what|where) (?:is|are) the (?:nearest|closest|next) (?!result|page|link|one\b)\w", PLACES),
        (rf"{_ASK}(?:\w+ ){{0,2}}(?:stocks?|shares?) (?:prices?|markets?)\b", PRICES),
        (r"(?:what|how) (?:is|are) (?:the )?(?:stocks?|(?:stock )?markets?|dow(?: jones)?|nasdaq|dax|ftse|s and p)(?: (?:today|doing|now|at)\b.*)?\Z", PRICES),
        (r"(?:what (?:is|are|was) )?(?:the )?(?:current )?prices? (?:of|for) \w", PRICES),
        (r"how (?:much|expensive) (?:is|are) (?:an? |one |the )?(?:price of )?(?:bitcoins?|ethereum|gold|silver|oil|gas|petrol|\w+ (?:stocks?|shares?))\b", PRICES),
        (r"how (?:much|expensive) (?:is|are) (?:an?|one) \w+(?: \w+)?\Z", PRICES),
        (r"(?:how much|what) (?:does|do|would|will) .+ cost\b", PRICES),
        (rf"(?:who|which team) (?:won|wins|is winning|will win|is playing|plays|played|lost)\b.*\b(?:{_GAME}|today|tonight|yesterday|last night)\b", SPORTS),
        (rf"{_ASK}(?:final )?scores?(?: (?:of|in|for|today|now)\b.*)?\Z|did .+ win(?: .*)?\Z|{_ASK}(?:football|soccer|baseball|basketball|tennis|sports?) (?:scores?|results?){_TAIL}", SPORTS),
        (rf"{_ASK}sports{_TAIL}", SPORTS),
        (rf"(?:what time|when) (?:is|does|do|are) .*\b(?:{_GAME}|play next)\b", SPORTS),
        (rf"{_ASK}{_VEHICLE} (?:to|from|between|status|times?|schedules?|timetables?|tomorrow|today|leaves?|departs?|arrives?|prices?)\b", TRAVEL),
        (rf"(?:when|what time|where|how often) (?:does|is|do|will|are) (?:the |my |a )?(?:(?:next|last|first) )?{_VEHICLE}\b", TRAVEL),
        (r"(?:is|has|will) (?:the |my )?(?:flight|train|bus|plane)\b.*\b(?:on time|late|delayed|landed|left|arrived?|cancelled)\b", TRAVEL),
        (r"(?:when|what time|how long) (?:is|does|will|until|till|was) .*\b(?:sun ?rise|sun ?set|dawn|dusk|sun (?:rise|set|go down|come up)|high tide|low tide)\b", SUN),
        (rf"{_ASK}(?:time of )?(?:the )?(?:sun ?rise|sun ?set){_TAIL}", SUN),
        (r"(?:what is (?:on|in)|what do i have (?:on|in)|show|check|read|open|tell|what are)(?: me)? my (?:calendar|agenda|schedule|diary|appointments|meetings)\b(?! (?:is|are)\b)", CALENDAR),
        (r"(?:do i have|have i got|are there) (?:any|an?) (?:meetings?|appointments?|events?|plans?)\b", CALENDAR),
        (rf"{_NO_FILE}(?:schedule|arrange|set up|add|create|book|make|cancel|move) (?:me )?(?:an? |the |my )?(?:new )?(?:\w+ )?(?:meeting|appointment|event)s?\b", CALENDAR),
        (rf"{_NO_FILE}(?:do i have|have i got|are there|check|read|show|open)(?: me)? (?:for )?(?:(?:any|my|the|new|unread|some|latest) )*(?:e ?mails?|mails?|messages|inbox|texts|voicemails?|notifications?|missed calls?)(?: (?:from|about|today|to me|aloud)\b.*)?\Z", MAIL),
        (r"(?:(?:can|could) you )?(?:speak|talk|read|go)(?: (?:a (?:bit|little)|much))?(?: more)? (?:up|louder|slower|slowly|faster|quickly|quieter|quietly|softer|loudly|clearly)\Z", VOLUME),
        (r"(?:(?:turn |the )?volume (?:up|down)|louder|quieter|slower|faster|mute|unmute|(?:un)?mute (?:yourself|the sound)|(?:change|use) (?:your|another|a different) voice)\Z", VOLUME),
        (r"(?:skip|next|previous|pause|resume|shuffle|stop|rewind) (?:(?:this|the|that|my) )?(?:song|track|music|album|video|playlist|radio)\Z|(?:what|which) song (?:is|was) ", PLAYER),
        (r"(?:can we |let us |do you want to )?play (?:(?:an?|some|any|me|with|another) )*(?:games?|me\Z|chess|tic tac toe|trivia|quiz|hangman|cards|poker|hide and seek)\b", GAMES),
        (r"where (?:am i|are we)(?: (?:right )?now)?\Z|(?:what is )?my (?:current )?location\Z|what (?:city|country|town|street) (?:am i|are we) in\Z", LOCATION),
        (r"(?:take|snap|shoot) (?:me )?(?:an? |my )?(?:photo|selfie|photograph)\b|record (?:an? |my |some |this )?(?:video|audio|voice|sound|memo|voice memo|conversation|call)\b", CAMERA),
        (rf"{_NO_FILE}(?:draw|paint|sketch|design|generate) (?:me )?\w", PICTURES),
        (r"(?:write|compose) (?:me |us )?(?:an? |some |the |my )?(?:short |long |little )?(?:essay|poem|letter|story|song|code|program|script|speech|haiku|article|cv)\b", TEXTS),
        (r"(?:solve|integrate|differentiate|factori[sz]e) |what is the (?:derivative|integral|limit) of ", ALGEBRA),
    )
)  # fmt: skip


# "my flight to London is on Monday"
_TOLD = re.compile(r"(?:my|our|his|her|their|the|today's) .*\b(?:is|are|was|were)\b")


def unsourced(key: str) -> str:
    """What is asked for and has no source here, to be said after "I cannot"; empty for anything else. `key`: lower-case words."""
    if _TOLD.match(key):
        return ""
    return next((cannot for pattern, cannot in _ASKED if pattern.match(key)), "")
