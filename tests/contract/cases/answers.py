"""What vendors answer: ends, usage, and fields that few have."""

from typing import Any

from tests.contract.case import Answer, Case, Choice, Sends, counted, text

CITED = {
    "annotations": [
        {
            "type": "url_citation",
            "url_citation": {"url": "https://example.com/a", "title": "A", "start_index": 1, "end_index": 9},
        }
    ]
}


def _told(name: str, feature: str, answer: Answer, **columns: Any) -> Case:
    return Case(name, feature, answer=answer, **columns)


EVERYWHERE: dict[str, Any] = {"ollama": Sends(), "gemini": Sends()}
ENDS = [
    _told("stop", "text", text("done"), **EVERYWHERE, custom=counted("hi", 7, 1)),
    _told("length", "length", Answer((Choice("cut", finish="length"),)), **EVERYWHERE),
    _told("length-at-once", "length", Answer((Choice("", finish="length"),), usage=(5, 0)), **EVERYWHERE),
    _told("content-filter", "content filter", Answer((Choice("un", finish="content_filter"),)), gemini=Sends()),
    _told(
        "content-filter-at-once",
        "content filter",
        Answer((Choice("", finish="content_filter"),), usage=(5, 0)),
        gemini=Sends(),
    ),
    _told("refusal", "refusals", Answer((Choice(None, refusal="I cannot help with that."),)), cerebras=None),
    _told("refusal-unicode", "refusals", Answer((Choice(None, refusal="Nein. ✋"),), shred=True), cerebras=None),
    _told("one-token", "text", text("x", shred=True), **EVERYWHERE),
]

USAGE = [
    _told("usage", "usage", Answer(usage=(12, 34)), **EVERYWHERE),
    _told("usage-large", "usage", Answer(usage=(1_048_576, 65_536)), **EVERYWHERE),
    _told("usage-nothing-answered", "usage", Answer((Choice(""),), usage=(3, 0)), **EVERYWHERE),
    _told("usage-cached", "usage details", Answer(usage=(100, 2), cached=64), gemini=Sends()),
    _told("usage-cached-none", "usage details", Answer(usage=(100, 2), cached=0), gemini=Sends()),
    _told("usage-thought", "usage details", Answer(usage=(5, 50), thought=48), gemini=Sends()),
    _told("usage-cached-and-thought", "usage details", Answer(usage=(100, 50), cached=64, thought=48), gemini=Sends()),
    _told("usage-shredded", "usage", Answer(usage=(7, 8), shred=True), **EVERYWHERE),
]

FIELDS = [
    _told("system_fingerprint", "vendor fields", Answer(more={"system_fingerprint": "fp_1"})),
    _told("service_tier", "vendor fields", Answer(more={"service_tier": "default"})),
    _told("unknown-text", "vendor fields", Answer(more={"provider_region": "eu"})),
    _told("unknown-number", "vendor fields", Answer(more={"x_queue_ms": 0.25})),
    _told("unknown-object", "vendor fields", Answer(more={"x_nested": {"list": [1, {"a": "b"}], "flag": False}})),
    _told("annotations", "annotations", Answer((Choice("cited", more=CITED),)), cerebras=None),
]

CASES = [*ENDS, *USAGE, *FIELDS]
