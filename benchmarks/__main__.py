"""Run every benchmark that needs no data set."""

from benchmarks import backup, encryption, enroll, exemplars, search, serve, start

for benchmark in (start, search, encryption, backup, enroll, exemplars, serve):
    print(benchmark.main([]))
