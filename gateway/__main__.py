"""The command line: `run`, `serve`, `check-config`, `envoy-config`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway import __version__
from gateway.config import ConfigError, Settings, environment, load, masked
from gateway.scheduling import prefer_throughput

ENVOY_UPSTREAM = "run/worker-0.sock"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong usage or setting."""
    options = _parser().parse_args(arguments)
    try:
        settings = load(environment(), options.config)
    except ConfigError as exc:
        print(f"llmgateway: {exc}", file=sys.stderr)
        return 2
    command = options.command
    if command in {"run", "serve"}:
        prefer_throughput()
    if command == "run":
        return _run(settings)
    if command == "serve":
        return _serve(settings, options.socket)
    if command == "check-config":
        print(json.dumps(masked(settings), indent=2))
        return 0
    return _envoy_config(settings, options.upstream)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="llmgateway", description="An LLM gateway with one protobuf contract.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--config", type=Path, help="YAML file (default: $GATEWAY_CONFIG or config/gateway.yaml)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="start the gateway with Envoy in front")
    serve = commands.add_parser("serve", help="start the gRPC server alone")
    serve.add_argument("--socket", type=Path, help="also listen on this unix socket, for Envoy")
    commands.add_parser("check-config", help="print the settings in force, secrets masked")
    envoy = commands.add_parser("envoy-config", help="print Envoy's configuration for these settings")
    envoy.add_argument("--upstream", action="append", help="a worker's unix socket; may be given several times")
    return parser


def _run(settings: Settings) -> int:
    import asyncio

    from gateway.supervisor import StartError, supervise

    try:
        return asyncio.run(supervise(settings, environment()))
    except StartError as exc:
        print(f"llmgateway: {exc}", file=sys.stderr)
        return 1


def _serve(settings: Settings, socket: Path | None) -> int:
    from gateway.app import ListenError
    from gateway.serve import serve

    try:
        serve(settings, socket=socket, commit=os.environ.get("GIT_COMMIT", "unknown"))
    except ListenError as exc:
        print(f"llmgateway: {exc}", file=sys.stderr)
        return 1
    return 0


def _envoy_config(settings: Settings, upstreams: Sequence[str] | None) -> int:
    from gateway.envoy import render
    from gateway.supervisor import envoy_settings

    print(render(envoy_settings(settings, tuple(upstreams or (ENVOY_UPSTREAM,)))), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
