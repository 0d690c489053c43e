"""What a refusal means, in a sentence, for each operation. lwm2m.md §6, §13."""

from __future__ import annotations

import re

READING = {
    401: "Our server has no right to read this.",
    404: "The device has no such object, instance or resource.",
    405: "This resource cannot be read.",
    406: "The device cannot answer in that content format.",
}
OPERATION = {
    "read": READING,
    "observe": READING | {405: "This resource cannot be read, so it cannot be observed."},
    "write": {
        400: "The device does not accept this value: its type, its range or the content is wrong.",
        401: "Our server has no right to write this.",
        404: "The device has no such instance or resource.",
        405: "This resource cannot be written.",
        408: "The device lost a part of the value on the way.",
        413: "The value is too large for the device.",
        415: "The device does not take that content format.",
    },
    "execute": {
        400: "The device does not accept these arguments.",
        401: "Our server has no right to execute this.",
        404: "The device has no such instance or resource.",
        405: "This resource cannot be executed, or not in the state the device is in.",
    },
    "create": {
        400: "The device does not accept this instance: a value is wrong or missing, or the instance exists already.",
        401: "Our server has no right to create this.",
        404: "The device has no such object.",
        405: "No more instances of this object can be created.",
        415: "The device does not take that content format.",
    },
    "delete": {
        401: "Our server has no right to delete this.",
        404: "The device has no such instance.",
        405: "This instance cannot be deleted.",
    },
    "discover": {
        401: "Our server may not look at this.",
        404: "The device has no such object, instance or resource.",
        405: "This cannot be discovered: a resource instance, for example.",
    },
    "write attributes": {
        400: "The device does not accept these attributes: a name, a value or their combination is wrong.",
        401: "Our server has no right to set attributes here.",
        404: "The device has no such object, instance or resource.",
        405: "Attributes cannot be set here.",
    },
}
ANY = {
    400: "The device finds the request malformed.",
    401: "Our server has no right to do this.",
    402: "The device does not understand an option of the request.",
    403: "The device forbids this.",
    500: "The device failed while doing it, or what is behind it cannot be reached.",
    501: "The device does not implement this.",
    503: "The device is too busy at the moment.",
    504: "What is behind the device did not answer in time.",
}
STATUS = re.compile(r"(\w+)\((\d{3})\)")


def refusal_text(verb: str, status: str, diagnostic: str = "") -> str:
    """`status` as the server writes it, "METHOD_NOT_ALLOWED(405)"."""
    found = STATUS.fullmatch(status)
    if found is None:
        return f"the device refused to {verb}: {status}"
    number = int(found[2])
    name = "" if found[1] == "UNKNOWN" else " " + found[1].replace("_", " ").capitalize()
    meaning = OPERATION[verb].get(number) or ANY.get(number, "The device gives no reason that LwM2M knows.")
    own_words = f' The device says: "{diagnostic}".' if diagnostic else ""
    return f"the device refused to {verb}: {number // 100}.{number % 100:02d}{name}. {meaning}{own_words}"
