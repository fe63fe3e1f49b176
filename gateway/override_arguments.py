"""What the command line takes for `providers`, `prices` and `preferences`."""

import argparse
import datetime as dt
from typing import Any, Final

PRICES: Final = (
    *("--input", "--output", "--cached-input", "--cache-write"),
    *("--audio-input", "--audio-output", "--reasoning"),
)


def add_override_commands(commands: Any) -> None:
    """Add the commands to argparse's subcommands."""
    _providers(commands.add_parser("providers", help="add, change and disable providers; running gateways follow"))
    _prices(commands.add_parser("prices", help="say what models cost, from a time on"))
    _preferences(commands.add_parser("preferences", help="say which models a key means by names"))


def _providers(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="show the providers as they are in force")
    put = actions.add_parser("set", help="replace what is stored of a provider; what is not said is as configured")
    put.add_argument("name")
    put.add_argument("--kind", help="openai, cerebras, gemini, ollama or custom")
    put.add_argument("--base-url", help="where it is, e.g. https://api.example.com/v1; the gateway calls it")
    put.add_argument(
        "--model", action="append", dest="models", help="answered by bare name; may be given several times"
    )
    put.add_argument("--key-source", help="whose key pays: gateway, client or hybrid")
    put.add_argument("--catalog", help="the provider in the shipped catalog whose models these are")
    put.add_argument("--max-output-tokens", type=int, help="the output cap that is sent when the caller sends none")
    put.add_argument("--unknown-fields", help="refuse or forward")
    put.add_argument("--unsupported-parameters", help="refuse or drop")
    put.add_argument("--stream-usage", action=argparse.BooleanOptionalAction, help="it understands include_usage")
    put.add_argument("--disabled", action="store_true", help="it gets no calls")
    actions.add_parser("delete", help="forget what is stored of a provider").add_argument("name")


def _prices(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="show the stored prices")
    listing.add_argument("--provider")
    listing.add_argument("--model")
    put = actions.add_parser("set", help="store what a model costs, in US dollars for a million tokens")
    put.add_argument("model", metavar="PROVIDER/MODEL")
    for option in PRICES:
        put.add_argument(option, required=option in PRICES[:2], help="US dollars for a million tokens, e.g. 0.15")
    put.add_argument("--from", dest="start", type=_time, help="from when it holds, e.g. 2026-01-31T00:00:00Z (now)")
    actions.add_parser("delete", help="forget a stored price").add_argument("id")


def _preferences(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    for name, text in (("list", "show what a key prefers"), ("set", "say it"), ("delete", "forget it")):
        action = actions.add_parser(name, help=text)
        action.add_argument("key", help="the key's id")
        if name != "list":
            action.add_argument("name", help="the model's name in the key's requests, e.g. fast")
        if name == "set":
            action.add_argument("model", help="the model that it stands for, e.g. ollama/llama3.2")


def _time(text: str) -> int:
    """Return Unix milliseconds; a time without a zone is in UTC."""
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("expected a time, e.g. 2026-01-31T00:00:00Z") from None
    return int((time if time.tzinfo else time.replace(tzinfo=dt.UTC)).timestamp() * 1000)
