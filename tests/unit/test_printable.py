from osap_bridge.printable import printable


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("Z1\x1b[2J\n") == "Z1\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}"
    assert printable("lamp ä") == "lamp ä"
