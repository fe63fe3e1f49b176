"""Chat between the contract's messages and OpenAI's JSON."""

from gateway.services.chat_codec.reply import chunk_message, completion_message
from gateway.services.chat_codec.request import chat_request_body

__all__ = ["chat_request_body", "chunk_message", "completion_message"]
