"""Several ranks are not steered one by one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.controlled import Trained, until
from watcher.control import protocol


def test_what_several_ranks_would_have_to_do_together_is_refused_by_each(tmp_path: Path) -> None:
    join = (
        f"torch.distributed.init_process_group('gloo', init_method='file://{tmp_path}/store', rank={{}}, world_size=2)"
    )
    with Trained(tmp_path) as first, Trained(tmp_path) as second, ThreadPoolExecutor(2) as pool:
        ranks = (first, second)
        list(pool.map(lambda one: one[1].ask("do", join.format(one[0])), enumerate(ranks)))
        for rank in ranks:
            rank.go(1)
        for kind, args in (("scale_lr", {"factor": 0.5}), ("checkpoint", {}), ("stop", {})):
            number = first.send(kind, **args)
            for rank, training in enumerate(ranks):

                def refused(rank: int = rank, training: Trained = training, number: int = number) -> object:
                    ack = protocol.ack(str(training.control), number, rank)
                    return ack if ack and ack["state"] == "refused" else training.go(1)

                ack = until(refused, f"refusal of {kind} by rank {rank}")
                assert "2 ranks train together" in ack["details"]["error"]
    assert (first.used[-1], second.used[-1]) == ([0.1, 0.02], [0.1, 0.02])
    assert (first.process.returncode, second.process.returncode) == (0, 0)
