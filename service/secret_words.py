"""Words that let somebody in: of sessions, and of links that are sent. Each is told once and kept as a hash, so whoever
has the database alone gets in nowhere."""

import hashlib
import secrets


def make_word() -> str:
    """256 random bits, as a URL takes them."""
    return secrets.token_urlsafe(32)


def digest_of_word(word: str) -> bytes:
    """As it is kept. A plain hash will do: nobody guesses a word of so many bits."""
    return hashlib.sha256(word.encode()).digest()
