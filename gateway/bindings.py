"""The HTTP routes of the contract, read from its `google.api.http` annotations."""

import re
from dataclasses import dataclass
from pathlib import Path

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2

_SEGMENT = re.compile(r"\{(?P<variable>[^}=]+)(?:=(?P<template>[^}]+))?\}")


@dataclass(frozen=True)
class Binding:
    """One HTTP method and path template that the contract gives to an RPC of `service`."""

    service: str
    method: str
    template: str

    def pattern(self) -> str | None:
        """A regular expression for whole paths of this template; None when the template is a fixed path.

        A segment has no colon: what follows one is the verb of another template, as in `/keys/{id}:disable`.
        """
        if "{" not in self.template and "*" not in self.template:
            return None
        flat = _SEGMENT.sub(lambda match: match["template"] or "*", self.template)
        parts = re.split(r"(\*\*|\*)", flat)
        return "".join({"**": ".*", "*": "[^/:]+"}.get(part) or re.escape(part) for part in parts)


def read_bindings(descriptor: Path) -> list[Binding]:
    """Returns every binding of every service in a serialised `FileDescriptorSet`, in its order.

    Raises `OSError` when the file cannot be read, `google.protobuf.message.DecodeError` when it is something else.
    """
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor.read_bytes())
    return [
        binding
        for file in files.file
        for service in file.service
        for method in service.method
        for binding in method_bindings(f"{file.package}.{service.name}", method)
    ]


def method_bindings(service: str, method: descriptor_pb2.MethodDescriptorProto) -> list[Binding]:
    """Returns the bindings of one RPC, in its order."""
    rule: http_pb2.HttpRule = method.options.Extensions[
        annotations_pb2.http  # type: ignore[index]  # the package has no stubs for extensions
    ]
    rules = (rule, *rule.additional_bindings)
    return [Binding(service, *_method_and_path(each)) for each in rules if each.WhichOneof("pattern")]


def _method_and_path(rule: http_pb2.HttpRule) -> tuple[str, str]:
    verb = rule.WhichOneof("pattern")
    if verb == "custom":
        return rule.custom.kind, rule.custom.path
    return verb.upper(), getattr(rule, verb)
