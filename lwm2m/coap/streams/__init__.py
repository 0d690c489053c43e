"""CoAP over connections: TCP, TLS, WebSockets. RFC 8323"""
