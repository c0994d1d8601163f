"""Run every benchmark that needs no data set."""

from benchmarks import approximate, backup, encryption, enroll, exemplars, nlda, search, serve, start

for benchmark in (start, search, approximate, nlda, encryption, backup, enroll, exemplars, serve):
    print(benchmark.main([]), flush=True)
