"""Which fields of the contract a set of messages uses, to show that a table of cases leaves none out."""

from collections.abc import Iterable, Iterator

from google.protobuf.message import Message


def declared(kind: type[Message]) -> set[str]:
    """Return the full names of the fields of a message type and of all types inside it."""
    names: set[str] = set()
    waiting = [kind.DESCRIPTOR]
    while waiting:
        for field in waiting.pop().fields:
            if field.full_name not in names:
                names.add(field.full_name)
                if field.message_type is not None and not field.message_type.GetOptions().map_entry:
                    waiting.append(field.message_type)
    return names


def used(messages: Iterable[Message]) -> set[str]:
    """Return the full names of the fields that are set in any of `messages`."""
    return {name for message in messages for name in _used(message)}


def _used(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        yield field.full_name
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for inner in value if not isinstance(value, Message) else [value]:
            yield from _used(inner)
