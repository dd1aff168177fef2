"""What holds for every test: no network, one thread. Knows no test."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for the hub fails at once instead of waiting
os.environ["OMP_NUM_THREADS"] = "1"  # models here are tiny: threads that wait for a busy core cost minutes
os.environ["COLUMNS"] = "160"  # help and messages are not wrapped by the width of who runs the tests
os.environ.pop("FORCE_COLOR", None)
