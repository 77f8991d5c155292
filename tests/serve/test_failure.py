"""A real worker dies under load while the page is open in a browser: nobody who asks notices, whoever looks does."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest

from shoal.graph import load
from shoal.live.ground import ThisMachine
from shoal.live.service import kept
from shoal.plan import Plan
from shoal.program.drivers.failover import Failover
from shoal.run import Settings
from tests.live.test_service import covered
from tests.run import plans
from tests.run.test_failover import workers
from tests.serve.browser import CHROMIUM, browser
from tests.serve.conftest import Small, listening, wait_for
from tests.serve.test_infer import arrays, request

REQUESTS = 200


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_a_worker_dies_while_the_page_is_open(small: Small, tmp_path: Path) -> None:
    graph = load(Path(small.plan.model.path))
    plan: Plan = plans.plan_of(graph, plans.contiguous(graph, 2))
    ground, driver = ThisMachine(plan, Settings(over="tcp")), Failover(rest_s=1.0)
    body, wrong, codes = request(small.inputs), [], list[int]()

    def ask(url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while len(codes) < REQUESTS:
                answer = client.post("/v1/infer", json=body)
                codes.append(answer.status_code)
                try:
                    plans.assert_equal(arrays(answer), small.outputs)
                except AssertionError as fault:
                    wrong.append(fault)

    with kept(plan, ground, driver) as service, listening(service) as url, browser(tmp_path) as page:
        page.open(url)
        page.wait_for("document.getElementById('status').textContent === 'serving'")
        wait_for(lambda: covered(service))
        threads = [threading.Thread(target=ask, args=(url,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(codes) > REQUESTS // 4)
        for each in workers(service.state().pipeline[-1]):
            each.kill()
        page.wait_for("document.querySelector('.log li.lost') !== null")
        page.wait_for("document.querySelector('.log li.switched') !== null")
        for thread in threads:
            thread.join()
        page.picture(tmp_path / "after.png")
        assert page.faults == []
        assert not service.state().failed
    assert set(codes) == {200}
    assert wrong == []
