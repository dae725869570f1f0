"""Run every benchmark, collect the claims in ``benchmarks/results.json`` and the table of the documentation."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TABLE = HERE.parent / "docs" / "benchmarks" / "results.md"


def main() -> int:
    """Run the scripts named on the command line, all of them without a name; return the exit status."""
    chosen = sys.argv[1:]
    scripts = sorted(
        path for path in HERE.glob("*.py") if not path.name.startswith("_") and path.name != Path(__file__).name
    )
    claims: list[dict[str, Any]] = []
    broken: list[str] = []
    for script in scripts:
        if chosen and script.stem not in chosen:
            continue
        print(f"== {script.name}", flush=True)
        done = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, check=False, cwd=HERE)
        print(done.stdout, flush=True)
        if done.returncode != 0:
            broken.append(script.name)
        claims += [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"claim"')]
    (HERE / "results.json").write_text(json.dumps(claims, indent=1, ensure_ascii=False), encoding="utf-8")
    if not chosen:
        TABLE.write_text(_table(claims), encoding="utf-8")
    failed = [claim["claim"] for claim in claims if claim["holds"] is False]
    for name in broken:
        print(f"script failed: {name}", file=sys.stderr)
    for name in failed:
        print(f"does not hold: {name}", file=sys.stderr)
    return 1 if broken or failed else 0


def _table(claims: list[dict[str, Any]]) -> str:
    lines = [
        "# Measured claims",
        "",
        f"Written by `make bench` on {time.strftime('%Y-%m-%d')}: {_machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}.",
        "Each row is one interleaved run of ours and the peer's on the same work. A claim measured at a load above 1.5 has no verdict.",
        "",
        "| claim | ours | peer | unit | ratio | demand | holds | load |",
        "|---|---|---|---|---|---|---|---|",
    ]
    verdict = {True: "yes", False: "**no**", None: "not judged"}
    for claim in claims:
        peer = "" if claim["peer"] is None else f"{claim['peer']:.4g}"
        ratio = "" if claim["ratio"] is None else f"{claim['ratio']:.3g}"
        figures = [f"{claim['ours']:.4g}", peer, claim["unit"], ratio]
        row = [claim["claim"], *figures, claim["demand"], verdict[claim["holds"]], f"{claim['load']:.2f}"]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _machine() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")),
        platform.machine(),
    )


if __name__ == "__main__":
    sys.exit(main())
