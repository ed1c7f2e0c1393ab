"""Counters and histograms under TensorFlow Serving's names, as Prometheus text."""

from __future__ import annotations

import bisect
import threading

REQUEST_COUNT = ":tensorflow:serving:request_count"
REQUEST_LATENCY = ":tensorflow:serving:request_latency"
RUNTIME_LATENCY = ":tensorflow:serving:runtime_latency"
WARMUP_LATENCY = ":tensorflow:serving:model_warmup_latency"

# Microseconds: 33 limits, 10 * 1.8 ** i, and one bucket beyond.
LIMITS = tuple(10 * 1.8**i for i in range(33))

Labels = tuple[tuple[str, str], ...]


class _Histogram:
    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(LIMITS) + 1)
        self.total = 0.0


def _labels(labels: Labels) -> str:
    escaped = (
        (name, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
        for name, value in labels
    )
    return ",".join(f'{name}="{value}"' for name, value in escaped)


class Metrics:
    """The server's counters; safe to use from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, dict[Labels, int]] = {REQUEST_COUNT: {}}
        self._histograms: dict[str, dict[Labels, _Histogram]] = {
            REQUEST_LATENCY: {},
            RUNTIME_LATENCY: {},
            WARMUP_LATENCY: {},
        }

    def count(self, model: str, status: str) -> None:
        """One request answered with this canonical code."""
        labels = (("model_name", model), ("status", status))
        with self._lock:
            counters = self._counters[REQUEST_COUNT]
            counters[labels] = counters.get(labels, 0) + 1

    def request(self, model: str, api: str, seconds: float) -> None:
        """Time from the whole request read to the answer ready."""
        self._observe(
            REQUEST_LATENCY, (("model_name", model), ("API", api), ("entrypoint", "REST")), seconds
        )

    def runtime(self, model: str, api: str, seconds: float) -> None:
        """Time in the session."""
        self._observe(
            RUNTIME_LATENCY, (("model_name", model), ("API", api), ("runtime", "TF1")), seconds
        )

    def warmup(self, model: str, seconds: float, status: str) -> None:
        """Time of a version's warm-up."""
        self._observe(WARMUP_LATENCY, (("model_path", model), ("status", status)), seconds)

    def _observe(self, name: str, labels: Labels, seconds: float) -> None:
        micros = seconds * 1e6
        with self._lock:
            histogram = self._histograms[name].get(labels)
            if histogram is None:
                histogram = self._histograms[name][labels] = _Histogram()
            histogram.buckets[bisect.bisect_right(LIMITS, micros)] += 1
            histogram.total += micros

    def page(self) -> bytes:
        """The metrics page."""
        lines = []
        with self._lock:
            for name, counters in self._counters.items():
                lines.append(f"# TYPE {name} counter")
                lines += [f"{name}{{{_labels(key)}}} {n}" for key, n in counters.items()]
            for name, histograms in self._histograms.items():
                lines.append(f"# TYPE {name} histogram")
                for key, histogram in histograms.items():
                    labels, seen = _labels(key), 0
                    for limit, number in zip(
                        [f"{x:g}" for x in LIMITS] + ["+Inf"], histogram.buckets, strict=True
                    ):
                        seen += number
                        lines.append(f'{name}_bucket{{{labels},le="{limit}"}} {seen}')
                    lines.append(f"{name}_sum{{{labels}}} {histogram.total!r}")
                    lines.append(f"{name}_count{{{labels}}} {seen}")
        return ("\n".join(lines) + "\n").encode("utf-8")
