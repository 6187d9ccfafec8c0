"""One line of JSON with the keys of twinseg-bench: times in ms, and this process's peak memory."""
import json
import resource
import statistics
import time


def measure(run, repeats, warm_up=1):
    times = []
    for i in range(-warm_up, repeats):
        start = time.perf_counter()
        run()
        if i >= 0:
            times.append((time.perf_counter() - start) * 1e3)
    return times


def report(peer, times, **more):
    print(json.dumps(dict(median_ms=statistics.median(times), min_ms=min(times), max_ms=max(times),
                          peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024e-6,
                          peer=peer, **more)))
