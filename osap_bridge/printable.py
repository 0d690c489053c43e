"""Names come from devices: control characters reach neither a terminal nor a log."""


def printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
