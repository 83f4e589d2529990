"""One process with Keras over TensorFlow that converts whatever the tests of a run have traced."""

import atexit
import functools
import json
import os
import subprocess
import sys

_PROGRAM = """
import contextlib, io, json, pathlib, sys
from keras_attn_export.tflite.convert import main

answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        status = main(pathlib.Path(line.strip()))
    print(json.dumps([status, errors.getvalue()]), file=answers, flush=True)
"""


@functools.cache
def converter():
    """The process that converts what is traced; it lives as long as this one."""
    return Converter()


class Converter:
    """A process that converts one job after another."""

    def __init__(self):
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        environment = {**os.environ, **quiet, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": path}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        command = [sys.executable, "-c", _PROGRAM]
        self.process = subprocess.Popen(command, env=environment, text=True, **pipes)
        atexit.register(self.process.kill)

    def run(self, folder):
        """Convert the job in a folder."""
        print(folder, file=self.process.stdin, flush=True)
        status, errors = json.loads(self.process.stdout.readline())
        return subprocess.CompletedProcess(["converter"], status, "", errors)
