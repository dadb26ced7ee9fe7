"""The supervisor's rules that a service shows only in exceptional cases."""

import subprocess
import sys

from springfield.server.succession import LONGEST_PAUSE, STEADY, Place
from springfield.server.worker import Role

ORDER = """
import os, signal, sys, time
from springfield.server.supervisor import Supervisor
from springfield.server.worker import Role, Times

def work(name, seconds):
    def live(ready):
        asked = []
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
        ready("ready")
        while not asked:
            time.sleep(0.01)
        time.sleep(seconds)
        os.write(1, f"{name} ends\\n".encode())
    return live

roles = [Role("front", work("front", 0), is_last=True), Role("a", work("a", 0.3)), Role("b", work("b", 0.1))]
ready = lambda: os.kill(os.getpid(), signal.SIGTERM)
closed = lambda: os.write(1, b"closed\\n")
sys.exit(Supervisor(roles, Times(start=20, stop=float(sys.argv[1])), ready, closed).run())
"""


def test_who_is_to_be_the_last_is_told_to_stop_when_all_others_have() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ORDER, "20"], capture_output=True, timeout=60, check=False
    )
    assert ended.stdout.split(b"\n")[:-1] == [b"closed", b"b ends", b"a ends", b"front ends"]
    assert ended.returncode == 0


def test_who_does_not_stop_in_time_is_killed_and_that_is_a_failure() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ORDER, "0.2"], capture_output=True, timeout=60, check=False
    )
    assert b"a ends" not in ended.stdout
    assert b"front ends" in ended.stdout
    assert b"did not stop in time and is killed" in ended.stderr
    assert ended.returncode == 1


def test_pauses_grow_up_to_a_bound_and_begin_anew_after_a_steady_life() -> None:
    place = Place(Role("worker 0", lambda _: None))
    pauses = [place.schedule(lived=1.0) for _ in range(12)]
    assert pauses[:4] == [0.0, 0.5, 1.0, 2.0]
    assert pauses[-1] == LONGEST_PAUSE
    assert place.schedule(lived=STEADY) == 0.0
    assert place.schedule(lived=1.0) == 0.5
