"""Run every benchmark that needs no data set."""

from benchmarks import backup, encryption, enroll, lle, search, serve, start

for benchmark in (start, search, encryption, backup, enroll, lle, serve):
    print(benchmark.main([]))
