"""What the command line takes for `migrate`, `keys` and `provider-keys`."""

import argparse
from typing import Any, Final

LIMITS: Final = (
    ("--requests-per-minute", int),
    ("--tokens-per-minute", int),
    ("--concurrent", int),
    ("--requests-per-day", int),
    ("--requests-per-month", int),
    ("--spend-per-month", str),
)


def add_commands(commands: Any) -> None:
    """Add the commands to argparse's subcommands."""
    commands.add_parser("migrate", help="bring the database to the current schema")
    keys = commands.add_parser("keys", help="make and end API keys").add_subparsers(dest="action", required=True)
    create = keys.add_parser("create", help="make a key; its secret is shown once")
    create.add_argument("--name", required=True, help="whose key it is")
    create.add_argument("--project", help="the project whose limits it shares; made if it is new")
    create.add_argument("--admin", action="store_true", help="may use the admin API")
    create.add_argument("--provider", action="append", help="allow this provider only; may be given several times")
    create.add_argument("--model", action="append", help="allow these models only, e.g. 'openai/gpt-*'")
    create.add_argument("--expires-in-days", type=_positive, help="after that it ends by itself")
    _add_limits(create)
    keys.add_parser("list", help="show all keys, without their secrets")
    keys.add_parser("disable", help="end a key at once").add_argument("id")
    rotate = keys.add_parser("rotate", help="give a key a new secret")
    rotate.add_argument("id")
    rotate.add_argument("--overlap-hours", type=_positive, default=24, help="how long the old one still holds (24)")
    _add_limits(_with_id(keys.add_parser("limit-project", help="set a project's limits")))
    secrets = commands.add_parser("provider-keys", help="keep providers' keys in the database, encrypted")
    actions = secrets.add_subparsers(dest="action", required=True)
    _with_id(actions.add_parser("set", help="store a provider's key, read from standard input"))
    _with_id(actions.add_parser("delete", help="forget a provider's key"))
    actions.add_parser("reencrypt", help="encrypt everything stored with the first key of GATEWAY_MASTER_KEY")


def _with_id(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("id")
    return parser


def _add_limits(parser: argparse.ArgumentParser) -> None:
    for option, kind in LIMITS:
        parser.add_argument(option, type=kind, help="US dollars, e.g. 10.00" if kind is str else "0 is no limit")
    parser.add_argument("--strategy", choices=("fixed", "sliding", "token_bucket"), help="how minutes are counted")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
