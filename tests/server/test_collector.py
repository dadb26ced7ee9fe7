import gc

from springfield.server.collector import collecting_seldom


def test_it_collects_seldom_and_puts_all_back() -> None:
    threshold, frozen = gc.get_threshold(), gc.get_freeze_count()
    with collecting_seldom():
        assert gc.get_threshold()[0] >= 10 * threshold[0]
        assert gc.get_freeze_count() > frozen
        assert gc.isenabled()
    assert gc.get_threshold() == threshold
    assert gc.get_freeze_count() == 0
