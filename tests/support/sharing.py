"""One object in several threads: what they are answered, against what one thread is."""

import itertools
import random
import threading


def check_shared(calls, opened, threads=6, each=40):
    """Make calls in random order from several threads at once; every answer must be that of one thread.

    Args:
        calls: functions of an object, which give something that can be compared.
        opened: gives the object; another one for the threads, which has not computed anything before.
        threads: number of threads.
        each: calls of each.
    """
    alone, shared = opened(), opened()
    wanted = [call(alone) for call in calls]
    start, wrong, errors = threading.Barrier(threads), [], []

    def work(number):
        draw = random.Random(number)
        start.wait()
        for _ in range(each):
            place = draw.randrange(len(calls))
            try:
                found = calls[place](shared)
            except Exception as error:
                errors.append(repr(error))
            else:
                wrong.extend([place] * (found != wanted[place]))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (wrong, errors) == ([], [])


def side_by_side(*streams):
    """Read streams by turns; return the text of each."""
    parts = list(itertools.zip_longest(*streams, fillvalue=""))
    return ["".join(text) for text in zip(*parts, strict=True)]
