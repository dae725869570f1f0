"""How a benchmark reports a claim: every round, the median ratio, and one line of JSON (DESIGN.md, section 8)."""

from __future__ import annotations

import json
import operator
import os
import statistics
from collections.abc import Sequence

_COMPARE = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
_QUIET = 1.5


def claim(
    name: str,
    *,
    ours: Sequence[float],
    peer: Sequence[float],
    unit: str,
    demand: tuple[str, float] = (">=", 1.0),
    cpu_time: bool = False,
    more_is_better: bool = False,
) -> bool | None:
    """Print the rounds of a comparison and its JSON line.

    Parameters
    ----------
    name : str
        The claim, beginning with its area: ``"pdf: batched I(Q) to G(r), 1408 Q by 3001 r"``.
    ours, peer : sequence of float
        One figure a round, taken in turns in one process.
    unit : str
        Of both: ``"ms/pattern"``.
    demand : (str, float)
        What the median ratio has to be. The ratio is peer/ours, so above one means that ours is the faster; with
        ``more_is_better`` (throughput) it is ours/peer.
    cpu_time : bool
        The figures are processor time, which counts at any load; wall-clock figures at a load above 1.5 prove nothing.
    more_is_better : bool
        Figures are rates rather than times.

    Returns
    -------
    bool or None
        Whether the claim holds; None where the machine was too busy to say.
    """
    if len(ours) != len(peer) or not ours:
        raise ValueError("ours and peer need one figure for each round")
    pairs = list(zip(ours, peer, strict=True))
    ratios = [mine / theirs if more_is_better else theirs / mine for mine, theirs in pairs]
    print(name)
    for number, ((mine, theirs), ratio) in enumerate(zip(pairs, ratios, strict=True), 1):
        print(f"  round {number}: ours {mine:.4g} {unit}, peer {theirs:.4g} {unit}, ratio {ratio:.3g}")
    ratio, load = statistics.median(ratios), os.getloadavg()[0]
    sign, limit = demand
    holds = None if load > _QUIET and not cpu_time else bool(_COMPARE[sign](ratio, limit))
    record = {
        "claim": name,
        "ours": round(statistics.median(ours), 6),
        "peer": round(statistics.median(peer), 6),
        "unit": unit,
        "ratio": round(ratio, 4),
        "rounds": [round(each, 4) for each in ratios],
        "demand": f"{sign} {limit:g}",
        "holds": holds,
        "load": round(load, 2),
    }
    print(json.dumps(record, ensure_ascii=False), flush=True)
    return holds
