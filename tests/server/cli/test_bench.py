"""`python -m server bench` against a real gateway, and its figures."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

import pytest

from server.cli import bench
from server.cli.bench_report import Figures, percentiles
from streaming.client.errors import GatewayError
from tests.server.test_main import run

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from tests.support.gateway import GatewayProcess


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentiles([float(n) for n in range(1, 201)]) == {"p50": 100.0, "p95": 190.0, "p99": 198.0, "max": 200.0}
    assert percentiles([3.0]) == {"p50": 3.0, "p95": 3.0, "p99": 3.0, "max": 3.0}
    assert percentiles([]) == {}


def test_words_are_compared_without_case_and_punctuation() -> None:
    figures = Figures(1, 0, 1.0)
    figures.compare("what time it is", "What time is it?")
    figures.compare("what time is it", "What time is it?")
    assert (figures.words_said, figures.words_wrong) == (8, 2)
    assert figures.words_right == 0.75


@pytest.mark.parametrize(
    ("change", "clean"),
    [({}, True), ({"held": 1}, False), ({"transcripts": 2}, False), ({"speeches_heard": 0}, False)],
)
def test_a_run_is_clean_when_nothing_was_lost(change: dict[str, int], *, clean: bool) -> None:
    figures = Figures(talkers=2, listeners=1, seconds=1.0, held=2, utterances=3, transcripts=3, speeches=1)
    figures.speeches_heard = 1
    for name, value in change.items():
        setattr(figures, name, value)
    assert figures.clean is clean


def test_a_report_says_when_the_generator_was_late() -> None:
    figures = Figures(1, 0, 1.0, late_ms=[1.0, 500.0])
    assert "could not send in time" in figures.as_text()
    figures.late_ms = [1.0, 2.0]
    assert "could not send in time" not in figures.as_text()


def test_nobody_there_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "bench", "http://127.0.0.1:9", "--talkers", "1", "--seconds", "1")
    assert done.returncode == 2
    assert "no gateway at ws://127.0.0.1:9" in done.stderr
    assert done.stdout == ""


async def test_a_gateway_that_does_not_speak_in_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nobody:
        async def __aenter__(self) -> None:
            """Connected at once."""

        async def __aexit__(self, *_error: object) -> None:
            """Closed at once."""

    def late(_gateway: object, _text: str) -> Awaitable[object]:
        raise TimeoutError

    monkeypatch.setattr(bench, "speech", late)
    monkeypatch.setattr(bench.Bench, "_client", lambda _bench, _name: Nobody())
    options = argparse.Namespace(file=None, text="", json=None, token="", talkers=1, listeners=0, seconds=1.0, url="")
    with pytest.raises(GatewayError, match="no speech within"):
        await bench.Bench(options)._sentence()


def test_a_report_that_cannot_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    report = tmp_path / "missing" / "report.json"
    done = run(tmp_path, "bench", "http://127.0.0.1:9", "--talkers", "1", "--seconds", "1", "--json", str(report))
    assert done.returncode == 2
    assert done.stderr == f"{report}: No such file or directory\n"


def test_talkers_and_listeners_are_served_and_reported(tmp_path: Path, gateway: GatewayProcess) -> None:
    report = tmp_path / "report.json"
    options = ["--talkers", "2", "--listeners", "1", "--seconds", "1", "--json", str(report)]
    done = run(tmp_path, "bench", gateway.base, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text(encoding="utf-8"))
    assert (found["talkers_held"], found["transcripts_missing"], found["speeches_missing"]) == (2, 0, 0)
    assert found["words_right"] >= 0.8
    assert {"p50", "p99"} < found["end_of_speech_to_transcript_ms"].keys()
    assert found["errors"] == {}
    assert "talkers      2 of 2 held" in done.stdout
