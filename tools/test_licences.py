import unittest

from licences import allowed


class Allowed(unittest.TestCase):
    def test_a_choice_needs_one_and_a_sum_needs_all(self):
        allow = {"MIT", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"}
        for expression, wanted in [
            ("MIT", True), ("GPL-3.0", False), ("GPL-3.0 OR MIT", True), ("MIT OR GPL-3.0", True), ("MIT/GPL-3.0", True), ("MIT AND GPL-3.0", False),
            ("GPL-3.0 AND MIT", False), ("(MIT OR GPL-3.0) AND Unicode-3.0", True), ("MIT AND (GPL-3.0 OR AGPL-3.0)", False),
            ("GPL-3.0 OR MIT AND GPL-2.0", False), ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", True), ("Apache-2.0", False),
        ]:
            self.assertEqual(allowed(expression, allow), wanted, expression)

    def test_what_is_no_expression_is_told(self):
        for expression in ["MIT GPL-3.0", "(MIT", "MIT )"]:
            with self.assertRaises(ValueError, msg=expression):
                allowed(expression, {"MIT"})


if __name__ == "__main__":
    unittest.main()
