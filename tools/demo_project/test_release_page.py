"""Tests of release_page.py; `python -m unittest` runs them with whatever versions are installed."""

import subprocess
import tempfile
import unittest
from datetime import UTC, datetime, timedelta

from click.testing import CliRunner
from release_page import Release, main, newest_first, render

NOW = datetime(2025, 6, 1, tzinfo=UTC)


def release(name, *, days=0, notes=""):
    return Release(name, NOW - timedelta(days=days), notes)


class TestOrder(unittest.TestCase):
    def test_versions_are_sorted_as_versions(self):
        names = [one.name for one in newest_first([release("1.9"), release("1.10"), release("1.10rc1")])]
        self.assertEqual(names, ["1.10", "1.10rc1", "1.9"])

    def test_a_name_that_is_no_version_comes_last(self):
        names = [one.name for one in newest_first([release("spring-preview"), release("0.1")])]
        self.assertEqual(names, ["0.1", "spring-preview"])


class TestPage(unittest.TestCase):
    def test_notes_are_markdown(self):
        page = render([release("1.0", notes="| a | b |\n|---|---|\n| *new* | 2 |")], title="t", now=NOW)
        self.assertIn("<td><em>new</em></td>", page)

    def test_notes_cannot_bring_html_of_their_own(self):
        page = render([release("1.0", notes="<script>x</script>")], title="<t>", now=NOW)
        self.assertNotIn("<script>", page)
        self.assertIn("<title>&lt;t&gt;</title>", page)

    def test_the_age_is_in_words(self):
        self.assertIn("3 days ago", render([release("1.0", days=3)], title="t", now=NOW))


class TestCommand(unittest.TestCase):
    def test_the_tags_of_a_repository_become_a_page(self):
        with tempfile.TemporaryDirectory() as repo:
            identity = ["-c", "user.name=n", "-c", "user.email=e@localhost"]
            for arguments in (
                ["init", "--quiet"],
                [*identity, "commit", "--quiet", "--allow-empty", "-m", "first"],
                [*identity, "tag", "-a", "1.0", "-m", "It **works**."],
            ):
                subprocess.run(["git", "-C", repo, *arguments], check=True)
            result = CliRunner().invoke(main, ["--repo", repo, "--title", "Ours"])
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertIn("<strong>works</strong>", result.output)


if __name__ == "__main__":
    unittest.main()
