"""Work on single images, side by side."""

import threading
import time

import pytest
import torch

from forensic import parallel


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def in_new_thread(work):
    """What a new thread answers."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    thread.join()
    return answers[0]


def test_threads_that_limit_torch_one_in_the_others_midst_leave_it_as_it_was(two_threads) -> None:
    entered, left = threading.Event(), threading.Event()
    inside = []

    def second() -> None:
        with parallel.one_thread():
            entered.set()
            left.wait()
            inside.append(torch.get_num_threads())

    with parallel.one_thread():
        thread = threading.Thread(target=second)
        thread.start()
        entered.wait()
        with parallel.one_thread():
            pass
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    left.set()
    thread.join()
    assert inside == [1]
    assert in_new_thread(torch.get_num_threads) == 2


def test_workers_compute_with_one_thread_each(two_threads) -> None:
    with parallel.workers(3) as pool:
        barrier = threading.Barrier(3)
        waiting = [pool.submit(lambda: (barrier.wait(), torch.get_num_threads())[1]) for _ in range(3)]
        assert [one.result() for one in waiting] == [1, 1, 1]
    assert torch.get_num_threads() == 2


def test_results_come_in_order_and_the_window_bounds_what_is_begun() -> None:
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.01 if number % 3 else 0.03)
        return number

    with parallel.workers(4) as pool:
        for place, result in enumerate(parallel.ordered(pool, work, range(20), window=5)):
            assert result == place
            assert len(begun) <= place + 5
    assert sorted(begun) == list(range(20))
