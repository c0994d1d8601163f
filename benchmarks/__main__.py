"""Run every benchmark that needs no data set."""

from benchmarks import encryption, enroll, lle, search, start

for benchmark in (start, search, encryption, enroll, lle):
    print(benchmark.main([]))
