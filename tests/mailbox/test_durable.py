"""The 250 comes after the disk has the mail: seen from outside, system call by system call."""

import asyncio
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.mailbox.test_server import HEAD, conversation, dialogue

pytestmark = pytest.mark.anyio


@pytest.fixture
def strace() -> str:
    path = shutil.which("strace")
    if path is None and os.environ.get("CI") != "true":
        pytest.skip("No strace on this machine.")
    assert path is not None, "CI has strace"
    return path


async def test_a_sync_lies_between_the_body_and_the_250(strace: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    process = await asyncio.create_subprocess_exec(
        strace, "-f", "-s", "64", "-e", "trace=network,read,write,fsync,fdatasync", "-o", trace,
        sys.executable, "-m", "tests.mailbox.crash_server", tmp_path,
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2], start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        for _ in range(3):
            assert b"250 2.0.0 OK" in await dialogue(port, conversation(HEAD + b"needle\r\n"))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    calls = await asyncio.to_thread(trace.read_text, errors="replace")
    steps = re.findall(r'(354 End|(?:fsync|fdatasync)\(|"250 2\.0\.0 OK)', calls)
    story = " ".join(step.strip('("') for step in steps)
    answers = re.findall(r"354 End(.*?)250 2\.0\.0 OK", story)
    assert len(answers) == 3
    assert all("sync" in between for between in answers), story
