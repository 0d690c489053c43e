"""The standard objects that work, for `Client(objects=...)`, and what a device author implements for them."""

from lwm2m.client.download import Downloader, Login
from lwm2m.client.package_error import PackageError, Trouble
from lwm2m.client.standard_objects.binary_app_data import BinaryAppDataContainer
from lwm2m.client.standard_objects.connectivity_monitoring import ConnectivityMonitoring, Network
from lwm2m.client.standard_objects.connectivity_statistics import ConnectivityStatistics
from lwm2m.client.standard_objects.device import Device
from lwm2m.client.standard_objects.event_log import EventLog
from lwm2m.client.standard_objects.firmware import FirmwareUpdate
from lwm2m.client.standard_objects.firmware_machine import PackageInfo
from lwm2m.client.standard_objects.firmware_storage import (
    FileFirmwareStorage,
    FirmwareStorage,
    MemoryFirmwareStorage,
)
from lwm2m.client.standard_objects.firmware_updater import FirmwareUpdater, Running
from lwm2m.client.standard_objects.location import Location, Position
from lwm2m.client.standard_objects.portfolio import Portfolio
from lwm2m.client.standard_objects.simulated_device import SimulatedDevice
from lwm2m.client.standard_objects.simulated_installer import SimulatedInstaller
from lwm2m.client.standard_objects.simulated_package import Flag, SimulatedPackage
from lwm2m.client.standard_objects.simulated_updater import SimulatedUpdater
from lwm2m.client.standard_objects.software import SoftwareInstaller, SoftwareManagement
from lwm2m.client.standard_objects.software_machine import Component
from lwm2m.client.standard_objects.standard_object import Host, StandardObject
from lwm2m.client.standard_objects.stored import Stored

__all__ = [
    "BinaryAppDataContainer",
    "Component",
    "ConnectivityMonitoring",
    "ConnectivityStatistics",
    "Device",
    "Downloader",
    "EventLog",
    "FileFirmwareStorage",
    "FirmwareStorage",
    "FirmwareUpdate",
    "FirmwareUpdater",
    "Flag",
    "Host",
    "Location",
    "Login",
    "MemoryFirmwareStorage",
    "Network",
    "PackageError",
    "PackageInfo",
    "Portfolio",
    "Position",
    "Running",
    "SimulatedDevice",
    "SimulatedInstaller",
    "SimulatedPackage",
    "SimulatedUpdater",
    "SoftwareInstaller",
    "SoftwareManagement",
    "StandardObject",
    "Stored",
    "Trouble",
]
