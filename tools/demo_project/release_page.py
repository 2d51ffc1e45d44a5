"""
A page of release notes from the tags of a git repository.

    python release_page.py --repo path/to/repository > page.html
"""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime

import click
import humanize
import jinja2
import packaging.version
from markdown_it import MarkdownIt

PAGE = """\
<!doctype html>
<title>{{ title }}</title>
{% for release in releases %}
<h2>{{ release.name }}</h2>
<p>{{ release.age(now) }}</p>
{{ markdown(release.notes) }}
{% endfor %}
"""


@dataclass(frozen=True)
class Release:
    """A tag: its name, its date, its message as Markdown."""

    name: str
    date: datetime
    notes: str

    def age(self, now):
        return humanize.naturaltime(now - self.date)


def newest_first(releases):
    """By version. Names that are no versions (``spring-preview``) are older than every version."""
    return sorted(releases, key=lambda release: packaging.version.parse(release.name), reverse=True)


def read_tags(repo):
    """The tags of a repository, with their messages."""
    form = "%(refname:short)%00%(creatordate:unix)%00%(contents)%00%00"
    command = ["git", "-C", repo, "for-each-ref", "refs/tags", f"--format={form}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    records = [record.strip("\n").split("\0") for record in text.split("\0\0") if record.strip()]
    return [
        Release(name, datetime.fromtimestamp(int(seconds), UTC), notes) for name, seconds, notes in records
    ]


def render(releases, *, title, now):
    """The page, as HTML. What the notes contain is escaped."""
    environment = jinja2.Environment(autoescape=True)
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    template = environment.from_string(PAGE)
    return template.render(
        title=title,
        releases=newest_first(releases),
        now=now,
        markdown=lambda text: jinja2.utils.markupsafe.Markup(markdown.render(text)),
    )


@click.command()
@click.option("--repo", default=".", help="The repository.")
@click.option("--title", default="Releases", show_default=True)
def main(repo, title):
    """Print a page of release notes."""
    click.echo(render(read_tags(repo), title=title, now=datetime.now(UTC)))


if __name__ == "__main__":
    main()
