"""Settings that the programs make before they train."""

import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc's allocator is spoken to")
def test_training_keeps_the_memory_it_frees():
    program = """if True:
        import resource
        from concurrent.futures import ThreadPoolExecutor
        import numpy as np
        from keras_attn.commands.terminal.environment import keep_freed_memory

        def faults():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(20):
                np.ones(10_000_000)
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        before, kept, first, after = faults(), keep_freed_memory(), faults(), faults()
        with ThreadPoolExecutor(1) as other:
            first, beside = (other.submit(faults).result() for _ in range(2))
        print(before, kept, after, beside)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, kept, after, beside = done.stdout.split()
    assert kept == "True" and max(int(after), int(beside)) < int(before) / 10
