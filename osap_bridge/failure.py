"""How a command ends that did not work."""


class Failed(Exception):
    """Refused or failed; the text is a sentence for the person at the terminal."""
