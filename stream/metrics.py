"""Figures for Prometheus: how long each stage takes, how far behind signing is, what was dropped and refused.

Enters: moments as they pass (on the event loop), and the stage's own figures when somebody asks. Leaves: the
text of GET /metrics. Does not know HTTP or threads. Each server has its own registry: several fit a process.

Frames pay about a microsecond each for a histogram; everything else is gathered while it is asked for.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter as Counted
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from stream import events
from stream.encoder import EncodedFrame
from stream.errors import Handler

PREFIX = "handstream"
STAGES = ("glossing", "choreography", "render", "encode", "send")
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5)
Figures = Mapping[str, Any]


def count_answers(metrics: Metrics) -> Middleware:
    """Middleware: counts answers by status; those to requests that were given up are not answers."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            metrics.answered(error.status)
            raise
        metrics.answered(response.status)
        return response

    return count


class Meter:
    """The figures of one signer. Lives on the event loop."""

    def __init__(self, stages: Histogram, captions: Histogram, lost: Counter, name: str) -> None:
        self._stages, self._captions, self._lost, self._name = stages, captions, lost, name
        glossing, choreography, render, encode, send = (stages.labels(name, stage) for stage in STAGES)
        self._glossing, self._choreography = glossing.observe, choreography.observe
        self._render, self._encode, self._send = render.observe, encode.observe, send.observe
        self._caption = captions.labels(name).observe
        self._last_sent = -1

    def caption(self, figures: events.Latency) -> None:
        """The first sign of a caption was sent."""
        self._glossing(figures.glossing_ms / 1e3)
        self._choreography(figures.choreography_ms / 1e3)
        self._caption(figures.total_ms / 1e3)

    def encoded(self, frame: EncodedFrame) -> None:
        self._render(frame.shot.render_ms / 1e3)
        self._encode(frame.encode_ms / 1e3)

    def sent(self, frame: EncodedFrame, now_ns: int) -> None:
        """A frame left for a peer; the first of its peers is what counts."""
        if frame.shot.seq != self._last_sent:
            self._last_sent = frame.shot.seq
            self._send((now_ns - frame.encoded_ns) / 1e9)

    def lost(self, what: str, count: int) -> None:
        """What a peer that leaves did not get (of those who stay, the stage knows)."""
        if count:
            self._lost.labels(self._name, what).inc(count)

    def close(self) -> None:
        """The signer went off air: its series end."""
        for stage in STAGES:
            self._stages.remove(self._name, stage)
        self._captions.remove(self._name)


class Metrics:
    """See the module. stage_figures: as `Stage.stats`, asked for with each scrape."""

    def __init__(self, stage_figures: Callable[[], Figures]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._stages = Histogram(
            "stage_seconds",
            "Time of each stage: of every picture, and of the first sign of every caption",
            ("signer", "stage"),
            namespace=PREFIX,
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._captions = Histogram(
            "caption_seconds",
            "From a caption's arrival until the first picture of its first sign has left",
            ("signer",),
            namespace=PREFIX,
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._lost = Counter(
            "peer_lost",
            "Frames, events and motion that peers who have left did not get",
            ("signer", "what"),
            namespace=PREFIX,
            registry=self.registry,
        )
        self._answers = Counter(
            "http_answers", "Answers to requests", ("status",), namespace=PREFIX, registry=self.registry
        )
        self.registry.register(_StageCollector(stage_figures))

    def meter(self, signer: str) -> Meter:
        return Meter(self._stages, self._captions, self._lost, signer)

    def answered(self, status: int) -> None:
        self._answers.labels(str(status)).inc()

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """The text and its content type, in the form that the asker prefers."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


GAUGES = {
    "viewers": "Viewers connected",
    "pending_glosses": "Signs waiting to be signed",
    "backlog_seconds": "How long what waits will take to be signed",
    "lag_seconds": "How long ago what is signed just now was said; 0 while nothing is",
    "tempo": "Signing rate, in terms of the one that was chosen: up to 1.5 to keep up with live captions",
    "uptime_seconds": "Since the server started",
    "draining": "1 while the server ends what it is doing",
    "tasks": "Tasks on the event loop",
    "threads": "Threads of the process",
    "trouble": "Things that are wrong just now (GET /healthz says which)",
}
COUNTERS = {
    "refused": "Requests refused because a limit was reached",
    "pictures": "Pictures drawn",
    "motion_frames": "Motion frames stepped",
    "keyframes": "Keyframes encoded",
    "dropped": "Pictures, or motion to draw, that were dropped for newer ones",
    "render_failures": "Drawings that failed",
    "encode_failures": "Encodings that failed",
    "fallbacks": "Switches to a renderer or picture to fall back on",
    "repeated": "Times that the last picture was sent again, because nobody could draw in time",
    "omitted": "Words left out, as viewers were told",
    "late_ticks": "Motion frames that were late",
    "skipped_ticks": "Motion frames that were not made because they came too late",
}


class _StageCollector(Collector):
    """Turns `Stage.stats` into metrics, while somebody asks."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures

    def describe(self) -> Iterable[Any]:
        return []  # names are fixed, values are not there before the first scrape

    def collect(self) -> Iterable[Any]:
        found = self._figures()
        pipeline, scheduler = found["pipeline"], found["pipeline"]["scheduler"]
        gauges = {name: GaugeMetricFamily(f"{PREFIX}_{name}", text) for name, text in GAUGES.items()}
        per_signer = {"viewers", "pending_glosses", "backlog_seconds", "lag_seconds", "tempo"}
        gauges["threads"] = GaugeMetricFamily(f"{PREFIX}_threads", GAUGES["threads"], labels=("kind",))
        for name in per_signer:
            gauges[name] = GaugeMetricFamily(f"{PREFIX}_{name}", GAUGES[name], labels=("signer",))
        counters = {
            name: CounterMetricFamily(f"{PREFIX}_{name}", text, labels=_LABELS.get(name, ("signer",)))
            for name, text in COUNTERS.items()
        }
        gauges["uptime_seconds"].add_metric((), found["uptime_s"])
        gauges["draining"].add_metric((), float(found.get("draining", False)))
        gauges["trouble"].add_metric((), found.get("trouble", 0))
        gauges["tasks"].add_metric((), _tasks())
        for kind, count in _threads().items():
            gauges["threads"].add_metric((kind,), count)
        counters["refused"].add_metric((), found["refused"])
        counters["dropped"].add_metric(("", "before_drawing"), pipeline["dropped_before_drawing"])
        for name in ("late_ticks", "skipped_ticks"):
            counters[name].add_metric((), scheduler.get(name, 0))
        for signer, figures in found["signers"].items():
            gauges["viewers"].add_metric((signer,), figures["viewers"])
            gauges["pending_glosses"].add_metric((signer,), figures["pending_glosses"])
            gauges["backlog_seconds"].add_metric((signer,), figures.get("backlog_ms", 0) / 1e3)
            lag_ms = figures.get("lag_ms", {}).get("now") or 0.0
            gauges["lag_seconds"].add_metric((signer,), lag_ms / 1e3)
            gauges["tempo"].add_metric((signer,), figures.get("tempo", 1.0))
            for name, key in _PER_SIGNER.items():
                counters[name].add_metric((signer,), figures.get(key, 0))
            counters["dropped"].add_metric((signer, "before_encoder"), figures["dropped_before_encoder"])
            queued = sum(peer["dropped_frames"] for peer in figures["peers"])
            counters["dropped"].add_metric((signer, "peer_queues"), queued + figures.get("peers_dropped", 0))
        yield from gauges.values()
        yield from counters.values()


_LABELS: dict[str, tuple[str, ...]] = {
    "refused": (),
    "late_ticks": (),
    "skipped_ticks": (),
    "dropped": ("signer", "where"),
}
_PER_SIGNER = {
    "pictures": "rendered",
    "motion_frames": "motion_frames",
    "keyframes": "keyframes",
    "render_failures": "render_failures",
    "encode_failures": "encode_failures",
    "fallbacks": "fallbacks",
    "repeated": "repeated",
    "omitted": "omitted",
}


def _threads() -> dict[str, int]:
    """How many there are of each kind: names without their numbers, codecs or addresses."""
    kinds = [re.split(r"[-_ (]", thread.name)[0] for thread in threading.enumerate()]
    return dict(Counted(kinds))


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # asked from outside the loop, by a test or a tool
        return 0
