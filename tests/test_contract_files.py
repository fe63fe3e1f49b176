"""The contract: its style, its HTTP paths and the files generated from it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2, descriptor_pool

ROOT = Path(__file__).resolve().parent.parent
BUF = Path(sysconfig.get_path("scripts")) / "buf"
DESCRIPTOR = ROOT / "generated" / "descriptor.binpb"
MOST_LINES = 200

ADMIN = "llmgateway.v1.AdminService"
OPENAI = "llmgateway.v1.OpenAIService"
PREFERENCE = "llmgateway.v1.PreferenceService"
SYSTEM = "llmgateway.v1.SystemService"
USAGE = "llmgateway.v1.UsageService"
HTTP_RULES = {
    f"{OPENAI}.ChatCompletions": [
        ("post", "/v1/chat/completions", "body"),
        ("post", "/{provider}/v1/chat/completions", "body"),
        ("post", "/provider/{provider}/v1/chat/completions", "body"),
    ],
    f"{OPENAI}.Embeddings": [
        ("post", "/v1/embeddings", "body"),
        ("post", "/{provider}/v1/embeddings", "body"),
        ("post", "/provider/{provider}/v1/embeddings", "body"),
    ],
    f"{OPENAI}.ListModels": [
        ("get", "/v1/models", ""),
        ("get", "/{provider}/v1/models", ""),
        ("get", "/provider/{provider}/v1/models", ""),
    ],
    f"{OPENAI}.GetModel": [
        ("get", "/v1/models/{model=**}", ""),
        ("get", "/{provider}/v1/models/{model=**}", ""),
        ("get", "/provider/{provider}/v1/models/{model=**}", ""),
    ],
    f"{SYSTEM}.Live": [("get", "/livez", "")],
    f"{SYSTEM}.Ready": [("get", "/readyz", "")],
    f"{SYSTEM}.Health": [("get", "/healthz", ""), ("get", "/health", "")],
    f"{SYSTEM}.ListProviderHealth": [("get", "/health/providers", "")],
    f"{SYSTEM}.GetHealthSummary": [("get", "/api/v1/ai/health", "")],
    f"{SYSTEM}.GetVersion": [("get", "/version", "")],
    f"{USAGE}.GetUsage": [("get", "/api/v1/ai/usage", "")],
    f"{USAGE}.GetQuota": [("get", "/api/v1/ai/quota", "")],
    f"{USAGE}.GetRateLimit": [("get", "/api/v1/ai/ratelimit", "")],
    f"{USAGE}.EstimateCost": [("post", "/api/v1/ai/estimate", "body")],
    f"{PREFERENCE}.ListModelPreferences": [("get", "/api/v1/ai/preferences", "")],
    f"{PREFERENCE}.SetModelPreference": [("put", "/api/v1/ai/preferences/{name=**}", "*")],
    f"{PREFERENCE}.DeleteModelPreference": [("delete", "/api/v1/ai/preferences/{name=**}", "")],
    f"{ADMIN}.CreateKey": [("post", "/admin/v1/keys", "*")],
    f"{ADMIN}.ListKeys": [("get", "/admin/v1/keys", "")],
    f"{ADMIN}.GetKey": [("get", "/admin/v1/keys/{key_id}", "")],
    f"{ADMIN}.DisableKey": [("post", "/admin/v1/keys/{key_id}:disable", "*")],
    f"{ADMIN}.RotateKey": [("post", "/admin/v1/keys/{key_id}:rotate", "*")],
    f"{ADMIN}.UpdateKeyLimits": [("put", "/admin/v1/keys/{key_id}/limits", "limits")],
    f"{ADMIN}.ListProjects": [("get", "/admin/v1/projects", "")],
    f"{ADMIN}.UpdateProjectLimits": [("put", "/admin/v1/projects/{project_id}/limits", "limits")],
    f"{ADMIN}.ListProviders": [("get", "/admin/v1/providers", "")],
    f"{ADMIN}.SetProvider": [("put", "/admin/v1/providers/{name}", "provider")],
    f"{ADMIN}.DeleteProvider": [("delete", "/admin/v1/providers/{name}", "")],
    f"{ADMIN}.SetPrice": [("post", "/admin/v1/prices", "*")],
    f"{ADMIN}.ListPrices": [("get", "/admin/v1/prices", "")],
    f"{ADMIN}.DeletePrice": [("delete", "/admin/v1/prices/{price_id}", "")],
    f"{ADMIN}.ReloadConfiguration": [("post", "/admin/v1/configuration:reload", "*")],
    f"{ADMIN}.SetProviderKey": [("put", "/admin/v1/provider-keys/{provider}", "*")],
    f"{ADMIN}.ListProviderKeys": [("get", "/admin/v1/provider-keys", "")],
    f"{ADMIN}.DeleteProviderKey": [("delete", "/admin/v1/provider-keys/{provider}", "")],
    f"{ADMIN}.ReencryptSecrets": [("post", "/admin/v1/provider-keys:reencrypt", "*")],
    f"{ADMIN}.ListUsage": [("get", "/admin/v1/usage", "")],
    f"{ADMIN}.ExportUsage": [("get", "/admin/v1/usage:export", "")],
    f"{ADMIN}.ListProviderChecks": [("get", "/admin/v1/provider-checks", "")],
}
NATIVE_ONLY = {
    "llmgateway.v1.ChatService.CreateChatCompletion",
    "llmgateway.v1.ChatService.StreamChatCompletion",
    "llmgateway.v1.EmbeddingService.CreateEmbeddings",
    "llmgateway.v1.ModelService.ListModels",
    "llmgateway.v1.ModelService.GetModel",
}


def run(*command: str | Path) -> str:
    """Runs a tool in the repository's root; gives what it printed, and fails the test when the tool fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def files() -> descriptor_pb2.FileDescriptorSet:
    """The descriptor that Envoy reads."""
    return descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTOR.read_bytes())


@pytest.fixture(scope="module")
def rules(files: descriptor_pb2.FileDescriptorSet) -> dict[str, list[tuple[str, str, str]]]:
    """Each RPC's HTTP rules as method, path and body field; an RPC without any has an empty list."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for file in files.file:
        for service in file.service:
            for method in service.method:
                options = method.options.Extensions
                rule: http_pb2.HttpRule = options[annotations_pb2.http]  # type: ignore[index] # loosely typed by the wheel
                bindings = [rule, *rule.additional_bindings] if rule.WhichOneof("pattern") else []
                found[f"{file.package}.{service.name}.{method.name}"] = [
                    (verb, getattr(binding, verb), binding.body)
                    for binding in bindings
                    if (verb := binding.WhichOneof("pattern"))
                ]
    return found


def test_the_contract_has_no_lint_finding() -> None:
    """`buf lint` accepts the contract: names, layout and a comment on every element."""
    run(BUF, "lint")


def test_the_contract_is_formatted() -> None:
    """`buf format` would change nothing."""
    run(BUF, "format", "--diff", "--exit-code")


def test_contract_files_are_small() -> None:
    """No file of the contract is longer than can be read at one go."""
    contract = sorted((ROOT / "proto" / "llmgateway").rglob("*.proto"))
    assert contract
    assert {f.name: n for f in contract if (n := len(f.read_text("utf-8").splitlines())) > MOST_LINES} == {}


def test_generated_files_are_in_step() -> None:
    """Generating again gives the files that are checked in, and no others."""
    assert run(sys.executable, ROOT / "tools" / "generate.py", "--check") == ""


@pytest.mark.parametrize("rpc", sorted(HTTP_RULES))
def test_an_rpc_has_its_http_paths(rpc: str, rules: dict[str, list[tuple[str, str, str]]]) -> None:
    """The HTTP rules of an RPC are those that the documentation promises."""
    assert rules[rpc] == HTTP_RULES[rpc]


def test_other_rpcs_are_native_grpc_only(rules: dict[str, list[tuple[str, str, str]]]) -> None:
    """An RPC with an OpenAI equivalent has no second HTTP form, and no RPC is missing from this file."""
    assert {rpc for rpc, found in rules.items() if not found} == NATIVE_ONLY
    assert rules.keys() - NATIVE_ONLY == HTTP_RULES.keys()


@pytest.mark.parametrize("name", ["Status", "ErrorInfo", "RetryInfo", "QuotaFailure", "BadRequest"])
def test_the_descriptor_holds_the_error_details(name: str, files: descriptor_pb2.FileDescriptorSet) -> None:
    """Envoy can print error details only if their types are in its descriptor."""
    assert name in {
        message.name for file in files.file if file.package == "google.rpc" for message in file.message_type
    }


def test_the_descriptor_is_complete(files: descriptor_pb2.FileDescriptorSet) -> None:
    """Every import of the descriptor is in it, imports first, as Envoy needs it."""
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    assert pool.FindServiceByName(OPENAI).full_name == OPENAI
