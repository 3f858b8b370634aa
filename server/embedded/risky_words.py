"""Words on a page's button that stand for harm: safety asks about a click on them, and the browser checks what it is about to click.

A word counts however it is written: in full width, with unseen characters, with letters of other scripts that look the same, run
together with others ("deleteall"), and in the languages of the table. What is done already ("deleted") mostly is a name, as of a folder.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

from server.embedded.normal_forms import normal

DESTROYING = frozenset({
    "delete", "remove", "erase", "destroy", "deactivate", "terminate", "buy", "pay", "purchase", "order", "checkout", "donate",
    "transfer", "withdraw", "bid",
})  # fmt: skip
EFFECTIVE = frozenset({
    "subscribe", "unsubscribe", "submit", "send", "post", "publish", "confirm", "approve", "authorize", "authorise",
})  # fmt: skip

# What is written on buttons in German, French, Spanish, Italian, Portuguese, Dutch and Polish, without accents. Left out is what is
# another usual word in one of these languages or in English: "commander", "poster", "remover", "wissen", "ordenar" (to sort), "zahlen"
# (numbers), "envie" (desire), the things that are ordered: "commande", "pedido", "bestelling", "zamowienie", and what is "deleted"
# without its accent, as "supprime". Two words that are buttons only together ("jetzt zahlen") stand as one.
_ABROAD = {
    "delete": """loschen losche loeschen loesche supprimer supprimez eliminar elimine borrar borre eliminare elimina cancellare cancella
        excluir exclua apagar apague verwijderen verwijder usun usunac usuwam skasuj""",
    "remove": "entfernen entferne enlever enlevez retirer retirez quitar rimuovere rimuovi",
    "erase": "vernichten effacer effacez",
    "destroy": "zerstoren zerstoeren detruire detruisez destruir distruggere distruggi vernietigen zniszcz",
    "deactivate": "deaktivieren desactiver desactivez desactivar desativar disattivare disattiva deactiveren dezaktywuj",
    "terminate": "kundigen kuendigen resilier resiliez rescindir disdire disdici opzeggen",
    "buy": "kaufen kaufe jetztkaufen koopnu acheter achetez comprar compra compralo compre comprare acquistare acquista kopen kup kupuje kupic",
    "pay": "bezahlen bezahle jetztzahlen zahlungspflichtig payer payez pagar pague pagare paga betalen betaal zaplac zaplacic",
    "order": """bestellen bestelle commandez encomendar bestel zamow zamawiam
        jecommande passercommande hacerpedido realizarpedido tramitarpedido fazerpedido bestellingplaatsen plaatsbestelling zlozzamowienie""",
    "donate": "spenden donar donare doar doneren doneer",
    "transfer": "uberweisen ueberweisen transferir trasferire trasferisci overmaken overboeken przelej",
    "withdraw": "abheben auszahlen retirar prelevare preleva wyplac",
    "bid": "encherir pujar bieden licytuj",
    "subscribe": "abonnieren abonner abonnez suscribir suscribirse suscribete abbonati iscriviti assine abonneren abonneer subskrybuj",
    "unsubscribe": "abbestellen desabonner desabonnez",
    "submit": "einreichen soumettre soumettez submeter indienen",
    "send": "senden sende absenden abschicken verschicken envoyer envoyez enviar envia inviare invia verzenden verzend versturen wyslij",
    "publish": "veroffentlichen veroeffentlichen publier publiez publicar pubblicare pubblica publiceren opublikuj publikuj",
    "confirm": """bestatigen bestaetigen bestatige confirmer confirmez valider validez confirmar confirma confermare conferma
        bevestigen bevestig potwierdz potwierdzam zatwierdz""",
    "approve": "genehmigen approuver approuvez aprobar aprovar approvare approva goedkeuren",
    "authorize": "autorisieren autoriser autorisez autorizar autorizzare autorizza autoryzuj",
}  # fmt: skip
# What is run together with a verb on buttons and in the names of elements
_BESIDE = (
    "all it this that me my now the place account everything data file item "
    "user page message payment btn button link do forever confirm"
)
_LEAST_ALIKE = 4  # characters: "bld" is no bid
_MOST_TOGETHER = 40  # characters; a longer word is none of a button

_NOUNS = frozenset({"purchase", "order", "checkout", "transfer", "bid", "post"})  # "orders" and "posts" are things
_OTHERWISE = frozenset({"pays"})  # a country, in French: shops ask for it
_DOUBLED = frozenset({"submit"})  # "submitting"
_CAMEL = re.compile(r"(?<=[^\W_A-Z])(?=[A-Z])")
_WORDS = re.compile(r"[^\W_]+")
# Where such a word is no verb: "next post", "order history", "payer's", the class `.post`
_NO_VERB = re.compile(
    r"\b(?:(?:next|previous) post|sort order|(?:post|order|purchase|bid) (?:history|status|navigation)|remove filters?|lista de la compra"
    r"|order by (?:date|time|name|title|price|size|rating|relevance|popularity|newest|oldest))\b"
    r"|\bpayer['\u2019]s\b|\.(?:post|order)(?![\w-])|#post-\d+",
    re.IGNORECASE,
)
# What is not seen of a text: soft hyphens, joiners, marks of direction and the like (Unicode's Default_Ignorable_Code_Point)
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufffc\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Cyrillic, Greek and Armenian letters that look like one of ours (Unicode's confusables.txt, UTS #39)
_LOOKALIKES = str.maketrans(
    "\u0430\u0432\u0433\u0435\u043a\u043c\u043d\u043e\u043f\u0440\u0441\u0442\u0443\u0445\u044c\u0455\u0456\u0458\u04bb\u04cf\u04c0\u0501\u051b\u051d\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420"
    "\u0421\u0422\u0423\u0425\u0405\u0406\u0408\u050c"
    "\u03b1\u03b3\u03b5\u03b7\u03b9\u03ba\u03bd\u03bf\u03c1\u03c3\u03c4\u03c5\u03c7\u03c9\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u0570\u0578\u057d\u0585\u0251\u0261",
    "abrekmhonpctyxbsijhlldqwABEKMHOPCTYXSIJGayenikvopotuxwABEZHIKMNOPTYXhnuoag",
)
# Letters of ours with a stroke, in small capitals, in a square
_OURS = re.compile(
    r"\b(?:LATIN|SYMBOL) (?:SMALL |CAPITAL )?LETTER (?:SMALL CAPITAL |DOTLESS |SCRIPT )?([A-Z])(?: WITH .+)?"
)


def _forms(verb: str) -> set[str]:
    """`deletes`, `deleting`. Not `deleted`: what is done is mostly a name, as of a folder."""
    stem = verb + verb[-1] if verb in _DOUBLED else verb.removesuffix("e")
    return {f"{verb}es" if verb.endswith("sh") else f"{verb}s", f"{stem}ing"}


def _skeleton(word: str) -> str:
    """The same for words that look the same: a capital I for an l, or a digit."""
    if len(word) < _LEAST_ALIKE:
        return word
    return word.replace("i", "l").replace("1", "l").replace("0", "o").replace("rn", "m")


_FORMS = {form: verb for verb in (DESTROYING | EFFECTIVE) - _NOUNS for form in _forms(verb) - _OTHERWISE}
_VERBS = {
    _skeleton(form): verb
    for form, verb in (
        *((verb, verb) for verb in DESTROYING | EFFECTIVE),
        *_FORMS.items(),
        *((form, verb) for verb, forms in _ABROAD.items() for form in forms.split()),
    )
}
_PAIRS = frozenset({
    "jetztzahlen", "koopnu", "jecommande", "passercommande", "hacerpedido", "realizarpedido", "tramitarpedido", "fazerpedido",
    "bestellingplaatsen", "plaatsbestelling", "zlozzamowienie",
})  # fmt: skip
_ANY_BESIDE = "|".join(map(_skeleton, _BESIDE.split()))
_TOGETHER = re.compile(f"(?:{_ANY_BESIDE})*({'|'.join(map(_skeleton, DESTROYING | EFFECTIVE))})(?:{_ANY_BESIDE})*")


def as_seen(text: str) -> str:
    """The text as a person reads it: without what is not seen, and in letters of the usual width and style."""
    return text if text.isascii() else _UNSEEN.sub("", normal("NFKC", _UNSEEN.sub("", text)))


@lru_cache(maxsize=4_096)
def _letter(char: str) -> str:
    """One of ours that it looks like, without accents; else the same."""
    base = unicodedata.normalize("NFD", char)[:1].translate(_LOOKALIKES)
    ours = None if base.isascii() else _OURS.search(unicodedata.name(base, ""))
    if ours is None:
        return "" if unicodedata.combining(char) else "ss" if base == "\u00df" else base
    return ours[1].lower() if base.islower() else ours[1]


def _alike(text: str) -> str:
    return text if text.isascii() else "".join(map(_letter, text))


def _verb(word: str) -> str | None:
    """The risky verb that a word in lower case is, or is made with."""
    looks = _skeleton(word)
    if verb := _VERBS.get(looks):
        return verb
    together = _TOGETHER.fullmatch(looks) if len(looks) <= _MOST_TOGETHER else None
    return _VERBS[together[1]] if together else None


def words_of(text: str) -> set[str]:
    """The words of a selector or of what is written on an element, in lower case; `payButton` has two, and `deletes` is `delete` too."""
    seen = _NO_VERB.sub(" ", as_seen(text))
    alike = _alike(seen)
    words = set(_WORDS.findall(_CAMEL.sub(" ", seen).lower()))
    written = set(_WORDS.findall(f"{alike} {_CAMEL.sub(' ', alike)}".lower()))
    written |= _PAIRS & {one + other for one, other in pairwise(_WORDS.findall(alike.lower()))}
    return words | {verb for verb in map(_verb, written) if verb}


def risky_words(text: str) -> set[str]:
    """Those of its words that safety asks about."""
    return words_of(text) & (DESTROYING | EFFECTIVE)
