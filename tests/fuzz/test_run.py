"""run.json: read, told in tables, drawn as a page, written as a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from shoal import codec
from shoal.cli import options
from shoal.record import Run
from shoal.report import print_table, summary, write_html, write_trace
from tests.fuzz.mutations import fuzzed, mutated_json, survives

if TYPE_CHECKING:
    from tests.fuzz.conftest import Files


@given(st.data())
@fuzzed(60)
def test_a_run_is_refused_in_words_or_reported(files: Files, data: st.DataObject) -> None:
    path = files.run.with_name("mutated.json")
    path.write_bytes(data.draw(mutated_json(files.json(files.run))))
    run = survives(lambda: options.run(path), str(path))
    if run is not None:
        survives(lambda: _reported(run, files))


def _reported(run: Run, files: Files) -> None:
    folder = files.run.parent
    write_html([run], folder / "one.html")
    write_html([run, options.run(files.run)], folder / "two.html")
    write_trace(run, folder / "trace.json")
    with open("/dev/null", "w", encoding="utf-8") as nowhere:
        print_table(run, Console(file=nowhere, width=80))
    codec.encode(summary(run))
