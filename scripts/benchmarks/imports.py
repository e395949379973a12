"""Measure the RIS reader beside rispy's `loads`: records per second, and peak memory, on the same file.

rispy's time is that of `loads` alone, its text already read; ours is that of the whole reading of the file, by the
reader itself and as commands have it done, by a process of its own (`apart`), whose seconds and memory count too.

    python scripts/benchmarks/bench.py import [--records 100000] [--exports DIR] [--file big.ris] [--repeats 3]

The file is made of the RIS exports in DIR, over and over, each record with a number of its own in title and
DOI, until it has that many records. Each reader runs in a process of its own, so that peak memory (the
operating system's ru_maxrss) is its own too; they take turns, and the best of the repeats counts.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "exports"
_TITLE = re.compile(r"^((?:TI|T1)  - [^\n]*)", re.MULTILINE)
_DOI = re.compile(r"^(DO  - [^\n]*)", re.MULTILINE)
READERS = {
    "apart": "from triage.formats import apart\nn = sum(1 for _ in apart.open_records(path)); apart.end_idle()",
    "triage": "from triage import formats\nn = sum(1 for _ in formats.open_records(path))",
    "rispy": "import rispy; text = path.read_text(encoding='utf-8')\nn = len(rispy.loads(text))",
}
MEASURE = """
import json, resource, sys, time
from pathlib import Path
path = Path(sys.argv[1])
{imports}
started, cpu = time.perf_counter(), time.process_time()
{call}
seconds, own, other = time.perf_counter() - started, *map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
cpu = time.process_time() - cpu + other.ru_utime + other.ru_stime
print(json.dumps({{"records": n, "seconds": seconds, "cpu": cpu,
                  "peak_mib": (own.ru_maxrss + other.ru_maxrss * (other.ru_utime > 0)) / 1024}}))
"""


def make(path: Path, exports: Path, n: int) -> None:
    """Write a RIS file of n records made of real ones."""
    records = []
    for source in sorted(exports.glob("*/*.ris")):
        text = source.read_bytes().decode("utf-8-sig", "ignore").replace("\r\n", "\n").replace("\r", "\n")
        records += re.findall(r"^TY  - .*?^ER  -[^\n]*\n", text, re.MULTILINE | re.DOTALL)
    records = [record for record in records if re.search(r"^(?:TI|T1)  - ", record, re.MULTILINE)]
    if not records:
        sys.exit(f"There is no RIS under {exports}; name the folder with --exports.")
    with path.open("w", encoding="utf-8") as file:
        for i in range(n):
            record = _TITLE.sub(rf"\1 ({i})", records[i % len(records)], count=1)
            file.write(_DOI.sub(rf"\1.{i}", record, count=1) + "\n")


def measure(name: str, path: Path) -> dict[str, float]:
    """Run a reader in a process of its own."""
    imports, call = READERS[name].split("\n")
    code = MEASURE.format(imports=imports, call=call)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bench.py import`."""
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--exports", type=Path, default=SHARED)
    parser.add_argument("--file", type=Path, help="keep the file here, and use it again when it is there")
    parser.add_argument("--repeats", type=int, default=3)


def run(options: argparse.Namespace) -> None:
    """Print what each reader takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder) / "big.ris"
        if not path.exists():
            make(path, options.exports, options.records)
        size = path.stat().st_size / 2**20
        best: dict[str, dict[str, float]] = {}
        for _ in range(options.repeats):
            for name in READERS:
                found = measure(name, path)
                if name not in best or found["seconds"] < best[name]["seconds"]:
                    best[name] = found
        print(f"{size:.0f} MiB of RIS; best of {options.repeats}")
        print(f"{'reader':8}{'records':>10}{'seconds':>9}{'cpu':>8}{'records/s':>11}{'peak MiB':>10}")
        rates = {name: found["records"] / found["seconds"] for name, found in best.items()}
        for name, found in best.items():
            print(
                f"{name:8}{found['records']:>10,}{found['seconds']:>9.1f}{found['cpu']:>8.1f}{rates[name]:>11,.0f}"
                f"{found['peak_mib']:>10,.0f}"
            )
        print(f"apart takes {rates['triage'] / rates['apart']:.2f} times as long as the reader itself")
        print(f"triage reads {rates['triage'] / rates['rispy']:.2f} times as many records a second as rispy")
