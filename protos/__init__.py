"""The gRPC contracts of the nine services behind the gateway, with generated code and typed stubs.

stt tts intent planner safety browser os search memory: one .proto each, package `jarvis.<name>.v1`;
executor.proto: what browser, os and search share. `generate.py` makes the rest; do not edit it by hand.
"""
