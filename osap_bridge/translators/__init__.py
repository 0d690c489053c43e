"""The data model translators that come with the gateway, one product a module, its profile beside it."""
