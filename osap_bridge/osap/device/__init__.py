"""An OSAP device, to build devices on and to try platforms with: the protocol from its other end."""

from osap_bridge.osap.device.osap_device import OsapDevice

__all__ = ["OsapDevice"]
