"""Run every benchmark that needs no data set."""

from benchmarks import enroll, lle, search, start

for benchmark in (start, search, enroll, lle):
    print(benchmark.main([]))
