#!/usr/bin/env python3
"""Some seconds of soak.py. Needs WDE_BINARY and WDE_TEST_DATA. Standard library only."""
import unittest

import soak


class Soak(unittest.TestCase):
    def test_some_seconds(self):
        self.assertEqual(soak.soak(8, health=1), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
