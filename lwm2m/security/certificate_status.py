"""Whether a certificate was taken back since it was issued: what lists (CRL) and answers (OCSP) say of it, and what
follows when they say nothing. lwm2m.md §9.7. No IO: `wall` is in seconds since 1970, None without a clock.

A handshake does not wait for the network, so all that counts is what is there already. What is missing may be there at
the next attempt: the alert for that is one that lets the peer try again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import TypeAlias

from cryptography import x509

from lwm2m.dtls.alerts import Alert
from lwm2m.security.certificates import called
from lwm2m.security.credentials import CredentialsRefused
from lwm2m.security.crl import RevocationList
from lwm2m.security.finding import Finding, Status
from lwm2m.security.ocsp import OcspRefused, ocsp_status

FindAnswer: TypeAlias = Callable[[x509.Certificate, x509.Certificate], bytes | None]
"""The OCSP answer at hand for a certificate and its issuer."""


class RevocationPolicy(Enum):
    """SOFT takes a certificate of which nothing is known, HARD refuses it."""

    OFF = "off"
    SOFT = "soft"
    HARD = "hard"


@dataclass(frozen=True, slots=True)
class Revocation:
    """Where to look, and how strictly. Whoever is asked by `find_answer` may begin to fetch one; `kept_answer` is for
    those of which the peer sent a good answer itself: a look at what is there."""

    policy: RevocationPolicy = RevocationPolicy.OFF
    lists: Callable[[], Iterable[RevocationList]] = field(default=tuple, repr=False)
    find_answer: FindAnswer = field(default=lambda _certificate, _issuer: None, repr=False)
    kept_answer: FindAnswer = field(default=lambda _certificate, _issuer: None, repr=False)

    @property
    def is_checked(self) -> bool:
        return self.policy is not RevocationPolicy.OFF

    def check(self, path: tuple[x509.Certificate, ...], stapled: bytes | None, wall: float | None) -> None:
        """Every certificate of a path but the trusted one; `stapled` is the OCSP answer that the peer sent for the
        first. Raises CredentialsRefused."""
        if not self.is_checked:
            return
        for index, (certificate, issuer) in enumerate(pairwise(path)):
            finding = self._finding(certificate, issuer, stapled if index == 0 else None, wall)
            name = called(certificate.subject)
            if finding.status is Status.REVOKED:
                raise CredentialsRefused(
                    Alert.CERTIFICATE_REVOKED, f"the certificate of {name} was revoked: issue a new one"
                )
            if finding.status is Status.UNKNOWN and self.policy is RevocationPolicy.HARD:
                reason = finding.reason or f"there is no revocation list of {called(issuer.subject)} and no OCSP answer"
                raise CredentialsRefused(
                    Alert.HANDSHAKE_FAILURE,
                    f"it is not known whether the certificate of {name} was revoked, and the policy is hard: {reason}",
                )

    def is_revoked(self, path: tuple[x509.Certificate, ...], wall: float | None) -> bool:
        """Whether anything at hand says so of a certificate in it."""
        return self.is_checked and any(
            finding.status is Status.REVOKED
            for certificate, issuer in pairwise(path)
            for finding in self._kept(certificate, issuer, wall)
        )

    def _finding(
        self, certificate: x509.Certificate, issuer: x509.Certificate, stapled: bytes | None, wall: float | None
    ) -> Finding:
        """The worst of what is known; what says nothing counts only when nothing else says anything."""
        findings = [] if stapled is None else [_stapled(stapled, certificate, issuer, wall)]
        is_good = any(finding.status is Status.GOOD for finding in findings)
        findings += _answered(self.kept_answer if is_good else self.find_answer, certificate, issuer, wall)
        findings += self._listed(certificate, issuer, wall)
        for status in (Status.REVOKED, Status.GOOD):
            found = next((finding for finding in findings if finding.status is status), None)
            if found is not None:
                return found
        return findings[0] if findings else Finding(Status.UNKNOWN)

    def _kept(self, certificate: x509.Certificate, issuer: x509.Certificate, wall: float | None) -> list[Finding]:
        return [*self._listed(certificate, issuer, wall), *_answered(self.find_answer, certificate, issuer, wall)]

    def _listed(self, certificate: x509.Certificate, issuer: x509.Certificate, wall: float | None) -> list[Finding]:
        return [found.finding(certificate, wall) for found in self.lists() if found.is_of(issuer)]


def _answered(
    find: FindAnswer, certificate: x509.Certificate, issuer: x509.Certificate, wall: float | None
) -> list[Finding]:
    answer = find(certificate, issuer)
    if answer is None:
        return []
    try:
        return [ocsp_status(answer, certificate, issuer, wall)]
    except OcspRefused as refused:
        return [Finding(Status.UNKNOWN, None, str(refused))]


def _stapled(answer: bytes, certificate: x509.Certificate, issuer: x509.Certificate, wall: float | None) -> Finding:
    """What the peer sends has to be right: nobody staples a forged answer by mistake. Raises CredentialsRefused."""
    try:
        return ocsp_status(answer, certificate, issuer, wall)
    except OcspRefused as refused:
        raise CredentialsRefused(Alert.BAD_CERTIFICATE_STATUS_RESPONSE, str(refused)) from None


NOT_CHECKED = Revocation()
