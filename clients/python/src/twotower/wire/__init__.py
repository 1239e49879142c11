"""The wire as `generate.py` makes it out of the proto files: messages and stubs of what a gateway serves."""
