"""A legacy gateway: devices of other protocols appear to LwM2M servers. Here is all that a plugin's author needs."""

from osap_bridge.converters import Converter, choices, divided, inverted, unchanged
from osap_bridge.protocol import (
    Appeared,
    DeviceFacts,
    Disappeared,
    Entity,
    EventReport,
    FunctionPoint,
    Happening,
    ProtocolTranslator,
    Report,
)
from osap_bridge.translator import (
    Constant,
    DataModelTranslator,
    Event,
    Operation,
    Property,
    argument_choices,
    no_input,
)

__all__ = [
    "Appeared",
    "Constant",
    "Converter",
    "DataModelTranslator",
    "DeviceFacts",
    "Disappeared",
    "Entity",
    "Event",
    "EventReport",
    "FunctionPoint",
    "Happening",
    "Operation",
    "Property",
    "ProtocolTranslator",
    "Report",
    "argument_choices",
    "choices",
    "divided",
    "inverted",
    "no_input",
    "unchanged",
]
