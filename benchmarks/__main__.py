"""Run every benchmark that needs no data set."""

from benchmarks import backup, enroll, lle, search, start

for benchmark in (start, search, backup, enroll, lle):
    print(benchmark.main([]))
