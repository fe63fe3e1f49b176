"""The command line: `run`, `serve`, `health`, `check-config`, `envoy-config`, and what works on the database:
`migrate`, `keys`, `provider-keys`, `providers`, `prices`, `preferences`.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway import __version__
from gateway.config import ConfigError, Settings, config_path, environment, load, masked
from gateway.key_arguments import add_commands
from gateway.open_files import allow_open_files
from gateway.override_arguments import add_override_commands
from gateway.scheduling import prefer_throughput
from gateway.tls import check_tls

ENVOY_UPSTREAM = "run/worker-0.sock"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong usage or setting."""
    options = _parser().parse_args(arguments)
    try:
        settings = load(environment(), options.config)
        if options.command in {"run", "serve", "check-config"}:
            check_tls(settings.service)
    except ConfigError as exc:
        print(f"llmgateway: {exc}", file=sys.stderr)
        return 2
    command = options.command
    if command in {"run", "serve"}:
        prefer_throughput()
        allow_open_files()
    if command == "run":
        return _supervise(settings, options.config, workers=options.workers)
    if command == "serve" and options.workers is not None:
        return _supervise(settings, options.config, workers=options.workers, envoy=False, sockets=options.sockets)
    if command == "serve":
        return _serve(settings, options)
    if command in {"migrate", "keys", "provider-keys"}:
        from gateway.key_commands import run_command

        return run_command(settings, options)
    if command in {"providers", "prices", "preferences"}:
        from gateway.override_commands import run_override_command

        return run_override_command(settings, options)
    if command == "health":
        return _health(settings)
    if command == "check-config":
        print(json.dumps(masked(settings), indent=2))
        return 0
    return _envoy_config(settings, options.upstream)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="llmgateway", description="An LLM gateway with one protobuf contract.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--config", type=Path, help="YAML file (default: $GATEWAY_CONFIG or config/gateway.yaml)")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="start the gateway with Envoy in front")
    run.add_argument("--workers", type=_count, default=1, metavar="N", help="worker processes (default: 1)")
    serve = commands.add_parser("serve", help="start the gRPC server without Envoy")
    serve.add_argument("--workers", type=_count, metavar="N", help="start this many, and restart those that crash")
    serve.add_argument("--sockets", type=Path, default=Path("run"), help="with --workers: folder of their unix sockets")
    serve.add_argument("--socket", type=Path, help="one worker: also listen on this unix socket, for Envoy")
    serve.add_argument("--metrics-socket", type=Path, help="one worker: metrics here instead of on METRICS_PORT")
    serve.add_argument("--shared-port", action="store_true", help="one worker: others listen on GRPC_PORT too")
    commands.add_parser("health", help="succeed if the gateway that runs here is ready")
    commands.add_parser("check-config", help="print the settings in force, secrets masked")
    add_commands(commands)
    add_override_commands(commands)
    envoy = commands.add_parser("envoy-config", help="print Envoy's configuration for these settings")
    envoy.add_argument("--upstream", action="append", help="a worker's unix socket; may be given several times")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 256:
        raise ValueError
    return number


def _supervise(
    settings: Settings, config: Path | None, *, workers: int, envoy: bool = True, sockets: Path | None = None
) -> int:
    import asyncio

    from gateway.supervisor import Plan, StartError, supervise

    variables = dict(environment())
    if config is not None:
        variables["GATEWAY_CONFIG"] = str(config)
    try:
        return asyncio.run(supervise(settings, variables, Plan(workers=workers, envoy=envoy, sockets=sockets)))
    except StartError as exc:
        print(f"llmgateway: {exc}", file=sys.stderr)
        return 1


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    from gateway.listening import ListenError
    from gateway.serve import Place, serve
    from gateway.state import StateError

    try:
        serve(
            settings,
            place=Place(options.socket, options.metrics_socket, options.shared_port),
            load=lambda: load(environment(), options.config),
            watched=config_path(environment(), options.config),
            commit=os.environ.get("GIT_COMMIT", "unknown"),
        )
    except (ListenError, StateError, ConfigError) as exc:
        print(f"llmgateway: {exc}", file=sys.stderr)
        return 1
    return 0


def _health(settings: Settings) -> int:
    from gateway.probe import NotReadyError, check_ready

    try:
        check_ready(settings.service)
    except NotReadyError as exc:
        print(f"llmgateway: not ready: {exc}", file=sys.stderr)
        return 1
    return 0


def _envoy_config(settings: Settings, upstreams: Sequence[str] | None) -> int:
    from gateway.envoy import render
    from gateway.supervisor import envoy_settings

    print(render(envoy_settings(settings, tuple(upstreams or (ENVOY_UPSTREAM,)))), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
