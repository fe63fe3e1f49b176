"""A chat request of the typed edge."""

from llmgateway.v1 import chat_message_pb2
from llmgateway.v1 import chat_service_pb2 as pb


def request(model: str, text: str = "hello") -> pb.StreamChatCompletionRequest:
    """Return a request for a stream from `model`."""
    message = pb.StreamChatCompletionRequest()
    message.chat.model = model
    message.chat.messages.add(role=chat_message_pb2.ROLE_USER).content.add(text=text)
    return message
