"""Everything that is fuzzed."""

from tests.fuzz import (
    coap_targets,
    codec_targets,
    connection_targets,
    dtls_targets,
    live_targets,
    osap_connection_targets,
    osap_message_targets,
    osap_thing_targets,
    oscore_targets,
    pki_targets,
    tls_targets,
)
from tests.fuzz.target import Target

TARGETS: tuple[Target, ...] = (
    *coap_targets.TARGETS,
    *connection_targets.TARGETS,
    *codec_targets.TARGETS,
    *dtls_targets.TARGETS,
    *osap_connection_targets.TARGETS,
    *osap_message_targets.TARGETS,
    *osap_thing_targets.TARGETS,
    *oscore_targets.TARGETS,
    *pki_targets.TARGETS,
    *tls_targets.TARGETS,
    *live_targets.TARGETS,
)
