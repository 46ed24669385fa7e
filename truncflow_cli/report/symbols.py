"""Text for terminals that show ASCII only."""

from __future__ import annotations

import unicodedata

#: What stands for a symbol of the paper, or of typography, where only ASCII can be shown.
ASCII = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "η": "eta",
    "λ": "lambda",
    "ν": "nu",
    "σ": "sigma",
    "τ": "tau",
    "φ": "phi",
    "Δ": "D",
    "Σ": "sum",
    "Ω": "Omega",
    "ℓ": "l",
    "∂": "d",
    "∫": "int",
    "∞": "inf",
    "√": "sqrt",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "→": "->",
    "∈": "in",
    "∘": "o",
    "·": ".",
    "×": "x",
    "−": "-",
    "–": "-",
    "—": "-",
    "‖": "||",
    "⁺": "+",
    "⁻": "-",
    "⊥": "_|_",
    "ᵀ": "^T",
    "¹": "^-1",
    "²": "^2",
    "³": "^3",
    "½": "1/2 ",
    "¼": "1/4 ",
    "…": "...",
    "⟨": "<",
    "⟩": ">",
    "′": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "₋": "_",
}


def ascii_only(text: str) -> str:
    """Return the text in ASCII: symbols spelt out, accents after their letter (ỹ is y~)."""
    spelt = []
    for character in unicodedata.normalize("NFD", text):
        if character.isascii():
            spelt.append(character)
        elif character in ASCII:
            spelt.append(ASCII[character])
        elif character == "\N{COMBINING TILDE}":
            spelt.append("~")
        elif unicodedata.combining(character):
            continue
        else:
            folded = unicodedata.normalize("NFKD", character)
            spelt.append(folded if folded.isascii() else "?")
    return "".join(spelt)
