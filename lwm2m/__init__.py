"""LwM2M 1.1 in Python: client and server.

Events have homes of their own, since both sides speak of registrations: `lwm2m.client` and `lwm2m.server`. Refusals are
in `lwm2m.errors`, keys and certificates in `lwm2m.security`, the HTTP interface is in `lwm2m.web`.
"""

from lwm2m.address import Address
from lwm2m.attributes import Attributes
from lwm2m.client import Actuator, Client, DataModel
from lwm2m.coap.aiocoap_stack import AiocoapEndpoint
from lwm2m.coap.endpoint import Endpoint, Limits, Rejected, RequestFailed, TimedOut, TooBusy, Unreachable
from lwm2m.coap.message import Code, Peer
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.stacks import Dtls, open_endpoint
from lwm2m.coap.streams.connected import TcpEndpoint, WebSocketEndpoint
from lwm2m.codec import decode, encode
from lwm2m.dtls.settings import ServerSettings as DtlsServer
from lwm2m.errors import LwM2MError
from lwm2m.link_format import Link
from lwm2m.model.checking import check
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.ddf import DefinitionError
from lwm2m.model.definition import Definitions, ObjectDefinition, Operations, ResourceDefinition, Type
from lwm2m.model.library import load_folder, shipped, with_folder
from lwm2m.model.path import MAX_ID, Path
from lwm2m.model.record import NO_LINK, ObjectLink, Record, Value
from lwm2m.model.value_range import ValueRange, parse_range
from lwm2m.operations import (
    Body,
    BootstrapDelete,
    BootstrapDiscover,
    BootstrapFinish,
    BootstrapRead,
    BootstrapRequest,
    BootstrapWrite,
    Create,
    Delete,
    DeviceOperation,
    Discover,
    Execute,
    Read,
    ReadComposite,
    Write,
    WriteAttributes,
    WriteComposite,
    path_list,
    paths_of,
)
from lwm2m.server import Answer, InvalidAnswer, NotObserved, NotRegistered, Registration, Server

__all__ = [
    "MAX_ID",
    "NO_LINK",
    "Actuator",
    "Address",
    "AiocoapEndpoint",
    "Answer",
    "Attributes",
    "Body",
    "BootstrapDelete",
    "BootstrapDiscover",
    "BootstrapFinish",
    "BootstrapRead",
    "BootstrapRequest",
    "BootstrapWrite",
    "Client",
    "Code",
    "ContentFormat",
    "Create",
    "DataModel",
    "DefinitionError",
    "Definitions",
    "Delete",
    "DeviceOperation",
    "Discover",
    "Dtls",
    "DtlsServer",
    "Endpoint",
    "Execute",
    "InvalidAnswer",
    "Limits",
    "Link",
    "LwM2MError",
    "NotObserved",
    "NotRegistered",
    "ObjectDefinition",
    "ObjectLink",
    "Operations",
    "Oscore",
    "Path",
    "Peer",
    "Read",
    "ReadComposite",
    "Record",
    "Registration",
    "Rejected",
    "RequestFailed",
    "ResourceDefinition",
    "Server",
    "TcpEndpoint",
    "TimedOut",
    "TooBusy",
    "Type",
    "Unreachable",
    "Value",
    "ValueRange",
    "WebSocketEndpoint",
    "Write",
    "WriteAttributes",
    "WriteComposite",
    "check",
    "decode",
    "encode",
    "load_folder",
    "open_endpoint",
    "parse_range",
    "path_list",
    "paths_of",
    "shipped",
    "with_folder",
]
