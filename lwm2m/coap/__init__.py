"""CoAP. The rest of the toolkit knows `endpoint` and `message`, and opens what it needs by `connecting` or `stacks`.

From the top down: `requests` speak and listen over a `carrier`, as `exchange`, `streams` and `aiocoap_udp` are; a
`link` takes datagrams to a peer and back."""
