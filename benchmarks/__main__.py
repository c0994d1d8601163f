"""Run every benchmark that needs no data set."""

from benchmarks import enroll, search, start

for benchmark in (start, search, enroll):
    print(benchmark.main([]))
