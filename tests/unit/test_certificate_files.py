"""Certificates in files and folders: what is trusted and what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from lwm2m.security.certificate_files import shown_chain, trusted
from tests.authority import root

CA, OTHER = root("CA"), root("Other CA")
DEVICE = CA.issues("device")


def test_files_and_folders_are_trusted_together(tmp_path: Path) -> None:
    folder = tmp_path / "trusted"
    folder.mkdir()
    (folder / "a.pem").write_bytes(CA.pem)
    (folder / "b.DER").write_bytes(OTHER.der)
    (folder / "notes.txt").write_text("not a certificate")
    bundle = tmp_path / "bundle"
    bundle.write_bytes(CA.pem + DEVICE.pem)
    found = trusted([str(folder), str(bundle)])
    assert found.anchors == (CA.certificate, OTHER.certificate, DEVICE.certificate)
    assert trusted([]).anchors == ()


def test_what_cannot_be_trusted_is_named(tmp_path: Path) -> None:
    empty, none = tmp_path / "empty", tmp_path / "none.pem"
    empty.mkdir()
    none.write_text("-----BEGIN CERTIFICATE-----\n")
    for place, words in ((empty, "there is no certificate in the folder"), (none, "none.pem: there is no certificate")):
        with pytest.raises(ValueError, match=words):
            trusted([str(place)])
    with pytest.raises(ValueError, match=r"missing\.pem cannot be read: No such file"):
        trusted([str(tmp_path / "missing.pem")])


def test_a_chain_is_shown_with_the_key_of_its_first_certificate(tmp_path: Path) -> None:
    path = tmp_path / "chain.pem"
    path.write_bytes(DEVICE.pem + CA.pem)
    assert shown_chain(str(path), DEVICE.key).certificates == (DEVICE.der, CA.der)
    with pytest.raises(ValueError, match="is not the one of the private key"):
        shown_chain(str(path), CA.key)
