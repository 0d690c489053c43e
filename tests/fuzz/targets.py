"""Everything that is fuzzed."""

from tests.fuzz import coap_targets, codec_targets, osap_targets
from tests.fuzz.target import Target

TARGETS: tuple[Target, ...] = (*coap_targets.TARGETS, *codec_targets.TARGETS, *osap_targets.TARGETS)
