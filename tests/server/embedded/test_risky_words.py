"""Which words on a button are risky, however they are written."""

from __future__ import annotations

import pytest

from server.embedded.risky_words import DESTROYING, EFFECTIVE, risky_words, words_of


@pytest.mark.parametrize(
    "text",
    [
        "Delete",
        "DELETE!",
        "delete_account",
        "deleteAccount",
        "De\u00adlete",
        "De\u200blete",
        "D\u2060e\u034fl\ufe0fete",
        "\uff24\uff45\uff4c\uff45\uff54\uff45",
        "\U0001d403\U0001d41e\U0001d425\U0001d41e\U0001d42d\U0001d41e",
        "Deletes everything",
        "deleting",
        "De\ufffclete",
        "\uff24e\u00adleting",
        "D\u0435lete",  # Cyrillic
        "D\u0415L\u0415\u0422\u0415",
        "D\u03b5lete",  # Greek
        "\u1d05\u1d07\u029f\u1d07\u1d1b\u1d07",
        "\U0001f173\U0001f174\U0001f17b\U0001f174\U0001f183\U0001f174",
        "\u0110\u00e9l\u00ebt\u0229",
        "DeIete",  # with a capital I
        "De1ete",
        "deleteall",
        "DELETEACCOUNT",
        "deleteforever",
        "confirrndelete",
        "Next post: delete",
        "btndelete",
        "#doDeleteIt",
        "L\u00f6schen",
        "LO\u0308SCHEN",
        "Konto l\u00f6schen",
        "Supprimer",
        "Eliminar",
        "Elimina tutto",
        "Apagar conta",
        "Verwijderen",
        "Usu\u0144 konto",
    ],
)
def test_a_risky_word_is_seen_however_it_is_written(text: str) -> None:
    """A button with most of these was clicked by its selector, without a question."""
    assert risky_words(text) == {"delete"}


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("Jetzt zahlungspflichtig bestellen", {"pay", "order"}),
        ("Payer", {"pay"}),
        ("Zap\u0142a\u0107", {"pay"}),
        ("Comprar ahora", {"buy"}),
        ("paynow", {"pay"}),
        ("Compralo Subito", {"buy"}),
        ("\u00a1C\u00f3mpralo ya!", {"buy"}),
        ("Compra ahora", {"buy"}),
        ("jetztkaufen", {"buy"}),
        ("Koop nu", {"buy"}),
        ("Jetzt zahlen", {"pay"}),
        ("Bestelling plaatsen", {"order"}),
        ("Hacer pedido", {"order"}),
        ("Je commande", {"order"}),
        ("Z\u0142\u00f3\u017c zam\u00f3wienie", {"order"}),
        ("#post", {"post"}),
        ("Order now", {"order"}),
        ("Order by phone", {"order"}),
        ("Purchase by card", {"purchase"}),
        ("Tramitar pedido", {"order"}),
        ("Plaats bestelling", {"order"}),
        ("Place order", {"order"}),
        ("Review and post", {"post"}),
        ("#post-button", {"post"}),
        ("Payer maintenant", {"pay"}),
        ("\u0440\u0430\u0443", {"pay"}),  # all Cyrillic
        ("placeorder", {"order"}),
        ("Best\u00e4tigen", {"confirm"}),
        ("Wy\u015blij", {"send"}),
        ("confirrn", {"confirm"}),
    ],
)
def test_it_counts_as_the_english_word(text: str, verb: set[str]) -> None:
    """So that a button in another language is judged like its translation."""
    assert risky_words(text) == verb


@pytest.mark.parametrize(
    ("form", "verb"),
    [
        ("removes", "remove"),
        ("buys", "buy"),
        ("paying", "pay"),
        ("submitting", "submit"),
        ("publishes", "publish"),
        ("unsubscribing", "unsubscribe"),
    ],
)
def test_a_form_of_a_risky_verb_is_one_too(form: str, verb: str) -> None:
    assert words_of(form) == {form, verb}


@pytest.mark.parametrize(
    "text",
    [
        "payload",
        "sender",
        "postal",
        "Orderly",
        "a bidet",
        "Pays-Bas",
        "Choisir le pays",
        "Ligne de commande",
        "Zahlen und Fakten",
        "Envie de voyager ?",
        "Payer's name",
        "Payer\u2019s name",
        "Nombre del pedido",
        "Mijn bestelling volgen",
        "Lista de la compra",
        "Next post",
        "Post navigation",
        "Order by date",
        "Order history",
        "Sort order",
        "Remove filter",
        ".post a",
        "#post-12",
        "confirmand",
        "Airline orders jets",
        "Posts",
        "Sent",
        "Deleted items",
        "Order\u0435d",
        "Bld. 4",
        "Borders",
        "Payments",
        "Gel\u00f6schte Elemente",
        "Gesendet",
        "\u00c9l\u00e9ments supprim\u00e9s",
        "Page publique",
        "Commander",
        "Eliminados",
        "Enviado",
        "P\u00e1gina p\u00fablica",
        "Inviati",
        "Usuni\u0119te",
        "Ordenar por precio",
        "Wissen",
        "\u043f\u043e\u0441\u0442",  # a Russian word of lookalikes
    ],
)
def test_other_words_are_not(text: str) -> None:
    assert not risky_words(text)


def test_every_verb_is_itself() -> None:
    assert all(risky_words(verb) == {verb} for verb in DESTROYING | EFFECTIVE)
