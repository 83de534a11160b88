"""Work while a reader looks: it waits, stops between two pieces, and gives way to other work."""

import threading

from lib.widgets.ahead import Ahead, in_kernel
from tests.widgets.examples import three_panels


def test_all_is_done_when_nothing_is_moved():
    done = []
    worker = Ahead(rest=0)
    worker.begin(done.append(i) for i in range(5))
    worker.join()
    assert done == [0, 1, 2, 3, 4]


def test_a_move_lets_the_present_piece_end_and_no_other_begin():
    begun, go_on, done = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        assert go_on.wait(60)
        done.append("first")
        yield
        done.append("second")

    worker = Ahead(rest=0)
    worker.begin(work())
    assert begun.wait(60)
    worker.stop()  # returns while the piece runs
    assert done == []
    worker.begin(done.append(word) for word in ["other"])
    go_on.set()
    worker.join()
    assert done == ["first", "other"], "one thread at a time"


def test_nothing_begins_before_the_reader_rests():
    done = []
    worker = Ahead(rest=3600)
    worker.begin(done.append(i) for i in range(5))
    worker.stop()
    worker.join()
    assert done == []


def test_on_a_crowded_machine_a_modest_one_begins_nothing(monkeypatch):
    for load, expected in ((1e6, []), (0.0, [0, 1])):
        done = []
        monkeypatch.setattr("os.getloadavg", lambda load=load: (load, load, load))
        worker = Ahead(rest=0, modest=True)
        worker.begin(done.append(i) for i in range(2))
        worker.join()
        assert done == expected


def test_an_error_ends_the_work_and_nothing_else():
    done = []

    def work():
        done.append(1)
        yield
        raise ValueError("too long")

    worker = Ahead(rest=0)
    worker.begin(work())
    worker.join()
    worker.begin(done.append(i) for i in (2, 3))
    worker.join()
    assert done == [1, 2, 3]


def test_without_a_kernel_there_is_no_thread():
    assert not in_kernel()
    assert three_panels().worker is None
