"""Payloads of the DAS under the session key 00..0f, from osap.md §6.4."""

SESSION_KEY = bytes(range(16))

V3_PLAIN = bytes.fromhex("0009 7b22536571223a317d 7b2264617461223a7b2256616c7565223a34327d7d")
V3_PAYLOAD = bytes.fromhex(
    "f329a1529cc4540eeb787b471649bef9cf1f13475eef458ef19efef7c9f2c2d420d46219e390aeb7ca2b418056479df0"
)
V2_PAYLOAD = bytes.fromhex(
    "68865dbed825adb0c8de50c287173033f13b08ad78b7efba2413ce92bf1c7198282e7b2837424929fa25fd9c7649fc28"
    "ec388c1a40f8c8a250d77ebdbdb4215e"
)
LIGHT_WILL = bytes.fromhex(
    "69a9df50d5b97e81dfa13ea07bce31e8c45a8d66a2539c26c45102f3a9478d9784a0e2109d9a46c58b9d50c91bedd85e"
    "98e61a8b0f0fa1e1a19b5f3f110e6c6a8e6e691f41fd1a93e6d20dbdc4bb6bbf"
)
LIGHT_WILL_SERIAL = "K12345678"
LIGHT_WILL_DEV_ID = "00112233445566778899aabbccddeeff"
