"""Run a study from its first finding to its kept result."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from shoal import catalog, codec
from shoal.errors import InputError, ShoalError
from shoal.study import _facts
from shoal.study._bench import Bench, opened
from shoal.study._judge import judge
from shoal.study._keep import FAMILY, Result, own_path, partial_path, shipped_path
from shoal.study.contract import Finding, Shown, Study


@dataclasses.dataclass(frozen=True)
class Job:
    """A study to be run, and where its result goes."""

    name: str
    study: Study
    path: Path

    @property
    def changed(self) -> str:
        """The options that are not the defaults: "items=8,seed=1"."""
        return _changed(self.study)


def job(text: str, output: Path | None = None, *, keep: bool = False) -> Job:
    """What "name" or "name:option=value,…" asks for.

    Args:
        text: as on the command line.
        output: the result's file; None: the user's own place.
        keep: into the package, as the result that ships.

    Raises:
        InputError: no such study or option; what ships is made with the defaults.
    """
    name = text.partition(":")[0]
    study: Study = catalog.make(FAMILY, text)
    check(study, name)
    changed = _changed(study)
    if keep and (changed or output):
        raise InputError("what ships is made with the default options, in its own place", where="--keep", had=text)
    path = output or (shipped_path(name) if keep else own_path(name, changed))
    return Job(name, study, path)


def check(study: Study, name: str) -> None:
    """Refuse a study that could not be shown.

    Raises:
        InputError: it claims nothing, or two claims have one key.
    """
    keys = [claim.key for claim in study.claims]
    if not keys or len(set(keys)) < len(keys):
        raise InputError(
            "a study has claims, each with a key of its own", where=name, had=", ".join(keys) or "none"
        )


def conduct(job: Job, say: Callable[[str], None] = lambda _: None) -> Result:
    """Run the study; its result is kept as it grows, and whole at the end. `say` hears how it goes.

    Raises:
        ShoalError: the study failed, and what it had is kept; or the result could not be written.
    """
    codec.check_writable(job.path)
    begun, result = time.monotonic(), Result(job.name, _made(job))
    partial = partial_path(job.path)

    def keep(changed: Result) -> Result:
        made = dataclasses.replace(changed.made, duration_s=round(time.monotonic() - begun, 3))
        changed = dataclasses.replace(changed, made=made)
        codec.save(changed, partial)
        return changed

    try:
        with opened(_seed(job.study) or 0, say) as bench:
            result = keep(result)
            for shown in job.study.run(bench):
                result = keep(result.adding(_placeless(shown, bench)))
                _tell(job.study, shown, bench)
    except ShoalError as fault:
        keep(dataclasses.replace(result, failure=fault.message))
        say(f"what it had is kept in {partial}")
        raise
    result = keep(dataclasses.replace(result, complete=True))
    partial.replace(job.path)
    return result


def _placeless(shown: Shown, bench: Bench) -> Shown:
    """Without the folder of this run, which is gone when somebody reads it."""
    if not isinstance(shown, Finding):
        return shown
    return dataclasses.replace(shown, why=shown.why.replace(f"{bench.scratch}/", ""))


def _tell(study: Study, shown: Shown, bench: Bench) -> None:
    """Say how a claim came out.

    Raises:
        InputError: the study makes no such claim, or the finding does not fit it.
    """
    if not isinstance(shown, Finding):
        return
    claims = {claim.key: claim for claim in study.claims}
    if shown.key not in claims:
        raise InputError(f"no claim has the key '{shown.key}'", hint=catalog.nearest(shown.key, claims))
    bench.say(f"{shown.key}: {judge(claims[shown.key], shown).text}")


def _made(job: Job) -> _facts.Made:
    return _facts.Made(
        command=f"shoal study {job.name}{':' * bool(job.changed)}{job.changed}",
        options={name: _written(value) for name, value in _options(job.study).items()},
        seed=_seed(job.study),
        versions=_facts.versions(),
        commit=_facts.commit(),
        processor=_facts.processor(),
        cores=_facts.cores(),
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        duration_s=0.0,
    )


def _options(study: Study) -> dict[str, object]:
    fields = dataclasses.fields(study)  # type: ignore[arg-type]  # members are dataclasses; a protocol cannot say so
    return {field.name: getattr(study, field.name) for field in fields}


def _changed(study: Study) -> str:
    usual = _options(type(study)())
    given = {name: value for name, value in _options(study).items() if value != usual[name]}
    return ",".join(f"{name}={_written(value)}" for name, value in given.items())


def _written(value: object) -> str:
    """An option as it is written on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _seed(study: Study) -> int | None:
    seed = getattr(study, "seed", None)
    return seed if isinstance(seed, int) else None
