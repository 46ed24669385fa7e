"""Text for terminals that show ASCII only."""

from __future__ import annotations

import unicodedata

#: What stands for a symbol of the paper, of typography or of a drawing where only ASCII can be shown, in turn.
_TABLE = """
α alpha  β beta  γ gamma  δ delta  η eta  λ lambda  ν nu  σ sigma  τ tau  φ phi  Δ D  Σ sum  Ω Omega  ℓ l
∂ d  ∫ int  ∞ inf  √ sqrt  ≤ <=  ≥ >=  ≠ !=  ≈ ~  → ->  ∈ in  ∘ o  · .  × x  − -  – -  — -
‖ ||  ⁺ +  ⁻ -  ⊥ _|_  ᵀ ^T  ¹ ^-1  ² ^2  ³ ^3  … ...  ⟨ <  ⟩ >  ′ '  ’ '  “ "  ” "  ₋ _
▁ _  ▂ .  ▃ -  ▄ =  ▅ +  ▆ *  ▇ #  █ @  │ |  ∶ :
"""
_WORDS = _TABLE.split()
ASCII = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))
ASCII |= {"½": "1/2 ", "¼": "1/4 ", "\N{COMBINING TILDE}": "~"} | dict.fromkeys(
    map(chr, range(0x2800, 0x2900)), "*"
)


def ascii_only(text: str) -> str:
    """Return the text in ASCII: symbols spelt out, accents after their letter (ỹ is y~)."""
    return "".join(map(_spelt, unicodedata.normalize("NFD", text)))


def _spelt(character: str) -> str:
    if character.isascii():
        return character
    if character in ASCII:
        return ASCII[character]
    if unicodedata.combining(character):
        return ""
    folded = unicodedata.normalize("NFKD", character)
    return folded if folded.isascii() else "?"
